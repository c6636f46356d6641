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
	for _, field := range diffusion.RequestFields {
		switch to := field.In(&r).(type) {
		case *string:
			f.Text(field.Name, to)
		case *int:
			f.Integer(field.Name, to)
		case *float32:
			f.Number(field.Name, to)
		case **float32:
			if _, said := f.Get(field.Name); said {
				*to = new(float32)
				f.Number(field.Name, *to)
			}
		case *bool:
			f.Boolean(field.Name, to)
		case **image.NRGBA:
			readPicture(&f, field.Name, to)
		case *uint64:
			if n, ok := f.Whole(field.Name); ok && n < 0 {
				f.Wrong(field.Name, "0 or more")
			} else if ok {
				*to = uint64(n)
			}
		}
	}
	readLoras(&f, &r)
	readControls(&f, &r)
	_, wide := f.Get("width")
	if _, high := f.Get("height"); r.Image != nil && !wide && !high {
		r.Width, r.Height = 0, 0 // the picture's
	}
	return r, f.Err
}

// readPicture copies a picture as ImageData has it: width, height and data, the
// bytes of its pixels' red, green, blue and alpha.
func readPicture(f *bridge.Fields, name string, to **image.NRGBA) {
	v, ok := f.Get(name)
	if !ok {
		return
	}
	of := bridge.Fields{Object: v}
	var w, h, n int
	of.Integer("width", &w)
	of.Integer("height", &h)
	data, ok := of.Get("data")
	if ok {
		(&bridge.Fields{Object: data}).Integer("length", &n)
	}
	if of.Err != nil || !ok || w < 1 || h < 1 || w > 1<<20 || h > 1<<20 || n != 4*w*h {
		f.Wrong(name, "a picture: width, height and data, four bytes a pixel")
		return
	}
	img := &image.NRGBA{Rect: image.Rect(0, 0, w, h), Stride: 4 * w}
	if f.Err = diffusion.CheckSize(name, w, h); f.Err != nil {
		return
	}
	img.Pix = make([]byte, n)
	if _, err := safejs.CopyBytesToGo(img.Pix, data); err != nil {
		f.Wrong(name, "a picture: its data are no bytes")
		return
	}
	*to = img
}

// settings is a request as the page sees it.
func settings(r diffusion.Request) map[string]any {
	all := map[string]any{}
	for _, field := range diffusion.RequestFields {
		switch v := field.In(&r).(type) {
		case *string:
			all[field.Name] = *v
		case *int:
			all[field.Name] = *v
		case *float32:
			all[field.Name] = *v
		case *bool:
			all[field.Name] = *v
		case *uint64:
			all[field.Name] = *v
		case **float32:
			if *v != nil {
				all[field.Name] = **v
			}
		}
	}
	return all
}

// texts is a list of strings for JavaScript.
func texts(list []string) []any {
	all := make([]any, len(list))
	for i, s := range list {
		all[i] = s
	}
	return all
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
