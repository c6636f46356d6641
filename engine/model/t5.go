package model

import (
	"math"
	"strings"

	"wisp/engine"
)

// t5Config is transformers' T5Config, with its defaults.
type t5Config struct {
	Vocab    int     `json:"vocab_size"`
	Dim      int     `json:"d_model"`
	HeadSize int     `json:"d_kv"`
	Inner    int     `json:"d_ff"`
	Layers   int     `json:"num_layers"`
	Heads    int     `json:"num_heads"`
	Buckets  int     `json:"relative_attention_num_buckets"`
	Distance int     `json:"relative_attention_max_distance"`
	Eps      float32 `json:"layer_norm_epsilon"`
	Forward  string  `json:"feed_forward_proj"`
	Type     string  `json:"model_type"`

	act   engine.Op
	gated bool
}

func parseT5(config []byte) (t5Config, error) {
	c := t5Config{
		Vocab: 32128, Dim: 512, HeadSize: 64, Inner: 2048, Layers: 6, Heads: 8, Buckets: 32, Distance: 128,
		Eps: 1e-6, Forward: "relu", Type: "t5",
	}
	if err := parse("T5EncoderModel", config, &c); err != nil {
		return c, err
	}
	k := checker{component: "T5EncoderModel"}
	k.within("vocab_size", c.Vocab, 1, 1<<24)
	k.width("d_model", c.Dim)
	k.width("d_kv", c.HeadSize)
	k.width("d_ff", c.Inner)
	k.width("num_heads", c.Heads)
	k.width("num_heads·d_kv", c.Heads*c.HeadSize)
	k.within("num_layers", c.Layers, 1, maxLayers)
	k.within("relative_attention_num_buckets", c.Buckets, 4, 1<<12)
	k.divides("halves of relative_attention_num_buckets: 2", 2, c.Buckets)
	k.within("relative_attention_max_distance", c.Distance, c.Buckets/4+1, 1<<20)
	k.one("model_type", c.Type, "t5", "mt5", "umt5")
	name, ok := strings.TrimPrefix(c.Forward, "gated-"), false
	c.gated = name != c.Forward
	if c.act, ok = activations[name]; !ok {
		k.fail("feed_forward_proj", "is %.100q", c.Forward)
	}
	if c.Forward == "gated-gelu" { // as transformers reads it
		c.act = engine.OpGELUTanh
	}
	return c, k.err
}

// T5Encoder is the encoder of T5, Raffel et al. 2020, from the config of
// transformers' T5EncoderModel, MT5EncoderModel or UMT5EncoderModel, which
// model_type tells apart.
//
// Inputs: "ids" (batch, tokens) i32 and "mask" (batch, tokens) f32, 0 for
// padding; all one is the same as no mask. Output: "hidden" (batch, tokens,
// d_model), after the final norm.
func T5Encoder(config []byte, batch, tokens int) (*engine.Graph, error) {
	c, err := parseT5(config)
	if err != nil {
		return nil, err
	}
	k := checker{component: "T5EncoderModel"}
	if k.within("tokens", tokens, 1, 4096); k.err != nil {
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		x := engine.Embedding(g.Weight("shared.weight", c.Vocab, c.Dim), g.Input("ids", engine.I32, batch, tokens))
		mask := engine.Reshape(maskBias(g, batch, tokens, 1e30), batch, 1, 1, tokens)
		var places *engine.Node
		for i := range c.Layers {
			p := path("encoder.block").Sub(i, "layer")
			if i == 0 || c.Type == "umt5" { // else the first layer's serve all
				places = c.places(g, p.Sub(0), tokens)
			}
			x = engine.Add(c.attention(g, p.Sub(0), x, places, mask), x)
			x = engine.Add(c.forward(g, p.Sub(1), x), x)
		}
		g.Output("hidden", rmsNorm(g, "encoder.final_layer_norm", x, c.Eps))
	})
}

// attention has no biases, and no scale: training folded it into the weights.
func (c t5Config) attention(g *engine.Graph, p path, x, places, mask *engine.Node) *engine.Node {
	h := rmsNorm(g, p.Sub("layer_norm"), x, c.Eps)
	project := func(name string) *engine.Node {
		return linearNoBias(g, p.Sub("SelfAttention", name), h, c.Heads*c.HeadSize)
	}
	h = attendBiased(project("q"), project("k"), project("v"), c.Heads, 1, places, mask)
	return linearNoBias(g, p.Sub("SelfAttention", "o"), h, c.Dim)
}

func (c t5Config) forward(g *engine.Graph, p path, x *engine.Node) *engine.Node {
	h := rmsNorm(g, p.Sub("layer_norm"), x, c.Eps)
	p = p.Sub("DenseReluDense")
	if !c.gated {
		h = engine.Activation(c.act, linearNoBias(g, p.Sub("wi"), h, c.Inner))
	} else {
		gate := engine.Activation(c.act, linearNoBias(g, p.Sub("wi_0"), h, c.Inner))
		h = engine.Mul(gate, linearNoBias(g, p.Sub("wi_1"), h, c.Inner))
	}
	return linearNoBias(g, p.Sub("wo"), h, c.Dim)
}

// places is a layer's learned bias of each head for the distance from query to
// key, (1, heads, t, t).
func (c t5Config) places(g *engine.Graph, p path, tokens int) *engine.Node {
	ids := make([]int32, tokens*tokens)
	for q := range tokens {
		for k := range tokens {
			ids[q*tokens+k] = int32(c.bucket(k - q))
		}
	}
	table := p.Sub("SelfAttention", "relative_attention_bias").weight(g, "weight", c.Buckets, c.Heads)
	bias := engine.Embedding(table, g.Const(engine.FromInt32s(ids, tokens, tokens)))
	return engine.Reshape(engine.Permute(bias, 2, 0, 1), 1, c.Heads, tokens, tokens)
}

// bucket maps a distance to one of the buckets: half of them for keys after
// the query; of each half, the first half for single distances and the rest
// for ranges that grow by a factor up to the maximal distance.
func (c t5Config) bucket(distance int) int {
	half := c.Buckets / 2
	first := 0
	if distance > 0 {
		first = half
	}
	distance = max(distance, -distance)
	exact := half / 2
	if distance < exact {
		return first + distance
	}
	// In f32, as transformers computes it: at a border the rounding decides.
	far := float32(math.Log(float64(float32(distance)/float32(exact)))) / float32(math.Log(float64(c.Distance)/float64(exact)))
	return first + min(exact+int(far*float32(half-exact)), half-1)
}
