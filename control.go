package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"wisp/engine/diffusion"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
	"wisp/loader/single"
)

// controlFlag is a -control flag's value: MODEL:IMAGE[:WEIGHT[:START:END]].
type controlFlag struct {
	model              string
	image              *image.NRGBA
	weight, start, end float32
}

func parseControl(text string) (c controlFlag, err error) {
	c = controlFlag{weight: 1, end: 1}
	fields := strings.Split(text, ":")
	if n := len(fields); n != 2 && n != 3 && n != 5 {
		return c, errors.New("write MODEL:IMAGE, MODEL:IMAGE:WEIGHT or MODEL:IMAGE:WEIGHT:START:END")
	}
	for i, to := range []*float32{&c.weight, &c.start, &c.end} {
		if i+2 < len(fields) {
			v, err := strconv.ParseFloat(fields[i+2], 32)
			if err != nil {
				return c, fmt.Errorf("%q is no number", fields[i+2])
			}
			*to = float32(v)
		}
	}
	c.model = fields[0]
	if _, err := os.Stat(c.model); err != nil {
		return c, err
	}
	c.image, err = readPicture(fields[1])
	return c, err
}

// addControls adds ControlNets to a pipeline and returns how a request is
// steered by them.
func addControls(p *diffusion.Pipeline, flags []string) (list []diffusion.Control, closeAll func(), err error) {
	var open []io.Closer
	closeAll = func() {
		for _, c := range open {
			c.Close()
		}
	}
	for _, text := range flags {
		c, err := parseControl(text)
		var config []byte
		var weights *weightFile
		if err == nil {
			config, weights, err = openNetwork(c.model, single.ControlNet)
		}
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("-control: %w", err)
		}
		open = append(open, weights)
		id, err := p.AddControl(strings.TrimSuffix(filepath.Base(c.model), ".safetensors"), config, weights)
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("-control: %w", err)
		}
		list = append(list, diffusion.Control{ID: id, Image: c.image, Weight: c.weight, Start: c.start, End: c.end})
	}
	return list, closeAll, nil
}

// weightFile is a checkpoint as a network's weights.
type weightFile struct {
	*safetensors.Set
	names *safetensors.Set // as the engine names them
}

// openNetwork opens a network's file, or the directory that diffusers saves one
// in, with its config; nil where there is none.
func openNetwork(name string, names func(*safetensors.Set) (*safetensors.Set, error)) (config []byte, w *weightFile, err error) {
	base := filepath.Base(name)
	folder := filepath.Dir(name)
	if info, err := os.Stat(name); err != nil {
		return nil, nil, err
	} else if info.IsDir() {
		folder = name
	}
	dir, err := pack.OpenDir(folder)
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	config, err = fs.ReadFile(dir.FS(), "config.json") // beside the file, too
	if folder != name && err != nil {
		config = nil
	} else if err != nil {
		return nil, nil, err
	}
	if folder == name {
		files, err := fs.Glob(dir.FS(), "*.safetensors*")
		if err != nil {
			return nil, nil, err
		}
		if base, _ = safetensors.Best(files); base == "" {
			return nil, nil, fmt.Errorf("%s has no .safetensors file", name)
		}
	}
	set, err := safetensors.OpenSet(base, func(name string) (safetensors.Blob, error) { return dir.Open(name) })
	if err != nil {
		return nil, nil, err
	}
	named, err := names(set)
	if err != nil {
		set.Close()
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return config, &weightFile{set, named}, nil
}

// Stream implements [diffusion.Weights]. What is neither f32 nor f16 becomes f32.
func (w *weightFile) Stream(ctx context.Context, _ string, _ []string, each func(name, dtype string, shape []int, fill func(io.WriterAt) error) error) error {
	for _, t := range w.names.Tensors {
		if err := ctx.Err(); err != nil {
			return err
		}
		dtype := "f32"
		if t.DType == "F16" {
			dtype = "f16"
		}
		fill := func(to io.WriterAt) error {
			section, err := w.names.Section(t)
			if err != nil {
				return err
			}
			data, err := io.ReadAll(section)
			if err == nil && t.DType != "F16" && t.DType != "F32" {
				data, err = inFloat32(data, t)
			}
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

// inFloat32 converts a tensor's bytes.
func inFloat32(data []byte, t safetensors.Tensor) ([]byte, error) {
	values := make([]float32, t.Elems())
	if err := safetensors.Float32s(values, data, t.DType); err != nil {
		return nil, err
	}
	out := make([]byte, 0, 4*len(values))
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out, nil
}
