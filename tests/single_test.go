//go:build !js

package tests

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"wisp/engine/diffusion"
	"wisp/loader"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
	"wisp/loader/single"
	checkpoint "wisp/tests/golden/single"
)

// hollow is a checkpoint of which only the header is there; all else is zeros.
type hollow struct {
	head []byte
	size int64
}

func (h hollow) Size() int64 { return h.size }
func (hollow) Close() error  { return nil }

func (h hollow) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	if at < int64(len(h.head)) {
		copy(p, h.head[at:])
	}
	return len(p), nil
}

// TestFullSizeSingleFiles: of checkpoints at the sizes that their publishers
// gave them, the built-in configs are those of the publishers, the tensors
// those that diffusers makes of them, and the engine takes what it draws.
func TestFullSizeSingleFiles(t *testing.T) {
	for kind, drawn := range map[string]bool{"sd1": true, "sd2": true, "sdxl": true, "inpainting": false, "refiner": true, "sd3": true, "flux": false, "flux2": true, "zimage": true} {
		t.Run(kind, func(t *testing.T) {
			configs, file, want := fullSize(t, kind)
			checkpoint := single.File{Name: kind + ".safetensors", Open: func() (safetensors.Blob, error) { return file, nil }}
			words := single.File{Name: "tokenizer.json", Open: func() (safetensors.Blob, error) {
				name := "sd3/model/tokenizer_3"
				if kind == "flux2" || kind == "zimage" {
					name = "z_image/model/tokenizer"
				}
				b, err := os.ReadFile(filepath.Join("golden", "pipeline", name, "tokenizer.json"))
				return hollow{b, int64(len(b))}, err
			}}
			m, err := single.Open([]single.File{checkpoint, words}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			plan, err := pack.NewPlan(m, pack.Options{Name: "x"})
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range plan.Manifest.Tensors {
				line := x.Component + "/" + x.Name + " " + strings.ReplaceAll(strings.Trim(fmt.Sprint(x.Shape), "[]"), " ", "x")
				if !want[line] {
					t.Errorf("diffusers has no %s", line)
				}
				delete(want, line)
			}
			for line := range want {
				t.Errorf("missing: %s", line)
			}
			for component, fields := range configs {
				var have map[string]any
				text, _ := plan.Config(component)
				if err := json.Unmarshal(text, &have); err != nil {
					t.Errorf("%s: %v", component, err)
				}
				for name, v := range fields {
					if fmt.Sprint(have[name]) != fmt.Sprint(v) {
						t.Errorf("%s: %s is %v, the publisher's is %v", component, name, have[name], v)
					}
				}
			}
			shapes, err := pack.Shapes(plan.Manifest)
			if err != nil {
				t.Fatal(err)
			}
			if err := diffusion.Check(plan, shapes); drawn && err != nil {
				t.Errorf("the engine: %v", err)
			}
		})
	}
}

// fullSize reads what loader/single/testdata/make.py wrote of a kind.
func fullSize(t *testing.T, kind string) (configs map[string]map[string]any, file hollow, want map[string]bool) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "loader", "single", "testdata", kind+".full.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	lines.Scan()
	if err := json.Unmarshal(lines.Bytes(), &configs); err != nil {
		t.Fatal(err)
	}
	header, offset := map[string]any{}, 0
	for lines.Scan() && lines.Text() != "=" {
		name, size, _ := strings.Cut(lines.Text(), " ")
		shape, n := []int{}, 2
		for d := range strings.SplitSeq(size, "x") {
			if v, err := strconv.Atoi(d); err == nil {
				shape, n = append(shape, v), n*v
			}
		}
		header[name] = map[string]any{"dtype": "F16", "shape": shape, "data_offsets": []int{offset, offset + n}}
		offset += n
	}
	want = map[string]bool{}
	for lines.Scan() {
		want[lines.Text()] = true
	}
	if len(header) < 700 || len(want) < 700 {
		t.Fatalf("%d tensors become %d", len(header), len(want))
	}
	text, _ := json.Marshal(header)
	file.head = append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	file.size = int64(len(file.head) + offset)
	return configs, file, want
}

// TestSingleFilePicture: a single file with the built-in configs and CLIP's
// vocabulary draws the picture that diffusers draws.
func TestSingleFilePicture(t *testing.T) {
	dir := filepath.Join("golden", "single")
	b, err := checkpoint.Tiny(dir)
	if err != nil {
		t.Fatal(err)
	}
	file := single.File{Name: "tiny.safetensors", Open: func() (safetensors.Blob, error) { return hollow{b, int64(len(b))}, nil }}
	m, err := single.Open([]single.File{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	out := t.TempDir()
	if err := pack.Run(t.Context(), pack.Options{From: m, Out: out, Name: "tiny", Quant: "f32"}); err != nil {
		t.Fatal(err)
	}
	l, err := loader.Open(t.Context(), loader.Dir(out), nil, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkPipeline(t, fastest(t), l, dir, minPSNR)
}
