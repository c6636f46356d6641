// Command unpack packs a model of package full and hands out its weights as
// they are after quantisation, to ../draw.py:
//
//	go run ./tests/golden/full/unpack klein
//
// It reads lines of a component and a tensor's name, and answers each with the
// tensor's values in f32, little-endian, so that no checkpoint lies on the disk
// and one layer is in memory at a time. The pack itself needs 4 GB under
// build/full.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/x448/float16"

	"wisp/loader"
	"wisp/loader/quant"
	"wisp/tests/golden/full"
)

func main() {
	i := slices.IndexFunc(full.Models, func(m full.Model) bool { return slices.Contains(os.Args[1:], m.Name) })
	if i < 0 {
		log.Fatal("name a model of package full")
	}
	packed := filepath.Join("build", "full", full.Models[i].Name)
	if _, err := os.Stat(filepath.Join(packed, loader.ManifestName)); errors.Is(err, fs.ErrNotExist) {
		if err := full.Pack(context.Background(), full.Models[i], filepath.Join("tests", "golden"), packed); err != nil {
			log.Fatal(err)
		}
	}
	if err := serve(packed, os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// serve answers requests until there are no more.
func serve(packed string, in io.Reader, out io.Writer) error {
	m, err := loader.Open(context.Background(), loader.Dir(packed), nil, loader.Options{})
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		component, name, _ := strings.Cut(lines.Text(), " ")
		values, err := tensor(m, component, name)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", component, name, err)
		}
		if err := errors.Join(binary.Write(w, binary.LittleEndian, values), w.Flush()); err != nil {
			return err
		}
	}
	return nil
}

// tensor are the values of a tensor.
func tensor(m *loader.Model, component, name string) (values []float32, err error) {
	err = m.Stream(context.Background(), component, []string{name}, func(found, dtype string, shape []int, fill func(io.WriterAt) error) error {
		if found != name {
			return nil
		}
		var b sized
		if err := fill(&b); err != nil {
			return err
		}
		values, err = floats(b, dtype, shape)
		return err
	})
	if err == nil && values == nil {
		err = fs.ErrNotExist
	}
	return values, err
}

// sized grows to what is written.
type sized []byte

func (s *sized) WriteAt(p []byte, at int64) (int, error) {
	if need := int(at) + len(p); need > len(*s) {
		*s = append(*s, make([]byte, need-len(*s))...)
	}
	return copy((*s)[at:], p), nil
}

// floats are a packed tensor's values.
func floats(b []byte, dtype string, shape []int) ([]float32, error) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	out := make([]float32, n)
	switch dtype {
	case "f32":
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case "f16":
		for i := range out {
			out[i] = float16.Frombits(binary.LittleEndian.Uint16(b[2*i:])).Float32()
		}
	case "q8", "q4", "q2":
		bits := map[string]int{"q8": 8, "q4": 4, "q2": 2}[dtype]
		m := quant.Matrix{Bits: bits, Rows: shape[0], K: n / shape[0], Data: b}
		for r := range m.Rows {
			m.Row(r, out[r*m.K:][:m.K])
		}
	default:
		return nil, fmt.Errorf("the type is %s", dtype)
	}
	return out, nil
}
