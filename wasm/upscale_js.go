package main

import (
	"context"
	"fmt"
	"image"
	"io/fs"

	"github.com/hack-pad/safejs"

	"wisp/engine/diffusion"
	"wisp/loader/safetensors"
	"wisp/loader/upscaler"
	"wisp/wasm/bridge"
)

// upscale enlarges a picture: upscale({image, by, files, backend}, onEvent).
// Files are [name, Blob], a checkpoint's first; without any, Lanczos's filter
// enlarges.
func upscale(ctx context.Context, args bridge.Arguments) (any, error) {
	f := bridge.Fields{Object: args.At(0)}
	var img *image.NRGBA
	var by float32
	var choice string
	readPicture(&f, "image", &img)
	f.Number("by", &by)
	f.Text("backend", &choice)
	files, names, given := readFiles(ctx, &f)
	if f.Err == nil && img == nil {
		f.Wrong("image", "a picture")
	}
	if f.Err != nil {
		return nil, f.Err
	}
	if !given {
		if by == 0 {
			by = 2
		}
		large, err := diffusion.Enlarge(img, float64(by))
		if err != nil {
			return nil, err
		}
		p, err := bridge.NewPicture(large)
		return map[string]any(p), err
	}
	checkpoint, err := upscaler.Open(names[0], func(name string) (safetensors.Blob, error) {
		if b, ok := files[name]; ok {
			return b, nil
		}
		return nil, fmt.Errorf("%w: the upscaler's %s is not among the files: %w", diffusion.ErrBadModel, name, fs.ErrNotExist)
	})
	if err != nil {
		return nil, err
	}
	tell := args.Callback(1)
	b, err := newBackend(ctx, choice, 0, false, func(err error) { tell(bridge.Object{"type": "warning", "message": err.Error()}) })
	if err != nil {
		return nil, err
	}
	defer b.Close()
	u, err := diffusion.NewUpscaler(ctx, b, checkpoint)
	if err != nil {
		return nil, err
	}
	defer u.Close()
	large, err := u.Upscale(ctx, img, float64(by), func(done, total int) {
		tell(bridge.Object{"type": "progress", "stage": "upscale", "loaded": done, "total": total})
	})
	if err != nil {
		return nil, err
	}
	p, err := bridge.NewPicture(large)
	return map[string]any(p), err
}

// readFiles reads [[name, Blob], ...].
func readFiles(ctx context.Context, f *bridge.Fields) (files map[string]bridge.Blob, names []string, given bool) {
	list, ok := f.Get("files")
	if !ok {
		return nil, nil, false
	}
	n, err := list.Length()
	if err != nil || n == 0 {
		f.Wrong("files", "a list of names and Blobs")
		return nil, nil, false
	}
	files = map[string]bridge.Blob{}
	for i := range n {
		pair, err := list.Index(i)
		if err != nil {
			f.Err = err
			return nil, nil, false
		}
		var name string
		var text, value safejs.Value
		if text, err = pair.Index(0); err == nil {
			if name, err = text.String(); err == nil {
				value, err = pair.Index(1)
			}
		}
		if err == nil {
			files[name], err = bridge.NewBlob(ctx, name, value)
		}
		if err != nil {
			f.Wrong("files", "a list of names and Blobs")
			return nil, nil, false
		}
		names = append(names, name)
	}
	return files, names, true
}
