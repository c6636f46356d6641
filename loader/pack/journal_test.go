package pack

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
			trips, reads, left := 0, 0, 0
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
				if trips == 3 { // the last line is cut short, a chunk is damaged
					name := filepath.Join(out, journalName)
					b, _ := os.ReadFile(name)
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
		left, reads := 25, 0
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
