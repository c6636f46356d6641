package simd

import (
	"fmt"
	"syscall/js"

	"github.com/hack-pad/safejs"

	"wisp/engine"
)

type jsHost struct {
	memory    safejs.Value // WebAssembly.Memory
	view      safejs.Value // Uint8Array over all of it, made anew after growth
	functions map[string]safejs.Value

	port1, port2 safejs.Value // of a MessageChannel: the way a yield comes back
	onMessage    safejs.Func
	woken        chan struct{}
}

// newHost compiles the module synchronously, which browsers allow in a worker,
// and instantiates it over a memory of its own.
func newHost(opts Options) (host, flavour, error) {
	fl := baselineTile
	if opts.Relaxed == On || opts.Relaxed == Auto && hasRelaxed() {
		fl = relaxedTile
	}
	h := &jsHost{functions: map[string]safejs.Value{}, woken: make(chan struct{}, 1)}
	if err := h.start(emitModule(fl)); err != nil {
		return nil, flavour{}, fmt.Errorf("simd: start module: %w: %w", engine.ErrUnsupported, err)
	}
	if err := h.openChannel(); err != nil {
		return nil, flavour{}, fmt.Errorf("simd: message channel: %w", err)
	}
	return h, fl, nil
}

// start instantiates the module over a fresh memory of one page.
func (h *jsHost) start(module []byte) (err error) {
	if h.memory, err = construct("Memory", map[string]any{"initial": 1}); err != nil {
		return err
	}
	bytes, err := jsBytes(module)
	if err != nil {
		return err
	}
	compiled, err := construct("Module", bytes)
	if err != nil {
		return err
	}
	imports := map[string]any{"env": map[string]any{"memory": h.memory}}
	instance, err := construct("Instance", compiled, imports)
	if err != nil {
		return err
	}
	exports, err := instance.Get("exports")
	if err != nil {
		return err
	}
	for _, name := range []string{"run", "setScratch"} {
		if h.functions[name], err = exports.Get(name); err != nil {
			return err
		}
	}
	return h.refresh()
}

// construct makes an object of a class of the WebAssembly namespace.
func construct(class string, args ...any) (safejs.Value, error) {
	wasm, err := safejs.Global().Get("WebAssembly")
	if err != nil {
		return safejs.Value{}, err
	}
	c, err := wasm.Get(class)
	if err != nil {
		return safejs.Value{}, err
	}
	return c.New(args...)
}

// hasRelaxed reports whether the browser has relaxed SIMD.
func hasRelaxed() bool { return validates(relaxedProbe()) }

// validates reports whether the host accepts the module.
func validates(module []byte) bool {
	bytes, err := jsBytes(module)
	if err != nil {
		return false
	}
	wasm, err := safejs.Global().Get("WebAssembly")
	if err != nil {
		return false
	}
	ok, err := wasm.Call("validate", bytes)
	if err != nil {
		return false
	}
	valid, err := ok.Bool()
	return valid && err == nil
}

func jsBytes(b []byte) (safejs.Value, error) {
	class, err := safejs.Global().Get("Uint8Array")
	if err != nil {
		return safejs.Value{}, err
	}
	array, err := class.New(len(b))
	if err == nil {
		_, err = safejs.CopyBytesToJS(array, b)
	}
	return array, err
}

// refresh makes the view anew: growth detaches the old one.
func (h *jsHost) refresh() error {
	buffer, err := h.memory.Get("buffer")
	if err != nil {
		return err
	}
	class, err := safejs.Global().Get("Uint8Array")
	if err != nil {
		return err
	}
	h.view, err = class.New(buffer)
	return err
}

func (h *jsHost) grow(pages int) bool {
	if _, err := h.memory.Call("grow", pages); err != nil {
		return false
	}
	return h.refresh() == nil
}

func (h *jsHost) part(addr, n int) safejs.Value {
	v, err := h.view.Call("subarray", addr, addr+n)
	if err != nil {
		panic(fmt.Sprintf("simd: view of %d bytes at %d: %v", n, addr, err))
	}
	return v
}

func (h *jsHost) write(addr int, b []byte) {
	if _, err := safejs.CopyBytesToJS(h.part(addr, len(b)), b); err != nil {
		panic(fmt.Sprintf("simd: write: %v", err))
	}
}

func (h *jsHost) read(addr int, b []byte) {
	if _, err := safejs.CopyBytesToGo(b, h.part(addr, len(b))); err != nil {
		panic(fmt.Sprintf("simd: read: %v", err))
	}
}

func (h *jsHost) call(export string, args ...int) error {
	words := make([]any, len(args))
	for i, a := range args {
		words[i] = a
	}
	_, err := h.functions[export].Invoke(words...)
	return err
}

// openChannel prepares yield. Messages are not clamped to 4 ms as timers are.
func (h *jsHost) openChannel() error {
	class, err := safejs.Global().Get("MessageChannel")
	if err != nil {
		return err
	}
	channel, err := class.New()
	if err != nil {
		return err
	}
	if h.port1, err = channel.Get("port1"); err != nil {
		return err
	}
	if h.port2, err = channel.Get("port2"); err != nil {
		return err
	}
	h.onMessage, err = safejs.FuncOf(func(safejs.Value, []safejs.Value) any {
		h.woken <- struct{}{}
		return nil
	})
	if err != nil {
		return err
	}
	return h.port1.Set("onmessage", h.onMessage)
}

func (h *jsHost) yield() {
	if _, err := h.port2.Call("postMessage", js.Null()); err == nil {
		<-h.woken
	}
}

func (h *jsHost) close() error {
	_, err := h.port1.Call("close")
	h.onMessage.Release()
	h.functions, h.view, h.memory = nil, safejs.Value{}, safejs.Value{}
	return err
}
