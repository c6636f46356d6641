package pack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wisp/loader"
	"wisp/loader/safetensors"
)

// tripping is an input that breaks after so many reads, as a process does that
// is killed.
type tripping struct {
	Dir
	left  *int
	reads *int
}

type trippingBlob struct {
	safetensors.Blob
	in tripping
}

var errTrip = errors.New("tripped")

func (in tripping) Open(name string) (safetensors.Blob, error) {
	b, err := in.Dir.Open(name)
	return trippingBlob{b, in}, err
}

func (b trippingBlob) Stamp() (string, bool, error) { return b.Blob.(Stamper).Stamp() }

func (b trippingBlob) ReadAt(p []byte, at int64) (int, error) {
	if *b.in.left--; *b.in.left < 0 {
		return 0, errTrip
	}
	*b.in.reads++
	return b.Blob.ReadAt(p, at)
}

// TestResume: a pack that is interrupted at any read, again and again, ends in
// the same bytes as one that is not, and converts less than from the start.
func TestResume(t *testing.T) {
	src, _ := pipeline(t)
	for _, quant := range []string{"f16", "q4"} {
		want, _ := packTo(t, src, Options{Quant: quant, ChunkSize: 4096, Name: "same"})
		for step := 7; step < 24; step += 8 {
			d, err := OpenDir(src)
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "out")
			trips, reads, left, damaged := 0, 0, 0, false
			var log bytes.Buffer
			for allow := step; ; allow += 3 { // a little further each time
				left = allow
				reads = 0
				err := Run(t.Context(), Options{From: tripping{d, &left, &reads}, Out: out, Quant: quant, ChunkSize: 4096, Name: "same", Progress: &log})
				if err == nil {
					break
				}
				if trips++; !errors.Is(err, errTrip) || trips > 200 {
					t.Fatal(err)
				}
				name := filepath.Join(out, journalName)
				if b, _ := os.ReadFile(name); !damaged && len(b) > 2000 { // the last line is cut short, a chunk is damaged
					damaged = true
					os.WriteFile(name, b[:len(b)-1-len(b)/9], 0o666)
				}
			}
			d.Close()
			if trips == 0 || !strings.Contains(log.String(), "going on after") {
				t.Errorf("%s from %d: it never resumed:\n%s", quant, step, log.String())
			}
			sameTree(t, want, out)
		}
	}
}

// TestResumeOther: what another input, another option or another time left is
// not taken up, nor is a damaged chunk.
func TestResumeOther(t *testing.T) {
	src, _ := pipeline(t)
	half := func(out, quant string) {
		d, err := OpenDir(src)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		left, reads := 60, 0
		if err := Run(t.Context(), Options{From: tripping{d, &left, &reads}, Out: out, Quant: quant, ChunkSize: 4096, Name: "same"}); !errors.Is(err, errTrip) {
			t.Fatal(err)
		}
	}
	want, _ := packTo(t, src, Options{Quant: "f16", ChunkSize: 4096, Name: "same"})
	out := filepath.Join(t.TempDir(), "out")
	half(out, "q8")
	_, log := packTo(t, src, Options{Out: out, Quant: "f16", ChunkSize: 4096, Name: "same"})
	if strings.Contains(log, "going on") {
		t.Error("took up a pack of another quantisation")
	}
	sameTree(t, want, out)

	out = filepath.Join(t.TempDir(), "out")
	half(out, "f16")
	entries, _ := filepath.Glob(filepath.Join(out, "*.bin"))
	for _, name := range entries {
		b, _ := os.ReadFile(name)
		b[len(b)/2] ^= 1
		os.WriteFile(name, b, 0o666)
	}
	packTo(t, src, Options{Out: out, Quant: "f16", ChunkSize: 4096, Name: "same"})
	sameTree(t, want, out)
}

// onRead calls back at each read of a file, of which there are times or not.
type onRead struct {
	Dir
	timed bool
	do    func(name string)
}

type readBlob struct {
	safetensors.Blob
	in   onRead
	name string
}

func (b readBlob) ReadAt(p []byte, at int64) (int, error) {
	b.in.do(b.name)
	return b.Blob.ReadAt(p, at)
}

func (b readBlob) Stamp() (string, bool, error) {
	if b.in.timed {
		return b.Blob.(Stamper).Stamp()
	}
	return "same", false, nil
}

func (in onRead) Open(name string) (safetensors.Blob, error) {
	b, err := in.Dir.Open(name)
	return readBlob{b, in, name}, err
}

// TestResumeChanged: whatever of the input is overwritten between a pack and
// the next, with the size and the times that it had, the model is of the new
// one alone.
func TestResumeChanged(t *testing.T) {
	files, _ := pipeline(t)
	for _, name := range []string{"text_encoder/model.safetensors", "unet/diffusion_pytorch_model-00001-of-00002.safetensors", "vae/diffusion_pytorch_model.safetensors", "tokenizer/merges.txt"} {
		for _, quant := range []string{"f16", "q8"} {
			src := t.TempDir()
			if err := os.CopyFS(src, os.DirFS(files)); err != nil {
				t.Fatal(err)
			}
			d, err := OpenDir(src)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			out, reads := filepath.Join(t.TempDir(), "out"), 0
			ctx, cancel := context.WithCancel(t.Context())
			in := onRead{Dir: d, do: func(name string) {
				if reads++; strings.HasPrefix(name, "vae/") && reads > 60 {
					cancel()
				}
			}}
			o := Options{From: in, Out: out, Quant: quant, ChunkSize: 2048, Name: "same"}
			if err := Run(ctx, o); !errors.Is(err, context.Canceled) {
				t.Fatalf("%v after %d reads", err, reads)
			}
			b, err := os.ReadFile(filepath.Join(src, name))
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)-2] ^= 1
			if err := os.WriteFile(filepath.Join(src, name), b, 0o666); err != nil {
				t.Fatal(err)
			}
			in.do = func(string) {}
			o.From = in
			if err := Run(t.Context(), o); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want, _ := packTo(t, src, Options{Quant: quant, ChunkSize: 2048, Name: "same"})
			sameTree(t, want, out)
		}
	}
}

// TestChangedWhilePacking: an input that is written to is no success, and there
// is no model of it.
func TestChangedWhilePacking(t *testing.T) {
	for _, name := range []string{"text_encoder/model.safetensors", "unet/config.json"} {
		src, _ := pipeline(t)
		d, err := OpenDir(src)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		done := false
		in := onRead{Dir: d, timed: true, do: func(read string) {
			if !done && strings.HasPrefix(read, "vae/diffusion") {
				done = true
				b, _ := os.ReadFile(filepath.Join(src, name))
				os.WriteFile(filepath.Join(src, name), b, 0o666)
			}
		}}
		out := filepath.Join(t.TempDir(), "out")
		if err := Run(t.Context(), Options{From: in, Out: out}); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(out, loader.ManifestName)); err == nil {
			t.Errorf("%s: a manifest was written", name)
		}
	}
}

// TestTwoAtOnce: of two packs into one directory, the second is refused.
func TestTwoAtOnce(t *testing.T) {
	src, _ := pipeline(t)
	d, err := OpenDir(src)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	out := filepath.Join(t.TempDir(), "out")
	var second error
	in := onRead{Dir: d, timed: true, do: func(read string) {
		if _, err := os.Stat(filepath.Join(out, journalName)); err == nil && second == nil {
			second = Run(t.Context(), Options{In: src, Out: out, Quant: "q4"})
		}
	}}
	if err := Run(t.Context(), Options{From: in, Out: out, Quant: "q8"}); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(second, errLocked) {
		t.Errorf("the second: %v", second)
	}
	if err := Verify(t.Context(), out, io.Discard); err != nil {
		t.Error(err)
	}
	if err := Run(t.Context(), Options{In: src, Out: out, Quant: "q4"}); err != nil {
		t.Errorf("one after the other: %v", err)
	}
}

// sameTree checks that two directories hold the same files.
func sameTree(t *testing.T, want, got string) {
	t.Helper()
	read := func(dir string) map[string]string {
		files := map[string]string{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files[e.Name()] = string(b)
		}
		return files
	}
	a, b := read(want), read(got)
	if len(a) != len(b) {
		t.Errorf("%d files, want %d", len(b), len(a))
	}
	for name := range a {
		if a[name] != b[name] {
			t.Errorf("%s differs", name)
		}
	}
}
