package loader

import (
	"encoding/binary"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// planeWidth is the number of byte planes of a floating-point dtype; 1 for
// the others, which are stored plainly.
func planeWidth(dtype string) int {
	switch dtype {
	case "f32":
		return 4
	case "f16", "bf16":
		return 2
	}
	return 1
}

// Split writes src, elements of width bytes each, to dst as byte planes: first
// byte 0 of every element, then byte 1 of every element. Exponent bytes side
// by side are what zstd can compress in weights. Both have the same length, a
// multiple of width.
func Split(dst, src []byte, width int) {
	n := len(src) / width
	for j := range width {
		plane := dst[j*n : (j+1)*n]
		for i := range plane {
			plane[i] = src[i*width+j]
		}
	}
}

// Join is the inverse of [Split].
func Join(dst, src []byte, width int) { joinFrom(dst, src, width, 0) }

// joinFrom is the part of Join that makes the elements of dst: those from
// number first on.
func joinFrom(dst, src []byte, width, first int) {
	all, n := len(src)/width, len(dst)/width
	plane := func(j int) []byte { return src[j*all+first : j*all+first+n] }
	switch width {
	case 2:
		join2(dst, plane(0), plane(1))
	case 4:
		b0, b1, b2, b3 := plane(0), plane(1), plane(2), plane(3)
		dst = dst[:4*n]
		for i, b := range b0 {
			v := uint32(b) | uint32(b1[i])<<8 | uint32(b2[i])<<16 | uint32(b3[i])<<24
			binary.LittleEndian.PutUint32(dst[4*i:], v)
		}
	default:
		copy(dst, plane(0))
	}
}

// join2 interleaves four elements at a time: this loop sees every weight of
// an f16 model.
func join2(dst, lo, hi []byte) {
	le := binary.LittleEndian
	i := 0
	for ; i+4 <= len(lo) && i+4 <= len(hi); i += 4 {
		le.PutUint64(dst[2*i:], spread(le.Uint32(lo[i:]))|spread(le.Uint32(hi[i:]))<<8)
	}
	for ; i < len(lo); i++ {
		dst[2*i], dst[2*i+1] = lo[i], hi[i]
	}
}

// spread puts a zero byte after each byte of v.
func spread(v uint32) uint64 {
	x := uint64(v)
	x = (x | x<<16) & 0x0000ffff0000ffff
	return (x | x<<8) & 0x00ff00ff00ff00ff
}

// encoders is a pool and no initialised variable, so that a program that only
// reads models is linked without the encoder.
var encoders sync.Pool

// EncodeChunk compresses raw bytes where that saves a sixteenth or more: for
// less, as with q8, decoding takes longer than the download of the difference.
// It returns what is stored, which may be raw itself, and the encoding's name.
func EncodeChunk(raw []byte) (stored []byte, encoding string, err error) {
	enc, _ := encoders.Get().(*zstd.Encoder)
	if enc == nil {
		// Weights have no repeats, so a match finder finds nothing; entropy
		// coding of literals is the whole gain, and it must be asked for.
		if enc, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithAllLitEntropyCompression(true)); err != nil {
			return nil, "", err
		}
	}
	defer encoders.Put(enc)
	if out := enc.EncodeAll(raw, make([]byte, 0, len(raw))); len(out) <= len(raw)-len(raw)/16 {
		return out, "zstd", nil
	}
	return raw, "raw", nil
}

// DecodeChunk returns c's raw bytes from its stored ones, in buf where that is
// large enough. It allocates no more than c.Raw bytes for them, whatever the
// stored bytes claim. The hash is the caller's to check.
func DecodeChunk(c Chunk, stored, buf []byte) ([]byte, error) {
	if c.Encoding == "raw" {
		if int64(len(stored)) != c.Raw {
			return nil, badModel("chunk %s holds %d bytes, the manifest says %d", c.SHA256, len(stored), c.Raw)
		}
		return stored, nil
	}
	if int64(cap(buf)) < c.Raw {
		buf = make([]byte, c.Raw)
	}
	n, err := unzstd(buf[:c.Raw], stored)
	if err := unpacked(c, n, err); err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// unpacked is the error in decompressing a chunk to n bytes.
func unpacked(c Chunk, n int, err error) error {
	if err != nil {
		return badModel("chunk %s does not decompress: %v", c.SHA256, err)
	}
	if int64(n) != c.Raw {
		return badModel("chunk %s decompresses to %d bytes, the manifest says %d", c.SHA256, n, c.Raw)
	}
	return nil
}
