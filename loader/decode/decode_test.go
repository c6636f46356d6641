package decode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/x448/float16"
)

// guard is what surrounds the destination in memory.
const guard = 0xa5

// run decodes a frame into a destination of room bytes that ends with the
// memory, guarded in front, and returns the output.
func (h *host) run(t testing.TB, frame []byte, room int) ([]byte, error) {
	t.Helper()
	const fence = 64
	h.reserve(Base + len(frame) + 2*fence + room)
	dst := h.size() - room
	src := dst - 2*fence - len(frame)
	h.write(src, frame)
	h.write(src+len(frame), bytes.Repeat([]byte{guard}, 2*fence))
	n := h.decodeAt(t, src, len(frame), dst, room)
	if !bytes.Equal(h.read(src+len(frame), 2*fence), bytes.Repeat([]byte{guard}, 2*fence)) {
		t.Fatal("it wrote before its destination")
	}
	if n < 0 {
		return nil, Error(n)
	}
	return h.read(dst, n), nil
}

// planes is n weights of a normal distribution as f16, the low bytes of all
// before the high bytes of all, as chunks hold them.
func planes(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 2*n)
	for i := range n {
		u := float16.Fromfloat32(float32(rng.NormFloat64() * 0.02)).Bits()
		b[i], b[n+i] = byte(u), byte(u>>8)
	}
	return b
}

// samples are inputs of many kinds.
func samples() map[string][]byte {
	rng := rand.New(rand.NewPCG(3, 4))
	random := make([]byte, 300_000)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	skewed := make([]byte, 200_000) // a few symbols, long codes among them
	for i := range skewed {
		skewed[i] = byte(min(rng.ExpFloat64()*3, 255))
	}
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, "line %d of the %s, %x\n", i, []string{"story", "poem", "letter"}[rng.IntN(3)], rng.Uint32()%(1<<(i%20)+1))
	}
	far := append(append(append([]byte{}, random[:100_000]...), make([]byte, 1<<20)...), random[:100_000]...)
	var periods []byte // matches at every short distance
	for d := 1; d < 40; d++ {
		periods = append(periods, bytes.Repeat(random[d*50:d*50+d], 2000/d)...)
	}
	out := map[string][]byte{"empty": nil, "random": random, "skewed": skewed, "text": []byte(text.String()), "far": far, "periods": periods,
		"zeros": make([]byte, 1<<20), "planes": planes(1 << 20), "16MiB": planes(8 << 20), "floats": floats(100_000)}
	for _, n := range []int{1, 2, 3, 5, 6, 7, 31, 32, 63, 64, 255, 256, 1023, 1024, 4095, 131071, 131072, 131073} {
		out[fmt.Sprint("text", n)] = []byte(text.String())[:n]
		out[fmt.Sprint("skewed", n)] = skewed[:n]
	}
	return out
}

// floats is f32 in planes.
func floats(n int) []byte {
	rng := rand.New(rand.NewPCG(5, 6))
	b := make([]byte, 4*n)
	for i := range n {
		u := math.Float32bits(float32(rng.NormFloat64()))
		b[i], b[n+i], b[2*n+i], b[3*n+i] = byte(u), byte(u>>8), byte(u>>16), byte(u>>24)
	}
	return b
}

// TestDecode decodes what klauspost encodes, at every level, with and without
// checksums, literals' entropy coding and a small window.
func TestDecode(t *testing.T) {
	h := newHost(t, true)
	for name, raw := range samples() {
		for level := zstd.SpeedFastest; level <= zstd.SpeedBestCompression; level++ {
			if len(raw) > 300_000 && level != zstd.SpeedDefault {
				continue // minutes, for what smaller inputs show
			}
			for i, options := range [][]zstd.EOption{
				{zstd.WithAllLitEntropyCompression(true), zstd.WithEncoderCRC(false)},
				{zstd.WithWindowSize(1 << 10), zstd.WithSingleSegment(false)},
				{zstd.WithSingleSegment(true), zstd.WithNoEntropyCompression(level == zstd.SpeedFastest)},
			} {
				enc, err := zstd.NewWriter(nil, append(options, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true))...)
				if err != nil {
					t.Fatal(err)
				}
				frame := enc.EncodeAll(raw, nil)
				got, err := h.run(t, frame, len(raw))
				if err != nil || !bytes.Equal(got, raw) {
					t.Errorf("%s, level %v, options %d: %d bytes to %d, %v", name, level, i, len(frame), len(got), err)
				}
				if len(raw) > 0 {
					if _, err := h.run(t, frame, len(raw)-1); err != ErrRoom {
						t.Errorf("%s, level %v, options %d: in a byte less: %v", name, level, i, err)
					}
				}
			}
		}
	}
}

// TestJoin compares join with the loop that says what it is.
func TestJoin(t *testing.T) {
	for _, simd := range []bool{false, true} {
		t.Run(fmt.Sprint("simd=", simd), func(t *testing.T) { testJoin(t, newHost(t, simd)) })
	}
}

func testJoin(t *testing.T, h *host) {
	for _, width := range []int{2, 4} {
		for _, n := range []int{0, 1, 15, 16, 17, 1000, 65536 + 5} {
			src := make([]byte, n*width)
			want := make([]byte, n*width)
			for i := range src {
				src[i] = byte(i*7 + i>>8)
				want[i%n*width+i/n] = src[i]
			}
			h.reserve(Base + 2*len(src) + 64)
			dst := Base + len(src)
			h.write(Base, src)
			h.write(dst, bytes.Repeat([]byte{guard}, len(src)+64))
			h.joinAt(t, Base, dst, n, width)
			if !bytes.Equal(h.read(dst, len(want)), want) || !bytes.Equal(h.read(dst+len(want), 64), bytes.Repeat([]byte{guard}, 64)) {
				t.Errorf("%d elements of width %d differ", n, width)
			}
		}
	}
}

// TestSum compares the module's sum with Sum.
func TestSum(t *testing.T) {
	h := newHost(t, true)
	b := planes(5000)
	h.reserve(Base + len(b) + 64)
	for _, n := range []int{0, 1, 31, 32, 33, 100, 9999} {
		h.write(Base+16, b[:n])
		h.sumAt(t, Base+16, n, Base)
		if got := binary.LittleEndian.Uint64(h.read(Base, 8)); got != Sum(b[:n]) {
			t.Errorf("the sum of %d bytes is %x, want %x", n, got, Sum(b[:n]))
		}
	}
}

// TestErrors: what is wrong with a frame is what the error says, and no part
// of a frame is taken for a whole one.
func TestErrors(t *testing.T) {
	h := newHost(t, true)
	raw := samples()["text4095"]
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		t.Fatal(err)
	}
	frame := enc.EncodeAll(raw, nil) // a checksum, a size of two bytes in a single segment
	if got, err := h.run(t, frame, len(raw)); err != nil || !bytes.Equal(got, raw) {
		t.Fatal(err)
	}
	for n := 1; n < len(frame); n++ {
		if _, err := h.run(t, frame[:n], len(raw)); err == nil {
			t.Errorf("the first %d of %d bytes are taken for a frame", n, len(frame))
		}
	}
	magic := "\x28\xb5\x2f\xfd"
	raw3 := "\x19\x00\x00abc" // a last block of three bytes as they are
	for _, c := range []struct {
		frame string
		want  Error
	}{
		{string(frame[:len(frame)-1]) + string(frame[len(frame)-1]^1), ErrChecksum},
		{"\x29" + string(frame[1:]), ErrMagic},
		{string(frame) + "trailing rubbish", ErrTail},
		{magic + "\x20\x03" + raw3 + magic + "\x20\x03" + raw3, ErrTail},             // two frames
		{magic + "\x20\x03" + raw3 + "\x51\x2a\x4d\x18\x02\x00\x00\x00ab", ErrTail},  // a skippable one behind
		{"\x51\x2a\x4d\x18\x02\x00\x00\x00ab" + magic + "\x20\x03" + raw3, ErrMagic}, // and in front
		{magic + "\x20\x00\x01\x00\x00" + magic + "\x20\x03" + raw3, ErrTail},        // an empty one in front
		{magic + "\x28\x03" + raw3, ErrHeader},
		{magic + "\x21\x07\x03" + raw3, ErrDictionary},
		{magic + "\x20\x04" + raw3, ErrSize},
		{magic + "\x60\xff\xff" + raw3, ErrRoom},
		{magic + "\xe0\x03\x00\x00\x00\x01\x00\x00\x00" + raw3, ErrRoom},
		{magic + "\x00\x71" + raw3, ErrWindow},
		{magic + "\x00\xff" + raw3, ErrWindow},
		{magic + "\x00\x00\x1f\x00\x00abc", ErrBlock},    // of the reserved type
		{magic + "\x00\x00\x0d\x00\x00a", ErrBlock},      // compressed, of one byte
		{magic + "\x00\x00\x09\x20\x00" + "a", ErrBlock}, // larger than the window
		{magic + "\x00\x00\x1a\x00\x00abc", ErrTruncated},
		{magic + "\x00\x00\x1d\x00\x00\x03\x00\x00", ErrTruncated},        // literals by a table that is not there
		{magic + "\x00\x00\x2d\x00\x00\x03\x40\x00\x80\x00", ErrLiterals}, // the same, with bits
		{magic + "\x00\x00\x25\x00\x00\x08a\x01\x00", ErrStream},          // the codes of a sequence are missing
		{magic + "\x00\x00\x2d\x00\x00\x08a\x01\xfc\x01", ErrTable},       // tables to repeat that were never given
	} {
		if _, err := h.run(t, []byte(c.frame), len(raw)); err != c.want {
			t.Errorf("%q: %v, want: %v", c.frame[:min(len(c.frame), 16)], err, c.want)
		}
	}
}
