package bridge

import (
	"errors"
	"fmt"
	"math"

	"github.com/hack-pad/safejs"
)

// ErrBadRequest: an argument of another type than it should be; the message
// names it.
var ErrBadRequest = errors.New("bad request")

// Arguments are those of a call; missing ones read as undefined.
type Arguments []safejs.Value

// At is argument i.
func (a Arguments) At(i int) safejs.Value {
	if i < len(a) {
		return a[i]
	}
	return safejs.Undefined()
}

// Callback returns argument i as a function that may be called with an
// object; one that does nothing where there is none.
func (a Arguments) Callback(i int) func(Object) {
	f := a.At(i)
	if f.Type() != safejs.TypeFunction {
		return func(Object) {}
	}
	return func(o Object) { f.Invoke(map[string]any(o)) } // a throwing listener is the page's own affair
}

// Fields reads the properties of an object, keeping the first error. An
// undefined or null property leaves the destination as it is.
type Fields struct {
	Object safejs.Value
	Err    error
}

// Get returns a property that is there.
func (f *Fields) Get(name string) (safejs.Value, bool) {
	if f.Err != nil || f.Object.Type() != safejs.TypeObject {
		return safejs.Value{}, false
	}
	v, err := f.Object.Get(name)
	if err != nil {
		f.Err = err
		return v, false
	}
	return v, v.Type() != safejs.TypeUndefined && v.Type() != safejs.TypeNull
}

// Wrong notes that a property is not what it should be.
func (f *Fields) Wrong(name, want string) {
	f.Err = fmt.Errorf("%w: %s is not %s", ErrBadRequest, name, want)
}

// Text reads a string.
func (f *Fields) Text(name string, to *string) {
	v, ok := f.Get(name)
	if !ok {
		return
	}
	if v.Type() != safejs.TypeString {
		f.Wrong(name, "a string")
		return
	}
	*to, f.Err = v.String()
}

// Boolean reads whether a property is truthy.
func (f *Fields) Boolean(name string, to *bool) {
	if v, ok := f.Get(name); ok {
		*to, f.Err = v.Truthy()
	}
}

// Number reads a number.
func (f *Fields) Number(name string, to *float32) {
	v, ok := f.Get(name)
	if !ok {
		return
	}
	if v.Type() != safejs.TypeNumber {
		f.Wrong(name, "a number")
		return
	}
	x, err := v.Float()
	*to, f.Err = float32(x), err
}

// Whole reads an integer of at most 53 bits, as a JavaScript number holds.
func (f *Fields) Whole(name string) (int64, bool) {
	v, ok := f.Get(name)
	if !ok {
		return 0, false
	}
	if v.Type() != safejs.TypeNumber {
		f.Wrong(name, "a number")
		return 0, false
	}
	x, err := v.Float()
	if err == nil && (x != math.Trunc(x) || math.Abs(x) > 1<<53) {
		f.Wrong(name, "a whole number")
		return 0, false
	}
	f.Err = err
	return int64(x), err == nil
}

// Integer is Whole for an int.
func (f *Fields) Integer(name string, to *int) {
	if v, ok := f.Whole(name); ok {
		*to = int(v)
	}
}

// Keys lists the names of an object's own properties; none of what is no object.
func Keys(v safejs.Value) (names []string) {
	keys, err := Must(safejs.Global().Get("Object")).Call("keys", v)
	if err != nil {
		return nil
	}
	n, _ := keys.Length()
	for i := range n {
		if key, err := keys.Index(i); err == nil {
			name, _ := key.String()
			names = append(names, name)
		}
	}
	return names
}
