package gguf

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// noise is the bytes of make.py: SHA-256 in counter mode.
func noise(n int) (out []byte) {
	for i := uint64(0); len(out) < n; i++ {
		sum := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, i))
		out = append(out, sum[:]...)
	}
	return out[:n]
}

// TestTypes compares the values of random blocks, as hashes, with those that
// Python's gguf gives.
func TestTypes(t *testing.T) {
	golden, err := os.ReadFile("testdata/blocks.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(golden)) {
		var name, want string
		var elems, size int
		if _, err := fmt.Sscan(line, &name, &elems, &size, &want); err != nil {
			t.Fatal(err)
		}
		seen[name] = true
		if e, b := Block(name); e != elems || b != size {
			t.Errorf("%s: %d elements in %d bytes, want %d in %d", name, e, b, elems, size)
			continue
		}
		const blocks = 512
		values := make([]float32, blocks*elems)
		if err := Float32s(values, noise(blocks*size), name); err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		for _, v := range values {
			bits := math.Float32bits(v)
			if v != v {
				bits = 0x7fc00000
			}
			h.Write(binary.LittleEndian.AppendUint32(nil, bits))
		}
		if got := fmt.Sprintf("%x", h.Sum(nil)); got != want {
			t.Errorf("%s: the values are not gguf's", name)
		}
	}
	for _, ty := range types {
		if ty.floats != nil && ty.name != "F64" && !seen[ty.name] {
			t.Errorf("%s has no golden", ty.name)
		}
	}
}

// TestNonFinite finds the block whose scale is none.
func TestNonFinite(t *testing.T) {
	for name, offsets := range scales {
		elems, size := Block(name)
		for _, at := range offsets {
			b := make([]byte, 3*size)
			if i := NonFinite(b, name); i != -1 {
				t.Errorf("%s: zeros are not finite at %d", name, i)
			}
			binary.LittleEndian.PutUint16(b[size+at:], 0x7e00)
			if i := NonFinite(b, name); i != elems {
				t.Errorf("%s: NaN found at %d, want %d", name, i, elems)
			}
		}
	}
}

// TestTiny reads a file that gguf's writer made.
func TestTiny(t *testing.T) {
	b, err := os.ReadFile("testdata/tiny.gguf")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"general.architecture": "qwen3", "general.name": "a tiny file", "negative": int64(-7), "true": true,
		"tokenizer.ggml.tokens": []string{"a", "b", "Ġc"}, "tokenizer.ggml.scores": []float64{0.5, -1}, "comfy.gguf.orig_shape.conv": []int64{2, 4, 2, 8},
	} {
		if got := f.Metadata[key]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if len(f.Tensors) != 3 {
		t.Fatalf("%d tensors, want 3", len(f.Tensors))
	}
	plain, half, conv := f.Tensors[0], f.Tensors[1], f.Tensors[2]
	if !reflect.DeepEqual(plain.Shape, []int{2, 64}) || plain.Type != "F32" || !reflect.DeepEqual(half.Shape, []int{1, 5}) || half.Type != "F16" || conv.Type != "Q8_0" {
		t.Fatalf("%+v %+v %+v", plain, half, conv)
	}
	want, got := make([]float32, 128), make([]float32, 128)
	if err := Float32s(want, b[plain.Begin:][:plain.Size], "F32"); err != nil {
		t.Fatal(err)
	}
	if err := Float32s(got, b[conv.Begin:][:conv.Size], "Q8_0"); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 0.005 {
			t.Fatalf("value %d is %g, want %g", i, got[i], want[i])
		}
	}
}

// file writes GGUF by hand.
type file struct{ bytes.Buffer }

func (f *file) u32(v ...uint32) *file {
	for _, x := range v {
		f.Write(binary.LittleEndian.AppendUint32(nil, x))
	}
	return f
}

func (f *file) u64(v ...uint64) *file {
	for _, x := range v {
		f.Write(binary.LittleEndian.AppendUint64(nil, x))
	}
	return f
}

func (f *file) text(s string) *file {
	f.u64(uint64(len(s)))
	f.WriteString(s)
	return f
}

func start(tensors, keys uint64) *file {
	f := &file{}
	f.WriteString(Magic)
	return f.u32(3).u64(tensors, keys)
}

// tensor adds one of a row of 32 in F32, 128 bytes, at an offset.
func (f *file) tensor(name string, kind uint32, at uint64) *file {
	return f.text(name).u32(1).u64(32).u32(kind).u64(at)
}

func (f *file) data(n int) []byte {
	f.Write(make([]byte, (32-f.Len()%32)%32+n))
	return f.Bytes()
}

// TestHostile refuses what lies, at once and by its name.
func TestHostile(t *testing.T) {
	cases := map[string]struct {
		file []byte
		want string
	}{
		"empty":             {nil, "cut off"},
		"other magic":       {[]byte("GGML0000000000000000"), "begins with"},
		"version 1":         {(&file{*bytes.NewBufferString(Magic)}).u32(1).u64(0, 0).data(0), "version is 1"},
		"2^60 tensors":      {start(1<<60, 0).data(64), "claims 1152921504606846976 tensors"},
		"2^60 keys":         {start(0, 1<<60).data(64), "claims 1152921504606846976 keys"},
		"2^60 of text":      {start(0, 1).u64(1 << 60).data(64), "bytes of text"},
		"a list of 2^60":    {start(0, 1).text("k").u32(kindList, 4).u64(1 << 60).data(64), "elements"},
		"a long list":       {start(0, 1).text("k").u32(kindList, 4).u64(1 << 20).data(64), "cut off"},
		"lists of lists":    {start(0, 1).text("k").u32(kindList, kindList).u64(1).data(64), "list of lists"},
		"unknown metadata":  {start(0, 1).text("k").u32(99).data(64), "type 99 of metadata"},
		"a key twice":       {start(0, 2).text("k").u32(4, 1).text("k").u32(4, 1).data(0), "twice"},
		"alignment 3":       {start(0, 1).text("general.alignment").u32(4, 3).data(64), "general.alignment is 3"},
		"alignment as text": {start(0, 1).text("general.alignment").u32(kindText).text("32").data(64), "general.alignment"},
		"unknown type":      {start(1, 0).tensor("a", 4, 0).data(128), "unknown type 4"},
		"a tensor twice":    {start(2, 0).tensor("a", 0, 0).tensor("a", 0, 128).data(256), "twice"},
		"overlap":           {start(2, 0).tensor("a", 0, 0).tensor("b", 0, 96).data(256), "overlap"},
		"unaligned":         {start(1, 0).tensor("a", 0, 8).data(256), "multiple of 32"},
		"beyond the end":    {start(1, 0).tensor("a", 0, 0).data(127), "cut off"},
		"offset 2^63":       {start(1, 0).tensor("a", 0, 1<<63).data(128), "begins at byte"},
		"2^60 wide":         {start(1, 0).text("a").u32(1).u64(1 << 60).u32(0).u64(0).data(64), "dimension"},
		"none wide":         {start(1, 0).text("a").u32(1).u64(0).u32(0).u64(0).data(64), "dimension"},
		"2^90 elements":     {start(1, 0).text("a").u32(3).u64(1<<30, 1<<30, 1<<30).u32(0).u64(0).data(64), "dimension"},
		"99 dimensions":     {start(1, 0).text("a").u32(99).u64(1).u32(0).u64(0).data(64), "99 dimensions"},
		"a cut block":       {start(1, 0).text("a").u32(1).u64(33).u32(2).u64(0).data(64), "blocks of 32"},
	}
	for name, c := range cases {
		began := time.Now()
		_, err := Parse(bytes.NewReader(c.file), int64(len(c.file)))
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a format error with %q", name, err, c.want)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
}

func FuzzParse(f *testing.F) {
	tiny, err := os.ReadFile("testdata/tiny.gguf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tiny)
	f.Add(start(1, 0).tensor("a", 0, 0).data(128))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Parse(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("%v is no format error", err)
			}
			return
		}
		var total int64
		for _, x := range file.Tensors {
			total += x.Size
			if x.Begin < 0 || x.Size < 1 || x.Begin+x.Size > int64(len(b)) {
				t.Fatalf("%+v is outside of %d bytes", x, len(b))
			}
			if elems, size := Block(x.Type); Readable(x.Type) {
				values := make([]float32, x.Size/int64(size)*int64(elems))
				if err := Float32s(values, b[x.Begin:][:x.Size], x.Type); err != nil {
					t.Fatal(err)
				}
			}
		}
		if total > int64(len(b)) {
			t.Fatalf("tensors of %d bytes in a file of %d", total, len(b))
		}
	})
}
