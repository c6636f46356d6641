package adapter

import (
	"encoding/binary"
	"fmt"
	"math"
	"path"
	"strings"

	"wisp/loader/safetensors"
)

// Embedding is a file of textual inversion: a word and what it means to the
// text encoders.
type Embedding struct {
	Names   []string               // the file's, and the one inside
	Vectors map[string][][]float32 // by component; "" for whichever they fit
}

// maxVectors bounds those of a word.
const maxVectors = 75

// OpenEmbedding reads a .safetensors file as AUTOMATIC1111 ("emb_params"),
// ComfyUI ("clip_l", "clip_g") and diffusers (the word itself) write it.
func OpenEmbedding(name string, open func() (safetensors.Blob, error)) (Embedding, error) {
	e := Embedding{Vectors: map[string][][]float32{}}
	if safetensors.Pickled(name) {
		return e, fmt.Errorf("%s: %w", name, safetensors.ErrPickle)
	}
	f, err := Open(name, open, nil)
	if err != nil {
		return e, err
	}
	defer f.Close()
	e.Names = []string{strings.TrimSuffix(path.Base(name), path.Ext(name))}
	for _, t := range f.file.Tensors {
		component, ok := map[string]string{"clip_l": "text_encoder", "clip_g": "text_encoder_2", "emb_params": ""}[t.Name]
		if !ok && len(f.file.Tensors) == 1 {
			e.Names = append(e.Names, t.Name)
		} else if !ok {
			return e, fmt.Errorf("%s: %w: %s is no tensor of an embedding", name, ErrFile, t.Name)
		}
		if e.Vectors[component], err = f.vectors(t); err != nil {
			return e, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(e.Vectors) == 0 {
		return e, fmt.Errorf("%s: %w: it is empty", name, ErrFile)
	}
	return e, nil
}

// vectors are a tensor's rows; one of a single dimension is one.
func (f *File) vectors(t safetensors.Tensor) ([][]float32, error) {
	shape := t.Shape
	if len(shape) == 1 {
		shape = append([]int{1}, shape...)
	}
	if len(shape) != 2 || shape[0] < 1 || shape[0] > maxVectors || shape[1] < 1 {
		return nil, fmt.Errorf("%w: %s is %v, not 1 to %d vectors", ErrFile, t.Name, t.Shape, maxVectors)
	}
	dtype, data, err := f.read(t)
	if err != nil {
		return nil, err
	}
	out := make([][]float32, shape[0])
	for i := range t.Elems() {
		var v float32
		switch dtype {
		case "f32":
			v = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		case "f16":
			v = half(binary.LittleEndian.Uint16(data[2*i:]))
		case "bf16":
			v = math.Float32frombits(uint32(binary.LittleEndian.Uint16(data[2*i:])) << 16)
		}
		out[i/shape[1]] = append(out[i/shape[1]], v)
	}
	return out, nil
}

// half is the value of a finite f16.
func half(b uint16) float32 {
	exp, man := int(b>>10&31), float64(b&1023)
	v := math.Ldexp(man, -24)
	if exp > 0 {
		v = math.Ldexp(1024+man, exp-25)
	}
	if b>>15 != 0 {
		v = -v
	}
	return float32(v)
}
