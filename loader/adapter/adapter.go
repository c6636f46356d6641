// Package adapter reads files of small changes to a model: LoRA and its kin of
// LyCORIS as kohya's scripts, diffusers, PEFT and ComfyUI write them, for
// models of any of their naming. It finds the layers that the keys mean among
// those of a model and knows nothing of what the changes compute. Start at
// [Open] and [File.Parts].
package adapter

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strings"

	"wisp/loader/safetensors"
)

// ErrFile: the file is no adapter, or a tensor of it cannot be used. The
// message names the key.
var ErrFile = errors.New("not an adapter that wisp reads")

// File is an open adapter.
type File struct {
	name   string
	blob   safetensors.Blob
	file   *safetensors.File
	alphas alphas
}

// Open opens a .safetensors file; config, which may be nil, is the
// adapter_config.json that PEFT writes beside it. Close the file after use.
func Open(name string, open func() (safetensors.Blob, error), config []byte) (*File, error) {
	blob, err := open()
	if err != nil {
		return nil, err
	}
	base := path.Base(name)
	f := &File{name: strings.TrimSuffix(base, path.Ext(base)), blob: blob}
	if f.file, err = safetensors.Parse(blob, blob.Size()); err == nil {
		f.alphas, err = readAlphas(f.file.Metadata, config)
	}
	if err != nil {
		blob.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// Close closes the file.
func (f *File) Close() error { return f.blob.Close() }

// Name is the file's, without its extension: what a prompt calls it.
func (f *File) Name() string { return f.name }

// Rename gives the file another name for prompts.
func (f *File) Rename(name string) { f.name = name }

// Metadata is what the program that made the file wrote into it.
func (f *File) Metadata() map[string]string { return f.file.Metadata }

// Targets are the shapes of a model's weights, by component and name.
type Targets = map[string]map[string][]int

// Each is told of one tensor of a change: of which weight, which part of the
// change it is, its key in the file, its shape and how to read it: as "f32",
// "f16" or "bf16", little-endian.
type Each = func(component, weight, part, key string, shape []int, read func() (dtype string, data []byte, err error)) error

// Parts finds the weights that the file changes and tells each of its tensors.
// Parts are named as package wisp/engine/model has them: "down", "up", "mid",
// "alpha", "dora_scale", ... Unknown lists the keys that are of no form or of
// no layer of the model, sorted.
func (f *File) Parts(targets Targets, each Each) (unknown []string, err error) {
	groups := map[string][]entry{} // by stem
	for _, t := range f.file.Tensors {
		stem, part := split(t.Name)
		groups[stem] = append(groups[stem], entry{t, part})
	}
	n := newFinder(targets)
	stems := make([]string, 0, len(groups))
	for stem := range groups {
		stems = append(stems, stem)
	}
	slices.Sort(stems)
	for _, stem := range stems {
		left, err := f.group(n, stem, groups[stem], each)
		if err != nil {
			return nil, err
		}
		unknown = append(unknown, left...)
	}
	slices.Sort(unknown)
	return unknown, nil
}

// entry is a tensor of the file and what it is of its change.
type entry struct {
	safetensors.Tensor
	part string // "" for a tensor of no known form
}

// group tells the tensors of one layer's change, and returns the keys that
// mean no layer.
func (f *File) group(n *finder, stem string, entries []entry, each Each) (unknown []string, err error) {
	ia3 := slices.ContainsFunc(entries, func(e entry) bool { return e.part == "on_input" })
	entries = slices.DeleteFunc(entries, func(e entry) bool {
		alone := e.part == "" || e.part == "weight" && !ia3
		if alone {
			unknown = append(unknown, e.Name)
		}
		return alone
	})
	if len(entries) == 0 {
		return unknown, nil
	}
	l, ok := n.find(stem, rowsOf(entries))
	if !ok {
		for _, e := range entries {
			unknown = append(unknown, e.Name)
		}
		return unknown, nil
	}
	for i := range entries {
		if entries[i].part == "weight" {
			entries[i].part = "ia3"
		}
	}
	if a, ok := f.alphas.of(stem, entries); ok {
		entries = append(entries, a)
	}
	for _, rows := range l.pieces {
		for _, e := range entries {
			if err := f.tell(l, rows, e, each); err != nil {
				return nil, err
			}
		}
	}
	return unknown, nil
}

// tell hands on a tensor of a change, or the rows of it that are a piece's.
func (f *File) tell(l layer, p piece, e entry, each Each) error {
	weight, part := p.Name, e.part
	switch part {
	case "diff_b", "b_norm":
		weight, part = strings.TrimSuffix(weight, "weight")+"bias", "diff"
	case "replace_b":
		weight, part = strings.TrimSuffix(weight, "weight")+"bias", "replace"
	case "w_norm":
		part = "diff"
	}
	if _, ok := l.weights[weight]; !ok {
		return fmt.Errorf("%w: %s: this model has no %s", ErrFile, e.Name, weight)
	}
	t := e.Tensor
	if part == "ia3" && len(l.pieces) > 1 || strings.HasPrefix(part, "lokr_") && len(l.pieces) > 1 {
		return fmt.Errorf("%w: %s changes a projection that is three in this model, in a form that cannot be parted", ErrFile, e.Name)
	}
	if hasRows[e.part] && (len(l.pieces) > 1 || p.Swapped) && len(t.Shape) > 0 && t.Shape[0] == l.rows {
		t = t.Rows(p.From, p.N)
		t.Swapped = p.Swapped
	}
	return each(l.component, weight, part, e.Name, t.Shape, func() (string, []byte, error) { return f.read(t) })
}

// hasRows are the parts whose first dimension is that of the layer's result.
var hasRows = map[string]bool{"up": true, "up_bias": true, "hada_w1_a": true, "hada_w2_a": true, "diff": true, "diff_b": true, "replace": true, "replace_b": true, "dora_scale": true}

// rowsOf is the number of rows of the layer that a change is of, 0 where that
// cannot be told.
func rowsOf(entries []entry) int {
	rows := 0
	for _, e := range entries {
		if hasRows[e.part] && len(e.Shape) > 0 && e.part != "dora_scale" {
			rows = max(rows, e.Shape[0])
		}
	}
	return rows
}

// read is a tensor's values, which must be finite.
func (f *File) read(t safetensors.Tensor) (dtype string, data []byte, err error) {
	if t.Scale != 0 { // a number of the metadata
		return "f32", float32s([]float32{t.Scale}), nil
	}
	data = make([]byte, t.Size)
	if _, err := io.ReadFull(f.file.Section(t), data); err != nil {
		return "", nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	if t.Swapped {
		half := len(data) / 2
		data = append(data[half:len(data):len(data)], data[:half]...)
	}
	le := binary.LittleEndian
	switch t.DType {
	case "F32", "F16", "BF16":
		if i := notFinite(t.DType, data); i >= 0 {
			return "", nil, fmt.Errorf("%w: %s: value %d is not a finite number", ErrFile, t.Name, i)
		}
		return strings.ToLower(t.DType), data, nil
	case "F64":
		v := make([]float32, t.Elems())
		for i := range v {
			v[i] = float32(math.Float64frombits(le.Uint64(data[8*i:])))
		}
		data = float32s(v)
		if i := notFinite("F32", data); i >= 0 {
			return "", nil, fmt.Errorf("%w: %s: value %d is not a finite number", ErrFile, t.Name, i)
		}
		return "f32", data, nil
	case "I64":
		v := make([]float32, t.Elems())
		for i := range v {
			v[i] = float32(int64(le.Uint64(data[8*i:])))
		}
		return "f32", float32s(v), nil
	case "BOOL", "U8":
		v := make([]float32, t.Elems())
		for i := range v {
			v[i] = float32(data[i])
		}
		return "f32", float32s(v), nil
	}
	return "", nil, fmt.Errorf("%w: %s is %s: give it in F32, F16 or BF16", ErrFile, t.Name, t.DType)
}

// notFinite is the number of the first value that is NaN or infinite, −1
// without one.
func notFinite(dtype string, data []byte) int {
	width, high, low := 2, byte(0x7c), byte(0)
	switch dtype {
	case "F32":
		width, high, low = 4, 0x7f, 0x80
	case "BF16":
		high, low = 0x7f, 0x80
	}
	for i := width - 1; i < len(data); i += width {
		if data[i]&high == high && data[i-1]&low == low {
			return i / width
		}
	}
	return -1
}

func float32s(v []float32) []byte {
	out := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b := math.Float32bits(x)
		out = append(out, byte(b), byte(b>>8), byte(b>>16), byte(b>>24))
	}
	return out
}

// piece is rows of a layer's weight under the model's name for them.
type piece = rows

// sortedKeys are the keys of a map.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
