package main

import (
	"image"

	"github.com/hack-pad/safejs"

	"wisp/engine/diffusion"
	"wisp/wasm/bridge"
)

// readRequest fills the model's defaults with what the page asks for.
func readRequest(v safejs.Value, r diffusion.Request) (diffusion.Request, error) {
	f := bridge.Fields{Object: v}
	f.Text("prompt", &r.Prompt)
	f.Text("negativePrompt", &r.NegativePrompt)
	f.Text("sampler", &r.Sampler)
	f.Text("schedule", &r.Schedule)
	f.Integer("steps", &r.Steps)
	f.Integer("width", &r.Width)
	f.Integer("height", &r.Height)
	f.Integer("count", &r.Count)
	f.Number("guidance", &r.Guidance)
	f.Boolean("previews", &r.Previews)
	if seed, ok := f.Whole("seed"); ok {
		if seed < 0 {
			f.Wrong("seed", "0 or more")
		}
		r.Seed = uint64(seed)
	}
	return r, f.Err
}

// picture copies an image into a JavaScript object as ImageData has it.
func picture(img *image.NRGBA) (bridge.Object, error) {
	array, err := bridge.Must(safejs.Global().Get("Uint8ClampedArray")).New(len(img.Pix))
	if err != nil {
		return nil, err
	}
	if _, err := safejs.CopyBytesToJS(array, img.Pix); err != nil {
		return nil, err
	}
	return bridge.Object{"width": img.Rect.Dx(), "height": img.Rect.Dy(), "data": array}, nil
}
