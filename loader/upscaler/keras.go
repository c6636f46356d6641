package upscaler

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"

	"wisp/loader/safetensors"
)

// manifest is what counts of a model.json: TensorFlow.js's "layers-model".
type manifest struct {
	Weights []struct {
		Paths   []string `json:"paths"`
		Weights []struct {
			Name         string          `json:"name"`
			Shape        []int           `json:"shape"`
			DType        string          `json:"dtype"`
			Quantization json.RawMessage `json:"quantization"`
		} `json:"weights"`
	} `json:"weightsManifest"`
}

// The most that a manifest and the weights of an upscaler may be, in bytes.
const (
	maxManifest = 1 << 20
	maxWeights  = 1 << 28
)

// openKeras reads a model.json and all weights that it names. A convolution's
// kernel (h, w, in, out) becomes "NAME.weight" (out, in, h, w).
func openKeras(name string, open func(string) (safetensors.Blob, error)) (*File, error) {
	text, err := readAll(name, open, maxManifest)
	if err != nil {
		return nil, err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFile, err)
	}
	f := &File{close: func() error { return nil }}
	left := maxWeights // for all groups together: they may name a file again and again
	for _, group := range m.Weights {
		var data []byte
		for _, p := range group.Paths {
			if p == "" || path.Base(p) != p || strings.ContainsAny(p, `\:`) {
				return nil, fmt.Errorf("%w: its weights are in %q, which is not a file beside it", ErrFile, p)
			}
			part, err := readAll(p, func(p string) (safetensors.Blob, error) { return open(path.Join(path.Dir(name), p)) }, left)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p, err)
			}
			left -= len(part)
			data = append(data, part...)
		}
		for _, w := range group.Weights {
			size := 4
			for _, d := range w.Shape {
				if d < 1 || size > maxWeights/d {
					return nil, fmt.Errorf("%w: %s has the shape %v", ErrFile, w.Name, w.Shape)
				}
				size *= d
			}
			if w.DType != "float32" || w.Quantization != nil {
				return nil, fmt.Errorf("%w: %s is %s, quantised or not: only float32 is read", ErrFile, w.Name, w.DType)
			}
			if size > len(data) {
				return nil, fmt.Errorf("%w: its weights end within %s", ErrFile, w.Name)
			}
			t, err := kerasTensor(w.Name, w.Shape, data[:size])
			if err != nil {
				return nil, err
			}
			f.tensors, data = append(f.tensors, t), data[size:]
		}
		if len(data) > 0 {
			return nil, fmt.Errorf("%w: %d bytes follow its weights", ErrFile, len(data))
		}
	}
	return f, nil
}

func kerasTensor(name string, shape []int, data []byte) (tensor, error) {
	if i := safetensors.NonFinite(data, "F32"); i >= 0 {
		return tensor{}, fmt.Errorf("%w: %s: value %d is not a finite number", ErrFile, name, i)
	}
	if stem, ok := strings.CutSuffix(name, "/kernel"); ok && len(shape) == 4 {
		kh, kw, in, out := shape[0], shape[1], shape[2], shape[3]
		turned := make([]byte, len(data))
		for i := range len(data) / 4 {
			tap, c, o := i/out/in, i/out%in, i%out
			copy(turned[4*((o*in+c)*kh*kw+tap):][:4], data[4*i:])
		}
		return tensor{stem + ".weight", "f32", []int{out, in, kh, kw}, func() ([]byte, error) { return turned, nil }}, nil
	}
	return tensor{strings.ReplaceAll(name, "/", "."), "f32", shape, func() ([]byte, error) { return data, nil }}, nil
}

func readAll(name string, open func(string) (safetensors.Blob, error), most int) ([]byte, error) {
	b, err := open(name)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if b.Size() > int64(most) {
		return nil, fmt.Errorf("%w: it is %d bytes long, at most %d are read", ErrFile, b.Size(), most)
	}
	data := make([]byte, b.Size())
	_, err = io.ReadFull(io.NewSectionReader(b, 0, b.Size()), data)
	return data, err
}
