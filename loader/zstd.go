//go:build !js

package loader

import (
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

var decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxChunk),
		zstd.WithDecoderMaxWindow(MaxChunk), zstd.WithDecodeAllCapLimit(true))
})

// unzstd decodes src to dst and returns how many bytes it gave, at most as many
// as dst has.
func unzstd(dst, src []byte) (int, error) {
	dec, err := decoder()
	if err == nil {
		err = oneFrame(src)
	}
	if err != nil {
		return 0, err
	}
	raw, err := dec.DecodeAll(src, dst[:0:len(dst)])
	return len(raw), err
}

var errFrames = errors.New("it is not one Zstandard frame")

// oneFrame refuses what the library reads besides: several frames, skippable
// ones and none. What is in the frame's blocks is the library's to check.
func oneFrame(src []byte) error {
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		return err
	}
	if h.Skippable {
		return errFrames
	}
	rest := src[h.HeaderSize:]
	for last := false; !last; {
		if len(rest) < 3 {
			return io.ErrUnexpectedEOF
		}
		head := int(rest[0]) | int(rest[1])<<8 | int(rest[2])<<16
		size := head >> 3
		if head>>1&3 == 1 { // one byte, repeated
			size = 1
		}
		if last = head&1 == 1; len(rest) < 3+size {
			return io.ErrUnexpectedEOF
		}
		rest = rest[3+size:]
	}
	if h.HasCheckSum && len(rest) >= 4 {
		rest = rest[4:]
	}
	if len(rest) > 0 {
		return errFrames
	}
	return nil
}
