package gpu

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hack-pad/safejs"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/tests/bench/row"
	"wisp/wasm/bridge"
	"wisp/webgpu"
)

var large = flag.Bool("large", false, "also networks of published sizes, which take a card's memory and, on a processor, hours")

// peak is what the card can do: multiply-adds in billions of operations a
// second, and GB a second of a copy.
type peak struct {
	F32   float64 `json:"flops32"`
	F16   float64 `json:"flops16"`
	Bytes float64 `json:"bytes"`
}

// layer is an op on an input of its own weights; its figure is compared to a
// copy where it makes no products.
type layer struct {
	name  string
	input engine.Shape
	op    func(g *engine.Graph, x *engine.Node, name string) *engine.Node
	flops float64
	bytes int // read and written, where they are the work
	small bool
}

func linear(rows, k, n int) layer {
	return layer{name: fmt.Sprintf("matmul %dx%dx%d", rows, k, n), input: engine.Shape{rows, k}, flops: 2 * float64(rows*k) * float64(n), small: rows*k*n < 1<<28,
		op: func(g *engine.Graph, x *engine.Node, name string) *engine.Node {
			return engine.Linear(x, g.Weight(name, n, k), nil)
		}}
}

func conv(hw, c, o int) layer {
	return layer{name: fmt.Sprintf("conv3x3 %d² %d %d", hw, c, o), input: engine.Shape{1, hw, hw, c}, flops: 18 * float64(hw*hw) * float64(c*o), small: hw*hw*c*o < 1<<28,
		op: func(g *engine.Graph, x *engine.Node, name string) *engine.Node {
			return engine.Conv2D(x, g.Weight(name, o, c, 3, 3), nil, 1, [4]int{1, 1, 1, 1})
		}}
}

func attention(tokens, heads, head int) layer {
	return layer{name: fmt.Sprintf("attention %d %dx%d", tokens, heads, head), input: engine.Shape{1, tokens, heads * head}, flops: 4 * float64(tokens) * float64(tokens) * float64(heads*head), small: tokens <= 1024,
		op: func(g *engine.Graph, x *engine.Node, name string) *engine.Node {
			return engine.Attention(x, x, x, heads, float32(1/math.Sqrt(float64(head))), false)
		}}
}

func groupNorm(hw, c int) layer {
	return layer{name: fmt.Sprintf("group norm %d² %d", hw, c), input: engine.Shape{2, hw, hw, c}, bytes: 16 * hw * hw * c, small: true,
		op: func(g *engine.Graph, x *engine.Node, name string) *engine.Node {
			return engine.GroupNorm(x, g.Weight(name+".gamma", c), g.Weight(name+".beta", c), 32, 1e-5)
		}}
}

func layerNorm(rows, d int) layer {
	return layer{name: fmt.Sprintf("layer norm %dx%d", rows, d), input: engine.Shape{rows, d}, bytes: 8 * rows * d, small: true,
		op: func(g *engine.Graph, x *engine.Node, name string) *engine.Node {
			return engine.LayerNorm(x, g.Weight(name+".gamma", d), g.Weight(name+".beta", d), 1e-5)
		}}
}

// layers are a large product, and what Stable Diffusion 1.5 at 512² is made of.
var layers = []layer{
	linear(512, 320, 1280), linear(4096, 4096, 4096), linear(4096, 320, 320), linear(4096, 320, 2560), linear(1024, 640, 640), linear(256, 1280, 1280), linear(77, 768, 320),
	conv(16, 320, 320), conv(64, 320, 320), conv(32, 640, 640), conv(16, 1280, 1280), conv(512, 128, 128),
	attention(256, 8, 40), attention(4096, 8, 40), attention(4096, 24, 128),
	groupNorm(32, 320), groupNorm(64, 320), layerNorm(2048, 320), layerNorm(8192, 320),
}

// copies repeats a layer on one input, and hands out one number of each.
func (l layer) copies(n int) (*engine.Graph, error) {
	return engine.Build(func(g *engine.Graph) {
		x := g.Input("x", engine.F32, l.input...)
		for i := range n {
			y := l.op(g, x, fmt.Sprint("w", i))
			flat := engine.Reshape(y, y.Elems())
			g.Output(fmt.Sprint("y", i), engine.Slice(flat, 0, 0, 1))
		}
	})
}

// TestLayers times each layer by how much longer more of them take.
func TestLayers(t *testing.T) {
	can := measurePeak(t)
	for _, precision := range []string{"f32", "f16"} {
		b := open(t, precision)
		if b == nil {
			continue
		}
		for _, l := range layers {
			if !l.small && b.Info().Adapter.CPU() && !*large {
				continue
			}
			stored := []engine.DType{engine.F32, engine.F16, engine.Q8, engine.Q4}
			if g, _ := l.copies(1); len(g.Weights()) == 0 || len(g.Weights()[0].Shape) < 2 {
				stored = stored[:1]
			}
			for _, d := range stored {
				seconds, err := perCopy(t.Context(), b, l, d)
				if err != nil {
					t.Errorf("%s: %v", l.name, err)
					continue
				}
				name := fmt.Sprintf("%s, %s, weights %v", l.name, precision, d)
				if l.flops > 0 {
					print(row.Most(name, "GFLOP/s", l.flops/seconds/1e9, can.F32, "multiply-adds"))
				} else {
					size := map[string]int{"f32": 1, "f16": 2}[precision]
					print(row.Most(name, "GB/s", float64(l.bytes/size)/seconds/1e9, can.Bytes, "copy"))
				}
			}
		}
		b.Close()
	}
}

// perCopy is the time of a layer: that of more of them less that of few, the
// number doubled until it is a fortieth of a second.
func perCopy(ctx context.Context, b *webgpu.Backend, l layer, d engine.DType) (float64, error) {
	few, err := l.best(ctx, b, d, 1)
	if err != nil {
		return 0, err
	}
	for n := 4; ; n *= 2 {
		many, err := l.best(ctx, b, d, 1+n)
		if err != nil {
			return 0, err
		}
		if many-few > 0.025 || n >= 256 {
			return (many - few) / float64(n), nil
		}
	}
}

func (l layer) best(ctx context.Context, b *webgpu.Backend, d engine.DType, n int) (float64, error) {
	g, err := l.copies(n)
	if err != nil {
		return 0, err
	}
	return best(ctx, b, g, d, 4)
}

// TestNetworks times networks of published sizes, end to end: their inputs go
// to the card and their results come back.
func TestNetworks(t *testing.T) {
	can := measurePeak(t)
	var file struct {
		Models map[string]struct {
			Config json.RawMessage `json:"config"`
		} `json:"models"`
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "golden", "model", "sizes.json"))
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	config := func(name string) []byte { return file.Models[name].Config }
	for _, precision := range []string{"f32", "f16"} {
		b := open(t, precision)
		if b == nil {
			continue
		}
		cpu := b.Info().Adapter.CPU()
		for _, n := range []struct {
			name  string
			large bool
			build func() (*engine.Graph, error)
			types []engine.DType
		}{
			{"TAESD decode 64²", false, func() (*engine.Graph, error) { return model.AutoencoderTinyDecoder(config("taesd"), 1, 8, 8) }, []engine.DType{engine.F16}},
			{"TAESD decode 512²", true, func() (*engine.Graph, error) { return model.AutoencoderTinyDecoder(config("taesd"), 1, 64, 64) }, []engine.DType{engine.F16}},
			{"TAESD decode 1024²", true, func() (*engine.Graph, error) { return model.AutoencoderTinyDecoder(config("taesd"), 1, 128, 128) }, []engine.DType{engine.F16}},
			{"KL decode 512²", true, func() (*engine.Graph, error) { return model.AutoencoderKLDecoder(config("sd_vae"), 1, 64, 64) }, []engine.DType{engine.F16}},
			{"KL decode 1024²", true, func() (*engine.Graph, error) { return model.AutoencoderKLDecoder(config("sd_vae"), 1, 128, 128) }, []engine.DType{engine.F16}},
			{"SD 1.5 step 512²", true, func() (*engine.Graph, error) { return model.UNet2DCondition(config("sd15_unet"), 1, 64, 64, 77) }, []engine.DType{engine.F16, engine.Q8, engine.Q4}},
			{"SDXL step 1024²", true, func() (*engine.Graph, error) { return model.UNet2DCondition(config("sdxl_unet"), 1, 128, 128, 77) }, []engine.DType{engine.Q8, engine.Q4}},
			{"FLUX.2 klein 4B step 512²", true, func() (*engine.Graph, error) { return model.Flux2(config("flux2_klein_4b"), 1, 32, 32, 512) }, []engine.DType{engine.Q4}},
		} {
			if n.large && cpu && !*large {
				continue
			}
			for _, d := range n.types {
				g, err := n.build()
				if err != nil {
					t.Fatal(err)
				}
				cost, err := webgpu.Count(g, d, map[string]engine.DType{"f32": engine.F32, "f16": engine.F16}[precision], b.Info().Adapter.Limits)
				if err != nil {
					t.Errorf("%s: %v", n.name, err)
					continue
				}
				seconds, err := best(t.Context(), b, g, d, 3)
				if err != nil {
					t.Errorf("%s: %v", n.name, err)
					continue
				}
				flops, _ := cost.Totals()
				name := fmt.Sprintf("%s, %s, weights %v", n.name, precision, d)
				print(row.Most(name, "GFLOP/s", flops/seconds/1e9, can.F32, "multiply-adds"))
				print(row.Least(name, "ms", seconds*1e3, 1e3*cost.Roofline(1e9*can.F32, 1e9*can.Bytes), "roofline"))
			}
		}
		b.Close()
	}
}

// open starts the card in a precision; nil where it has not got it.
func open(t *testing.T, precision string) *webgpu.Backend {
	t.Helper()
	b, err := webgpu.New(t.Context(), webgpu.Options{Precision: precision})
	if err != nil {
		if precision == "f16" && strings.Contains(err.Error(), "f16") {
			fmt.Println("gpu: no f16 here:", err)
			return nil
		}
		t.Fatal(err)
	}
	i := b.Info()
	fmt.Printf("gpu: %v, %s, features %v, limits %+v\n", i.Adapter, precision, i.Adapter.Features, i.Adapter.Limits)
	if i.Adapter.CPU() {
		fmt.Println("gpu: THIS ADAPTER IS SOFTWARE. No graphics card is measured.")
	}
	if i.Precision != precision {
		fmt.Printf("gpu: it computes in %s: %s\n", i.Precision, i.Reason)
		b.Close()
		return nil
	}
	return b
}

func measurePeak(t *testing.T) (p peak) {
	t.Helper()
	promise, err := safejs.Global().Call("wispPeak")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := bridge.Await(t.Context(), promise)
	if err != nil {
		t.Fatal(err)
	}
	text, err := answer.String()
	if err == nil {
		err = json.Unmarshal([]byte(text), &p)
	}
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("gpu: multiply-adds at %.0f GFLOP/s in f32, %.0f in f16; a copy at %.0f GB/s\n", p.F32, p.F16, p.Bytes)
	return p
}

// best is the least time in seconds of so many runs after one to warm up.
func best(ctx context.Context, b *webgpu.Backend, g *engine.Graph, d engine.DType, runs int) (float64, error) {
	buffers := map[string]engine.Buffer{}
	for _, w := range g.Weights() {
		stored := d
		if len(w.Shape) < 2 {
			stored = engine.F32
		}
		buffer, err := b.Upload(made(stored, w.Shape))
		if err != nil {
			return 0, err
		}
		defer buffer.Release()
		buffers[w.Name] = buffer
	}
	p, err := b.Compile(g, buffers)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	in, out := map[string]engine.Tensor{}, map[string]engine.Tensor{}
	for _, n := range g.Inputs() {
		in[n.Name] = made(n.DType, n.Shape)
	}
	for _, o := range g.Outputs {
		out[o.Name] = engine.NewTensor(engine.F32, o.Node.Shape...)
	}
	least := math.Inf(1)
	for i := range runs + 1 {
		start := time.Now()
		if err := p.Run(ctx, in, out); err != nil {
			return 0, err
		}
		if i > 0 {
			least = min(least, time.Since(start).Seconds())
		}
	}
	return least, nil
}

// made is a tensor of small numbers, made fast: times depend on them little,
// but a card that multiplies zeros stays cool.
func made(d engine.DType, shape engine.Shape) engine.Tensor {
	t := engine.NewTensor(d, shape...)
	word := uint32(2463534242)
	next := func() uint32 { // Marsaglia's xorshift
		word ^= word << 13
		word ^= word >> 17
		word ^= word << 5
		return word
	}
	block := t.Data[:min(len(t.Data), 1<<16)]
	switch d {
	case engine.I32:
		return t
	case engine.F32:
		for i := 0; i+4 <= len(block); i += 4 {
			binary.LittleEndian.PutUint32(block[i:], math.Float32bits(float32(int32(next()))/(1<<35)))
		}
	case engine.F16:
		for i := 0; i+2 <= len(block); i += 2 {
			binary.LittleEndian.PutUint16(block[i:], uint16(next()&0x83ff|0x2800)) // ±1/32 to ±1/16
		}
	default:
		for i := 0; i+4 <= len(block); i += 4 {
			binary.LittleEndian.PutUint32(block[i:], next())
		}
	}
	for n := len(block); n < len(t.Data); n *= 2 {
		copy(t.Data[n:], t.Data[:n])
	}
	if d.Quantised() {
		rows, k := shape.Rows()
		for i := range rows * ((k + d.Block() - 1) / d.Block()) {
			binary.LittleEndian.PutUint16(t.Data[2*i:], 0x0e00) // a scale of 2⁻¹² · 1.5
		}
	}
	return t
}

func print(r row.Row) {
	fmt.Println(r)
	fmt.Printf("bench: %s\n", r.JSON())
}
