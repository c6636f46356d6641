// Package seeded makes the weights of goldens from their seeds, to the bits
// that ../seeded.py gave torch: a golden keeps X.seeds.json, and X.safetensors
// only for the tensors that no seed gives. Start at [File] and [Copy].
package seeded

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/x448/float16"

	"wisp/loader/safetensors"
)

const (
	weights = ".safetensors"
	seeds   = ".seeds.json"
)

// Tensor is an entry of a seeds file: element i is Mean + Deviation·normal(Key, i).
type Tensor struct {
	DType           string // "F32" or "F16"
	Shape           []int
	Key             uint64
	Deviation, Mean float64
}

// UnmarshalJSON reads [dtype, shape, key, deviation, mean].
func (t *Tensor) UnmarshalJSON(b []byte) error {
	fields := []any{&t.DType, &t.Shape, &t.Key, &t.Deviation, &t.Mean}
	n := len(fields)
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	if len(fields) != n {
		return fmt.Errorf("%s is not [dtype, shape, key, deviation, mean]", b)
	}
	if t.DType != "F32" && t.DType != "F16" {
		return fmt.Errorf("no dtype %q", t.DType)
	}
	return nil
}

// Elems is the number of elements.
func (t Tensor) Elems() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Append appends the elements, little-endian.
func (t Tensor) Append(b []byte) []byte {
	n := t.Elems()
	base := mix(t.Key)
	b = slices.Grow(b, n*safetensors.Width(t.DType))
	for i := range n {
		v := float32(float64(normal(base+uint64(i+1)*0x9e3779b97f4a7c15)*t.Deviation) + t.Mean)
		if t.DType == "F16" {
			b = binary.LittleEndian.AppendUint16(b, float16.Fromfloat32(v).Bits())
		} else {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	return b
}

// normal is nearly normal: the sum of the four 16-bit parts of splitmix64's
// next number, less its mean, over its deviation.
func normal(state uint64) float64 {
	z := mix(state)
	sum := z&0xffff + z>>16&0xffff + z>>32&0xffff + z>>48
	return float64(int64(sum)-131070) * 2.64290085e-05
}

// mix is the finaliser of splitmix64.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// File is the content of a .safetensors file: what lies there, and what the
// seeds beside it give.
func File(name string) ([]byte, error) {
	rest, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	text, missing := os.ReadFile(strings.TrimSuffix(name, weights) + seeds)
	if missing != nil {
		return rest, err // all there is, or that there is none
	}
	var made struct{ Tensors map[string]Tensor }
	if err := json.Unmarshal(text, &made); err != nil {
		return nil, fmt.Errorf("seeds of %s: %w", name, err)
	}
	return build(name, made.Tensors, rest)
}

// build writes a safetensors file of tensors and those of another file.
func build(name string, tensors map[string]Tensor, rest []byte) ([]byte, error) {
	type place struct {
		DType string `json:"dtype"`
		Shape []int  `json:"shape"`
		At    [2]int `json:"data_offsets"`
	}
	header, data := map[string]place{}, []byte(nil)
	for _, n := range slices.Sorted(maps.Keys(tensors)) {
		t, begin := tensors[n], len(data)
		data = t.Append(data)
		header[n] = place{t.DType, t.Shape, [2]int{begin, len(data)}}
	}
	if rest != nil {
		f, err := safetensors.Parse(bytes.NewReader(rest), int64(len(rest)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, e := range f.Tensors {
			begin := len(data)
			data = append(data, rest[e.Begin:e.Begin+e.Size]...)
			header[e.Name] = place{e.DType, e.Shape, [2]int{begin, len(data)}}
		}
	}
	head, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	head = append(head, bytes.Repeat([]byte(" "), -len(head)&7)...)
	return slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head, data), nil
}

// Files lists the .safetensors files of a folder by what they are called when
// made, in order; [File] reads them.
func Files(folder string) []string {
	kept, _ := filepath.Glob(filepath.Join(folder, "*"+weights))
	made, _ := filepath.Glob(filepath.Join(folder, "*"+seeds))
	for _, m := range made {
		kept = append(kept, strings.TrimSuffix(m, seeds)+weights)
	}
	slices.Sort(kept)
	return slices.Compact(kept)
}

// Copy copies a directory, files that are there already overwritten, with its
// weights as .safetensors.
func Copy(to, from string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		read := os.ReadFile
		if stem, ok := strings.CutSuffix(name, seeds); ok {
			name = stem + weights
		}
		if strings.HasSuffix(name, weights) {
			read = File
		}
		b, err := read(name)
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rest)
		return errors.Join(os.MkdirAll(filepath.Dir(target), 0o777), os.WriteFile(target, b, 0o666))
	})
}

// Directory is a copy of a golden's model for a test, with its weights as
// .safetensors.
func Directory(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := Copy(to, from); err != nil {
		t.Fatal(err)
	}
	return to
}
