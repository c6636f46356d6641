package tests

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"image"
	"image/draw"
	"image/png"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/loader/adapter"
	"wisp/loader/safetensors"
	"wisp/tests/golden/pipeline"
	"wisp/tests/golden/seeded"
)

var adapterDir = filepath.Join("golden", "adapter")

// adapterCase is one entry of golden/adapter/golden.json.
type adapterCase struct {
	Name, Model string
	Loras       [][2]any // file and weight
	Embedding   string   // file
	Request     struct {
		Prompt        string
		Seed          uint64
		Steps         int
		Guidance      float32
		Width, Height int
	}
}

func adapterCases(t *testing.T) []adapterCase {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(adapterDir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []adapterCase }
	if err := json.Unmarshal(data, &file); err != nil || len(file.Cases) == 0 {
		t.Fatal(err, len(file.Cases))
	}
	return file.Cases
}

// memory is a file that is held.
type memory struct{ *bytes.Reader }

func (m memory) Close() error { return nil }

// openAdapter opens a file of golden/adapter.
func openAdapter(t *testing.T, name string) *adapter.File {
	t.Helper()
	data, err := seeded.File(filepath.Join(adapterDir, name+".safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := adapter.Open(name+".safetensors", func() (safetensors.Blob, error) { return memory{bytes.NewReader(data)}, nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func openEmbedding(t *testing.T, name string) adapter.Embedding {
	t.Helper()
	data, err := seeded.File(filepath.Join(adapterDir, name+".safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := adapter.OpenEmbedding(name+".safetensors", func() (safetensors.Blob, error) { return memory{bytes.NewReader(data)}, nil })
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (c adapterCase) request(r diffusion.Request) diffusion.Request {
	q := c.Request
	r.Prompt, r.Seed, r.Steps, r.Guidance, r.Width, r.Height = q.Prompt, q.Seed, q.Steps, q.Guidance, q.Width, q.Height
	return r
}

// readImage reads a picture of a golden.
func readImage(t *testing.T, name string) *image.NRGBA {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(name, err)
	}
	out := image.NewNRGBA(img.Bounds())
	draw.Draw(out, out.Rect, img, image.Point{}, draw.Src)
	return out
}

// TestAdapters draws with LoRAs, in the layouts of kohya's scripts, diffusers
// and PEFT, what diffusers draws with them merged into the weights.
func TestAdapters(t *testing.T) {
	for _, c := range adapterCases(t) {
		for _, b := range backends(t) {
			t.Run(c.Name+"/"+b.label, func(t *testing.T) {
				p, err := diffusion.New(t.Context(), b.Backend, directory{t, filepath.Join("golden", "pipeline", c.Model, "model")}, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				r := c.request(p.Defaults())
				if c.Embedding != "" {
					if err := p.AddEmbedding(diffusion.Embedding(openEmbedding(t, c.Embedding))); err != nil {
						t.Fatal(err)
					}
				}
				for _, l := range c.Loras {
					a, err := p.AddAdapter(t.Context(), "", openAdapter(t, l[0].(string)))
					if err != nil {
						t.Fatal(err)
					}
					if len(a.Unknown) > 0 {
						t.Errorf("%s: unknown keys %q", a.Name, a.Unknown)
					}
					r.Loras = append(r.Loras, diffusion.Lora{ID: a.ID, Weight: float32(l[1].(float64))})
				}
				result, err := p.Generate(t.Context(), r, nil)
				if err != nil {
					t.Fatal(err)
				}
				db := pipeline.Compare(result.Images[0], readImage(t, filepath.Join(adapterDir, c.Name+".png")))
				parity{Case: "adapter " + c.Name, DB: db}.log(t, b)
				if db < minPSNR {
					t.Errorf("PSNR %.1f dB, want %d", db, minPSNR)
				}
			})
		}
	}
}

// written is a safetensors file of f32 tensors.
func written(t *testing.T, tensors map[string]engine.Tensor) []byte {
	t.Helper()
	type place struct {
		DType string `json:"dtype"`
		Shape []int  `json:"shape"`
		At    [2]int `json:"data_offsets"`
	}
	header, data := map[string]place{}, []byte(nil)
	for name, v := range tensors {
		header[name] = place{strings.ToUpper(v.DType.String()), append([]int{}, v.Shape...), [2]int{len(data), len(data) + len(v.Data)}}
		data = append(data, v.Data...)
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), data...)
}

func fromBytes(t *testing.T, name string, data []byte) *adapter.File {
	t.Helper()
	f, err := adapter.Open(name, func() (safetensors.Blob, error) { return memory{bytes.NewReader(data)}, nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func filled(v float32, shape ...int) engine.Tensor {
	n := engine.Shape(shape).Elems()
	return engine.FromFloat32s(slices.Repeat([]float32{v}, n), shape...)
}

func plainWith(t *testing.T, b engine.Backend) *diffusion.Pipeline {
	t.Helper()
	p, err := diffusion.New(t.Context(), b, directory{t, filepath.Join(plainPipeline, "model")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// TestAdapterRefusals names the key of what does not fit.
func TestAdapterRefusals(t *testing.T) {
	const q = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
	good := map[string]engine.Tensor{q + ".lora_down.weight": filled(0.1, 2, 8), q + ".lora_up.weight": filled(0.1, 8, 2)}
	p := plainWith(t, cpu.New())
	for _, c := range []struct {
		name   string
		change map[string]engine.Tensor // in place of good's; an empty one is taken out
		says   string                   // "" for a file that is taken
	}{
		{"good", nil, ""},
		{"rank", map[string]engine.Tensor{q + ".lora_down.weight": filled(0.1, 3, 8)}, q + ".lora_down.weight has rank"},
		{"alone", map[string]engine.Tensor{q + ".lora_up.weight": {}}, q + ".lora_down.weight has no counterpart: the up"},
		{"width", map[string]engine.Tensor{q + ".lora_down.weight": filled(0.1, 2, 9)}, q + ".lora_down.weight is [2 9]"},
		{"rows", map[string]engine.Tensor{q + ".lora_up.weight": filled(0.1, 9, 2)}, q + ".lora_up.weight is [9 2]"},
		{"nan", map[string]engine.Tensor{q + ".lora_up.weight": filled(float32(math.NaN()), 8, 2)}, q + ".lora_up.weight: value 0 is not a finite number"},
		{"infinite", map[string]engine.Tensor{q + ".alpha": filled(float32(math.Inf(1)), 1)}, q + ".alpha: value 0"},
		{"empty", map[string]engine.Tensor{q + ".lora_down.weight": engine.NewTensor(engine.F32, 0, 8), q + ".lora_up.weight": engine.NewTensor(engine.F32, 8, 0)}, q},
		{"family", map[string]engine.Tensor{q + ".lora_down.weight": {}, q + ".lora_up.weight": {}, "lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight": filled(1, 9, 1)}, "lora_unet_double_blocks_0_img_attn_qkv"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tensors := maps.Clone(good)
			for name, v := range c.change {
				if tensors[name] = v; v.Data == nil {
					delete(tensors, name)
				}
			}
			a, err := p.AddAdapter(t.Context(), "", fromBytes(t, c.name+".safetensors", written(t, tensors)))
			switch {
			case c.says == "" && (err != nil || a.Networks["unet"] != 1 || len(a.Unknown) != 0):
				t.Errorf("got %+v, %v", a, err)
			case c.says != "" && (!errors.Is(err, diffusion.ErrBadAdapter) || !strings.Contains(err.Error(), c.says)):
				t.Errorf("got %v, want one that says %q", err, c.says)
			}
		})
	}
	more := maps.Clone(good)
	more["lora_unet_mid_block_nowhere.lora_up.weight"], more["lora_te_text_model_encoder_layers_99_mlp_fc1.alpha"] = filled(1, 4, 1), filled(1, 1)
	a, err := p.AddAdapter(t.Context(), "", fromBytes(t, "more.safetensors", written(t, more)))
	if want := []string{"lora_te_text_model_encoder_layers_99_mlp_fc1.alpha", "lora_unet_mid_block_nowhere.lora_up.weight"}; err != nil || !slices.Equal(a.Unknown, want) {
		t.Errorf("unknown keys are %q, %v, want %q", a.Unknown, err, want)
	}
}

// TestAdapterStrengths: a picture at weight 0, and after an adapter is removed,
// is that without; a tag in the prompt is a weight; two halves are one whole;
// a block's factor of 0 takes it out.
func TestAdapterStrengths(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.label, func(t *testing.T) {
			p := plainWith(t, b.Backend)
			cases := adapterCases(t)
			c := cases[slices.IndexFunc(cases, func(c adapterCase) bool { return c.Name == "sd_kohya" })]
			a, err := p.AddAdapter(t.Context(), "", openAdapter(t, "sd_kohya"))
			if err != nil {
				t.Fatal(err)
			}
			picture := func(change func(*diffusion.Request)) *diffusion.Result {
				t.Helper()
				r := c.request(p.Defaults())
				change(&r)
				result, err := p.Generate(t.Context(), r, nil)
				if err != nil {
					t.Fatal(err)
				}
				return result
			}
			weigh := func(list ...diffusion.Lora) *image.NRGBA {
				return picture(func(r *diffusion.Request) { r.Loras = list }).Images[0]
			}
			bare, whole := weigh(), weigh(diffusion.Lora{ID: a.ID, Weight: 0.8})
			same := func(what string, got, want *image.NRGBA, equal bool) {
				t.Helper()
				if db := pipeline.Compare(got, want); equal != (db > 60) {
					t.Errorf("%s: %.0f dB", what, db)
				}
			}
			same("worn", whole, bare, false)
			same("weight 0", weigh(diffusion.Lora{ID: a.ID}), bare, true)
			same("twice the half", weigh(diffusion.Lora{ID: a.ID, Weight: 0.3}, diffusion.Lora{ID: "sd_kohya", Weight: 0.5}), whole, true)
			tagged := picture(func(r *diffusion.Request) { r.Prompt += " <lora:sd_kohya:0.8>" })
			same("tag", tagged.Images[0], whole, true)
			if !strings.HasPrefix(tagged.Parameters[0], "red cat <lora:sd_kohya:0.8>\n") || len(tagged.Notices) != 0 {
				t.Errorf("a tag gives %q, %q", tagged.Parameters[0], tagged.Notices)
			}
			listed := picture(func(r *diffusion.Request) { r.Loras = []diffusion.Lora{{ID: a.ID, Weight: 0.8}} })
			if !strings.HasPrefix(listed.Parameters[0], "red cat <lora:sd_kohya:0.8>\n") {
				t.Errorf("a list gives %q", listed.Parameters[0])
			}
			if n := picture(func(r *diffusion.Request) { r.Prompt += "<lora:none:1>" }).Notices; len(n) != 1 || !strings.Contains(n[0], `no LoRA "none"`) {
				t.Errorf("notices %q of a LoRA that is not there", n)
			}
			none := float32(0)
			off := map[string]float32{"": 0, "down_blocks": 0, "mid_block": 0, "up_blocks": 0, "time_embedding": 0}
			same("no block", weigh(diffusion.Lora{ID: a.ID, Weight: 0.8, Text: &none, Blocks: off}), bare, true)
			off["up_blocks"] = 1
			same("one block", weigh(diffusion.Lora{ID: a.ID, Weight: 0.8, Text: &none, Blocks: off}), bare, false)
			for _, w := range []float32{float32(math.NaN()), float32(math.Inf(-1)), 101} {
				r := c.request(p.Defaults())
				r.Loras = []diffusion.Lora{{ID: a.ID, Weight: w}}
				if _, err := p.Generate(t.Context(), r, nil); !errors.Is(err, diffusion.ErrBadRequest) {
					t.Errorf("weight %v: %v", w, err)
				}
			}
			if !p.RemoveAdapter(a.ID) || p.RemoveAdapter(a.ID) || len(p.Adapters()) != 0 {
				t.Error("an adapter is not removed once")
			}
			same("removed", weigh(), bare, true)
		})
	}
}

// TestEmbeddings: a word is its file's name or the one inside, in every syntax,
// and nothing within another; what fits no text encoder is refused.
func TestEmbeddings(t *testing.T) {
	p := plainWith(t, fastest(t).Backend)
	draw := func(prompt, syntax string) *image.NRGBA {
		t.Helper()
		r := adapterCases(t)[0].request(p.Defaults())
		r.Prompt, r.PromptSyntax = prompt, syntax
		result, err := p.Generate(t.Context(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return result.Images[0]
	}
	within := draw("red inversions", "")
	if err := p.AddEmbedding(diffusion.Embedding(openEmbedding(t, "inversion"))); err != nil {
		t.Fatal(err)
	}
	want := readImage(t, filepath.Join(adapterDir, "inversion.png"))
	for syntax, prompt := range map[string]string{"": "red Inversion, cat", "a1111": "red <TOY>, cat", "comfyui": "red embedding:inversion, cat"} {
		if db := pipeline.Compare(draw(prompt, syntax), want); db < minPSNR {
			t.Errorf("%q: %.1f dB", prompt, db)
		}
	}
	if db := pipeline.Compare(draw("red inversions", ""), within); db < 60 {
		t.Errorf("a longer word changes: %.1f dB", db)
	}
	for name, tensors := range map[string]map[string]engine.Tensor{
		"width":  {"emb_params": filled(1, 2, 25)},
		"second": {"clip_g": filled(1, 2, 24)},
		"other":  {"a": filled(1, 2, 24), "b": filled(1, 2, 24)},
		"nan":    {"emb_params": filled(float32(math.NaN()), 2, 24)},
		"many":   {"emb_params": filled(1, 76, 24)},
	} {
		data := written(t, tensors)
		e, err := adapter.OpenEmbedding(name+".safetensors", func() (safetensors.Blob, error) { return memory{bytes.NewReader(data)}, nil })
		if err == nil {
			err = p.AddEmbedding(diffusion.Embedding(e))
		}
		if !errors.Is(err, diffusion.ErrBadAdapter) && !errors.Is(err, adapter.ErrFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := adapter.OpenEmbedding("a.pt", nil); !errors.Is(err, safetensors.ErrPickle) {
		t.Errorf("a pickle: %v", err)
	}
}
