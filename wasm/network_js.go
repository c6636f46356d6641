package main

import (
	"context"
	"fmt"
	"image"
	"strconv"

	"github.com/hack-pad/safejs"

	"wisp/engine/diffusion"
	"wisp/loader/network"
	"wisp/loader/safetensors"
	"wisp/wasm/bridge"
)

// control is a ControlNet that the page added: what it takes to add it again to
// another pipeline.
type control struct {
	config []byte
	file   *network.File
}

// addControl reads a ControlNet's file: addControl({id, name, file, config}).
// Without the text of a config, the one that belongs to the model's UNet counts.
func (g *generator) addControl(ctx context.Context, args bridge.Arguments) (any, error) {
	ctx, end := g.begin(ctx)
	defer end()
	f := bridge.Fields{Object: args.At(0)}
	var id, name, config string
	f.Text("id", &id)
	f.Text("name", &name)
	f.Text("config", &config)
	file, ok := f.Get("file")
	if f.Err == nil && !ok {
		f.Wrong("file", "a File or Blob")
	}
	if f.Err != nil {
		return nil, f.Err
	}
	blob, err := bridge.NewBlob(context.Background(), name, file) // it is read when a drawing needs it
	if err != nil {
		return nil, fmt.Errorf("%w: file is not a File or Blob", bridge.ErrBadRequest)
	}
	set, err := safetensors.OpenSet(name, func(string) (safetensors.Blob, error) { return blob, nil })
	if err != nil {
		return nil, err
	}
	var c control
	if config != "" {
		c.config = []byte(config)
	}
	if c.file, err = network.Open(set, network.ControlNet); err != nil {
		return nil, err
	}
	if g.pipeline == nil {
		if err := g.load(ctx, func(string, int64, int64) {}); err != nil {
			return nil, err
		}
	}
	if err := g.pipeline.AddControl(id, c.config, c.file); err != nil {
		return nil, err
	}
	if g.controls == nil {
		g.controls = map[string]control{}
	}
	g.controls[id] = c
	return map[string]any{"id": id, "name": name, "kind": "controlnet"}, nil
}

// removeControl forgets a ControlNet: removeControl(id).
func (g *generator) removeControl(ctx context.Context, args bridge.Arguments) (any, error) {
	_, end := g.begin(ctx)
	defer end()
	id, err := args.At(0).String()
	if err != nil {
		return nil, fmt.Errorf("%w: the control's id is not a string", bridge.ErrBadRequest)
	}
	delete(g.controls, id)
	if g.pipeline != nil {
		g.pipeline.RemoveControl(id)
	}
	return nil, nil
}

// readControls reads what steers a request: [{id, image, weight, start, end}].
func readControls(f *bridge.Fields, r *diffusion.Request) {
	list, ok := f.Get("controls")
	if !ok {
		return
	}
	n, err := list.Length()
	if err != nil || list.Type() != safejs.TypeObject {
		f.Wrong("controls", "a list")
		return
	}
	for i := range n {
		one, err := list.Index(i)
		if err != nil || one.Type() != safejs.TypeObject {
			f.Wrong("controls", "a list of objects with id and image")
			return
		}
		c := diffusion.Control{Weight: 1, End: 1}
		of := bridge.Fields{Object: one}
		of.Text("id", &c.ID)
		of.Number("weight", &c.Weight)
		of.Number("start", &c.Start)
		of.Number("end", &c.End)
		of.Integer("mode", &c.Mode)
		var img *image.NRGBA
		readPicture(&of, "image", &img)
		if c.Image = img; of.Err != nil {
			f.Err = fmt.Errorf("controls: %w", of.Err)
			return
		}
		r.Controls = append(r.Controls, c)
	}
}

// readReferences reads the pictures that a drawing is made after.
func readReferences(f *bridge.Fields, r *diffusion.Request) {
	list, ok := f.Get("references")
	if !ok {
		return
	}
	n, err := list.Length()
	if err != nil || list.Type() != safejs.TypeObject {
		f.Wrong("references", "a list of pictures")
		return
	}
	of := bridge.Fields{Object: list}
	for i := range n {
		var img *image.NRGBA
		readPicture(&of, strconv.Itoa(i), &img)
		r.References = append(r.References, img) // what is none is refused by its place
	}
	if of.Err != nil {
		f.Err = fmt.Errorf("references: %w", of.Err)
	}
}
