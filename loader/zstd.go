//go:build !js

package loader

import (
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
	if err != nil {
		return 0, err
	}
	raw, err := dec.DecodeAll(src, dst[:0:len(dst)])
	return len(raw), err
}
