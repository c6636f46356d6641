package simd

import (
	"fmt"
	"sync"
	"syscall/js"

	"github.com/hack-pad/safejs"

	"wisp/engine"
	"wisp/wasm/emit"
)

// turns: goroutines never run at once.
const turns = true

type jsHost struct {
	memory    safejs.Value // WebAssembly.Memory
	view      safejs.Value // Uint8Array over all of it, made anew after growth
	module    safejs.Value // WebAssembly.Module
	functions map[string]safejs.Value
	workers   []safejs.Value

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
	if fl.shared = opts.Threads > 1; fl.shared && !canShare() {
		return nil, flavour{}, fmt.Errorf("simd: threads where memory cannot be shared, as in a page that is not cross-origin isolated: %w", engine.ErrUnsupported)
	}
	h := &jsHost{functions: map[string]safejs.Value{}, woken: make(chan struct{}, 1)}
	if err := h.start(fl); err != nil {
		return nil, flavour{}, fmt.Errorf("simd: start module: %w: %w", engine.ErrUnsupported, err)
	}
	if err := h.openChannel(); err != nil {
		return nil, flavour{}, fmt.Errorf("simd: message channel: %w", err)
	}
	return h, fl, nil
}

// start instantiates the module over a fresh memory of one page.
func (h *jsHost) start(fl flavour) (err error) {
	if h.memory, err = newMemoryObject(fl.shared); err != nil {
		return err
	}
	bytes, err := jsBytes(module(fl))
	if err != nil {
		return err
	}
	if h.module, err = construct("Module", bytes); err != nil {
		return err
	}
	imports := map[string]any{"env": map[string]any{"memory": h.memory}}
	instance, err := construct("Instance", h.module, imports)
	if err != nil {
		return err
	}
	exports, err := instance.Get("exports")
	if err != nil {
		return err
	}
	for _, name := range []string{"run", "halt"} {
		if h.functions[name], err = exports.Get(name); err != nil {
			return err
		}
	}
	return h.refresh()
}

// newMemoryObject makes the memory. A shared one must name its maximum, which
// some systems reserve at once, so smaller ones are tried too.
func newMemoryObject(shared bool) (memory safejs.Value, err error) {
	if !shared {
		return construct("Memory", map[string]any{"initial": 1})
	}
	for pages := emit.MaxPages; pages >= emit.MaxPages/8; pages /= 2 {
		memory, err = construct("Memory", map[string]any{"initial": 1, "maximum": pages, "shared": true})
		if err == nil {
			return memory, nil
		}
	}
	return memory, err
}

// canShare reports whether memory can be shared with workers. It is tried: an
// isolated page may still lack it, as in WebKitGTK, which then has no
// SharedArrayBuffer.
var canShare = sync.OnceValue(func() bool {
	memory, err := construct("Memory", map[string]any{"initial": 1, "maximum": 1, "shared": true})
	if err != nil {
		return false
	}
	class, err := safejs.Global().Get("MessageChannel")
	if err != nil {
		return false
	}
	channel, err := class.New()
	if err != nil {
		return false
	}
	port, err := channel.Get("port1")
	if err != nil {
		return false
	}
	defer port.Call("close")
	_, err = port.Call("postMessage", memory)
	return err == nil
})

// DefaultThreads is the number of threads that Options.Threads 0 stands for: 1
// where memory cannot be shared. Of many logical cores half are taken: the
// arithmetic leaves nothing for a second thread on the same core.
func DefaultThreads() int {
	if !canShare() {
		return 1
	}
	navigator, err := safejs.Global().Get("navigator")
	if err != nil {
		return 1
	}
	value, err := navigator.Get("hardwareConcurrency")
	if err != nil {
		return 1
	}
	cores, err := value.Int()
	if err != nil {
		return 1
	}
	return min(max(cores/2, min(cores, 4), 1), maxThreads)
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
func hasRelaxed() bool { return validates(probe()) }

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

// View is a Uint8Array over n bytes of the region. It is void when the memory
// grows, as it may with the next use of the backend.
func (r region) View(at, n int) (safejs.Value, error) {
	if err := r.check(at, n); err != nil {
		return safejs.Value{}, err
	}
	return r.host.(*jsHost).part(r.addr+at, n), nil
}

// Memory is the WebAssembly.Memory that the region lies in.
func (r region) Memory() safejs.Value { return r.host.(*jsHost).memory }

func (h *jsHost) read(addr int, b []byte) {
	if _, err := safejs.CopyBytesToGo(b, h.part(addr, len(b))); err != nil {
		panic(fmt.Sprintf("simd: read: %v", err))
	}
}

func (h *jsHost) run(start, end, control int) (lost bool, err error) {
	status, err := h.functions["run"].Invoke(start, end, control)
	if err != nil {
		return false, err
	}
	n, err := status.Int()
	return n != 0, err
}

// workerSource is the script of a thread. A trap in it stops the others.
var workerSource = fmt.Sprintf(`onmessage = ({data: [module, memory, control]}) => {
	try {
		new WebAssembly.Instance(module, {env: {memory}}).exports.work(control);
	} catch (error) {
		Atomics.store(new Int32Array(memory.buffer), (control + %d) / 4, 1);
		throw error;
	}
	close();
};`, ctlStop)

func (h *jsHost) spawn(n, control int) error {
	class, err := safejs.Global().Get("Worker")
	if err != nil {
		return err
	}
	url, release, err := scriptURL(workerSource)
	if err != nil {
		return err
	}
	defer release()
	for range n {
		worker, err := class.New(url)
		if err != nil {
			return err
		}
		h.workers = append(h.workers, worker)
		if _, err := worker.Call("postMessage", []any{h.module, h.memory, control}); err != nil {
			return err
		}
	}
	return nil
}

// scriptURL makes a URL for a script, to be released after use.
func scriptURL(source string) (url safejs.Value, release func(), err error) {
	class, err := safejs.Global().Get("Blob")
	if err != nil {
		return url, nil, err
	}
	blob, err := class.New([]any{source}, map[string]any{"type": "text/javascript"})
	if err != nil {
		return url, nil, err
	}
	urls, err := safejs.Global().Get("URL")
	if err != nil {
		return url, nil, err
	}
	url, err = urls.Call("createObjectURL", blob)
	return url, func() { urls.Call("revokeObjectURL", url) }, err
}

func (h *jsHost) halt(control int) {
	if len(h.workers) == 0 {
		return
	}
	h.functions["halt"].Invoke(control)
	for _, w := range h.workers {
		w.Call("terminate")
	}
	h.workers = nil
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
