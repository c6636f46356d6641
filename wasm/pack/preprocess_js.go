package main

import (
	"context"
	"image"

	"github.com/hack-pad/safejs"

	"wisp/engine/diffusion"
	"wisp/engine/preprocess"
	"wisp/wasm/bridge"
)

// preprocessors lists what makes pictures for ControlNets: preprocessors() →
// [{name, label, parameters: [{name, min, max, value}]}].
func preprocessors(context.Context, bridge.Arguments) (any, error) {
	list := []any{}
	for _, p := range preprocess.List {
		parameters := []any{}
		for _, q := range p.Parameters {
			parameters = append(parameters, map[string]any{"name": q.Name, "min": q.Min, "max": q.Max, "value": q.Default})
		}
		list = append(list, map[string]any{"name": p.Name, "label": p.Label, "parameters": parameters})
	}
	return list, nil
}

// preprocessed makes of a picture what a ControlNet is fed: preprocess({image,
// preprocess}) → {width, height, data}. The preprocessor is its name, or an object
// with that and its parameters.
func preprocessed(_ context.Context, args bridge.Arguments) (any, error) {
	f := bridge.Fields{Object: args.At(0)}
	var img *image.NRGBA
	f.Picture("image", &img, diffusion.CheckSize)
	if f.Err == nil && img == nil {
		f.Wrong("image", "a picture")
	}
	name, parameters := readPreprocessor(&f)
	if f.Err != nil {
		return nil, f.Err
	}
	made, err := preprocess.Run(name, img, parameters)
	if err != nil {
		return nil, err
	}
	p, err := bridge.NewPicture(made)
	return map[string]any(p), err
}

// readPreprocessor reads "preprocess".
func readPreprocessor(f *bridge.Fields) (name string, parameters map[string]float64) {
	v, ok := f.Get("preprocess")
	if !ok || v.Type() == safejs.TypeString {
		f.Text("preprocess", &name)
		return name, nil
	}
	parameters = map[string]float64{}
	of := bridge.Fields{Object: v}
	of.Text("name", &name)
	for _, key := range bridge.Keys(v) {
		if key != "name" {
			var n float32
			of.Number(key, &n)
			parameters[key] = float64(n)
		}
	}
	f.Err = of.Err
	return name, parameters
}
