package seeded

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wisp/loader/safetensors"
)

// TestBits: the elements are those of seeded.py's make((100000,), 2**40 + 7, 0.3, 1).
func TestBits(t *testing.T) {
	for dtype, want := range map[string]string{
		"F32": "849443be66cdd878347d34c46100bef5944ec37533dad351041bb6895bd6c4e1",
		"F16": "c2f9deb51332f38ab825514cd02b45ac55053ae69fc6ae685140c22b20151a05",
	} {
		x := Tensor{dtype, []int{100_000}, 1<<40 + 7, 0.3, 1}
		b := make([]byte, x.Elems()*safetensors.Width(dtype))
		x.read(b, 0)
		if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != want {
			t.Errorf("%s: %s, want %s", dtype, got, want)
		}
	}
}

// TestCheckpoint: it reads the same in any pieces.
func TestCheckpoint(t *testing.T) {
	c := NewCheckpoint(map[string]Tensor{"a": {"F32", []int{3, 5}, 1, 1, 0}, "b": {"F16", []int{7}, 2, 1, 0}, "c": {"F32", []int{0}, 2, 1, 0}, "d": {"F32", []int{2}, 3, 1, 0}})
	whole := make([]byte, c.Size())
	if n, err := c.ReadAt(whole, 0); n != len(whole) || err != nil {
		t.Fatal(n, err)
	}
	for size := 1; size < 40; size++ {
		piece := make([]byte, size)
		for at := range whole {
			n, err := c.ReadAt(piece, int64(at))
			if want := whole[at:min(at+size, len(whole))]; !bytes.Equal(piece[:n], want) || (err == io.EOF) != (n < size) {
				t.Fatalf("%d bytes at %d: %x, %v, want %x", size, at, piece[:n], err, want)
			}
		}
	}
	f, err := safetensors.Parse(c, c.Size())
	if err != nil || len(f.Tensors) != 4 {
		t.Fatal(f, err)
	}
}

// TestCopy: what seeds give and what is kept beside them are one file, and
// everything else is copied.
func TestCopy(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	kept, err := build("", map[string]Tensor{"kept": {"F32", []int{2}, 0, 0, 3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"unet/config.json": "{}", "unet/model.safetensors": string(kept), "vae/only.safetensors": string(kept),
		"unet/model.seeds.json": `{"tensors": {"made": ["F16", [3, 5], 7, 0.5, 1]}}`, "text/a.seeds.json": `{"tensors": {}}`,
	} {
		name = filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := Copy(to, from); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"unet/model": "kept F32 [2] made F16 [3 5] ", "vae/only": "kept F32 [2] ", "text/a": ""} {
		b, err := os.ReadFile(filepath.Join(to, name+weights))
		if err != nil {
			t.Fatal(err)
		}
		f, err := safetensors.Parse(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, e := range f.Tensors {
			fmt.Fprint(&got, e.Name, " ", e.DType, " ", e.Shape, " ")
		}
		if got.String() != want {
			t.Errorf("%s has %q, want %q", name, got.String(), want)
		}
	}
	if _, err := os.Stat(filepath.Join(to, "unet/model.seeds.json")); err == nil {
		t.Error("the seeds are copied, too")
	}
	if b, err := os.ReadFile(filepath.Join(to, "unet/config.json")); err != nil || string(b) != "{}" {
		t.Error("the config is not copied", err)
	}
}

// TestBadSeeds: a file that says something else is an error, not other weights.
func TestBadSeeds(t *testing.T) {
	for _, bad := range []string{`["F64", [1], 1, 1, 0]`, `["F32", [1], 1, 1, 0, 5]`, `["F32", [1]]`, `{}`, `["F32", [1], -1, 1, 0]`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a"+seeds), []byte(`{"tensors": {"w": `+bad+`}}`), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := File(filepath.Join(dir, "a"+weights)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
