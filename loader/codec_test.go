package loader

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/x448/float16"

	"wisp/loader/decode"
)

func TestPlanes(t *testing.T) {
	for _, c := range []struct {
		width    int
		in, want string
	}{
		{1, "000102", "000102"},
		{2, "000110112021", "001020" + "011121"},
		{4, "0001020310111213", "0010" + "0111" + "0212" + "0313"},
	} {
		in, _ := hex.DecodeString(c.in)
		out, back := make([]byte, len(in)), make([]byte, len(in))
		Split(out, in, c.width)
		Join(back, out, c.width)
		if got := hex.EncodeToString(out); got != c.want || !bytes.Equal(in, back) {
			t.Errorf("width %d: %s and back %x", c.width, got, back)
		}
	}
}

// TestRatio: byte-planed Gaussian f16 weights take at most 0.86 of their size.
func TestRatio(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	plain := make([]byte, 2<<20)
	for i := 0; i < len(plain); i += 2 {
		binary.LittleEndian.PutUint16(plain[i:], float16.Fromfloat32(float32(rng.NormFloat64()*0.02)).Bits())
	}
	raw := make([]byte, len(plain))
	Split(raw, plain, 2)
	stored, encoding, err := EncodeChunk(raw)
	if err != nil || encoding != "zstd" {
		t.Fatal(encoding, err)
	}
	if r := float64(len(stored)) / float64(len(raw)); r > 0.86 {
		t.Errorf("ratio %.3f", r)
	}
	back, err := DecodeChunk(Chunk{Raw: int64(len(raw)), Encoding: encoding}, stored, nil)
	if err != nil || !bytes.Equal(back, raw) {
		t.Errorf("decoding: %v", err)
	}
}

// TestOneFrame: a chunk is one frame: no second one, none that is skipped, none
// that is empty, nothing behind it.
func TestOneFrame(t *testing.T) {
	raw := bytes.Repeat([]byte("wisp"), 1000)
	frame, encoding, err := EncodeChunk(raw)
	if err != nil || encoding != "zstd" {
		t.Fatal(encoding, err)
	}
	skipped, empty := []byte("\x51\x2a\x4d\x18\x02\x00\x00\x00ab"), []byte("\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00")
	for name, c := range map[string]struct {
		stored []byte
		times  int
		ok     bool
	}{
		"one":                  {frame, 1, true},
		"two":                  {slices.Concat(frame, frame), 2, false},
		"empty in front":       {slices.Concat(bytes.Repeat(empty, 1000), frame), 1, false},
		"empty behind":         {slices.Concat(frame, empty), 1, false},
		"skippable in front":   {slices.Concat(skipped, frame), 1, false},
		"skippable behind":     {slices.Concat(frame, skipped), 1, false},
		"rubbish behind":       {slices.Concat(frame, []byte{0}), 1, false},
		"cut":                  {frame[:len(frame)-1], 1, false},
		"a header and no more": {frame[:6], 1, false},
	} {
		b, err := DecodeChunk(Chunk{SHA256: "x", Raw: int64(len(raw) * c.times), Encoding: "zstd"}, c.stored, nil)
		if c.ok && (err != nil || !bytes.Equal(b, raw)) || !c.ok && !errors.Is(err, ErrBadModel) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

// TestBomb: a small chunk that would expand to far more than it declares
// stops at the declared size.
func TestBomb(t *testing.T) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bomb := enc.EncodeAll(make([]byte, 64<<20), nil)
	for _, raw := range []int64{1, 1000, MaxChunk} {
		if _, err := DecodeChunk(Chunk{Raw: raw, Encoding: "zstd"}, bomb, nil); !errors.Is(err, ErrBadModel) {
			t.Errorf("raw %d: %v", raw, err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	DecodeChunk(Chunk{Raw: 1000, Encoding: "zstd"}, bomb, nil)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
		t.Errorf("%d bytes were allocated for 1,000", n)
	}
}

// FuzzChunk: hostile stored bytes give an error or exactly the declared size.
func FuzzChunk(f *testing.F) {
	for _, raw := range [][]byte{[]byte("abc"), make([]byte, 5000), bytes.Repeat([]byte{1, 2, 3, 4, 5}, 999)} {
		stored, _, err := EncodeChunk(raw)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(stored, uint16(len(raw)), true)
		f.Add(stored, uint16(len(stored)), false)
	}
	f.Fuzz(func(t *testing.T, stored []byte, raw uint16, compressed bool) {
		c := Chunk{Raw: int64(raw) + 1, Encoding: "raw"}
		if compressed {
			c.Encoding = "zstd"
		}
		got, err := DecodeChunk(c, stored, nil)
		if err == nil && int64(len(got)) != c.Raw || err != nil && !errors.Is(err, ErrBadModel) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}

// FuzzPlanes: joining undoes splitting for every width and length.
func FuzzPlanes(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, width := range []int{1, 2, 4} {
			in := b[:len(b)/width*width]
			planes, back := make([]byte, len(in)), make([]byte, len(in))
			Split(planes, in, width)
			Join(back, planes, width)
			if !bytes.Equal(in, back) {
				t.Fatalf("width %d", width)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	rng := rand.New(rand.NewPCG(9, 9))
	for _, c := range []struct {
		name  string
		width int
		fill  func([]byte)
	}{
		{"f16", 2, func(p []byte) {
			for i := 0; i < len(p); i += 2 {
				binary.LittleEndian.PutUint16(p[i:], float16.Fromfloat32(float32(rng.NormFloat64()*0.02)).Bits())
			}
		}},
		{"q8", 1, func(p []byte) {
			for i := range p {
				p[i] = byte(int8(math.Max(-127, math.Min(127, math.Round(rng.NormFloat64()*50)))))
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			plain := make([]byte, 4<<20)
			c.fill(plain)
			raw, out := make([]byte, len(plain)), make([]byte, len(plain))
			Split(raw, plain, c.width)
			stored, encoding, err := EncodeChunk(raw)
			if err != nil {
				b.Fatal(err)
			}
			chunk := Chunk{Stored: int64(len(stored)), Raw: int64(len(raw)), Encoding: encoding}
			b.SetBytes(chunk.Raw)
			var buf []byte
			for b.Loop() {
				if _, err := Digest(b.Context(), stored); err != nil {
					b.Fatal(err)
				}
				if buf, err = DecodeChunk(chunk, stored, buf); err != nil {
					b.Fatal(err)
				}
				Join(out, buf, c.width)
			}
		})
	}
}

func BenchmarkLaidSum(b *testing.B) {
	p := make([]byte, 4<<20)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		decode.Sum(p)
	}
}
