package tests

import (
	"path/filepath"
	"slices"
	"testing"

	"wisp/engine"
)

// opCase is one entry of golden/ops/ops.json; which attributes count depends on the op.
type opCase struct {
	Name   string   `json:"name"`
	Op     string   `json:"op"`
	Inputs []string `json:"inputs"` // "w" and "table" are weights

	Stride    int     `json:"stride"`
	Pad       [4]int  `json:"pad"`
	OutPad    int     `json:"out_pad"`
	Trans     bool    `json:"trans"`
	Heads     int     `json:"heads"`
	Scale     float32 `json:"scale"`
	Causal    bool    `json:"causal"`
	KVHeads   int     `json:"kv_heads"`
	Pairs     bool    `json:"interleaved"`
	Groups    int     `json:"groups"`
	Eps       float32 `json:"eps"`
	Act       string  `json:"act"`
	Mul       float32 `json:"mul"`
	Add       float32 `json:"add"`
	Min       float32 `json:"min"`
	Max       float32 `json:"max"`
	H         int     `json:"h"`
	W         int     `json:"w"`
	Axis      int     `json:"axis"`
	Start     int     `json:"start"`
	Stop      int     `json:"stop"`
	Axes      []int   `json:"axes"`
	Shape     []int   `json:"shape"`
	Tolerance float64 `json:"tolerance"` // of the largest error; 0 means goldenTolerance
}

// node records the op on its inputs; a missing bias is nil.
func (c opCase) node(in map[string]*engine.Node) *engine.Node {
	x, w, b := in["x"], in["w"], in["b"]
	switch c.Op {
	case "conv2d":
		return engine.Conv2D(x, w, b, c.Stride, c.Pad)
	case "depthwise_conv2d":
		return engine.DepthwiseConv2D(x, w, b, c.Stride, c.Pad)
	case "conv_transpose2d":
		return engine.ConvTranspose2D(x, w, b, c.Stride, c.Pad[0], c.OutPad)
	case "fold2d":
		return engine.Fold2D(x, b, c.Shape[0], c.Shape[1], c.Stride, c.Pad[0], c.H, c.W)
	case "linear":
		return engine.Linear(x, w, b)
	case "matmul":
		return engine.MatMul(x, b, c.Trans)
	case "embedding":
		return engine.Embedding(w, in["ids"])
	case "attention":
		a := engine.AttentionAttrs{Heads: c.Heads, KVHeads: c.KVHeads, Scale: c.Scale, Causal: c.Causal}
		return engine.Attend(in["q"], in["k"], in["v"], in["bias"], a)
	case "rms_norm":
		return engine.RMSNorm(x, w, c.Eps)
	case "modulate":
		return engine.Modulate(x, in["shift"], in["scale"])
	case "rotary_embedding":
		return engine.RotaryEmbedding(x, in["cos"], in["sin"], c.Heads, c.Pairs)
	case "group_norm":
		y := engine.GroupNorm(x, w, b, c.Groups, c.Eps)
		if c.Act == "silu" {
			y = engine.SiLU(y)
		}
		return y
	case "layer_norm":
		return engine.LayerNorm(x, w, b, c.Eps)
	case "softmax":
		return engine.Softmax(x)
	case "silu", "gelu", "gelu_tanh", "quick_gelu", "relu", "tanh", "sigmoid":
		return engine.Activation(opsByName()[c.Op], x)
	case "add":
		return engine.Add(x, b)
	case "sub":
		return engine.Sub(x, b)
	case "mul":
		return engine.Mul(x, b)
	case "affine":
		return engine.Affine(x, c.Mul, c.Add)
	case "clamp":
		return engine.Clamp(x, c.Min, c.Max)
	case "geglu":
		return engine.GEGLU(x)
	case "upsample2d":
		return engine.Upsample2D(x, c.H, c.W)
	case "concat":
		return engine.Concat(c.Axis, x, b, in["c"])
	case "slice":
		return engine.Slice(x, c.Axis, c.Start, c.Stop)
	case "reshape":
		return engine.Reshape(x, c.Shape...)
	case "permute":
		return engine.Permute(x, c.Axes...)
	}
	engine.Fail("no op %q", c.Op)
	return nil
}

// isWeight tells parameters from inputs: a norm's and a layer's "w" and "b".
func (c opCase) isWeight(name string) bool {
	return name == "w" || name == "b" && slices.Contains(c.Inputs, "w")
}

// TestOps holds every op against torch.
func TestOps(t *testing.T) {
	var file struct {
		Cases []opCase `json:"cases"`
	}
	readJSON(t, filepath.Join("golden", "ops", "ops.json"), &file)
	tensors := readSafetensors(t, filepath.Join("golden", "ops", "ops.safetensors"))
	seen := map[string]bool{}
	for _, c := range file.Cases {
		seen[c.Op] = true
		t.Run(c.Name, func(t *testing.T) {
			want := golden{in: map[string]engine.Tensor{}, out: map[string]engine.Tensor{"y": tensors[c.Name+".y"]}}
			weights := map[string]engine.Tensor{}
			g, err := engine.Build(func(g *engine.Graph) {
				nodes := map[string]*engine.Node{}
				for _, name := range c.Inputs {
					v := tensors[c.Name+"."+name]
					if c.isWeight(name) {
						weights[name], nodes[name] = v, g.Weight(name, v.Shape...)
					} else {
						want.in[name], nodes[name] = v, g.Input(name, v.DType, v.Shape...)
					}
				}
				g.Output("y", c.node(nodes))
			})
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, g, weights, want, max(c.Tolerance, goldenTolerance))
		})
	}
	for name := range opsByName() {
		if !seen[name] {
			t.Errorf("no golden for %s", name)
		}
	}
}

// opsByName lists the ops that compute something.
func opsByName() map[string]engine.Op {
	ops := map[string]engine.Op{}
	for _, op := range engine.Ops() {
		ops[op.String()] = op
	}
	return ops
}
