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
		case *bool:
			f.Boolean(field.Name, to)
		case *uint64:
			if n, ok := f.Whole(field.Name); ok && n < 0 {
				f.Wrong(field.Name, "0 or more")
			} else if ok {
				*to = uint64(n)
			}
		}
	}
	return r, f.Err
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
		case *uint64:
			all[field.Name] = *v
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
