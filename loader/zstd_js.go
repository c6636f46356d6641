package loader

import (
	"fmt"
	"sync"

	"github.com/hack-pad/safejs"

	"wisp/loader/decode"
)

// decoderCode is the decoder's module, compiled once, which workers may do
// synchronously.
var decoderCode = sync.OnceValues(func() (safejs.Value, error) {
	module := func(simd bool) (safejs.Value, error) {
		code, err := toJS(decode.Module(simd))
		if err != nil {
			return code, err
		}
		return assembly("Module", code)
	}
	if m, err := module(true); err == nil {
		return m, nil
	}
	return module(false)
})

// assembly makes an object of a class of the WebAssembly namespace.
func assembly(class string, args ...any) (safejs.Value, error) {
	c, ok := global("WebAssembly", class)
	if !ok {
		return c, fmt.Errorf("no WebAssembly.%s", class)
	}
	return c.New(args...)
}

// unpacker is an instance of the decoder's module in this thread. One call at a
// time.
type unpacker struct{ memory, exports safejs.Value }

var here = sync.OnceValues(func() (*unpacker, error) {
	code, err := decoderCode()
	if err != nil {
		return nil, err
	}
	d := &unpacker{}
	if d.memory, err = assembly("Memory", map[string]any{"initial": decode.Base >> 16}); err != nil {
		return nil, err
	}
	instance, err := assembly("Instance", code, map[string]any{"env": map[string]any{"memory": d.memory}})
	if err != nil {
		return nil, err
	}
	d.exports, err = instance.Get("exports")
	return d, err
})

// views are Uint8Arrays over the ranges of memory between the addresses, which
// ascend; the memory grows to the last of them.
func (d *unpacker) views(at ...int) ([]safejs.Value, error) {
	buffer, err := d.memory.Get("buffer")
	if err != nil {
		return nil, err
	}
	have, err := number(buffer, "byteLength")
	if missing := at[len(at)-1] - have; err == nil && missing > 0 {
		if _, err = d.memory.Call("grow", (missing+0xffff)>>16); err == nil {
			buffer, err = d.memory.Get("buffer")
		}
	}
	class, _ := global("Uint8Array")
	views := make([]safejs.Value, len(at)-1)
	for i := range views {
		if err == nil {
			views[i], err = class.New(buffer, at[i], at[i+1]-at[i])
		}
	}
	return views, err
}

// unzstd decodes src to dst and returns how many bytes it gave, at most as many
// as dst has.
func unzstd(dst, src []byte) (int, error) {
	d, err := here()
	if err != nil {
		return 0, err
	}
	from := decode.Base + len(src)
	views, err := d.views(decode.Base, from, from+len(dst))
	if err != nil {
		return 0, err
	}
	if _, err := safejs.CopyBytesToJS(views[0], src); err != nil {
		return 0, err
	}
	result, err := d.exports.Call("decode", decode.Base, len(src), from, len(dst))
	if err != nil {
		return 0, err
	}
	n, err := result.Int()
	if err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, decode.Error(n)
	}
	_, err = safejs.CopyBytesToGo(dst[:n], views[1])
	return n, err
}
