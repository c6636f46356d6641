//go:build !js

package command

import (
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"wisp/engine/diffusion"
	"wisp/loader/network"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
)

// controlFlag is a -control flag's value: MODEL:IMAGE[:WEIGHT[:START:END[:MODE]]].
type controlFlag struct {
	model              string
	image              *image.NRGBA
	weight, start, end float32
	mode               int
}

func parseControl(text string) (c controlFlag, err error) {
	c = controlFlag{weight: 1, end: 1}
	fields := strings.Split(text, ":")
	if n := len(fields); n < 2 || n == 4 || n > 6 {
		return c, errors.New("write MODEL:IMAGE, MODEL:IMAGE:WEIGHT or MODEL:IMAGE:WEIGHT:START:END, and :MODE for a union")
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
	if len(fields) == 6 {
		if c.mode, err = strconv.Atoi(fields[5]); err != nil {
			return c, fmt.Errorf("%q is no number of a mode", fields[5])
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
		var weights *network.File
		if err == nil {
			config, weights, err = openNetwork(c.model, network.ControlNet)
		}
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("-control: %w", err)
		}
		open = append(open, weights)
		id := c.model
		if err := p.AddControl(id, config, weights); err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("-control: %w", err)
		}
		list = append(list, diffusion.Control{ID: id, Image: c.image, Weight: c.weight, Start: c.start, End: c.end, Mode: c.mode})
	}
	return list, closeAll, nil
}

// openNetwork opens a network's file, or the directory that diffusers saves one
// in, with its config; nil where there is none.
func openNetwork(name string, names func(*safetensors.Set) (*safetensors.Set, error)) (config []byte, w *network.File, err error) {
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
	if w, err = network.Open(set, names); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return config, w, nil
}
