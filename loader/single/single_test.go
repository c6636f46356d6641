package single

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wisp/loader"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
)

// memory is a file in memory.
type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// blobOf is a checkpoint of a header and so many bytes.
func blobOf(header string, data int) memory {
	b := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	return memory{bytes.NewReader(append(b, make([]byte, data)...))}
}

// given is a file of testdata.
func given(name string) File {
	return File{name, func() (safetensors.Blob, error) {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		return memory{bytes.NewReader(b)}, err
	}}
}

// small is a file with a text in it.
func small(name, text string) File {
	return File{name, func() (safetensors.Blob, error) { return memory{bytes.NewReader([]byte(text))}, nil }}
}

// filtered is a checkpoint of those tensors of another whose names keep keeps,
// under the names that it returns.
func filtered(t *testing.T, from, name string, keep func(name string) string) File {
	t.Helper()
	f := given(from)
	set, err := safetensors.OpenSet(from, func(string) (safetensors.Blob, error) { return f.Open() })
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	head, data := map[string]any{}, []byte{}
	for _, x := range set.Tensors {
		as := keep(x.Name)
		if as == "" {
			continue
		}
		r, err := set.Section(x)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, x.Size)
		if _, err := r.ReadAt(b, 0); x.Size > 0 && err != nil {
			t.Fatal(err)
		}
		head[as] = map[string]any{"dtype": x.DType, "shape": append([]int{}, x.Shape...), "data_offsets": []int{len(data), len(data) + len(b)}}
		data = append(data, b...)
	}
	text, _ := json.Marshal(head)
	text = append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	return File{name, func() (safetensors.Blob, error) {
		return memory{bytes.NewReader(append(slices.Clone(text), data...))}, nil
	}}
}

// with is a file of testdata with one more tensor, given as its type and values.
func with(t *testing.T, from, name, tensor string) File {
	t.Helper()
	fields := strings.Fields(tensor)
	var data []byte
	for _, f := range fields[1:] {
		var v float32
		if _, err := fmt.Sscan(f, &v); err != nil {
			t.Fatal(err)
		}
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	b, err := os.ReadFile(filepath.Join("testdata", from))
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(b)
	body := b[8+n:]
	head := strings.TrimRight(string(b[8:8+n]), " ")
	head = fmt.Sprintf(`%s,%q:{"dtype":%q,"shape":[%d],"data_offsets":[%d,%d]}}`, head[:len(head)-1], name, fields[0], len(fields)-1, len(body), len(body)+len(data))
	b = slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), []byte(head), body, data)
	return File{from, func() (safetensors.Blob, error) { return memory{bytes.NewReader(b)}, nil }}
}

// packed packs a model and lists its tensors as make.py does.
func packed(t *testing.T, m *Model) (lines []string, man *loader.Manifest) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "model")
	if err := pack.Run(t.Context(), pack.Options{From: m, Out: out, Name: "x"}); err != nil {
		t.Fatal(err)
	}
	l, err := loader.Open(t.Context(), loader.Dir(out), nil, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for c := range l.Manifest().Components {
		err := l.Load(t.Context(), c, func(x loader.Tensor) error {
			sum := sha256.Sum256(x.Data)
			shape := strings.ReplaceAll(strings.Trim(fmt.Sprint(x.Shape), "[]"), " ", "x")
			lines = append(lines, c+"/"+x.Name+" "+shape+" "+hex.EncodeToString(sum[:6]))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return lines, l.Manifest()
}

// expect compares with what make.py wrote.
func expect(t *testing.T, kind string, got []string, man *loader.Manifest) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", kind+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(string(text), "\n")
	want := map[string]bool{}
	for line := range strings.Lines(rest) {
		want[strings.TrimSpace(line)] = true
	}
	for _, line := range got {
		if !want[line] {
			t.Errorf("diffusers has no %s", line)
		}
		delete(want, line)
	}
	for line := range want {
		t.Errorf("missing: %s", line)
	}
	var configs map[string]map[string]any
	if err := json.Unmarshal([]byte(first), &configs); err != nil {
		t.Fatal(err)
	}
	for component, fields := range configs {
		var have map[string]any
		text, _ := man.Config(component)
		if err := json.Unmarshal(text, &have); err != nil {
			t.Errorf("%s: %v", component, err)
		}
		for name, v := range fields {
			if fmt.Sprint(have[name]) != fmt.Sprint(v) {
				t.Errorf("%s: %s is %v, the network was made with %v", component, name, have[name], v)
			}
		}
	}
}

// TestKinds: a file of each kind is recognised, becomes the tensors that
// diffusers makes of it (names, shapes and bits) and the configs that it was
// made with.
func TestKinds(t *testing.T) {
	tokenizer := small("spiece.model", "words")
	for _, c := range []struct {
		kind, class, note string
		more              []File
		scheduler         map[string]any
	}{
		{"sd1", "StableDiffusionPipeline", "Stable Diffusion 1", nil, map[string]any{"_class_name": "PNDMScheduler", "prediction_type": "epsilon"}},
		{"inpainting", "StableDiffusionInpaintPipeline", "inpainting", nil, nil},
		{"sd2", "StableDiffusionPipeline", "Stable Diffusion 2", nil, map[string]any{"prediction_type": "epsilon"}},
		{"sdxl", "StableDiffusionXLPipeline", "Stable Diffusion XL", nil,
			map[string]any{"prediction_type": "v_prediction", "rescale_betas_zero_snr": true, "timestep_spacing": "trailing"}},
		{"refiner", "StableDiffusionXLImg2ImgPipeline", "refiner", nil, map[string]any{"prediction_type": "epsilon"}},
		{"sd3", "StableDiffusion3Pipeline", "Stable Diffusion 3.5", []File{tokenizer}, map[string]any{"shift": 3}},
		{"flux", "FluxPipeline", "FLUX.1 dev", []File{tokenizer}, map[string]any{"use_dynamic_shifting": true}},
		{"flux2", "Flux2KleinPipeline", "FLUX.2-klein", []File{small("tokenizer.json", "{}")}, map[string]any{"use_dynamic_shifting": true}},
		{"zimage", "ZImagePipeline", "Z-Image", []File{small("tokenizer.json", "{}")}, map[string]any{"shift": 3}},
	} {
		t.Run(c.kind, func(t *testing.T) {
			m, err := Open(append([]File{given(c.kind + ".safetensors")}, c.more...), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if !strings.Contains(m.Notes()[0], c.note) {
				t.Errorf("the first note is %q", m.Notes()[0])
			}
			got, man := packed(t, m)
			expect(t, c.kind, got, man)
			if man.Pipeline != c.class {
				t.Errorf("the pipeline is %s, want %s", man.Pipeline, c.class)
			}
			var scheduler map[string]any
			text, _ := man.Config("scheduler")
			if err := json.Unmarshal(text, &scheduler); err != nil {
				t.Fatal(err)
			}
			for name, want := range c.scheduler {
				if fmt.Sprint(scheduler[name]) != fmt.Sprint(want) {
					t.Errorf("the scheduler's %s is %v, want %v", name, scheduler[name], want)
				}
			}
		})
	}
}

// TestLeftOut: what nothing reads is named, and what was recognised.
func TestLeftOut(t *testing.T) {
	m, err := Open([]File{given("sd1.safetensors")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if notes := strings.Join(m.Notes(), "\n"); !strings.Contains(notes, "sd1.safetensors: left out, since nothing reads it: alphas_cumprod, betas, model_ema.*") {
		t.Error(notes)
	}
}

// TestSeveralFiles: networks in files of their own, as ComfyUI keeps them, are
// put together; what is missing is named; a file that has a network too is
// taken in place of the first.
func TestSeveralFiles(t *testing.T) {
	part := func(name, prefix, as string) File {
		return filtered(t, "flux.safetensors", name, func(n string) string {
			if rest, ok := strings.CutPrefix(n, prefix); ok {
				return as + rest
			}
			return ""
		})
	}
	files := []File{
		part("flux1-dev.safetensors", "model.diffusion_model.", ""), part("ae.safetensors", "vae.", ""),
		part("clip_l.safetensors", "text_encoders.clip_l.transformer.", ""), part("t5xxl.safetensors", "text_encoders.t5xxl.transformer.", ""),
		small("spiece.model", "words"),
	}
	slices.Reverse(files) // in any order
	m, err := Open(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, man := packed(t, m)
	expect(t, "flux", got, man)
	m.Close()
	for i, want := range []string{"no vocabulary", "no T5 text encoder", "no CLIP-L text encoder", "no VAE", "alone"} {
		without := slices.Delete(slices.Clone(files), i, i+1)
		if _, err := Open(without, nil); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", files[i].Name, err)
		}
	}
	other := filtered(t, "inpainting.safetensors", "vae.safetensors", func(n string) string {
		if rest, ok := strings.CutPrefix(n, "first_stage_model."); ok {
			return rest
		}
		return ""
	})
	m, err = Open([]File{given("sd1.safetensors"), other}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if notes := strings.Join(m.Notes(), "\n"); !strings.Contains(notes, "the VAE is that of vae.safetensors, not that of sd1.safetensors") {
		t.Error(notes)
	}
	set, err := m.Weights("vae")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := find(set, "decoder.up_blocks.0.resnets.0.conv1.weight"); !ok {
		t.Error("the VAE given has no decoder")
	}
}

// TestDiffusersNames: a network under diffusers' own names needs no other.
func TestDiffusersNames(t *testing.T) {
	whole, err := Open([]File{given("sd1.safetensors")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	_, want := packed(t, whole)
	for _, component := range []string{"unet", "vae"} {
		set, _ := whole.Weights(component)
		p, rest, err := convert("", set)
		if err != nil || len(rest) > 0 || len(p.set.Tensors) != len(set.Tensors) {
			t.Errorf("%s: %d of %d tensors, %v", component, len(p.set.Tensors), len(set.Tensors), err)
		}
	}
	if c, _ := want.Config("unet"); !bytes.Contains(c, []byte(`"attention_head_dim":8`)) {
		t.Errorf("%s", c)
	}
}

// TestGivenConfigs: where configs are given, they count.
func TestGivenConfigs(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"model_index.json": `{"_class_name":"StableDiffusionPipeline","scheduler":["diffusers","DDIMScheduler"],
			"text_encoder":["transformers","CLIPTextModel"],"unet":["diffusers","UNet2DConditionModel"],"vae":["diffusers","AutoencoderKL"]}`,
		"scheduler/scheduler_config.json": `{"sigma_max":Infinity,"low": -Infinity,"x":NaN,"note":"NaN \" -Infinity"}`,
		"unet/config.json":                `{"sample_size":7}`,
		"vae/config.json":                 `{"scaling_factor":7}`,
		"text_encoder/config.json":        `{"num_hidden_layers":1,"architectures":["CLIPTextModel"]}`,
	}
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o777), os.WriteFile(name, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	configs, err := pack.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer configs.Close()
	m, err := Open([]File{given("sd1.safetensors")}, configs)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	got, man := packed(t, m)
	if c, _ := man.Config("unet"); string(c) != `{"sample_size":7}` || len(got) != 352 {
		t.Errorf("%s, %d tensors", c, len(got))
	}
	if c, _ := man.Config("scheduler"); string(c) != `{"sigma_max":null,"low":null,"x":null,"note":"NaN \" -Infinity"}` {
		t.Errorf("the scheduler's config is not JSON without NaN: %s", c)
	}
}

// TestGivenWeights: what the files lack comes from where the configs do.
func TestGivenWeights(t *testing.T) {
	dir := t.TempDir()
	whole, err := Open([]File{given("sd1.safetensors")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	for name, text := range whole.made {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o777), os.WriteFile(name, text, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	vae := filtered(t, "sd1.safetensors", "x", func(n string) string {
		if rest, ok := strings.CutPrefix(n, "first_stage_model."); ok && !strings.Contains(n, "attn") && !strings.Contains(n, "mid") {
			return rest
		}
		return ""
	})
	blob, _ := vae.Open()
	text := make([]byte, blob.Size())
	blob.ReadAt(text, 0)
	if err := os.WriteFile(filepath.Join(dir, "vae", "diffusion_pytorch_model.safetensors"), text, 0o666); err != nil {
		t.Fatal(err)
	}
	configs, err := pack.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer configs.Close()
	rest := filtered(t, "sd1.safetensors", "rest.safetensors", func(n string) string {
		if strings.HasPrefix(n, "first_stage_model.") {
			return ""
		}
		return n
	})
	m, err := Open([]File{rest}, configs)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got := m.Checkpoints(); !slices.Equal(got, []string{"checkpoint/rest.safetensors", "vae/diffusion_pytorch_model.safetensors"}) {
		t.Errorf("the weights come from %q", got)
	}
	if _, man := packed(t, m); !slices.ContainsFunc(man.Tensors, func(x loader.TensorInfo) bool { return x.Component == "vae" }) {
		t.Error("the VAE has no weights")
	}
	if _, err := Open([]File{rest}, nil); !errors.Is(err, ErrMissing) {
		t.Errorf("without configs: %v", err)
	}
}

// TestMarks: what says how to draw is found beside networks without a prefix
// too, and is no tensor of theirs.
func TestMarks(t *testing.T) {
	whole := given("sdxl.safetensors")
	bare := filtered(t, "sdxl.safetensors", "unet.safetensors", func(n string) string {
		if n == "v_pred" || n == "ztsnr" {
			return n
		}
		rest, ok := strings.CutPrefix(n, "model.diffusion_model.")
		if !ok {
			return ""
		}
		return rest
	})
	others := filtered(t, "sdxl.safetensors", "others.safetensors", func(n string) string {
		if n == "v_pred" || n == "ztsnr" || strings.HasPrefix(n, "model.") {
			return ""
		}
		return n
	})
	var want []string
	for i, files := range [][]File{{whole}, {bare, others}} {
		m, err := Open(files, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		got, man := packed(t, m)
		slices.Sort(got)
		if i == 0 {
			want = got
		} else if !slices.Equal(got, want) {
			t.Error("the networks are not those of the one file")
		}
		if c, _ := man.Config("scheduler"); !bytes.Contains(c, []byte(`"v_prediction"`)) || !bytes.Contains(c, []byte(`"rescale_betas_zero_snr":true`)) {
			t.Errorf("%d files: %s", len(files), c)
		}
	}
}

// FuzzOpen: whatever a header says, there is a model or an error.
func FuzzOpen(f *testing.F) {
	for _, names := range []string{
		"input_blocks.0.0.weight input_blocks.1.0.op.weight", "double_blocks.0.img_attn.norm.key_norm.scale img_in.weight single_blocks.0.linear1.weight",
		"joint_blocks.0.x_block.attn.qkv.weight pos_embed", "positional_embedding transformer.resblocks.0.attn.in_proj_weight text_projection",
		"decoder.conv_in.weight decoder.up.99.block.0.norm1.weight", "cond_stage_model.transformer.text_model.x v_pred model.diffusion_model.",
	} {
		f.Add(names, uint8(3), uint8(4))
	}
	f.Fuzz(func(t *testing.T, names string, rows, columns uint8) {
		head, at := map[string]any{}, 0
		for name := range strings.FieldsSeq(names) {
			n := 2 * int(rows) * int(columns)
			if head[name] == nil {
				head[name] = map[string]any{"dtype": "F16", "shape": []int{int(rows), int(columns)}, "data_offsets": []int{at, at + n}}
				at += n
			}
		}
		text, _ := json.Marshal(head)
		m, err := Open([]File{{"a.safetensors", func() (safetensors.Blob, error) { return blobOf(string(text), at), nil }}}, nil)
		if err == nil {
			m.Close()
		}
	})
}

// TestScales: weights in f8 are multiplied by the scales beside them, also
// those that are cut into several; what cannot be applied is refused.
func TestScales(t *testing.T) {
	const x = "model.diffusion_model.double_blocks.0.img_attn."
	for _, c := range []struct {
		name, tensor, want string
	}{
		{x + "qkv.scale_weight", "F32 0.5", ""},
		{x + "qkv.weight_scale", "F32 0.5", ""},
		{x + "qkv.scale_input", "F32 0.5", ""},
		{"model.diffusion_model.scaled_fp8", "F32 2", ""},
		{x + "qkv.scale_weight", "F32 NaN", "not one number"},
		{x + "qkv.scale_weight", "F32 1 2", "2 values"},
		{x + "qkv.weight.absmax", "F32 1", "quantisation"},
		{x + "qkv.comfy_quant", "F32 1", "quantisation"},
	} {
		m, err := Open([]File{with(t, "flux.safetensors", c.name, c.tensor), small("spiece.model", "x")}, nil)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s %s: %v", c.name, c.tensor, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		set, _ := m.Weights("transformer")
		scaled := strings.HasSuffix(c.name, "scale_weight") || strings.HasSuffix(c.name, "weight_scale")
		for _, name := range []string{"to_q", "to_k", "to_v"} {
			got, _ := find(set, "transformer_blocks.0.attn."+name+".weight")
			if (got.Scale == 0.5) != scaled {
				t.Errorf("%s: %s is scaled by %v", c.name, name, got.Scale)
			}
		}
		out := t.TempDir()
		if err := pack.Run(t.Context(), pack.Options{From: m, Out: out, Name: "x"}); err != nil {
			t.Fatal(err)
		}
		l, err := loader.Open(t.Context(), loader.Dir(out), nil, loader.Options{})
		if err != nil {
			t.Fatal(err)
		}
		value := float32(0)
		if err := l.Load(t.Context(), "transformer", func(x loader.Tensor) error {
			if x.Name == "transformer_blocks.0.attn.to_k.weight" {
				v := make([]float32, len(x.Data)/2)
				value = v[0]
				if err := safetensors.Float32s(v, x.Data, "F16"); err != nil {
					return err
				}
				value = v[0]
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		plain, _ := safetensors.OpenSet("x", func(string) (safetensors.Blob, error) { return given("flux.safetensors").Open() })
		qkv, _ := find(plain, x+"qkv.weight")
		r, _ := plain.Section(qkv.Rows(16, 16))
		b := make([]byte, 2)
		r.ReadAt(b, 0)
		v := make([]float32, 1)
		safetensors.Float32s(v, b, "F16")
		if scaled {
			v[0] /= 2
		}
		if value != v[0] {
			t.Errorf("%s: the first weight is %v, want %v", c.name, value, v[0])
		}
		m.Close()
	}
}

// TestVocabulary: CLIP's vocabulary is that of CLIP.
func TestVocabulary(t *testing.T) {
	vocab, merges := clipVocabulary()
	var ids map[string]int
	if err := json.Unmarshal(vocab, &ids); err != nil {
		t.Fatal(err)
	}
	for token, id := range map[string]int{"!": 0, "a": 64, "Ń": 255, "!</w>": 256, "a</w>": 320, "in": 512, "cat</w>": 2368, "<|startoftext|>": 49406, "<|endoftext|>": 49407} {
		if ids[token] != id {
			t.Errorf("%q is %d, want %d", token, ids[token], id)
		}
	}
	if len(ids) != 49408 || bytes.Count(merges, []byte("\n")) != 48895 {
		t.Errorf("%d tokens, %d lines of merges", len(ids), bytes.Count(merges, []byte("\n")))
	}
	if got := slices.Sorted(maps.Values(ids)); got[0] != 0 || got[len(got)-1] != 49407 {
		t.Error("the ids are not 0 to 49407")
	}
}
