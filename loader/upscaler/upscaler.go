// Package upscaler reads checkpoints of networks that enlarge pictures: a
// .safetensors file, or a model.json of TensorFlow.js with its weights beside
// it, as UpscalerJS ships them. Start at [Open].
package upscaler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"wisp/loader/safetensors"
)

// ErrFile: the file is no checkpoint that is read; the message names what is
// wrong with it.
var ErrFile = errors.New("not an upscaler's checkpoint")

// File is an open checkpoint.
type File struct {
	tensors []tensor
	close   func() error
}

// tensor is a weight in f32, f16 or bf16.
type tensor struct {
	name, dtype string
	shape       []int
	read        func() ([]byte, error)
}

// Open opens a checkpoint; open gets its name, and those of the files that it
// names. Close it after use.
func Open(name string, open func(name string) (safetensors.Blob, error)) (*File, error) {
	if path.Ext(name) == ".json" {
		f, err := openKeras(name, open)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return f, nil
	}
	set, err := safetensors.OpenSet(name, open)
	if err != nil {
		return nil, err
	}
	f := &File{close: set.Close}
	for _, t := range set.Tensors {
		dtype := strings.ToLower(t.DType)
		if dtype != "f32" && dtype != "f16" && dtype != "bf16" {
			set.Close()
			return nil, fmt.Errorf("%s: %w: the tensor %s is %s: give it in F32 or F16", name, ErrFile, t.Name, t.DType)
		}
		f.tensors = append(f.tensors, tensor{t.Name, dtype, t.Shape, func() ([]byte, error) {
			r, err := set.Section(t)
			if err != nil {
				return nil, err
			}
			data := make([]byte, t.Size)
			if _, err := io.ReadFull(r, data); err != nil {
				return nil, err
			}
			if i := safetensors.NonFinite(data, t.DType); i >= 0 {
				return nil, fmt.Errorf("%w: value %d is not a finite number", ErrFile, i)
			}
			return data, nil
		}})
	}
	return f, nil
}

// Close closes the files.
func (f *File) Close() error { return f.close() }

// Shapes are those of the weights, by their names.
func (f *File) Shapes() map[string][]int {
	shapes := map[string][]int{}
	for _, t := range f.tensors {
		shapes[t.name] = t.shape
	}
	return shapes
}

// Stream tells each weight, as f32, f16 or bf16, and how to have it written.
func (f *File) Stream(ctx context.Context, each func(name, dtype string, shape []int, fill func(io.WriterAt) error) error) error {
	for _, t := range f.tensors {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := each(t.name, t.dtype, t.shape, func(w io.WriterAt) error {
			data, err := t.read()
			if err == nil {
				_, err = w.WriteAt(data, 0)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}
