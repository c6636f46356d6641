package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/hack-pad/safejs"

	"wisp/engine/diffusion"
	"wisp/loader/adapter"
	"wisp/loader/safetensors"
	"wisp/wasm/bridge"
)

// lora is an adapter that the page added: what it takes to add it again to
// another pipeline.
type lora struct {
	id   string
	file *adapter.File
}

// dress gives a new pipeline what the page had added to the one before.
func (g *generator) dress(ctx context.Context) error {
	for id, c := range g.controls {
		if err := g.pipeline.AddControl(id, c.config, c.file); err != nil {
			return err
		}
	}
	for _, l := range g.loras {
		if _, err := g.pipeline.AddAdapter(ctx, l.id, l.file); err != nil {
			return err
		}
	}
	return nil
}

// addLora reads a LoRA's file: addLora({id, name, file}).
func (g *generator) addLora(ctx context.Context, args bridge.Arguments) (any, error) {
	ctx, end := g.begin(ctx)
	defer end()
	f := bridge.Fields{Object: args.At(0)}
	var id, name string
	f.Text("id", &id)
	f.Text("name", &name)
	file, ok := f.Get("file")
	if f.Err == nil && !ok {
		f.Wrong("file", "a File or Blob")
	}
	if f.Err != nil {
		return nil, f.Err
	}
	blob, err := bridge.NewBlob(context.Background(), name, file) // it is read again by later drawings
	if err != nil {
		return nil, fmt.Errorf("%w: file is not a File or Blob", bridge.ErrBadRequest)
	}
	opened, err := adapter.Open(name, func() (safetensors.Blob, error) { return blob, nil }, nil)
	if err != nil {
		return nil, err
	}
	if g.pipeline == nil {
		if err := g.load(ctx, func(string, int64, int64) {}); err != nil {
			return nil, err
		}
	}
	a, err := g.pipeline.AddAdapter(ctx, id, opened)
	if err != nil {
		return nil, err
	}
	g.forget(id)
	g.loras = append(g.loras, lora{id, opened})
	networks, words := map[string]any{}, map[string]any{}
	for component, n := range a.Networks {
		networks[component] = n
	}
	for key, value := range opened.Metadata() {
		words[key] = value
	}
	return map[string]any{"id": id, "name": a.Name, "networks": networks, "unknown": texts(a.Unknown), "metadata": words}, nil
}

// removeLora forgets a LoRA: removeLora(id).
func (g *generator) removeLora(ctx context.Context, args bridge.Arguments) (any, error) {
	_, end := g.begin(ctx)
	defer end()
	id, err := args.At(0).String()
	if err != nil {
		return nil, fmt.Errorf("%w: the LoRA's id is not a string", bridge.ErrBadRequest)
	}
	g.forget(id)
	if g.pipeline != nil {
		g.pipeline.RemoveAdapter(id)
	}
	return nil, nil
}

func (g *generator) forget(id string) {
	g.loras = slices.DeleteFunc(g.loras, func(l lora) bool { return l.id == id })
}

// readLoras reads what a request wears: [{id, weight, textWeight, blocks}], and of
// which ids: several generators of the page may share this one.
func readLoras(f *bridge.Fields, r *diffusion.Request) {
	if ids, ok := f.Get("wardrobe"); ok {
		r.Wardrobe = []string{}
		for i := range bridge.Must(ids.Length()) {
			r.Wardrobe = append(r.Wardrobe, bridge.Must(bridge.Must(ids.Index(i)).String()))
		}
	}
	list, ok := f.Get("loras")
	if !ok {
		return
	}
	n, err := list.Length()
	if err != nil || list.Type() != safejs.TypeObject {
		f.Wrong("loras", "a list")
		return
	}
	for i := range n {
		one, err := list.Index(i)
		if err != nil || one.Type() != safejs.TypeObject {
			f.Wrong("loras", "a list of objects with id and weight")
			return
		}
		l := diffusion.Lora{Weight: 1}
		of := bridge.Fields{Object: one}
		of.Text("id", &l.ID)
		of.Number("weight", &l.Weight)
		if _, ok := of.Get("textWeight"); ok {
			l.Text = new(float32)
			of.Number("textWeight", l.Text)
		}
		if blocks, ok := of.Get("blocks"); ok {
			l.Blocks = readFactors(&of, blocks)
		}
		if of.Err != nil {
			f.Err = fmt.Errorf("loras: %w", of.Err)
			return
		}
		r.Loras = append(r.Loras, l)
	}
}

// readFactors reads an object of numbers.
func readFactors(f *bridge.Fields, v safejs.Value) map[string]float32 {
	factors, of := map[string]float32{}, bridge.Fields{Object: v}
	for _, name := range bridge.Keys(v) {
		var factor float32
		of.Number(name, &factor)
		factors[name] = factor
	}
	f.Err = of.Err
	return factors
}
