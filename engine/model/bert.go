package model

import "wisp/engine"

// bertConfig is transformers' BertConfig, with its defaults.
type bertConfig struct {
	Vocab     int     `json:"vocab_size"`
	Dim       int     `json:"hidden_size"`
	Layers    int     `json:"num_hidden_layers"`
	Heads     int     `json:"num_attention_heads"`
	Inner     int     `json:"intermediate_size"`
	Act       string  `json:"hidden_act"`
	Positions int     `json:"max_position_embeddings"`
	Types     int     `json:"type_vocab_size"`
	Eps       float32 `json:"layer_norm_eps"`
	Places    string  `json:"position_embedding_type"`
	Decoder   bool    `json:"is_decoder"`
}

func parseBERT(config []byte) (bertConfig, error) {
	c := bertConfig{
		Vocab: 30522, Dim: 768, Layers: 12, Heads: 12, Inner: 3072, Act: "gelu", Positions: 512, Types: 2, Eps: 1e-12, Places: "absolute",
	}
	const component = "BertModel"
	if err := parse(component, config, &c); err != nil {
		return c, err
	}
	k := checker{component: component}
	k.within("vocab_size", c.Vocab, 1, 1<<24)
	k.width("hidden_size", c.Dim)
	k.within("num_hidden_layers", c.Layers, 1, maxLayers)
	k.divides("num_attention_heads", c.Heads, c.Dim)
	k.width("intermediate_size", c.Inner)
	k.within("max_position_embeddings", c.Positions, 1, 1<<20)
	k.within("type_vocab_size", c.Types, 1, 1<<10)
	k.one("position_embedding_type", c.Places, "absolute")
	if _, ok := activations[c.Act]; !ok {
		k.fail("hidden_act", "is %.100q", c.Act)
	}
	if c.Decoder {
		k.fail("is_decoder", "is true, which is not supported")
	}
	return c, k.err
}

// BERT is the encoder of Devlin et al. 2018, from the config of transformers'
// BertModel.
//
// Inputs: "ids" (batch, tokens) i32 and "mask" (batch, tokens) f32, 0 for
// padding. Output: "hidden" (batch, tokens, hidden_size), last_hidden_state.
// All tokens are of the first type.
func BERT(config []byte, batch, tokens int) (*engine.Graph, error) {
	c, err := parseBERT(config)
	if err != nil {
		return nil, err
	}
	k := checker{component: "BertModel"}
	if k.within("tokens for max_position_embeddings:", tokens, 1, c.Positions); k.err != nil {
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		p := path("embeddings")
		table := func(name string, rows int) *engine.Node { return p.Sub(name).weight(g, "weight", rows, c.Dim) }
		x := engine.Embedding(table("word_embeddings", c.Vocab), g.Input("ids", engine.I32, batch, tokens))
		x = engine.Add(x, engine.Slice(table("position_embeddings", c.Positions), 0, 0, tokens))
		x = engine.Add(x, engine.Slice(table("token_type_embeddings", c.Types), 0, 0, 1))
		x = layerNorm(g, p.Sub("LayerNorm"), x, c.Eps)
		mask := maskBias(g, batch, tokens, 3e4)
		for i := range c.Layers {
			x = c.layer(g, path("encoder.layer").Sub(i), x, mask)
		}
		g.Output("hidden", x)
	})
}

// layer is attention and a two-layer perceptron, each with its norm after its
// residual.
func (c bertConfig) layer(g *engine.Graph, p path, x, mask *engine.Node) *engine.Node {
	a := p.Sub("attention")
	project := func(name string) *engine.Node { return linear(g, a.Sub("self", name), x, c.Dim) }
	h := engine.BiasedAttention(project("query"), project("key"), project("value"), mask, c.Heads, headScale(c.Dim/c.Heads))
	x = layerNorm(g, a.Sub("output", "LayerNorm"), engine.Add(linear(g, a.Sub("output", "dense"), h, c.Dim), x), c.Eps)
	h = engine.Activation(activations[c.Act], linear(g, p.Sub("intermediate", "dense"), x, c.Inner))
	return layerNorm(g, p.Sub("output", "LayerNorm"), engine.Add(linear(g, p.Sub("output", "dense"), h, c.Dim), x), c.Eps)
}

// ReadBERT reads the facts of a BertModel's config, and whether [BERT] can
// build it.
func ReadBERT(config []byte) (TextFacts, error) {
	c, err := parseBERT(config)
	return TextFacts{Tokens: c.Positions, Vocab: c.Vocab, Width: c.Dim, Layers: c.Layers}, err
}
