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
	readReferences(&f, &r)
	_, wide := f.Get("width")
	if _, high := f.Get("height"); (r.Image != nil || len(r.References) > 0) && !wide && !high {
		r.Width, r.Height = 0, 0 // the picture's
	}
	return r, f.Err
}

// readPicture copies a picture as ImageData has it.
func readPicture(f *bridge.Fields, name string, to **image.NRGBA) {
	f.Picture(name, to, diffusion.CheckSize)
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
