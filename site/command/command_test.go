//go:build !js

package command

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wisp/loader"
	"wisp/loader/pack"
)

// TestWrongCalls: what cannot be done fails before any work, and an
// interruption is no success.
func TestWrongCalls(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	for _, c := range []struct {
		status int
		args   string
	}{
		{2, ""}, {2, "draw"}, {1, "verify"}, {1, "verify " + dir}, {1, "verify a b"}, {130, "verify site/models/default"}, {130, "generate -prompt x"},
		{1, "build dist"}, {1, "build -out " + file + " x"},
		{1, "pack -in " + dir}, {1, "pack -in " + dir + " -out " + file}, {1, "pack -in " + file + " -out " + dir}, {1, "pack -in hf:a -out " + dir},
		{1, "generate -prompt red heart"}, {1, "generate -prompt x -out " + dir}, {1, "generate -prompt x -out " + file + "/a.png"},
		{1, "generate -prompt x -backend gpu"}, {1, "generate -prompt x -model " + dir}, {1, "serve -dir " + file}, {1, "serve -dir " + dir + " -addr nowhere:port"},
	} {
		ctx := t.Context()
		if c.status == 130 {
			ctx = interrupted
		}
		if got := Run(ctx, strings.Fields(c.args)); got != c.status {
			t.Errorf("%s: status %d, want %d", c.args, got, c.status)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "kept" {
		t.Errorf("%s is %q: %v", file, text, err)
	}
}

// TestServeTells: what takes long is told before it begins.
func TestServeTells(t *testing.T) {
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	out, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer func(before *os.File) { os.Stderr = before }(os.Stderr)
	os.Stderr = out
	Run(interrupted, []string{"serve", "-addr", "127.0.0.1:0"})
	out.Close()
	if text, err := os.ReadFile(out.Name()); err != nil || !strings.HasPrefix(string(text), "wisp: compiling the engine and the importer") {
		t.Errorf("serve says %q: %v", text, err)
	}
}

// tinyModel is a pipeline directory, changed by edit.
func tinyModel(t *testing.T, edit func(dir string)) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tiny")
	if err := os.CopyFS(dir, os.DirFS("tests/golden/pipeline/tiny_ddim_kl/model")); err != nil {
		t.Fatal(err)
	}
	edit(dir)
	return dir
}

// rewrite changes a checkpoint's header: what is replaced must stay as long.
func rewrite(t *testing.T, name string, pairs ...string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%s has no %s", name, pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestPackDrawable: what the engine cannot draw with is not packed, and no
// packed model of it passes for a good one.
func TestPackDrawable(t *testing.T) {
	const unet = "unet/diffusion_pytorch_model.safetensors"
	for name, edit := range map[string]func(dir string){
		"as it is": func(string) {},
		"a missing weight": func(dir string) {
			rewrite(t, filepath.Join(dir, unet), `"mid_block.resnets.0.conv1.weight"`, `"mid_block.resnets.0.conv9.weight"`)
		},
		"nine channels": func(dir string) {
			rewrite(t, filepath.Join(dir, "unet/config.json"), `"in_channels": 4`, `"in_channels": 9`)
		},
		"int8": func(dir string) {
			rewrite(t, filepath.Join(dir, unet), `"mid_block.resnets.0.conv1.bias":{"dtype":"F32"`, `"mid_block.resnets.0.conv1.bias":{"dtype":"I32"`)
		},
		"bitsandbytes": func(dir string) {
			rewrite(t, filepath.Join(dir, "unet/config.json"), `"in_channels": 4`, `"quantization_config": {"quant_method": "bitsandbytes"}, "in_channels": 4`)
		},
		"an unknown class": func(dir string) {
			rewrite(t, filepath.Join(dir, "model_index.json"), `"AutoencoderKL"`, `"AutoencoderDC"`)
			rewrite(t, filepath.Join(dir, "vae/config.json"), `"AutoencoderKL"`, `"AutoencoderDC"`)
		},
	} {
		dir, want := tinyModel(t, edit), 1
		if name == "as it is" {
			want = 0
		}
		out := filepath.Join(t.TempDir(), "out")
		if got := Run(t.Context(), []string{"pack", "-in", dir, "-out", out}); got != want {
			t.Errorf("%s: packing ends with %d, want %d", name, got, want)
		}
		if _, err := os.Stat(out); (err == nil) != (want == 0) {
			t.Errorf("%s: after packing, the output: %v", name, err)
		}
		if err := pack.Run(t.Context(), pack.Options{In: dir, Out: out}); err != nil {
			continue // not even without the engine's word
		}
		if got := Run(t.Context(), []string{"verify", out}); got != want {
			t.Errorf("%s: verify ends with %d, want %d", name, got, want)
		}
	}
}

// TestPackSingleFile: a checkpoint is packed without a config, what it lacks is
// asked for, and what was asked for is taken.
func TestPackSingleFile(t *testing.T) {
	b, err := os.ReadFile("tests/golden/single/tiny.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(b)
	head, body := strings.TrimRight(string(b[8:8+n]), " "), b[8+n:]
	words := make([]byte, 2*49408*16) // the table that the file lacks; here any will do
	head = fmt.Sprintf(`%s,"cond_stage_model.transformer.text_model.embeddings.token_embedding.weight":{"dtype":"F16","shape":[49408,16],"data_offsets":[%d,%d]}}`,
		head[:len(head)-1], len(body), len(body)+len(words))
	b = slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), []byte(head), body, words)
	dir := t.TempDir()
	name := func(base string) string { return filepath.Join(dir, base) }
	without := strings.ReplaceAll(string(b), "first_stage_model.", "first_stage_nodel.")
	if err := errors.Join(os.WriteFile(name("tiny.safetensors"), b, 0o644), os.WriteFile(name("bare.safetensors"), []byte(without), 0o644), os.WriteFile(name("text.txt"), b, 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		status int
		args   string
	}{
		{0, "-in " + name("tiny.safetensors")},
		{1, "-in " + name("bare.safetensors")},
		{1, "-in " + name("tiny.safetensors") + " -with " + name("text.txt")},
		{1, "-in " + name("tiny.safetensors") + " -with " + name("bare.safetensors")}, // two denoisers
		{1, "-in " + name("tiny.safetensors") + " -with " + name("gone.safetensors")},
		{1, "-in " + name("gone.safetensors")},
	} {
		out := filepath.Join(t.TempDir(), "out")
		if got := Run(t.Context(), append([]string{"pack", "-out", out}, strings.Fields(c.args)...)); got != c.status {
			t.Errorf("pack %s: status %d, want %d", c.args, got, c.status)
		}
		if _, err := os.Stat(out); (err == nil) != (c.status == 0) {
			t.Errorf("pack %s: the output: %v", c.args, err)
		}
	}
}

// TestBadRequests: what the model cannot draw is refused, and nothing written.
func TestBadRequests(t *testing.T) {
	out := filepath.Join(t.TempDir(), "x.png")
	for _, flags := range []string{
		"-steps 0", "-steps -3", "-steps 5000", "-guidance -1", "-guidance NaN", "-guidance 1e30", "-width 7", "-width 4096", "-height -8",
		"-count 0", "-count 1000", "-sampler none", "-schedule none",
	} {
		args := append([]string{"generate", "-prompt", "x", "-out", out}, strings.Fields(flags)...)
		if got := Run(t.Context(), args); got != 1 {
			t.Errorf("%s: status %d, want 1", flags, got)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(out)); err != nil || len(entries) > 0 {
		t.Errorf("%v was written: %v", entries, err)
	}
}

// TestSave: a file that cannot be written whole stays as it is.
func TestSave(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.png")
	if err := save(name, []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name+".part", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := save(name, []byte("new")); err == nil {
		t.Error("it was written through a directory")
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "old" {
		t.Errorf("it is %q: %v", text, err)
	}
	if err := save(os.DevNull, nil); err != nil {
		t.Error(err)
	}
}

// A model that does not fit is refused before its weights are read: a chunk of
// zeros that its manifest lists so often that it stands for 68 GB.
func TestGenerateTooLarge(t *testing.T) {
	dir := t.TempDir()
	if err := pack.Run(t.Context(), pack.Options{In: "tests/golden/pipeline/tiny_ddim_kl/model", Out: dir}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, loader.ManifestName)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := loader.ParseManifest(text)
	if err != nil {
		t.Fatal(err)
	}
	stored, encoding, err := loader.EncodeChunk(make([]byte, loader.MaxChunk))
	if err != nil {
		t.Fatal(err)
	}
	zeros := loader.Chunk{SHA256: fmt.Sprintf("%x", sha256.Sum256(stored)), Stored: int64(len(stored)), Raw: loader.MaxChunk, Encoding: encoding}
	if err := os.WriteFile(filepath.Join(dir, zeros.File()), stored, 0o666); err != nil {
		t.Fatal(err)
	}
	for i := range 4100 {
		place := loader.Place{Chunk: len(m.Chunks), Length: loader.MaxChunk}
		m.Chunks = append(m.Chunks, zeros)
		m.Tensors = append(m.Tensors, loader.TensorInfo{Component: "unet", Name: fmt.Sprint("more.", i), DType: "i32", Shape: []int{loader.MaxChunk / 4}, Place: place})
	}
	if text, err = m.Encode(); err == nil {
		err = os.WriteFile(name, text, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := openPipeline(t.Context(), dir, "simd", 0); !errors.Is(err, loader.ErrMemory) || !strings.Contains(err.Error(), "68.8 GB") {
		t.Error(err)
	}
}
