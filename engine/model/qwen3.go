package model

import (
	"encoding/json"
	"slices"

	"wisp/engine"
)

// qwen3Config is transformers' Qwen3Config, with its defaults.
type qwen3Config struct {
	Vocab   int             `json:"vocab_size"`
	Dim     int             `json:"hidden_size"`
	Inner   int             `json:"intermediate_size"`
	Layers  int             `json:"num_hidden_layers"`
	Heads   int             `json:"num_attention_heads"`
	KVHeads *int            `json:"num_key_value_heads"`
	Head    int             `json:"head_dim"`
	Act     string          `json:"hidden_act"`
	Eps     float32         `json:"rms_norm_eps"`
	Theta   *float64        `json:"rope_theta"` // as transformers 4 writes it
	Rope    *ropeParameters `json:"rope_parameters"`
	Bias    bool            `json:"attention_bias"`
	Types   []string        `json:"layer_types"`
	Scaling json.RawMessage `json:"rope_scaling"`
	Sliding json.RawMessage `json:"use_sliding_window"`

	kvHeads int
	theta   float64
	prefix  path
	states  []int
}

func parseQwen3(config []byte) (qwen3Config, error) {
	c := qwen3Config{
		Vocab: 151936, Dim: 4096, Inner: 22016, Layers: 32, Heads: 32, Head: 128, Act: "silu", Eps: 1e-6,
	}
	const component = "Qwen3Model"
	if err := parse(component, config, &c); err != nil {
		return c, err
	}
	k := checker{component: component}
	k.within("vocab_size", c.Vocab, 1, 1<<24)
	k.width("hidden_size", c.Dim)
	k.within("intermediate_size", c.Inner, 1, 1<<20)
	k.within("num_hidden_layers", c.Layers, 1, maxLayers)
	k.width("num_attention_heads", c.Heads)
	k.width("head_dim", c.Head)
	k.width("num_attention_heads·head_dim", c.Heads*c.Head)
	k.divides("halves of head_dim: 2", 2, c.Head)
	k.one("hidden_act", c.Act, "silu", "swish", "gelu", "relu", "gelu_new", "gelu_pytorch_tanh")
	c.kvHeads = 32
	if c.KVHeads != nil {
		c.kvHeads = *c.KVHeads
	}
	k.divides("num_key_value_heads", c.kvHeads, c.Heads)
	c.theta = 10000
	if c.Theta != nil {
		c.theta = *c.Theta
	}
	if c.Rope != nil {
		if c.Rope.Theta != nil {
			c.theta = *c.Rope.Theta
		}
		if c.Rope.Type != "" {
			k.one("rope_parameters.rope_type", c.Rope.Type, "default")
		}
	}
	if !(c.theta > 1 && c.theta < 1e12) {
		k.fail("rope_theta", "is %v", c.theta)
	}
	for _, t := range c.Types {
		k.one("layer_types", t, "full_attention")
	}
	k.unset("rope_scaling", c.Scaling)
	k.unset("use_sliding_window", c.Sliding)
	return c, k.err
}

// Qwen3Option changes what [Qwen3] computes.
type Qwen3Option func(*qwen3Config)

// Qwen3Prefix prepends a module name to every weight's: "model" for checkpoints
// of Qwen3ForCausalLM.
func Qwen3Prefix(prefix string) Qwen3Option { return func(c *qwen3Config) { c.prefix = path(prefix) } }

// HiddenStates takes these of transformers' hidden_states, side by side: k is
// what k layers make of the embeddings, and after the final norm where those
// are all layers. One below 0 counts from the end. Without, it is the last.
func HiddenStates(k ...int) Qwen3Option { return func(c *qwen3Config) { c.states = k } }

// Qwen3 is the language model of Yang et al. 2025 as an encoder of text, from
// the config of transformers' Qwen3Model.
//
// Inputs: "ids" (batch, tokens) i32 and "mask" (batch, tokens) f32, 0 for
// padding, which follows the text. Output: "hidden" (batch, tokens,
// hidden_size times the number of [HiddenStates]). Layers above the last that
// is taken are not built.
func Qwen3(config []byte, batch, tokens int, options ...Qwen3Option) (*engine.Graph, error) {
	c, err := parseQwen3(config)
	if err != nil {
		return nil, err
	}
	c.states = []int{-1}
	for _, option := range options {
		option(&c)
	}
	k := checker{component: "Qwen3Model"}
	k.within("tokens", tokens, 1, 1<<15)
	k.within("number of hidden states", len(c.states), 1, c.Layers+1)
	c.states = slices.Clone(c.states)
	for i, s := range c.states {
		if s < 0 {
			c.states[i] += c.Layers + 1
		}
		k.within("hidden state of num_hidden_layers:", c.states[i], 0, c.Layers)
	}
	if k.err != nil {
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) { c.forward(g, batch, tokens) })
}

func (c qwen3Config) forward(g *engine.Graph, batch, tokens int) {
	x := engine.Embedding(c.prefix.Sub("embed_tokens").weight(g, "weight", c.Vocab, c.Dim), g.Input("ids", engine.I32, batch, tokens))
	mask := maskBias(g, batch, tokens, 3e4)
	places := make([][]float64, tokens)
	for i := range places {
		places[i] = []float64{float64(i)}
	}
	turn := rotaryTable(g, places, c.theta, []int{c.Head}, false)
	states := []*engine.Node{x}
	for i := range min(slices.Max(c.states), c.Layers) {
		x = c.layer(g, c.prefix.Sub("layers", i), x, mask, turn)
		states = append(states, x)
	}
	if len(states) > c.Layers {
		states[c.Layers] = rmsNorm(g, c.prefix.Sub("norm"), x, c.Eps)
	}
	taken := make([]*engine.Node, len(c.states))
	for i, s := range c.states {
		taken[i] = states[s]
	}
	if len(taken) == 1 {
		g.Output("hidden", taken[0])
	} else {
		g.Output("hidden", engine.Concat(-1, taken...))
	}
}

// layer is grouped causal attention and a gated perceptron, each with its norm
// before and its residual after.
func (c qwen3Config) layer(g *engine.Graph, p path, x, mask *engine.Node, turn rotary) *engine.Node {
	h, a := rmsNorm(g, p.Sub("input_layernorm"), x, c.Eps), p.Sub("self_attn")
	project := linearNoBias
	if c.Bias {
		project = linear
	}
	head := func(name, norm string, heads int) *engine.Node {
		return turn.apply(headNorm(g, a.Sub(norm), project(g, a.Sub(name), h, heads*c.Head), heads, c.Eps), heads)
	}
	q, k := head("q_proj", "q_norm", c.Heads), head("k_proj", "k_norm", c.kvHeads)
	v := project(g, a.Sub("v_proj"), h, c.kvHeads*c.Head)
	h = engine.Attend(q, k, v, mask, engine.AttentionAttrs{Heads: c.Heads, KVHeads: c.kvHeads, Scale: headScale(c.Head), Causal: true})
	x = engine.Add(project(g, a.Sub("o_proj"), h, c.Dim), x)

	h, p = rmsNorm(g, p.Sub("post_attention_layernorm"), x, c.Eps), p.Sub("mlp")
	gate := engine.Activation(activations[c.Act], linearNoBias(g, p.Sub("gate_proj"), h, c.Inner))
	h = engine.Mul(gate, linearNoBias(g, p.Sub("up_proj"), h, c.Inner))
	return engine.Add(linearNoBias(g, p.Sub("down_proj"), h, c.Dim), x)
}

// Qwen3Facts are what a pipeline must know of a Qwen3 text encoder.
type Qwen3Facts struct {
	Vocab  int // ids it knows
	Width  int // of a hidden state
	Layers int
}

// ReadQwen3 reads the facts of a Qwen3Model's config, and whether [Qwen3] can
// build it.
func ReadQwen3(config []byte) (Qwen3Facts, error) {
	c, err := parseQwen3(config)
	return Qwen3Facts{c.Vocab, c.Dim, c.Layers}, err
}
