package model

import (
	"math"
	"slices"

	"wisp/engine"
)

// unionConfig is what diffusers' ControlNetUnionModel configuration has beside a
// ControlNetModel's, with its defaults.
type unionConfig struct {
	Class     string `json:"_class_name"`
	Modes     int    `json:"num_control_type"`
	Width     int    `json:"num_trans_channel"`
	Heads     int    `json:"num_trans_head"`
	Layers    int    `json:"num_trans_layer"`
	Projected int    `json:"num_proj_channel"`
	Time      int    `json:"addition_time_embed_dim"`
}

const unionClass = "ControlNetUnionModel"

func unionDefaults() unionConfig {
	return unionConfig{Modes: 6, Width: 320, Heads: 8, Layers: 1, Projected: 320}
}

// is tells whether the config is of a union at all.
func (c unionConfig) is() bool { return c.Class == unionClass }

// check validates a union whose blocks begin with so many channels.
func (c unionConfig) check(k *checker, channels int) {
	k.within("num_control_type", c.Modes, 1, 1<<10)
	k.within("num_trans_channel", c.Width, channels, channels)
	k.within("num_proj_channel", c.Projected, channels, channels)
	k.divides("num_trans_head", c.Heads, c.Width)
	k.within("num_trans_layer", c.Layers, 0, maxLayers)
	k.width("addition_time_embed_dim", c.Time)
}

// fuse adds to x what is read of a condition, both (b,h,w,c): a small transformer
// compares the means of both and shifts the condition's channels.
func (c unionConfig) fuse(g *engine.Graph, x, condition *engine.Node) *engine.Node {
	b, d := x.Shape[0], c.Width
	mean := func(x *engine.Node) *engine.Node {
		n := x.Shape[1] * x.Shape[2]
		ones := g.Const(engine.FromFloat32s(slices.Repeat([]float32{1 / float32(n)}, b*n), b, 1, n))
		return engine.MatMul(ones, tokens(x), false)
	}
	task := engine.Embedding(g.Weight("task_embedding", c.Modes, d), g.Input("mode", engine.I32, b, 1))
	both := engine.Concat(1, engine.Add(mean(condition), task), mean(x))
	// its attention is torch's, for which the first dimension is the sequence: the
	// rows of a batch attend to each other
	h := engine.Permute(both, 1, 0, 2)
	for i := range c.Layers {
		p := path("transformer_layes").Sub(i)
		n := layerNorm(g, p.Sub("ln_1"), h, 1e-5)
		in, bias := p.weight(g, "attn.in_proj_weight", 3*d, d), p.weight(g, "attn.in_proj_bias", 3*d)
		qkv := engine.Linear(n, in, bias)
		part := func(i int) *engine.Node { return engine.Slice(qkv, -1, i*d, (i+1)*d) }
		a := engine.Attention(part(0), part(1), part(2), c.Heads, float32(1/math.Sqrt(float64(d/c.Heads))), false)
		h = engine.Add(linear(g, p.Sub("attn", "out_proj"), a, d), h)
		n = engine.Activation(engine.OpQuickGELU, linear(g, p.Sub("mlp", "c_fc"), layerNorm(g, p.Sub("ln_2"), h, 1e-5), 4*d))
		h = engine.Add(linear(g, p.Sub("mlp", "c_proj"), n, d), h)
	}
	h = engine.Slice(engine.Permute(h, 1, 0, 2), 1, 0, 1)
	alpha := engine.Reshape(linear(g, "spatial_ch_projs", h, c.Projected), b, 1, 1, d)
	return engine.Add(x, engine.Add(condition, alpha))
}
