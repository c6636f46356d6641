package model

import (
	"encoding/json"

	"wisp/engine"
)

// clipTextConfig is transformers' CLIPTextConfig, with its defaults.
type clipTextConfig struct {
	Vocab     int     `json:"vocab_size"`
	Hidden    int     `json:"hidden_size"`
	Inner     int     `json:"intermediate_size"`
	Layers    int     `json:"num_hidden_layers"`
	Heads     int     `json:"num_attention_heads"`
	Positions int     `json:"max_position_embeddings"`
	Act       string  `json:"hidden_act"`
	Eps       float32 `json:"layer_norm_eps"`
	Projected int     `json:"projection_dim"`
	End       int32   `json:"eos_token_id"`

	// Combined CLIP checkpoints nest the text half.
	Text json.RawMessage `json:"text_config"`
}

func parseCLIPText(config []byte) (clipTextConfig, error) {
	c := clipTextConfig{
		Vocab: 49408, Hidden: 512, Inner: 2048, Layers: 12, Heads: 8,
		Positions: 77, Act: "quick_gelu", Eps: 1e-5, Projected: 512, End: 49407,
	}
	if err := parse("CLIPTextModel", config, &c); err != nil {
		return c, err
	}
	if len(c.Text) > 0 && string(c.Text) != "null" {
		return parseCLIPText(c.Text)
	}
	k := checker{component: "CLIPTextModel"}
	k.within("vocab_size", c.Vocab, 1, 1<<24)
	k.width("hidden_size", c.Hidden)
	k.width("intermediate_size", c.Inner)
	k.width("projection_dim", c.Projected)
	k.within("num_hidden_layers", c.Layers, 1, maxLayers)
	k.within("max_position_embeddings", c.Positions, 1, 1<<20)
	k.divides("num_attention_heads", c.Heads, c.Hidden)
	if _, ok := activations[c.Act]; !ok {
		k.fail("hidden_act", "is %q", c.Act)
	}
	return c, k.err
}

// TextOption changes what [CLIPText] computes.
type TextOption func(*textOptions)

type textOptions struct {
	prefix path
	skip   int  // last layers left out
	raw    bool // without the final norm
	pooled bool // with the "pooled" output
	plain  bool // which is not projected
	inject bool // with vectors in place of tokens' own
}

// TextPrefix prepends a module name to every weight's: "text_model" for
// checkpoints written before transformers 5, and for CLIPTextModelWithProjection.
func TextPrefix(prefix string) TextOption { return func(o *textOptions) { o.prefix = path(prefix) } }

// ClipSkip takes the hidden states n layers before the last and applies the
// final layer norm to them, as diffusers' clip_skip does.
func ClipSkip(n int) TextOption { return func(o *textOptions) { o.skip = n } }

// Penultimate takes the hidden states before the last layer, without the final
// layer norm: what Stable Diffusion XL is conditioned on.
func Penultimate() TextOption { return func(o *textOptions) { o.skip, o.raw = 1, true } }

// Unnormed leaves out the final layer norm of "hidden": with [ClipSkip] of n
// layers more, what the later pipelines take for a clip_skip of n.
func Unnormed() TextOption { return func(o *textOptions) { o.raw = true } }

// Injected puts vectors in the place of tokens', as textual inversion has them:
// inputs "injected" (batch, tokens, hidden_size), zeros elsewhere, and "kept"
// (batch, tokens, 1), 1 where the token's own stands.
func Injected() TextOption { return func(o *textOptions) { o.inject = true } }

// WithPooled adds the output "pooled" (batch, hidden_size), CLIPTextModel's
// pooler_output: as [WithProjection], whose input "end" it has too, but without
// text_projection.
func WithPooled() TextOption { return func(o *textOptions) { o.pooled, o.plain = true, true } }

// WithProjection adds the output "pooled" (batch, projection_dim): the state at
// the end-of-text token after all layers, the final norm and text_projection,
// as CLIPTextModelWithProjection's text_embeds. The extra input "end" (batch,
// tokens) f32 is 1 at that token and 0 elsewhere.
func WithProjection() TextOption { return func(o *textOptions) { o.pooled, o.plain = true, false } }

// CLIPText is the text encoder of CLIP, Radford et al. 2021, from the config
// of transformers' CLIPTextModel.
//
// Input "ids" (batch, tokens) i32; output "hidden" (batch, tokens,
// hidden_size): last_hidden_state, or what the options select.
func CLIPText(config []byte, batch, tokens int, options ...TextOption) (*engine.Graph, error) {
	c, err := parseCLIPText(config)
	if err != nil {
		return nil, err
	}
	var o textOptions
	for _, option := range options {
		option(&o)
	}
	k := checker{component: "CLIPTextModel"}
	k.within("tokens for max_position_embeddings:", tokens, 1, c.Positions)
	k.within("skipped layers for num_hidden_layers:", o.skip, 0, c.Layers-1)
	if k.err != nil {
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) { clipText(g, c, o, batch, tokens) })
}

func clipText(g *engine.Graph, c clipTextConfig, o textOptions, batch, tokens int) {
	p := o.prefix
	table := p.Sub("embeddings", "token_embedding").weight(g, "weight", c.Vocab, c.Hidden)
	positions := p.Sub("embeddings", "position_embedding").weight(g, "weight", c.Positions, c.Hidden)
	x := engine.Embedding(table, g.Input("ids", engine.I32, batch, tokens))
	if o.inject {
		x = engine.Add(engine.Mul(x, g.Input("kept", engine.F32, batch, tokens, 1)), g.Input("injected", engine.F32, batch, tokens, c.Hidden))
	}
	if tokens < c.Positions {
		positions = engine.Slice(positions, 0, 0, tokens)
	}
	x = engine.Add(x, positions)
	norm := func(x *engine.Node) *engine.Node { return layerNorm(g, p.Sub("final_layer_norm"), x, c.Eps) }

	var hidden *engine.Node
	for i := range c.Layers {
		if i == c.Layers-o.skip {
			hidden = x
			if !o.pooled {
				break
			}
		}
		x = clipLayer(g, p.Sub("encoder", "layers", i), c, x, true)
	}
	if hidden == nil {
		hidden = x
	}
	if o.raw {
		g.Output("hidden", hidden)
	} else {
		g.Output("hidden", norm(hidden))
	}
	if o.pooled {
		end := engine.Reshape(g.Input("end", engine.F32, batch, tokens), batch, 1, tokens)
		state := engine.Reshape(engine.MatMul(end, norm(x), false), batch, c.Hidden)
		if !o.plain {
			state = linearNoBias(g, "text_projection", state, c.Projected)
		}
		g.Output("pooled", state)
	}
}

// clipLayer is self-attention and a two-layer perceptron, each with its
// norm before and its residual after.
func clipLayer(g *engine.Graph, p path, c clipTextConfig, x *engine.Node, causal bool) *engine.Node {
	a := p.Sub("self_attn")
	h := layerNorm(g, p.Sub("layer_norm1"), x, c.Eps)
	q := linear(g, a.Sub("q_proj"), h, c.Hidden)
	k := linear(g, a.Sub("k_proj"), h, c.Hidden)
	v := linear(g, a.Sub("v_proj"), h, c.Hidden)
	x = engine.Add(linear(g, a.Sub("out_proj"), attend(q, k, v, c.Heads, causal), c.Hidden), x)

	h = linear(g, p.Sub("mlp", "fc1"), layerNorm(g, p.Sub("layer_norm2"), x, c.Eps), c.Inner)
	h = engine.Activation(activations[c.Act], h)
	return engine.Add(linear(g, p.Sub("mlp", "fc2"), h, c.Hidden), x)
}
