//go:build !js

package decode

import (
	"bytes"
	"errors"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// FuzzDecoder compares verdict and bytes with klauspost's decoder. This one is
// stricter in the few points where the format is, and takes one frame, where
// the library takes any number of them, and skippable ones.
func FuzzDecoder(f *testing.F) {
	const room = 1 << 16
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxWindow),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		f.Fatal(err)
	}
	h := newHost(f, true)
	f.Fuzz(func(t *testing.T, frame []byte) {
		got, err := h.run(t, frame, room)
		want, theirs := dec.DecodeAll(frame, make([]byte, 0, room))
		switch {
		case err == nil && theirs == nil && !bytes.Equal(got, want):
			t.Errorf("%d bytes differ from klauspost's %d", len(got), len(want))
		case err == nil && theirs != nil:
			t.Errorf("%d bytes where klauspost says: %v", len(got), theirs)
		case len(frame) == 0 || bytes.HasPrefix(frame[min(len(frame), 1):], []byte{0x2a, 0x4d, 0x18}):
			if err == nil {
				t.Errorf("%d bytes of no frame", len(got))
			}
		case err != nil && theirs == nil && !errors.Is(err, ErrZeroOffset) && !errors.Is(err, ErrTail):
			t.Errorf("%v where klauspost decodes %d bytes", err, len(want))
		}
	})
}

// seeds are small frames that use all of the format that an encoder does.
func seeds(t testing.TB) (out [][]byte) {
	all := samples()
	for _, name := range []string{"text1023", "skewed4095", "skewed255", "periods", "zeros"} {
		raw := all[name]
		raw = raw[:min(len(raw), 3000)]
		for _, options := range [][]zstd.EOption{
			{zstd.WithEncoderCRC(false), zstd.WithAllLitEntropyCompression(true)},
			{zstd.WithEncoderCRC(false), zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(1 << 10), zstd.WithSingleSegment(false)},
			{zstd.WithEncoderCRC(true), zstd.WithEncoderLevel(zstd.SpeedBestCompression)},
		} {
			enc, err := zstd.NewWriter(nil, options...)
			if err != nil {
				t.Fatal(err)
			}
			frame := enc.EncodeAll(raw, nil)
			out = append(out, frame, append([]byte{0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9}, frame...), append(frame, frame...))
		}
	}
	return append(out, nil, []byte{0x28, 0xb5, 0x2f, 0xfd})
}
