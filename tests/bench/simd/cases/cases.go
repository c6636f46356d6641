// Package cases lists the graphs that wisp and its peers are timed on, with
// values that every one of them makes or is given alike. It knows nothing of
// who runs them.
package cases

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"

	"wisp/engine"
	"wisp/engine/model"
)

// Case is one graph to time.
type Case struct {
	Name   string
	Build  func() (*engine.Graph, error)
	Large  bool // many weights: too slow or too large for tfjs
	Native bool // too large for every peer but PyTorch
	// DType is how wisp stores the matrices: F32, unless the case is about
	// another. Peers have F32 in any case.
	DType engine.DType
	Int8  bool // wisp multiplies in 8-bit integers
	// Picture is how often the graph runs for a picture of the default model; 0
	// for those that are no part of one.
	Picture int
}

// All lists the cases in the order of the table.
func All() []Case {
	matmul := func(m, k, n int) func(g *engine.Graph) *engine.Node {
		return func(g *engine.Graph) *engine.Node {
			return engine.Linear(g.Input("x", engine.F32, 1, m, k), g.Weight("w", n, k), g.Weight("b", n))
		}
	}
	conv := func(side, in, out int) func(g *engine.Graph) *engine.Node {
		return func(g *engine.Graph) *engine.Node {
			return engine.Conv2D(g.Input("x", engine.F32, 1, side, side, in), g.Weight("w", out, in, 3, 3), g.Weight("b", out), 1, [4]int{1, 1, 1, 1})
		}
	}
	attention := func(keys int) func(g *engine.Graph) *engine.Node {
		return func(g *engine.Graph) *engine.Node {
			k, v := g.Input("k", engine.F32, 1, keys, 320), g.Input("v", engine.F32, 1, keys, 320)
			return engine.Attention(g.Input("q", engine.F32, 1, 4096, 320), k, v, 8, 1/float32(math.Sqrt(40)), false)
		}
	}
	x := func(g *engine.Graph) *engine.Node { return g.Input("x", engine.F32, 1, 64, 64, 320) }
	list := []Case{
		one("matmul 4096x320x1280", matmul(4096, 320, 1280)),
		one("matmul 77x768x3072", matmul(77, 768, 3072)),
		one("conv 3x3 320-320 at 64", conv(64, 320, 320)),
		one("conv 3x3 640-640 at 32", conv(32, 640, 640)),
		one("conv 3x3 512-512 at 64", conv(64, 512, 512)),
		one("conv 3x3 128-128 at 512", conv(512, 128, 128)),
		one("attention 8x4096x40", attention(4096)),
		one("attention 8x4096x40, 77 keys", attention(77)),
		one("group norm + SiLU 320x64x64", func(g *engine.Graph) *engine.Node {
			return engine.SiLU(engine.GroupNorm(x(g), g.Weight("g", 320), g.Weight("b", 320), 32, 1e-5))
		}),
		one("layer norm 4096x320", func(g *engine.Graph) *engine.Node {
			return engine.LayerNorm(g.Input("x", engine.F32, 1, 4096, 320), g.Weight("g", 320), g.Weight("b", 320), 1e-5)
		}),
		one("GEGLU 4096x1280", func(g *engine.Graph) *engine.Node {
			return engine.GEGLU(g.Input("x", engine.F32, 1, 4096, 2560))
		}),
		one("add 320x64x64", func(g *engine.Graph) *engine.Node { return engine.Add(x(g), g.Input("y", engine.F32, 1, 64, 64, 320)) }),
	}
	list = append(list, defaultModel()...)
	half := Case{Name: "UNet step, half width", Build: unet(160, 320, 640, 640), Large: true}
	full := Case{Name: "UNet step, full width q8", Build: unet(320, 640, 1280, 1280), Large: true, DType: engine.Q8, Native: true}
	list = append(list, half)
	for _, d := range []engine.DType{engine.F16, engine.Q8, engine.Q4} {
		for _, c := range []Case{list[0], half} {
			c.Name, c.DType = c.Name+" "+d.String(), d
			list = append(list, c)
			if d == engine.Q8 {
				c.Name, c.Int8 = c.Name+" int8", true
				list = append(list, c)
			}
		}
	}
	return append(list, full)
}

func one(name string, build func(g *engine.Graph) *engine.Node) Case {
	return Case{Name: name, Build: func() (*engine.Graph, error) {
		return engine.Build(func(g *engine.Graph) { g.Output("y", build(g)) })
	}}
}

// unet is Stable Diffusion 1.5's denoiser for a picture of 512×512, with these
// widths in place of its 320 to 1280 channels.
func unet(widths ...int) func() (*engine.Graph, error) {
	return func() (*engine.Graph, error) {
		return model.UNet2DCondition(fmt.Appendf(nil, `{"_class_name":"UNet2DConditionModel","in_channels":4,"out_channels":4,
			"block_out_channels":[%d,%d,%d,%d],"down_block_types":["CrossAttnDownBlock2D","CrossAttnDownBlock2D","CrossAttnDownBlock2D","DownBlock2D"],
			"up_block_types":["UpBlock2D","CrossAttnUpBlock2D","CrossAttnUpBlock2D","CrossAttnUpBlock2D"],
			"layers_per_block":2,"cross_attention_dim":768,"attention_head_dim":8}`, widths[0], widths[1], widths[2], widths[3]), 1, 64, 64, 77)
	}
}

// defaultModel is the model beside the page, as a picture of 128×128 in four
// steps takes its parts.
func defaultModel() []Case {
	return []Case{
		{Name: "default model: text", Picture: 1, Build: func() (*engine.Graph, error) {
			return model.CLIPText([]byte(`{"architectures":["CLIPTextModel"],"hidden_act":"quick_gelu","hidden_size":192,"intermediate_size":384,
				"layer_norm_eps":1e-5,"max_position_embeddings":77,"num_attention_heads":6,"num_hidden_layers":2,
				"projection_dim":192,"vocab_size":2314,"eos_token_id":2313}`), 1, 77)
		}},
		{Name: "default model: UNet step", Picture: 4, Build: func() (*engine.Graph, error) {
			return model.UNet2DCondition([]byte(`{"_class_name":"UNet2DConditionModel","in_channels":8,"out_channels":8,
				"block_out_channels":[64,128,192],"down_block_types":["DownBlock2D","CrossAttnDownBlock2D","DownBlock2D"],
				"up_block_types":["UpBlock2D","CrossAttnUpBlock2D","UpBlock2D"],
				"layers_per_block":1,"cross_attention_dim":192,"attention_head_dim":4}`), 1, 16, 16, 77)
		}},
		{Name: "default model: decoder", Picture: 1, Build: func() (*engine.Graph, error) {
			return model.AutoencoderTinyDecoder([]byte(`{"_class_name":"AutoencoderTiny","latent_channels":8,
				"decoder_block_out_channels":[48,48,48,48],"num_decoder_blocks":[4,4,1,1],"encoder_block_out_channels":[48,48,48,48]}`), 1, 16, 16)
		}},
	}
}

// FLOPs counts the multiplications and additions of a graph's products, a
// convolution as the direct algorithm has them; 0 if it has none.
func FLOPs(g *engine.Graph) (flops float64) {
	for _, n := range g.Nodes {
		switch n.Op {
		case engine.OpLinear, engine.OpConv2D:
			w := n.Inputs[1]
			flops += 2 * float64(n.Elems()) * float64(w.Elems()/w.Shape[0])
		case engine.OpAttention:
			flops += 4 * float64(n.Elems()) * float64(n.Inputs[1].Shape[1])
		}
	}
	return flops
}

// Values are the elements of an input or weight: the same on every machine,
// uniform with a variance that keeps a network's values near 1, or whole
// numbers from 0 up for indices.
func Values(n *engine.Node) engine.Tensor {
	if n.DType == engine.I32 {
		ids := make([]int32, n.Elems())
		for i := range ids {
			ids[i] = int32(i)
		}
		return engine.FromInt32s(ids, n.Shape...)
	}
	h := fnv.New64a()
	h.Write([]byte(n.Name))
	scale := math.Sqrt(3)
	if n.Op == engine.OpWeight {
		_, k := n.Shape.Rows()
		scale /= math.Sqrt(float64(k))
	}
	t := engine.NewTensor(engine.F32, n.Shape...)
	for i, state := 0, h.Sum64(); i < n.Elems(); i++ { // xorshift64, Marsaglia 2003
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		x := float32(scale) * (float32(int64(state)>>40) / (1 << 23))
		binary.LittleEndian.PutUint32(t.Data[4*i:], math.Float32bits(x))
	}
	return t
}
