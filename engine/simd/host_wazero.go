//go:build !js

package simd

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"wisp/engine"
)

// compiled keeps the native code of the module for the life of the process.
var compiled = wazero.NewCompilationCache()

type wazeroHost struct {
	runtime wazero.Runtime
	memory  api.Memory
	module  api.Module
}

// newHost starts the module natively. Wazero has no relaxed SIMD.
func newHost(opts Options) (host, flavour, error) {
	if opts.Relaxed == On && !hasRelaxed() {
		return nil, flavour{}, fmt.Errorf("simd: relaxed SIMD outside a browser: %w", engine.ErrUnsupported)
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(compiled))
	h := &wazeroHost{runtime: r}
	env, err := r.InstantiateWithConfig(ctx, memoryModule(), wazero.NewModuleConfig().WithName("env"))
	if err == nil {
		h.memory = env.Memory()
		h.module, err = r.Instantiate(ctx, emitModule(wazeroTile))
	}
	if err != nil {
		r.Close(ctx)
		return nil, flavour{}, fmt.Errorf("simd: instantiate: %w", err)
	}
	return h, wazeroTile, nil
}

func hasRelaxed() bool { return false }

// memoryModule is a module that exports a memory of one page as "memory":
// wazero has no other way to make one.
func memoryModule() []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = section(b, 5, []byte{1, 0, 1})
	return section(b, 7, append(append([]byte{1}, name("memory")...), 2, 0))
}

func (h *wazeroHost) grow(pages int) bool {
	_, ok := h.memory.Grow(uint32(pages))
	return ok
}

func (h *wazeroHost) write(addr int, b []byte) { h.memory.Write(uint32(addr), b) }

func (h *wazeroHost) read(addr int, b []byte) {
	view, _ := h.memory.Read(uint32(addr), uint32(len(b)))
	copy(b, view)
}

func (h *wazeroHost) call(export string, args ...int) error {
	words := make([]uint64, len(args))
	for i, a := range args {
		words[i] = uint64(uint32(a))
	}
	_, err := h.module.ExportedFunction(export).Call(context.Background(), words...)
	return err
}

func (h *wazeroHost) yield() {} // other goroutines run anyway

func (h *wazeroHost) close() error { return h.runtime.Close(context.Background()) }
