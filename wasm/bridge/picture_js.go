package bridge

import (
	"image"

	"github.com/hack-pad/safejs"
)

// Picture copies a picture as ImageData has it: width, height and data, the
// bytes of its pixels' red, green, blue and alpha. check is asked before memory
// is taken.
func (f *Fields) Picture(name string, to **image.NRGBA, check func(name string, w, h int) error) {
	v, ok := f.Get(name)
	if !ok {
		return
	}
	of := Fields{Object: v}
	var w, h, n int
	of.Integer("width", &w)
	of.Integer("height", &h)
	data, ok := of.Get("data")
	if ok {
		(&Fields{Object: data}).Integer("length", &n)
	}
	if of.Err != nil || !ok || w < 1 || h < 1 || w > 1<<20 || h > 1<<20 || n != 4*w*h {
		f.Wrong(name, "a picture: width, height and data, four bytes a pixel")
		return
	}
	img := &image.NRGBA{Rect: image.Rect(0, 0, w, h), Stride: 4 * w}
	if f.Err = check(name, w, h); f.Err != nil {
		return
	}
	img.Pix = make([]byte, n)
	if _, err := safejs.CopyBytesToGo(img.Pix, data); err != nil {
		f.Wrong(name, "a picture: its data are no bytes")
		return
	}
	*to = img
}

// NewPicture copies an image into a JavaScript object as ImageData has it.
func NewPicture(img *image.NRGBA) (Object, error) {
	array, err := Must(safejs.Global().Get("Uint8ClampedArray")).New(len(img.Pix))
	if err != nil {
		return nil, err
	}
	if _, err := safejs.CopyBytesToJS(array, img.Pix); err != nil {
		return nil, err
	}
	return Object{"width": img.Rect.Dx(), "height": img.Rect.Dy(), "data": array}, nil
}
