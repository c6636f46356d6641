package diffusion

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/simd"
	"wisp/webgpu"
)

// configs is a model of configurations.
type configs map[string]string

func (c configs) Config(name string) (json.RawMessage, bool) {
	text, ok := c[name]
	return json.RawMessage(text), ok
}

// TestLargePictures: pictures of 1024 × 1024 and more are encoded and decoded
// within 1 GiB on the processor, and on a card of WebGPU's default limits.
func TestLargePictures(t *testing.T) {
	for _, name := range []string{"sd_vae", "flux_vae", "flux2_vae"} {
		d, err := newDecoder(configs{"vae": vaeConfig(t, name)}, "vae")
		if err != nil {
			t.Fatal(err)
		}
		r := newResidency(cpu.New(), nil, []Net{d.net(), d.encoder()})
		for _, side := range []int{512, 1024, 2048} {
			for _, n := range r.nets {
				s := n.Size(Request{Width: side, Height: side})
				tile, err := r.tile(n, s)
				if err != nil {
					t.Fatal(err)
				}
				if s, err = r.first(n, s); err != nil {
					t.Fatal(err)
				}
				g, err := n.Graph(s)
				if err != nil {
					t.Fatal(err)
				}
				bytes, err := simd.Count([]*engine.Graph{g}, func(*engine.Node) engine.DType { return engine.F16 })
				if err != nil {
					t.Fatal(err)
				}
				cost, err := webgpu.Count(g, engine.F16, engine.F32, webgpu.DefaultLimits)
				if err != nil {
					t.Errorf("%s: %s of %d pixels: %v", name, n.name(), side, err)
				}
				t.Logf("%s: %s of %d pixels in tiles of %d: %d MiB on the processor, %d on a card", name, n.name(), side, tile, bytes>>20, (cost.Arena+cost.Weights)>>20)
				if bytes > 1<<30 || cost.Arena+cost.Weights > 1<<30 || (tile.In != 0) != (side > 512) {
					t.Errorf("%s: %s of %d pixels takes %d MiB and %d, in tiles of %d", name, n.name(), side, bytes>>20, (cost.Arena+cost.Weights)>>20, tile)
				}
			}
		}
	}
}

// vaeConfig is that of a published autoencoder, with tiles as SDXL's has them.
func vaeConfig(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../tests/golden/model/sizes.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Models map[string]struct {
			Class  string
			Config map[string]any
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	m := file.Models[name]
	m.Config["_class_name"], m.Config["sample_size"] = m.Class, 1024
	b, err := json.Marshal(m.Config)
	if err != nil {
		t.Fatal(fmt.Sprint(name, err))
	}
	return string(b)
}
