package diffusion

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/png"
	"io"
)

// EncodePNG writes img with the settings in a "parameters" text chunk, where
// AUTOMATIC1111 and its successors look for them: tEXt where Latin-1 can hold
// the text, else iTXt (PNG specification, 11.3.3).
func EncodePNG(w io.Writer, img image.Image, parameters string) error {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return err
	}
	const header = 8 + 4 + 4 + 13 + 4 // signature and IHDR
	file := b.Bytes()
	for _, part := range [][]byte{file[:header], textChunk("parameters", parameters), file[header:]} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

func textChunk(keyword, text string) []byte {
	if latin, ok := latin1(text); ok {
		return chunk("tEXt", append([]byte(keyword+"\x00"), latin...))
	}
	// No compression, no language, no translated keyword.
	return chunk("iTXt", []byte(keyword+"\x00\x00\x00\x00\x00"+text))
}

func latin1(s string) ([]byte, bool) {
	var out []byte
	for _, r := range s {
		if r == 0 || r > 0xff {
			return nil, false
		}
		out = append(out, byte(r))
	}
	return out, true
}

func chunk(kind string, data []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	out = append(append(out, kind...), data...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}
