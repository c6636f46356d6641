// Package single makes the golden checkpoint of this folder whole; draw.py
// says what it is.
package single

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Tiny is a small single-file checkpoint of Stable Diffusion 1, from the
// folder: what is kept there, and the table of words, which is computed.
func Tiny(dir string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, "tiny.safetensors"))
	if err != nil {
		return nil, err
	}
	const words, width = 49408, 16
	n := binary.LittleEndian.Uint64(b)
	body := b[8+n:]
	head := strings.TrimRight(string(b[8:8+n]), " ")
	head = fmt.Sprintf(`%s,"cond_stage_model.transformer.text_model.embeddings.token_embedding.weight":{"dtype":"F32","shape":[%d,%d],"data_offsets":[%d,%d]}}`,
		head[:len(head)-1], words, width, len(body), len(body)+4*words*width)
	b = slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), []byte(head), body)
	for i := range words {
		for j := range width {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32((31*i+17*j+i*j)%61-30)/32))
		}
	}
	return b, nil
}
