// Package network reads the file of one network that a model is given beside its
// own: a ControlNet, an IP-Adapter, an image encoder. It knows no engine. Start
// at [Open].
package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"wisp/loader/safetensors"
)

// ErrUnknown: a file is not what it is taken for.
var ErrUnknown = errors.New("not a network of that kind")

// File is an open checkpoint as the weights of a network.
type File struct{ files, tensors *safetensors.Set }

// Open makes the weights of a set of tensors, renamed by names, which may be
// nil. The set is closed with the file, and where it fails.
func Open(set *safetensors.Set, names func(*safetensors.Set) (*safetensors.Set, error)) (*File, error) {
	f := &File{set, set}
	if names != nil {
		var err error
		if f.tensors, err = names(set); err != nil {
			return nil, errors.Join(err, set.Close())
		}
	}
	return f, nil
}

// Close closes the files that the weights are in.
func (f *File) Close() error { return f.files.Close() }

// Stream hands out each weight with what writes its bytes. What is neither f32
// nor f16 becomes f32. There is one component, whose name does not count.
func (f *File) Stream(ctx context.Context, _ string, _ []string, each func(name, dtype string, shape []int, fill func(io.WriterAt) error) error) error {
	for _, t := range f.tensors.Tensors {
		if err := ctx.Err(); err != nil {
			return err
		}
		dtype := "f32"
		if t.DType == "F16" {
			dtype = "f16"
		}
		fill := func(to io.WriterAt) error {
			data, err := f.read(t)
			if err == nil {
				_, err = to.WriteAt(data, 0)
			}
			return err
		}
		if err := each(t.Name, dtype, t.Shape, fill); err != nil {
			return err
		}
	}
	return nil
}

// read is a tensor's bytes in f16 or f32.
func (f *File) read(t safetensors.Tensor) ([]byte, error) {
	section, err := f.tensors.Section(t)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(section)
	if err != nil || t.DType == "F16" || t.DType == "F32" {
		return data, err
	}
	values := make([]float32, t.Elems())
	if err := safetensors.Float32s(values, data, t.DType); err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	out := make([]byte, 0, 4*len(values))
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out, nil
}
