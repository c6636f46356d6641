//go:build !js

package simd

import (
	"context"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"wisp/engine"
	"wisp/wasm/emit"
)

// compiled keeps the native code of the modules for the life of the process.
var compiled = wazero.NewCompilationCache()

// turns: goroutines run at once.
const turns = false

type wazeroHost struct {
	runtime wazero.Runtime
	memory  api.Memory
	code    wazero.CompiledModule
	run0    api.Function
	halt0   api.Function
	workers sync.WaitGroup
}

// newHost starts the module natively. Wazero has no relaxed SIMD.
func newHost(opts Options) (host, flavour, error) {
	if opts.Relaxed == On && !hasRelaxed() {
		return nil, flavour{}, fmt.Errorf("simd: relaxed SIMD outside a browser: %w", engine.ErrUnsupported)
	}
	fl := wazeroTile
	fl.shared = opts.Threads > 1
	ctx := context.Background()
	config := wazero.NewRuntimeConfig().WithCompilationCache(compiled).
		WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesThreads)
	h := &wazeroHost{runtime: wazero.NewRuntimeWithConfig(ctx, config)}
	if err := h.start(ctx, fl); err != nil {
		h.runtime.Close(ctx)
		return nil, flavour{}, fmt.Errorf("simd: start module: %w", err)
	}
	return h, fl, nil
}

func (h *wazeroHost) start(ctx context.Context, fl flavour) error {
	env, err := h.runtime.InstantiateWithConfig(ctx, emit.MemoryModule(fl.shared), wazero.NewModuleConfig().WithName("env"))
	if err != nil {
		return err
	}
	h.memory = env.Memory()
	if h.code, err = h.runtime.CompileModule(ctx, emitModule(fl)); err != nil {
		return err
	}
	instance, err := h.instance(ctx)
	if err != nil {
		return err
	}
	h.run0, h.halt0 = instance.ExportedFunction("run"), instance.ExportedFunction("halt")
	return nil
}

// instance makes another instance of the module over the same memory.
func (h *wazeroHost) instance(ctx context.Context) (api.Module, error) {
	return h.runtime.InstantiateModule(ctx, h.code, wazero.NewModuleConfig().WithName(""))
}

func hasRelaxed() bool { return false }

// canShare: wazero has threads, behind a switch.
func canShare() bool { return true }

// DefaultThreads is the number of threads that Options.Threads 0 stands for: 1,
// since wazero calls its threads experimental.
func DefaultThreads() int { return 1 }

func (h *wazeroHost) grow(pages int) bool {
	_, ok := h.memory.Grow(uint32(pages))
	return ok
}

func (h *wazeroHost) write(addr int, b []byte) { h.memory.Write(uint32(addr), b) }

func (h *wazeroHost) read(addr int, b []byte) {
	view, _ := h.memory.Read(uint32(addr), uint32(len(b)))
	copy(b, view)
}

func (h *wazeroHost) run(start, end, control int) (lost bool, err error) {
	out, err := h.run0.Call(context.Background(), uint64(start), uint64(end), uint64(control))
	return err == nil && out[0] != 0, err
}

func (h *wazeroHost) spawn(n, control int) error {
	ctx := context.Background()
	for range n {
		instance, err := h.instance(ctx)
		if err != nil {
			return err
		}
		h.workers.Go(func() {
			instance.ExportedFunction("work").Call(ctx, uint64(control)) // a trap shows as a lost thread
			instance.Close(ctx)
		})
	}
	return nil
}

func (h *wazeroHost) halt(control int) {
	if h.halt0 != nil {
		h.halt0.Call(context.Background(), uint64(control))
		h.workers.Wait()
	}
}

func (h *wazeroHost) yield() {} // other goroutines run anyway

func (h *wazeroHost) close() error { return h.runtime.Close(context.Background()) }
