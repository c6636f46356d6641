// Command unpack packs the models of package full and writes their weights, as
// they are after quantisation, where ../draw.py reads them:
//
//	go run ./tests/golden/full/unpack lcm sdxl_turbo
//
// It needs 20 GB under build/full.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/x448/float16"

	"wisp/loader"
	"wisp/loader/quant"
	"wisp/tests/golden/full"
)

func main() {
	for _, m := range full.Models {
		if !slices.Contains(os.Args[1:], m.Name) {
			continue
		}
		packed := filepath.Join("build", "full", m.Name)
		if err := full.Pack(context.Background(), m, filepath.Join("tests", "golden"), packed); err != nil {
			log.Fatal(err)
		}
		if err := unpack(packed, packed+"-torch"); err != nil {
			log.Fatal(err)
		}
	}
}

// unpack writes each component's config and, in f32, its weights.
func unpack(packed, out string) error {
	m, err := loader.Open(context.Background(), loader.Dir(packed), nil, loader.Options{})
	if err != nil {
		return err
	}
	for component := range m.Manifest().Components {
		config, _ := m.Config(component)
		dir := filepath.Join(out, component)
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o666); err != nil {
			return err
		}
		if err := writeWeights(m, component, filepath.Join(dir, "weights.safetensors")); err != nil {
			return fmt.Errorf("%s: %w", component, err)
		}
	}
	return nil
}

func writeWeights(m *loader.Model, component, name string) error {
	type entry struct {
		DType string `json:"dtype"`
		Shape []int  `json:"shape"`
		At    [2]int `json:"data_offsets"`
	}
	header, size := map[string]entry{}, 0
	for _, t := range m.Manifest().Tensors {
		if t.Component == component {
			end := size + 4*elems(t.Shape)
			header[t.Name], size = entry{"F32", t.Shape, [2]int{size, end}}, end
		}
	}
	if len(header) == 0 {
		return nil
	}
	head, err := json.Marshal(header)
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head...)); err != nil {
		return err
	}
	return m.Stream(context.Background(), component, nil, func(name, dtype string, shape []int, fill func(io.WriterAt) error) error {
		var b sized
		if err := fill(&b); err != nil {
			return err
		}
		values, err := floats(b, dtype, shape)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		var data bytes.Buffer
		if err := binary.Write(&data, binary.LittleEndian, values); err != nil {
			return err
		}
		_, err = f.WriteAt(data.Bytes(), int64(8+len(head)+header[name].At[0]))
		return err
	})
}

// sized grows to what is written.
type sized []byte

func (s *sized) WriteAt(p []byte, at int64) (int, error) {
	if need := int(at) + len(p); need > len(*s) {
		*s = append(*s, make([]byte, need-len(*s))...)
	}
	return copy((*s)[at:], p), nil
}

func elems(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// floats are a packed tensor's values.
func floats(b []byte, dtype string, shape []int) ([]float32, error) {
	out := make([]float32, elems(shape))
	switch dtype {
	case "f32":
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case "f16":
		for i := range out {
			out[i] = float16.Frombits(binary.LittleEndian.Uint16(b[2*i:])).Float32()
		}
	case "q8", "q4":
		bits := map[string]int{"q8": 8, "q4": 4}[dtype]
		m := quant.Matrix{Bits: bits, Rows: shape[0], K: len(out) / shape[0], Data: b}
		for r := range m.Rows {
			m.Row(r, out[r*m.K:][:m.K])
		}
	default:
		return nil, fmt.Errorf("the type is %s", dtype)
	}
	return out, nil
}
