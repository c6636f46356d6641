//go:build !js

package tests

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/engine/simd"
	"wisp/tests/golden/seeded"
)

// sized is a model that knows the sizes of its weights, as the loader's do, and
// counts how often each is asked for.
type sized struct{ directory }

func (s sized) Sizes(component string, prefixes []string) map[string]int64 {
	sizes := map[string]int64{}
	for _, file := range seeded.Files(filepath.Join(s.path, component)) {
		for name, t := range readSafetensors(s.t, file) {
			if hasPrefix(name, prefixes) {
				sizes[name] = int64(len(t.Data))
			}
		}
	}
	return sizes
}

// TestStagedPictures: networks that are larger than the memory given run by
// stages, and the picture is the same to the last bit.
func TestStagedPictures(t *testing.T) {
	fast, err := simd.New(simd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer fast.Close()
	for _, kind := range []string{"flux2_klein", "tiny_ddim_kl"} {
		m := sized{directory{t, filepath.Join("golden", "pipeline", kind, "model")}}
		var largest int64
		for _, component := range []string{"unet", "transformer"} {
			var sum int64
			for _, size := range m.Sizes(component, nil) {
				sum += size
			}
			largest = max(largest, sum)
		}
		for _, b := range []engine.Backend{cpu.New(), fast} {
			var want []byte
			for _, memory := range []int64{0, largest / 5} {
				var options []diffusion.Option
				if memory > 0 {
					options = append(options, diffusion.Memory(memory))
				}
				p, err := diffusion.New(t.Context(), b, m, nil, options...)
				if err != nil {
					t.Fatal(kind, err)
				}
				r := p.Defaults()
				r.Prompt, r.Steps, r.Width, r.Height = "a cat", 2, 64, 64
				result, err := p.Generate(t.Context(), r, nil)
				if err != nil {
					t.Fatal(fmt.Sprintf("%s on %s within %d of %d bytes: ", kind, b.Name(), memory, largest), err)
				}
				if got := result.Images[0].Pix; want == nil {
					want = got
				} else if !bytes.Equal(got, want) {
					t.Errorf("%s on %s within %d of %d bytes: another picture", kind, b.Name(), memory, largest)
				}
				p.Close()
			}
		}
	}
}
