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
	"io"
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

// Values are the elements of a tensor of F32.
func (t Tensor) Values() []float32 {
	b := make([]byte, 4*t.Elems())
	t.read(b, 0)
	values := make([]float32, t.Elems())
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return values
}

// read writes into b, whole elements, those from element i on.
func (t Tensor) read(b []byte, i int) {
	base := mix(t.Key)
	for ; len(b) > 0; i++ {
		v := float32(float64(normal(base+uint64(i+1)*0x9e3779b97f4a7c15)*t.Deviation) + t.Mean)
		if t.DType == "F16" {
			binary.LittleEndian.PutUint16(b, float16.Fromfloat32(v).Bits())
			b = b[2:]
		} else {
			binary.LittleEndian.PutUint32(b, math.Float32bits(v))
			b = b[4:]
		}
	}
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
	c := NewCheckpoint(tensors)
	made := make([]byte, c.Size())
	if _, err := c.ReadAt(made, 0); err != nil || rest == nil {
		return made, err
	}
	a, err := safetensors.Parse(bytes.NewReader(made), int64(len(made)))
	if err != nil {
		return nil, err
	}
	b, err := safetensors.Parse(bytes.NewReader(rest), int64(len(rest)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	l := layout{}
	for _, e := range append(slices.Clone(a.Tensors), b.Tensors...) {
		l.add(e.Name, e.DType, e.Shape, int(e.Size))
	}
	out := l.encode()
	for _, e := range a.Tensors {
		out = append(out, made[e.Begin:e.Begin+e.Size]...)
	}
	for _, e := range b.Tensors {
		out = append(out, rest[e.Begin:e.Begin+e.Size]...)
	}
	return out, nil
}

// layout is the header of a safetensors file.
type layout struct {
	entries map[string]entry
	size    int // of the data
}

type entry struct {
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	At    [2]int `json:"data_offsets"`
}

func (l *layout) add(name, dtype string, shape []int, size int) {
	if l.entries == nil {
		l.entries = map[string]entry{}
	}
	l.entries[name] = entry{dtype, shape, [2]int{l.size, l.size + size}}
	l.size += size
}

// encode is what comes before the data.
func (l layout) encode() []byte {
	head, err := json.Marshal(l.entries)
	if err != nil || l.entries == nil {
		head = []byte("{}")
	}
	head = append(head, bytes.Repeat([]byte(" "), -len(head)&7)...)
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head...)
}

// Checkpoint is a .safetensors file whose elements are made when they are
// read: one of any size takes no room.
type Checkpoint struct {
	head    []byte
	tensors []Tensor // in order
	ends    []int64  // of their bytes, from the start of the file
}

// NewCheckpoint lays tensors out by name.
func NewCheckpoint(tensors map[string]Tensor) *Checkpoint {
	c, l := &Checkpoint{}, layout{}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		t := tensors[name]
		l.add(name, t.DType, t.Shape, t.Elems()*safetensors.Width(t.DType))
		c.tensors, c.ends = append(c.tensors, t), append(c.ends, int64(l.size))
	}
	c.head = l.encode()
	for i := range c.ends {
		c.ends[i] += int64(len(c.head))
	}
	return c
}

// Size is that of the file.
func (c *Checkpoint) Size() int64 {
	if len(c.ends) == 0 {
		return int64(len(c.head))
	}
	return c.ends[len(c.ends)-1]
}

// Close does nothing.
func (c *Checkpoint) Close() error { return nil }

// ReadAt reads at any offset.
func (c *Checkpoint) ReadAt(p []byte, at int64) (int, error) {
	n := 0
	if at < int64(len(c.head)) {
		n = copy(p, c.head[at:])
	}
	for i, t := range c.tensors {
		begin := int64(len(c.head))
		if i > 0 {
			begin = c.ends[i-1]
		}
		if here := at + int64(n); n < len(p) && here < c.ends[i] {
			n += t.part(p[n:], here-begin)
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// part fills p from a byte of the tensor on, as far as it goes.
func (t Tensor) part(p []byte, at int64) int {
	width := int64(safetensors.Width(t.DType))
	first, last := at/width, min((at+int64(len(p))+width-1)/width, int64(t.Elems()))
	if whole := (last - first) * width; at%width == 0 && whole <= int64(len(p)) {
		t.read(p[:whole], int(first))
		return int(whole)
	}
	b := make([]byte, (last-first)*width)
	t.read(b, int(first))
	return copy(p, b[at%width:])
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
