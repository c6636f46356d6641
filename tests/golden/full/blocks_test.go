//go:build full

package full

import (
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/x448/float16"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/engine/simd"
	"wisp/loader"
	"wisp/tests/golden/seeded"
)

// Seconds of the wall that a step may take, by the side in pixels, and bytes of
// the kernels' memory.
var stepBounds = map[int]float64{256: 90, 512: 180}

const (
	memoryBound = 3 << 30
	textTokens  = 512
	every       = 577 // number of a block is kept
)

// TestBlocks runs FLUX.2-klein-4B's denoiser in two bits a weight, as
// TestFullSize packed it, on two threads: what its first, tenth and last block
// make is torch's.
func TestBlocks(t *testing.T) {
	b, err := simd.New(simd.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m, err := loader.Open(t.Context(), loader.Dir(filepath.Join("..", "..", "..", "build", "full", "klein")), nil, loader.Options{})
	if err != nil {
		t.Fatalf("%v: make full packs it first", err)
	}
	weights := map[string]engine.Buffer{}
	err = m.Stream(t.Context(), "transformer", nil, func(name, dtype string, shape []int, fill func(io.WriterAt) error) error {
		d, err := engine.ParseDType(dtype)
		if err == nil {
			weights[name], err = engine.Stream(b, d, shape, fill)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	config, _ := m.Config("transformer")
	for _, side := range []int{256, 512} {
		g, err := model.Flux2(config, 1, side/16, side/16, textTokens)
		if err != nil {
			t.Fatal(err)
		}
		if side == 256 {
			blockOutputs(t, g)
		}
		got, seconds := step(t, b, g, weights, side/16)
		size := b.(interface{ MemoryBytes() int }).MemoryBytes()
		t.Logf("full: klein step of %d², 2 threads: %.1f s, %d MiB", side, seconds, size>>20)
		if seconds > stepBounds[side] || size > memoryBound {
			t.Errorf("%d²: %.1f s and %d bytes; want %v and %d", side, seconds, size, stepBounds[side], memoryBound)
		}
		if side == 256 {
			compareBlocks(t, got)
		}
	}
}

// blocks are those whose results draw.py kept, by the weight that reads them.
var blocks = []struct{ name, reader, words string }{
	{"first", "transformer_blocks.1.attn.to_q.weight", "transformer_blocks.1.attn.add_q_proj.weight"},
	{"tenth", "single_transformer_blocks.5.attn.to_qkv_mlp_proj.weight", ""},
	{"last", "proj_out.weight", ""},
}

// blockOutputs makes outputs of what blocks hand on, their text first.
func blockOutputs(t *testing.T, g *engine.Graph) {
	t.Helper()
	for _, b := range blocks {
		x := handedTo(t, g, b.reader)
		if b.words != "" {
			g.Output(b.name+" words", handedTo(t, g, b.words))
		}
		g.Output(b.name, x)
	}
}

// handedTo is a block's result: what the next reads, before the norm and the
// modulation that come before its product with a weight.
func handedTo(t *testing.T, g *engine.Graph, weight string) *engine.Node {
	t.Helper()
	for _, n := range g.Nodes {
		if n.Op != engine.OpLinear || engine.Root(n.Inputs[1]).Name != weight {
			continue
		}
		x := n.Inputs[0]
		for x.Op != engine.OpLayerNorm {
			x = x.Inputs[0]
		}
		if x = x.Inputs[0]; x.Op == engine.OpSlice { // the pixels' rows of the last
			x = x.Inputs[0]
		}
		return x
	}
	t.Fatalf("nothing reads %s", weight)
	return nil
}

// step runs the denoiser once, on draw.py's inputs, and gives its outputs and
// the seconds that it took.
func step(t *testing.T, b engine.Backend, g *engine.Graph, weights map[string]engine.Buffer, side int) (map[string]engine.Tensor, float64) {
	t.Helper()
	p, err := b.Compile(g, weights)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	pixels := seeded.Tensor{DType: "F32", Shape: []int{1, side, side, 128}, Key: 229001, Deviation: 1}
	words := seeded.Tensor{DType: "F32", Shape: []int{1, textTokens, 7680}, Key: 229002, Deviation: 1}
	in := map[string]engine.Tensor{
		"sample":             engine.FromFloat32s(pixels.Values(), pixels.Shape...),
		"context":            engine.FromFloat32s(words.Values(), words.Shape...),
		"timestep_embedding": engine.FromFloat32s(model.TimestepEmbedding256(1000), 1, 256),
	}
	out := map[string]engine.Tensor{}
	for _, o := range g.Outputs {
		out[o.Name] = engine.NewTensor(engine.F32, o.Node.Shape...)
	}
	begun := time.Now()
	if err := p.Run(t.Context(), in, out); err != nil {
		t.Fatal(err)
	}
	return out, time.Since(begun).Seconds()
}

// compareBlocks holds the blocks to blocks.bin.
func compareBlocks(t *testing.T, got map[string]engine.Tensor) {
	t.Helper()
	kept, err := os.ReadFile(filepath.Join("klein", "blocks.bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		values := got[b.name].Float32s()
		if b.words != "" {
			values = append(got[b.name+" words"].Float32s(), values...)
		}
		var dot, ours, theirs float64
		for i := 0; i < len(values); i += every {
			if len(kept) < 2 {
				t.Fatal("blocks.bin is short")
			}
			x, y := float64(values[i]), float64(float16.Frombits(binary.LittleEndian.Uint16(kept)).Float32())
			kept = kept[2:]
			dot, ours, theirs = dot+x*y, ours+x*x, theirs+y*y
		}
		cosine, ratio := dot/math.Sqrt(ours*theirs), math.Sqrt(ours/theirs)
		t.Logf("full: klein's %s block: cosine %.6f, %.5f times as long", b.name, cosine, ratio)
		if !(cosine >= 0.9999) || math.Abs(ratio-1) > 0.01 {
			t.Errorf("%s block: cosine %.6f, length %.5f", b.name, cosine, ratio)
		}
	}
	if len(kept) > 0 {
		t.Errorf("blocks.bin has %d bytes more", len(kept))
	}
}
