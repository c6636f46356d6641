package pack

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"wisp/loader"
)

// sizeOf sums what a manifest's tensors and files take.
func sizeOf(m *loader.Manifest) (n int64) {
	for _, t := range m.Tensors {
		n += t.Length
	}
	for _, f := range m.Files {
		n += f.Length
	}
	return n
}

// layered is a pipeline of layers of different sizes and distributions.
func layered(t *testing.T) (dir string, tensors map[string]array) {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 6))
	unet := map[string]array{
		"attn.to_q.weight": gaussian(rng, "F32", 64, 256), "attn.to_k.weight": gaussian(rng, "BF16", 64, 256), "ff.weight": gaussian(rng, "F16", 256, 256),
		"odd.weight": gaussian(rng, "F32", 30, 301), "small.weight": gaussian(rng, "F32", 64, 96), "norm.weight": gaussian(rng, "F32", 64), "conv.weight": gaussian(rng, "F32", 32, 32, 3, 3),
	}
	text := map[string]array{"fc1.weight": gaussian(rng, "F32", 128, 256), "bias": gaussian(rng, "F32", 128)}
	dir = t.TempDir()
	writeTree(t, dir, map[string][]byte{
		"model_index.json":                         []byte(`{"_class_name":"P","unet":["diffusers","UNet"],"text_encoder":["transformers","T"]}`),
		"unet/config.json":                         []byte(`{}`),
		"unet/diffusion_pytorch_model.safetensors": checkpoint(t, unet),
		"text_encoder/config.json":                 []byte(`{}`),
		"text_encoder/model.safetensors":           checkpoint(t, text),
	})
	tensors = map[string]array{}
	for n, a := range unet {
		tensors["unet/"+n] = a
	}
	for n, a := range text {
		tensors["text_encoder/"+n] = a
	}
	return dir, tensors
}

// packedWide packs it, and tells the sum of the layers' relative errors.
func packedWide(t *testing.T, dir string, tensors map[string]array, o Options) (*loader.Manifest, float64) {
	t.Helper()
	out, _ := packTo(t, dir, o)
	l, err := loader.Open(t.Context(), loader.Dir(out), nil, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var noise float64
	for name, x := range loadAll(t, out) {
		var num, den float64
		got := values(t, x)
		for i, v := range original(t, tensors[name]) {
			num += math.Pow(float64(v-got[i]), 2)
			den += float64(v) * float64(v)
		}
		noise += num / den
	}
	return l.Manifest(), noise
}

// TestAuto: a budget is filled and never exceeded, more of it leaves less
// error, and one that cannot be kept is refused with the least that can.
func TestAuto(t *testing.T) {
	in, tensors := layered(t)
	noise := math.Inf(1)
	var least, most int64
	for _, q := range []string{"ternary", "q8"} {
		m, _ := packedWide(t, in, tensors, Options{Quant: q})
		if least == 0 {
			least = sizeOf(m)
		}
		most = sizeOf(m)
	}
	for _, size := range []int64{least, (2*least + most) / 3, (least + 2*most) / 3, most} {
		m, e := packedWide(t, in, tensors, Options{Quant: "auto", Size: size})
		got := sizeOf(m)
		if got > size || float64(got) < 0.85*float64(size) {
			t.Errorf("a budget of %d is filled with %d", size, got)
		}
		if e >= noise {
			t.Errorf("a budget of %d leaves an error of %g, a smaller one %g", size, e, noise)
		}
		noise = e
	}
	if err := Run(t.Context(), Options{In: in, Out: t.TempDir(), Quant: "auto", Size: least / 2}); err == nil || !strings.Contains(err.Error(), "smallest") {
		t.Errorf("half the least: %v", err)
	}
	for _, o := range []Options{{Quant: "auto"}, {Quant: "q4", Size: 5}} {
		o.In, o.Out = in, t.TempDir()
		if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "a size goes with") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestTernary: only the denoiser's layers become q2, which is version 2 of the
// format; a pack without them stays version 1.
func TestTernary(t *testing.T) {
	in, tensors := layered(t)
	m, _ := packedWide(t, in, tensors, Options{Quant: "ternary"})
	types := map[string]string{}
	for _, x := range m.Tensors {
		types[x.Component+"/"+x.Name] = x.DType
	}
	for name, want := range map[string]string{"unet/attn.to_q.weight": "q2", "unet/small.weight": "q4", "unet/norm.weight": "f16", "text_encoder/fc1.weight": "q4"} {
		if types[name] != want {
			t.Errorf("%s is %q, want %s", name, types[name], want)
		}
	}
	if m.Version != 2 {
		t.Errorf("the version is %d", m.Version)
	}
	if m, _ := packedWide(t, in, tensors, Options{Quant: "q4"}); m.Version != 1 {
		t.Errorf("without q2 the version is %d", m.Version)
	}
	m.Version = 1
	text, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loader.ParseManifest(text); err == nil || !strings.Contains(err.Error(), "version 1 of the format has not") {
		t.Errorf("q2 in version 1: %v", err)
	}
}
