package decode

import (
	"testing"

	"github.com/klauspost/compress/zstd"
)

// chunk is 4 MiB of raw bytes, f16 weights in planes, and what is stored of them.
func chunk(t testing.TB) (raw, stored []byte) {
	raw = planes(2 << 20)
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithAllLitEntropyCompression(true))
	if err != nil {
		t.Fatal(err)
	}
	return raw, enc.EncodeAll(raw, nil)
}

// Benchmark gives MB/s of raw bytes of one chunk of f16 weights: decoded, made
// elements of, both, summed, and decoded by klauspost's package. "literals" is
// the high bytes alone, all of which are Huffman codes.
func Benchmark(b *testing.B) {
	raw, stored := chunk(b)
	_, high := chunk(b)
	if enc, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(false), zstd.WithAllLitEntropyCompression(true)); err == nil {
		high = enc.EncodeAll(raw[len(raw)/2:], nil)
	}
	h := newHost(b, true)
	src, dst := Base, Base+len(raw)+64
	out := dst + len(raw)
	h.reserve(out + len(raw))
	decode := func(frame []byte) func() {
		return func() {
			if n := h.decodeAt(b, src, len(frame), dst, len(raw)); n < 0 {
				b.Fatal(Error(n))
			}
		}
	}
	join := func() { h.joinAt(b, dst, out, len(raw)/2, 2) }
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, len(raw))
	for _, c := range []struct {
		name  string
		frame []byte
		n     int
		run   func()
	}{
		{"decode", stored, len(raw), decode(stored)},
		{"literals", high, len(raw) / 2, decode(high)},
		{"join", stored, len(raw), join},
		{"decode+join", stored, len(raw), func() { decode(stored)(); join() }},
		{"sum", stored, len(raw), func() { h.sumAt(b, dst, len(raw), src) }},
		{"klauspost", stored, len(raw), func() { dec.DecodeAll(stored, buf) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			h.write(src, c.frame)
			b.SetBytes(int64(c.n))
			for b.Loop() {
				c.run()
			}
		})
	}
}
