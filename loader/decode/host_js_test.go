package decode

import (
	"syscall/js"
	"testing"
)

// host runs the module over a memory of its own, in the browser.
type host struct {
	memory, exports js.Value
}

func newHost(t testing.TB, simd bool) *host {
	t.Helper()
	module := Module(simd)
	wasm := js.Global().Get("WebAssembly")
	h := &host{memory: wasm.Get("Memory").New(map[string]any{"initial": Base >> 16})}
	code := js.Global().Get("Uint8Array").New(len(module))
	js.CopyBytesToJS(code, module)
	imports := map[string]any{"env": map[string]any{"memory": h.memory}}
	h.exports = wasm.Get("Instance").New(wasm.Get("Module").New(code), imports).Get("exports")
	return h
}

func (h *host) view(at, n int) js.Value {
	return js.Global().Get("Uint8Array").New(h.memory.Get("buffer"), at, n)
}

// reserve makes the memory at least n bytes large.
func (h *host) reserve(n int) {
	if have := h.size(); n > have {
		h.memory.Call("grow", (n-have+0xffff)>>16)
	}
}

func (h *host) size() int { return h.memory.Get("buffer").Get("byteLength").Int() }

func (h *host) write(at int, b []byte) { js.CopyBytesToJS(h.view(at, len(b)), b) }

func (h *host) read(at, n int) []byte {
	b := make([]byte, n)
	js.CopyBytesToGo(b, h.view(at, n))
	return b
}

func (h *host) decodeAt(_ testing.TB, src, n, dst, room int) int {
	return h.exports.Call("decode", src, n, dst, room).Int()
}
func (h *host) joinAt(_ testing.TB, src, dst, n, width int) {
	h.exports.Call("join", src, dst, n, width)
}
func (h *host) sumAt(_ testing.TB, src, n, out int) { h.exports.Call("sum", src, n, out) }
