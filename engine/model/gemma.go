package model

import (
	"math"
	"slices"

	"wisp/engine"
)

// gemmaConfig is transformers' GemmaConfig or Gemma2Config, by its model_type,
// with their defaults.
type gemmaConfig struct {
	Type    string          `json:"model_type"`
	Vocab   int             `json:"vocab_size"`
	Dim     int             `json:"hidden_size"`
	Inner   int             `json:"intermediate_size"`
	Layers  int             `json:"num_hidden_layers"`
	Heads   int             `json:"num_attention_heads"`
	KVHeads int             `json:"num_key_value_heads"`
	Head    int             `json:"head_dim"`
	Act     *string         `json:"hidden_activation"`
	OldAct  *string         `json:"hidden_act"`
	Eps     float32         `json:"rms_norm_eps"`
	Theta   *float64        `json:"rope_theta"` // as transformers 4 writes it
	Rope    *ropeParameters `json:"rope_parameters"`
	Bias    bool            `json:"attention_bias"`
	Scalar  float64         `json:"query_pre_attn_scalar"`
	Cap     *float64        `json:"attn_logit_softcapping"`
	Window  *int            `json:"sliding_window"`
	Both    *bool           `json:"use_bidirectional_attention"`

	second bool // Gemma 2: norms after attention and perceptron, too, and scores with a limit
	theta  float64
	scale  float32 // of scores
	limit  float32 // of scores; 0 for none
	act    engine.Op
	state  int
}

// ropeParameters are transformers 5's.
type ropeParameters struct {
	Theta *float64 `json:"rope_theta"`
	Type  string   `json:"rope_type"`
}

func parseGemma(config []byte) (gemmaConfig, error) {
	const component = "GemmaModel"
	c := gemmaConfig{Type: "gemma", Vocab: 256000, Dim: 3072, Inner: 24576, Layers: 28, Heads: 16, KVHeads: 16, Head: 256, Eps: 1e-6, Scalar: 256, theta: 10000}
	if err := parse(component, config, &c); err != nil {
		return c, err
	}
	if c.second = c.Type == "gemma2"; c.second {
		limit, window := 50.0, 4096
		c = gemmaConfig{Type: c.Type, Vocab: 256000, Dim: 2304, Inner: 9216, Layers: 26, Heads: 8, KVHeads: 4, Head: 256, Eps: 1e-6, Scalar: 256,
			Cap: &limit, Window: &window, second: true, theta: 10000}
		if err := parse(component, config, &c); err != nil {
			return c, err
		}
	}
	k := checker{component: component}
	k.one("model_type", c.Type, "gemma", "gemma2")
	k.within("vocab_size", c.Vocab, 1, 1<<24)
	k.width("hidden_size", c.Dim)
	k.within("intermediate_size", c.Inner, 1, 1<<20)
	k.within("num_hidden_layers", c.Layers, 1, maxLayers)
	k.width("num_attention_heads", c.Heads)
	k.width("head_dim", c.Head)
	k.width("num_attention_heads·head_dim", c.Heads*c.Head)
	k.divides("halves of head_dim: 2", 2, c.Head)
	k.divides("num_key_value_heads", c.KVHeads, c.Heads)
	name := "gelu_pytorch_tanh"
	switch {
	case c.Act != nil:
		name = *c.Act
	case c.OldAct != nil && *c.OldAct != "gelu": // which the first configurations said and did not mean
		name = *c.OldAct
	}
	k.one("hidden_activation", name, "silu", "swish", "gelu", "relu", "gelu_new", "gelu_pytorch_tanh")
	c.act = activations[name]
	if c.Theta != nil {
		c.theta = *c.Theta
	}
	if c.Rope != nil && c.Rope.Theta != nil {
		c.theta = *c.Rope.Theta
	}
	if c.Rope != nil && c.Rope.Type != "" {
		k.one("rope_parameters.rope_type", c.Rope.Type, "default")
	}
	if !(c.theta > 1 && c.theta < 1e12) {
		k.fail("rope_theta", "is %v", c.theta)
	}
	if c.Both != nil && *c.Both {
		k.fail("use_bidirectional_attention", "is true, which is not supported")
	}
	c.scale = headScale(max(1, c.Head))
	if c.second {
		if !(c.Scalar > 0 && c.Scalar < 1e6) {
			k.fail("query_pre_attn_scalar", "is %v", c.Scalar)
		}
		c.scale = float32(1 / math.Sqrt(c.Scalar))
		if c.Cap != nil {
			if c.limit = float32(*c.Cap); !(c.limit > 0 && c.limit < 1e6) {
				k.fail("attn_logit_softcapping", "is %v", *c.Cap)
			}
		}
	}
	return c, k.err
}

// Gemma is the language model of Gemma Team 2024 (1 and 2) as an encoder of
// text, from the config of transformers' GemmaModel or Gemma2Model.
//
// Inputs: "ids" (batch, tokens) i32 and "mask" (batch, tokens) f32, 0 for
// padding, which follows the text. Output: "hidden" (batch, tokens,
// hidden_size), of transformers' hidden_states the one that state counts from
// the end: −1 is after all layers and the final norm.
func Gemma(config []byte, batch, tokens, state int) (*engine.Graph, error) {
	c, err := parseGemma(config)
	if err != nil {
		return nil, err
	}
	c.state = c.Layers + 1 + state
	k := checker{component: "GemmaModel"}
	k.within("tokens", tokens, 1, 1<<13)
	k.within("hidden state of num_hidden_layers:", c.state, 0, c.Layers)
	if c.second && c.Window != nil {
		k.within("tokens for sliding_window:", tokens, 1, max(1, *c.Window))
	}
	if k.err != nil {
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) { c.forward(g, batch, tokens) })
}

func (c gemmaConfig) forward(g *engine.Graph, batch, tokens int) {
	x := engine.Embedding(path("embed_tokens").weight(g, "weight", c.Vocab, c.Dim), g.Input("ids", engine.I32, batch, tokens))
	x = engine.Affine(x, float32(math.Sqrt(float64(c.Dim))), 0)
	mask := maskBias(g, batch, tokens, 3e4)
	places := make([][]float64, tokens)
	for i := range places {
		places[i] = []float64{float64(i)}
	}
	b := gemmaBlock{g: g, c: c, mask: mask, turn: rotaryTable(g, places, c.theta, []int{c.Head}, false)}
	if c.limit != 0 {
		b.causal = causal(g, tokens)
	}
	for i := range c.state {
		x = b.forward(path("layers").Sub(i), x)
	}
	if c.state == c.Layers {
		x = b.norm("norm", x)
	}
	g.Output("hidden", x)
}

// causal is a bias (1, 1, t, t) of scores that hides what comes later.
func causal(g *engine.Graph, tokens int) *engine.Node {
	v := make([]float32, tokens*tokens)
	for i := range v {
		if i%tokens > i/tokens {
			v[i] = -3e4
		}
	}
	return g.Const(engine.FromFloat32s(v, 1, 1, tokens, tokens))
}

// gemmaBlock holds what the layers share.
type gemmaBlock struct {
	g            *engine.Graph
	c            gemmaConfig
	mask, causal *engine.Node
	turn         rotary
}

// norm is a root-mean-square norm whose weight counts from one.
func (b gemmaBlock) norm(p path, x *engine.Node) *engine.Node {
	return engine.RMSNorm(x, engine.Affine(p.weight(b.g, "weight", x.Shape.Dim(-1)), 1, 1), b.c.Eps)
}

// forward is grouped causal attention and a gated perceptron, each with its
// norm before, with Gemma 2 one after, and its residual.
func (b gemmaBlock) forward(p path, x *engine.Node) *engine.Node {
	g, c, a := b.g, b.c, p.Sub("self_attn")
	project := linearNoBias
	if c.Bias {
		project = linear
	}
	h := b.norm(p.Sub("input_layernorm"), x)
	q := b.turn.apply(project(g, a.Sub("q_proj"), h, c.Heads*c.Head), c.Heads)
	k := b.turn.apply(project(g, a.Sub("k_proj"), h, c.KVHeads*c.Head), c.KVHeads)
	v := project(g, a.Sub("v_proj"), h, c.KVHeads*c.Head)
	h = project(g, a.Sub("o_proj"), b.attend(q, k, v), c.Dim)
	before := "post_attention_layernorm"
	if c.second {
		h = b.norm(p.Sub("post_attention_layernorm"), h)
		before = "pre_feedforward_layernorm"
	}
	x = engine.Add(h, x)
	h, m := b.norm(p.Sub(before), x), p.Sub("mlp")
	h = engine.Mul(engine.Activation(c.act, linearNoBias(g, m.Sub("gate_proj"), h, c.Inner)), linearNoBias(g, m.Sub("up_proj"), h, c.Inner))
	h = linearNoBias(g, m.Sub("down_proj"), h, c.Dim)
	if c.second {
		h = b.norm(p.Sub("post_feedforward_layernorm"), h)
	}
	return engine.Add(h, x)
}

// attend is causal attention by groups of heads; with a limit the scores are
// limit·tanh(score/limit).
func (b gemmaBlock) attend(q, k, v *engine.Node) *engine.Node {
	c := b.c
	if c.limit == 0 {
		return engine.Attend(q, k, v, b.mask, engine.AttentionAttrs{Heads: c.Heads, KVHeads: c.KVHeads, Scale: c.scale, Causal: true})
	}
	split := func(x *engine.Node, heads int) *engine.Node {
		s := engine.Permute(engine.Reshape(x, x.Shape[0], x.Shape[1], heads, c.Head), 0, 2, 1, 3)
		if heads == c.Heads {
			return s
		}
		each := make([]*engine.Node, 0, c.Heads)
		for i := range heads {
			each = append(each, slices.Repeat([]*engine.Node{engine.Slice(s, 1, i, i+1)}, c.Heads/heads)...)
		}
		return engine.Concat(1, each...)
	}
	scores := engine.MatMul(split(q, c.Heads), split(k, c.KVHeads), true)
	scores = engine.Affine(engine.Tanh(engine.Affine(scores, c.scale/c.limit, 0)), c.limit, 0)
	scores = engine.Add(engine.Add(scores, b.causal), engine.Reshape(b.mask, b.mask.Shape[0], 1, 1, b.mask.Shape[1]))
	h := engine.MatMul(engine.Softmax(scores), split(v, c.KVHeads), false)
	return engine.Reshape(engine.Permute(h, 0, 2, 1, 3), q.Shape...)
}

// GemmaFacts are what a pipeline must know of a Gemma text encoder.
type GemmaFacts struct {
	Vocab  int // ids it knows
	Width  int // of a hidden state
	Layers int
}

// ReadGemma reads the facts of a GemmaModel's config, and whether [Gemma] can
// build it.
func ReadGemma(config []byte) (GemmaFacts, error) {
	c, err := parseGemma(config)
	return GemmaFacts{c.Vocab, c.Dim, c.Layers}, err
}
