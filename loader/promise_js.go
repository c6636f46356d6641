package loader

import (
	"context"
	"fmt"

	"github.com/hack-pad/safejs"
)

// await waits for a promise or for ctx. The callbacks live until the promise
// settles, which it may do after ctx has ended.
func await(ctx context.Context, promise safejs.Value) (safejs.Value, error) {
	type outcome struct {
		value safejs.Value
		err   error
	}
	done := make(chan outcome, 1)
	var ok, bad safejs.Func
	release := func() { ok.Release(); bad.Release() }
	ok, err := safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		release()
		done <- outcome{value: first(args)}
		return nil
	})
	if err != nil {
		return safejs.Value{}, err
	}
	bad, err = safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		release()
		done <- outcome{err: jsError(first(args))}
		return nil
	})
	if err != nil {
		ok.Release()
		return safejs.Value{}, err
	}
	if _, err := promise.Call("then", ok, bad); err != nil {
		release()
		return safejs.Value{}, err
	}
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return safejs.Value{}, ctx.Err()
	}
}

func first(args []safejs.Value) safejs.Value {
	if len(args) == 0 {
		return safejs.Undefined()
	}
	return args[0]
}

// callAsync calls a method that returns a promise and waits for it.
func callAsync(ctx context.Context, v safejs.Value, method string, args ...any) (safejs.Value, error) {
	p, err := v.Call(method, args...)
	if err != nil {
		return safejs.Value{}, err
	}
	return await(ctx, p)
}

// exception is a JavaScript error or DOMException.
type exception struct{ name, message string }

func (e exception) Error() string {
	if e.message == "" {
		return e.name
	}
	return e.name + ": " + e.message
}

func jsError(v safejs.Value) error {
	name, err := text(v, "name")
	if err != nil {
		s, _ := v.String()
		return fmt.Errorf("JavaScript threw %s", s)
	}
	message, _ := text(v, "message")
	return exception{name, message}
}

// text reads a string property.
func text(v safejs.Value, property string) (string, error) {
	p, err := v.Get(property)
	if err != nil {
		return "", err
	}
	if p.Type() != safejs.TypeString {
		return "", fmt.Errorf("%s is not a string", property)
	}
	return p.String()
}

// global looks a path of properties up, such as navigator, storage; ok is
// false where any of them is missing.
func global(path ...string) (v safejs.Value, ok bool) {
	v = safejs.Global()
	for _, p := range path {
		var err error
		if v, err = v.Get(p); err != nil || v.IsUndefined() || v.IsNull() {
			return v, false
		}
	}
	return v, true
}

// toJS copies b into a Uint8Array of its own. Never a view: storing one would
// clone all of Go's memory.
func toJS(b []byte) (safejs.Value, error) {
	class, _ := global("Uint8Array")
	a, err := class.New(len(b))
	if err != nil {
		return a, err
	}
	_, err = safejs.CopyBytesToJS(a, b)
	return a, err
}

// toGo copies a Uint8Array.
func toGo(a safejs.Value) ([]byte, error) {
	class, _ := global("Uint8Array")
	if is, err := a.InstanceOf(class); err != nil || !is {
		return nil, fmt.Errorf("it is not a Uint8Array")
	}
	n, err := a.Length()
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err = safejs.CopyBytesToGo(b, a)
	return b, err
}
