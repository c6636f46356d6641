package main

import (
	"fmt"
	"image"
	"math"

	"github.com/hack-pad/safejs"

	"wisp/engine/diffusion"
)

// arguments are those of a call; missing ones read as undefined.
type arguments []safejs.Value

func (a arguments) at(i int) safejs.Value {
	if i < len(a) {
		return a[i]
	}
	return safejs.Undefined()
}

// callback returns argument i as a function that may be called with an
// object; one that does nothing where there is none.
func (a arguments) callback(i int) func(object) {
	f := a.at(i)
	if f.Type() != safejs.TypeFunction {
		return func(object) {}
	}
	return func(o object) { f.Invoke(map[string]any(o)) } // a throwing listener is the page's own affair
}

// fields reads the properties of an object, keeping the first error. An
// undefined or null property leaves the destination as it is.
type fields struct {
	object safejs.Value
	err    error
}

// get returns a property that is there.
func (f *fields) get(name string) (safejs.Value, bool) {
	if f.err != nil || f.object.Type() != safejs.TypeObject {
		return safejs.Value{}, false
	}
	v, err := f.object.Get(name)
	if err != nil {
		f.err = err
		return v, false
	}
	return v, v.Type() != safejs.TypeUndefined && v.Type() != safejs.TypeNull
}

func (f *fields) wrong(name, want string) {
	f.err = fmt.Errorf("%w: %s is not %s", diffusion.ErrBadRequest, name, want)
}

func (f *fields) text(name string, to *string) {
	v, ok := f.get(name)
	if !ok {
		return
	}
	if v.Type() != safejs.TypeString {
		f.wrong(name, "a string")
		return
	}
	*to, f.err = v.String()
}

func (f *fields) boolean(name string, to *bool) {
	if v, ok := f.get(name); ok {
		*to, f.err = v.Truthy()
	}
}

func (f *fields) number(name string, to *float32) {
	v, ok := f.get(name)
	if !ok {
		return
	}
	if v.Type() != safejs.TypeNumber {
		f.wrong(name, "a number")
		return
	}
	x, err := v.Float()
	*to, f.err = float32(x), err
}

// whole reads an integer of at most 53 bits, as a JavaScript number holds.
func (f *fields) whole(name string) (int64, bool) {
	v, ok := f.get(name)
	if !ok {
		return 0, false
	}
	if v.Type() != safejs.TypeNumber {
		f.wrong(name, "a number")
		return 0, false
	}
	x, err := v.Float()
	if err == nil && (x != math.Trunc(x) || math.Abs(x) > 1<<53) {
		f.wrong(name, "a whole number")
		return 0, false
	}
	f.err = err
	return int64(x), err == nil
}

func (f *fields) integer(name string, to *int) {
	if v, ok := f.whole(name); ok {
		*to = int(v)
	}
}

// readRequest fills the model's defaults with what the page asks for.
func readRequest(v safejs.Value, r diffusion.Request) (diffusion.Request, error) {
	f := fields{object: v}
	f.text("prompt", &r.Prompt)
	f.text("negativePrompt", &r.NegativePrompt)
	f.text("sampler", &r.Sampler)
	f.text("schedule", &r.Schedule)
	f.integer("steps", &r.Steps)
	f.integer("width", &r.Width)
	f.integer("height", &r.Height)
	f.integer("count", &r.Count)
	f.number("guidance", &r.Guidance)
	f.boolean("previews", &r.Previews)
	if seed, ok := f.whole("seed"); ok {
		if seed < 0 {
			f.wrong("seed", "0 or more")
		}
		r.Seed = uint64(seed)
	}
	return r, f.err
}

// picture copies an image into a JavaScript object as ImageData has it.
func picture(img *image.NRGBA) (object, error) {
	array, err := must(safejs.Global().Get("Uint8ClampedArray")).New(len(img.Pix))
	if err != nil {
		return nil, err
	}
	if _, err := safejs.CopyBytesToJS(array, img.Pix); err != nil {
		return nil, err
	}
	return object{"width": img.Rect.Dx(), "height": img.Rect.Dy(), "data": array}, nil
}
