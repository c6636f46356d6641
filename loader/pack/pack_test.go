package pack

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wisp/loader"
	"wisp/loader/quant"
	"wisp/loader/safetensors"
)

// array is a tensor to put into a checkpoint.
type array struct {
	dtype string
	shape []int
	data  []byte
}

func gaussian(rng *rand.Rand, dtype string, shape ...int) array {
	n := 1
	for _, d := range shape {
		n *= d
	}
	var b []byte
	for range n {
		v := float32(rng.NormFloat64() * 0.05)
		switch dtype {
		case "F32":
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		case "BF16":
			b = binary.LittleEndian.AppendUint16(b, uint16(math.Float32bits(v)>>16))
		case "F16":
			b = binary.LittleEndian.AppendUint16(b, uint16(0x2800+rng.IntN(0x800)|rng.IntN(2)<<15))
		case "F8_E4M3", "F8_E5M2":
			b = append(b, byte(rng.IntN(0x60)|rng.IntN(2)<<7))
		case "I64":
			b = binary.LittleEndian.AppendUint64(b, uint64(rng.IntN(1000)))
		}
	}
	return array{dtype, append([]int{}, shape...), b}
}

// checkpoint encodes a safetensors file.
func checkpoint(t testing.TB, tensors map[string]array) []byte {
	t.Helper()
	head, data := map[string]any{"__metadata__": map[string]string{"format": "pt"}}, []byte{}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		a := tensors[name]
		head[name] = map[string]any{"dtype": a.dtype, "shape": a.shape, "data_offsets": []int{len(data), len(data) + len(a.data)}}
		data = append(data, a.data...)
	}
	text, err := json.Marshal(head)
	if err != nil {
		t.Fatal(err)
	}
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), data...)
}

func writeTree(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	for name, b := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// pipeline is a small pipeline directory with every input dtype, a sharded
// component, an autoencoder with both halves and parts that wisp leaves out.
func pipeline(t testing.TB) (dir string, tensors map[string]array) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	text := map[string]array{
		"text_model.embeddings.token_embedding.weight":    gaussian(rng, "F32", 300, 48),
		"text_model.embeddings.position_embedding.weight": gaussian(rng, "F32", 77, 48),
		"text_model.embeddings.position_ids":              gaussian(rng, "I64", 1, 77),
		"text_model.final_layer_norm.weight":              gaussian(rng, "F32", 48),
	}
	unet1 := map[string]array{
		"conv_in.weight":                   gaussian(rng, "F32", 48, 4, 3, 3),
		"down_blocks.0.attn.to_q.weight":   gaussian(rng, "BF16", 48, 48),
		"down_blocks.0.resnet.conv.weight": gaussian(rng, "F16", 32, 48, 3, 3),
	}
	unet2 := map[string]array{
		"up_blocks.0.a.weight": gaussian(rng, "F8_E4M3", 40, 33),
		"up_blocks.0.b.weight": gaussian(rng, "F8_E5M2", 40, 65),
		"up_blocks.0.b.bias":   gaussian(rng, "F32", 40),
		"scalar":               gaussian(rng, "F32"),
	}
	vae := map[string]array{
		"encoder.conv.weight":    gaussian(rng, "F32", 32, 32, 3, 3),
		"quant_conv.weight":      gaussian(rng, "F32", 8, 8, 1, 1),
		"decoder.conv.weight":    gaussian(rng, "F32", 32, 32, 3, 3),
		"post_quant_conv.weight": gaussian(rng, "F32", 4, 4, 1, 1),
	}
	weightMap := map[string]string{}
	for n := range unet1 {
		weightMap[n] = "diffusion_pytorch_model-00001-of-00002.safetensors"
	}
	for n := range unet2 {
		weightMap[n] = "diffusion_pytorch_model-00002-of-00002.safetensors"
	}
	index, _ := json.Marshal(map[string]any{"metadata": map[string]any{"total_size": 1}, "weight_map": weightMap})
	dir = t.TempDir()
	writeTree(t, dir, map[string][]byte{
		"model_index.json": []byte(`{"_class_name":"StableDiffusionPipeline","_diffusers_version":"0.42.1","safety_checker":["a","b"],
			"feature_extractor":[null,null],"requires_safety_checker":false,"scheduler":["diffusers","DDIMScheduler"],
			"text_encoder":["transformers","CLIPTextModel"],"tokenizer":["transformers","CLIPTokenizer"],
			"unet":["diffusers","UNet2DConditionModel"],"vae":["diffusers","AutoencoderKL"]}`),
		"scheduler/scheduler_config.json":                         []byte(`{"beta_end":0.012,"big":12345678901234567890}`),
		"text_encoder/config.json":                                []byte(`{"hidden_size":48}`),
		"text_encoder/model.safetensors":                          checkpoint(t, text),
		"unet/config.json":                                        []byte(`{"sample_size":8}`),
		"unet/diffusion_pytorch_model.safetensors.index.json":     index,
		"unet/diffusion_pytorch_model-00001-of-00002.safetensors": checkpoint(t, unet1),
		"unet/diffusion_pytorch_model-00002-of-00002.safetensors": checkpoint(t, unet2),
		"vae/config.json":                                         []byte(`{"latent_channels":4}`),
		"vae/diffusion_pytorch_model.safetensors":                 checkpoint(t, vae),
		"vae/diffusion_pytorch_model.bin":                         []byte("pickled"),
		"tokenizer/vocab.json":                                    []byte(`{"a":0}`),
		"tokenizer/merges.txt":                                    []byte("#version: 0.2\na b\n"),
		"tokenizer/tokenizer.json":                                []byte(`{"left":"out"}`),
		"README.md":                                               []byte("---\nlicense: openrail++\ntags:\n- x\n---\n# Card\n"),
		"wisp.json":                                               []byte(`{"steps":8}`),
		"text_encoder/unrelated.txt":                              []byte("no"),
		"safety_checker/model.safetensors":                        []byte("never read"),
		"text_encoder/model.fp16.safetensors":                     []byte("never read"),
		"feature_extractor/preprocessor_config.json":              []byte(`{}`),
	})
	tensors = map[string]array{}
	for c, part := range map[string][]map[string]array{"text_encoder": {text}, "unet": {unet1, unet2}, "vae": {vae}} {
		for _, p := range part {
			for n, a := range p {
				tensors[c+"/"+n] = a
			}
		}
	}
	return dir, tensors
}

func packTo(t testing.TB, in string, o Options) (out, report string) {
	t.Helper()
	var log bytes.Buffer
	o.In, o.Progress = in, &log
	if o.Out == "" {
		o.Out = filepath.Join(t.TempDir(), "model")
	}
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := Verify(t.Context(), o.Out, &log); err != nil {
		t.Fatal(err)
	}
	return o.Out, log.String()
}

func loadAll(t testing.TB, dir string) map[string]loader.Tensor {
	t.Helper()
	m, err := loader.Open(t.Context(), loader.Dir(dir), nil, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]loader.Tensor{}
	for c := range m.Manifest().Components {
		if err := m.Load(t.Context(), c, func(x loader.Tensor) error { got[c+"/"+x.Name] = x; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// values decodes a loaded tensor to f32.
func values(t testing.TB, x loader.Tensor) []float32 {
	t.Helper()
	n := 1
	for _, d := range x.Shape {
		n *= d
	}
	out := make([]float32, n)
	switch x.DType {
	case "q8", "q4", "q2":
		m := quant.Matrix{Bits: int(x.DType[1] - '0'), Rows: x.Shape[0], K: n / x.Shape[0], Data: x.Data}
		for r := range m.Rows {
			m.Row(r, out[r*m.K:(r+1)*m.K])
		}
	case "i32":
		for i := range out {
			out[i] = float32(int32(binary.LittleEndian.Uint32(x.Data[4*i:])))
		}
	default:
		if err := safetensors.Float32s(out, x.Data, strings.ToUpper(x.DType)); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func original(t testing.TB, a array) []float32 {
	t.Helper()
	n := 1
	for _, d := range a.shape {
		n *= d
	}
	out := make([]float32, n)
	if a.dtype == "I64" {
		for i := range out {
			out[i] = float32(binary.LittleEndian.Uint64(a.data[8*i:]))
		}
	} else if err := safetensors.Float32s(out, a.data, a.dtype); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRoundTrip: f32 gives the checkpoint's bits back, f16 all that two bytes
// hold, q8 and q4 stay within their bounds, in chunks of several sizes.
func TestRoundTrip(t *testing.T) {
	in, want := pipeline(t)
	for _, c := range []struct {
		quant   string
		chunk   int
		bound   float64 // relative RMS error of any tensor
		dtypeOf map[string]string
	}{
		{"f32", 1000, 0, map[string]string{"unet/down_blocks.0.attn.to_q.weight": "bf16", "unet/conv_in.weight": "f32", "unet/up_blocks.0.a.weight": "f16"}},
		{"f16", 4097, 5e-4, map[string]string{"unet/down_blocks.0.attn.to_q.weight": "bf16", "unet/conv_in.weight": "f16"}},
		{"q8", 10000, 8e-3, map[string]string{"unet/down_blocks.0.attn.to_q.weight": "q8", "unet/conv_in.weight": "f16",
			"vae/decoder.conv.weight": "q8", "vae/post_quant_conv.weight": "f16", "unet/up_blocks.0.b.bias": "f16",
			"text_encoder/text_model.embeddings.token_embedding.weight":    "q8",
			"text_encoder/text_model.embeddings.position_embedding.weight": "f16",
			"text_encoder/text_model.embeddings.position_ids":              "i32"}},
		{"q4", 0, 0.1, map[string]string{"unet/up_blocks.0.a.weight": "q4", "unet/scalar": "f16"}},
	} {
		dir, _ := packTo(t, in, Options{Quant: c.quant, ChunkSize: c.chunk})
		got := loadAll(t, dir)
		if len(got) != len(want) {
			t.Errorf("%s: %d tensors, want %d", c.quant, len(got), len(want))
		}
		for name, a := range want {
			x := got[name]
			if !slices.Equal(x.Shape, a.shape) && len(a.shape) > 0 {
				t.Errorf("%s: %s has the shape %v, want %v", c.quant, name, x.Shape, a.shape)
				continue
			}
			var num, den float64
			back := values(t, x)
			for i, v := range original(t, a) {
				d := float64(back[i]) - float64(v)
				num, den = num+d*d, den+float64(v)*float64(v)
			}
			if e := math.Sqrt(num / max(den, 1e-30)); e > c.bound {
				t.Errorf("%s: %s has the relative error %g, more than %g", c.quant, name, e, c.bound)
			}
			if same := a.dtype == "BF16" || a.dtype == "F16" || a.dtype == "F32" && c.quant == "f32"; same && (c.quant == "f32" || c.quant == "f16") && !bytes.Equal(x.Data, a.data) {
				t.Errorf("%s: the bits of %s changed", c.quant, name)
			}
		}
		for name, dtype := range c.dtypeOf {
			if got[name].DType != dtype {
				t.Errorf("%s: %s is %s, want %s", c.quant, name, got[name].DType, dtype)
			}
		}
	}
}

func TestManifestOfPipeline(t *testing.T) {
	in, _ := pipeline(t)
	writeTree(t, in, map[string][]byte{"safety_checker/config.json": []byte("{}")})
	dir, report := packTo(t, in, Options{Quant: "q8", Name: "tiny", Needs: func(m *loader.Manifest) ([]string, error) {
		if _, ok := m.Config("unet"); !ok {
			t.Error("there is no config yet")
		}
		return []string{"unet", "text_encoder", "vae"}, nil
	}})
	m, err := loader.Open(t.Context(), loader.Dir(dir), nil, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	man := m.Manifest()
	if man.Name != "tiny" || man.Licence != "openrail++" || man.Pipeline != "StableDiffusionPipeline" || man.Card != "README.md" {
		t.Errorf("head: %q %q %q %q", man.Name, man.Licence, man.Pipeline, man.Card)
	}
	if c, _ := m.Config("scheduler"); string(c) != `{"beta_end":0.012,"big":12345678901234567890}` {
		t.Errorf("scheduler config: %s", c)
	}
	if c, _ := m.Config("wisp"); string(c) != `{"steps":8}` {
		t.Errorf("defaults: %s", c)
	}
	if _, ok := m.Config("safety_checker"); ok {
		t.Error("the safety checker was packed")
	}
	if f, _ := m.File("tokenizer/merges.txt"); string(f) != "#version: 0.2\na b\n" {
		t.Errorf("merges.txt: %q", f)
	}
	if _, ok := m.File("tokenizer/tokenizer.json"); ok {
		t.Error("tokenizer.json repeats vocab.json and was packed")
	}
	var order []string
	chunkOf := map[string]int{}
	for _, x := range man.Tensors {
		if len(order) == 0 || order[len(order)-1] != x.Component {
			order = append(order, x.Component)
		}
		chunkOf[x.Component+"/"+x.Name] = x.Chunk
	}
	if !slices.Equal(order, []string{"unet", "text_encoder", "vae"}) {
		t.Errorf("component order %v", order)
	}
	if chunkOf["vae/decoder.conv.weight"] != chunkOf["vae/post_quant_conv.weight"] ||
		chunkOf["vae/encoder.conv.weight"] == chunkOf["vae/decoder.conv.weight"] {
		t.Errorf("the decoder is not apart from the encoder: %v", chunkOf)
	}
	for _, want := range []string{"unet: 7 tensors", "relative", "safety_checker: left out", "every hash is right"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
}

// TestDeterministic: the same input gives the same bytes, also over an earlier pack.
func TestDeterministic(t *testing.T) {
	in, _ := pipeline(t)
	a, _ := packTo(t, in, Options{Quant: "q4", Name: "x"})
	b, _ := packTo(t, in, Options{Quant: "f16", Name: "x"})
	packTo(t, in, Options{Quant: "q4", Name: "x", Out: b})
	read := func(dir string) map[string]string {
		files := map[string]string{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files[e.Name()] = string(text)
		}
		return files
	}
	if !maps.Equal(read(a), read(b)) {
		t.Error("two packs of one input differ")
	}
}

func TestSingleComponent(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	dir := t.TempDir()
	writeTree(t, dir, map[string][]byte{
		"config.json":                         []byte(`{"_class_name":"AutoencoderTiny"}`),
		"diffusion_pytorch_model.safetensors": checkpoint(t, map[string]array{"decoder.layers.0.weight": gaussian(rng, "F32", 64, 4, 3, 3)}),
	})
	out, _ := packTo(t, dir, Options{})
	if got := loadAll(t, out); len(got) != 1 || got["model/decoder.layers.0.weight"].DType != "f16" {
		t.Errorf("loaded %v", got)
	}
}

func TestBeyondF16StaysF32(t *testing.T) {
	dir := t.TempDir()
	big := array{"F32", []int{2}, binary.LittleEndian.AppendUint32(make([]byte, 4), math.Float32bits(70000))}
	writeTree(t, dir, map[string][]byte{
		"config.json":       []byte(`{"architectures":["CLIPTextModel"]}`),
		"model.safetensors": checkpoint(t, map[string]array{"a": big}),
	})
	out, report := packTo(t, dir, Options{Quant: "f16"})
	if got := loadAll(t, out)["model/a"]; got.DType != "f32" || !bytes.Equal(got.Data, big.data) {
		t.Errorf("loaded %v", got)
	}
	if !strings.Contains(report, "beyond the range of f16") {
		t.Errorf("the report says nothing:\n%s", report)
	}
}

func TestRefusals(t *testing.T) {
	good := checkpoint(t, map[string]array{"a.weight": {"F32", []int{1}, []byte{0, 0, 192, 127}}})
	for _, c := range []struct {
		name  string
		files map[string][]byte
		opts  Options
		want  string
		is    error
	}{
		{"nothing there", map[string][]byte{"x.txt": nil}, Options{}, "neither model_index.json", os.ErrNotExist},
		{"pickle", map[string][]byte{"config.json": []byte(`{"_class_name":"UNet2DModel"}`), "diffusion_pytorch_model.bin": nil}, Options{},
			"safe_serialization=True", safetensors.ErrPickle},
		{"pickle in disguise", map[string][]byte{"config.json": []byte(`{"_class_name":"UNet2DModel"}`),
			"model.safetensors": []byte("PK\x03\x04\x00\x00\x08\x08 and so on")}, Options{}, "pickled", safetensors.ErrPickle},
		{"bad quant", map[string][]byte{"config.json": []byte(`{"_class_name":"X"}`), "model.safetensors": good}, Options{Quant: "q5"}, "use f32, f16, q8, q4, ternary or auto", nil},
		{"bad config", map[string][]byte{"config.json": []byte(`[1]`)}, Options{}, "config.json", nil},
		{"no weights", map[string][]byte{"config.json": []byte(`{"_class_name":"X"}`)}, Options{}, "there is no", os.ErrNotExist},
		{"weights of an unknown kind", map[string][]byte{"model_index.json": []byte(`{"_class_name":"X","unet":["diffusers","X"]}`), "unet/model.safetensors": good}, Options{Needs: func(*loader.Manifest) ([]string, error) { return []string{"unet"}, nil }}, "model.safetensors has no config.json", os.ErrNotExist},
		{"component escapes", map[string][]byte{"model_index.json": []byte(`{"_class_name":"X","../up":["a","b"]}`)}, Options{}, "not the name of a folder", nil},
		{"NaN to q8", map[string][]byte{"config.json": []byte(`{"_class_name":"X"}`),
			"model.safetensors": checkpoint(t, map[string]array{"bad.weight": {"F32", []int{1, 32}, bytes.Repeat([]byte{0, 0, 192, 127}, 32)}})},
			Options{Quant: "q8"}, "bad.weight", nil},
		{"NaN in the checkpoint's own type", map[string][]byte{"config.json": []byte(`{"_class_name":"X"}`), "model.safetensors": good}, Options{Quant: "f32"}, "tensor a.weight: it has a value that is NaN", nil},
		{"NaN to f16", map[string][]byte{"config.json": []byte(`{"_class_name":"X"}`), "model.safetensors": good}, Options{Quant: "f16"}, "tensor a.weight: it has a value that is NaN", nil},
		{"infinity in bf16", map[string][]byte{"config.json": []byte(`{"_class_name":"X"}`),
			"model.safetensors": checkpoint(t, map[string]array{"b": {"BF16", []int{2}, []byte{0, 0, 128, 127}}})}, Options{}, "tensor b: it has a value that is NaN or infinite", nil},
		{"an unread type", map[string][]byte{"config.json": []byte(`{"_class_name":"X"}`),
			"model.safetensors": checkpoint(t, map[string]array{"c.weight": {"F4", []int{32, 64}, make([]byte, 1024)}})}, Options{Quant: "q8"}, "tensor c.weight: its type F4 is not read", nil},
		{"a vast file beside it", map[string][]byte{"model_index.json": []byte(`{"_class_name":"P","tokenizer":["transformers","CLIPTokenizer"]}`), "tokenizer/vocab.json": make([]byte, maxFile+1)},
			Options{}, "tokenizer/vocab.json: 16777217 bytes are more than 16777216", nil},
	} {
		dir := t.TempDir()
		writeTree(t, dir, c.files)
		c.opts.In, c.opts.Out = dir, filepath.Join(t.TempDir(), "out")
		err := Run(t.Context(), c.opts)
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := os.Stat(filepath.Join(c.opts.Out, loader.ManifestName)); err == nil {
			t.Errorf("%s: a manifest was written", c.name)
		}
		if c.name == "an unread type" || c.name == "a vast file beside it" { // told before any weights are read
			in, err := OpenDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := NewPlan(in, c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: planned: %v", c.name, err)
			}
			in.Close()
		}
	}
}

func TestRefusesForeignDirectory(t *testing.T) {
	in, _ := pipeline(t)
	out := t.TempDir()
	writeTree(t, out, map[string][]byte{"thesis.doc": []byte("dear")})
	if err := Run(t.Context(), Options{In: in, Out: out}); err == nil || !strings.Contains(err.Error(), "thesis.doc") {
		t.Errorf("%v", err)
	}
}

// TestVerifyNames: every kind of damage to a chunk is found and the chunk named.
func TestVerifyNames(t *testing.T) {
	in, _ := pipeline(t)
	dir, _ := packTo(t, in, Options{ChunkSize: 20000})
	text, err := os.ReadFile(filepath.Join(dir, loader.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	m, err := loader.ParseManifest(text)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, m.Chunks[2].File())
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 4
	for what, b := range map[string][]byte{"flipped bit": flipped, "cut": good[:len(good)-1], "tail": append(bytes.Clone(good), 0), "gone": nil} {
		if os.Remove(name); b != nil {
			if err := os.WriteFile(name, b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		err := Verify(t.Context(), dir, &bytes.Buffer{})
		if !errors.Is(err, loader.ErrCorrupt) || !strings.Contains(err.Error(), m.Chunks[2].File()) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestCancel(t *testing.T) {
	in, _ := pipeline(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, Options{In: in, Out: filepath.Join(t.TempDir(), "o")}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestVariants: every place where diffusers and transformers have put the name
// of a variant, and which checkpoint is taken of several.
func TestVariants(t *testing.T) {
	for _, c := range []struct {
		names string
		want  string
	}{
		{"model.safetensors model.fp16.safetensors", "model.safetensors"},
		{"model.safetensors.index.json model.fp16.safetensors", "model.safetensors.index.json"},
		{"diffusion_pytorch_model.safetensors.index.fp16.json diffusion_pytorch_model.fp16-00001-of-00002.safetensors", "diffusion_pytorch_model.safetensors.index.fp16.json"},
		{"diffusion_pytorch_model.safetensors.fp16.index.json", "diffusion_pytorch_model.safetensors.fp16.index.json"},
		{"diffusion_pytorch_model.fp16.safetensors.index.json", "diffusion_pytorch_model.fp16.safetensors.index.json"},
		{"model.bf16.safetensors model.fp16.safetensors", "model.fp16.safetensors"},
		{"model.bf16.safetensors model.non_ema.safetensors", "model.bf16.safetensors"},
		{"model.non_ema.safetensors", "model.non_ema.safetensors"},
		{"model.non_ema.safetensors model.ema.safetensors", "model.ema.safetensors model.non_ema.safetensors"},
		{"model-00001-of-00002.safetensors model.fp16-00001-of-00002.safetensors other.safetensors", ""},
	} {
		best, also := safetensors.Best(strings.Fields(c.names))
		if got := strings.TrimSpace(best + " " + also); got != c.want {
			t.Errorf("of %s: %q, want %q", c.names, got, c.want)
		}
	}
	// The shards of a variant pack to what the one file packs to.
	dir, _ := pipeline(t)
	want, _ := packTo(t, dir, Options{Name: "x"})
	for _, name := range []string{"index.fp16.json", "fp16.index.json"} {
		unet := filepath.Join(dir, "unet")
		old, err := filepath.Glob(filepath.Join(unet, "*index*.json"))
		if err != nil || len(old) != 1 {
			t.Fatal(old, err)
		}
		if err := os.Rename(old[0], filepath.Join(unet, "diffusion_pytorch_model.safetensors."+name)); err != nil {
			t.Fatal(err)
		}
		got, _ := packTo(t, dir, Options{Name: "x"})
		sameTree(t, want, got)
	}
}

// TestAddedTokens: what says which tokens were added is packed.
func TestAddedTokens(t *testing.T) {
	const added = `{"added_tokens":[{"id":9,"content":"<x>"}]}`
	for _, c := range []struct {
		files map[string]string
		want  string
	}{
		{map[string]string{"added_tokens.json": `{"<x>":9}`}, "added_tokens.json"},
		{map[string]string{"tokenizer.json": added}, "tokenizer.json"},
		{map[string]string{"tokenizer.json": added, "tokenizer_config.json": `{}`}, "tokenizer.json tokenizer_config.json"},
		{map[string]string{"tokenizer.json": added, "tokenizer_config.json": `{"added_tokens_decoder":{}}`}, "tokenizer_config.json"},
		{map[string]string{"tokenizer.json": `{"added_tokens":[]}`}, ""},
	} {
		dir, _ := pipeline(t)
		os.Remove(filepath.Join(dir, "tokenizer/tokenizer.json"))
		for name, text := range c.files {
			writeTree(t, dir, map[string][]byte{"tokenizer/" + name: []byte(text)})
		}
		out, _ := packTo(t, dir, Options{})
		m, err := loader.Open(t.Context(), loader.Dir(out), nil, loader.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range m.Manifest().Files {
			if name, ok := strings.CutPrefix(f.Name, "tokenizer/"); ok && name != "vocab.json" && name != "merges.txt" {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: packed are %v, want %s", c.files, got, c.want)
		}
	}
}
