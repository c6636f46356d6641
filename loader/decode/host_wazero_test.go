//go:build !js

package decode

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"wisp/wasm/emit"
)

// host runs the module over a memory of its own.
type host struct {
	memory                api.Memory
	decode, joinFn, sumFn api.Function
}

func newHost(t testing.TB, simd bool) *host {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	t.Cleanup(func() { r.Close(ctx) })
	env, err := r.InstantiateWithConfig(ctx, emit.MemoryModule(false), wazero.NewModuleConfig().WithName("env"))
	if err != nil {
		t.Fatal(err)
	}
	h := &host{memory: env.Memory()}
	h.reserve(Base)
	m, err := r.Instantiate(ctx, Module(simd))
	if err != nil {
		t.Fatal(err)
	}
	h.decode, h.joinFn, h.sumFn = m.ExportedFunction("decode"), m.ExportedFunction("join"), m.ExportedFunction("sum")
	return h
}

// reserve makes the memory at least n bytes large.
func (h *host) reserve(n int) {
	if have := int(h.memory.Size()); n > have {
		h.memory.Grow(uint32(n-have+0xffff) >> 16)
	}
}

func (h *host) size() int { return int(h.memory.Size()) }

func (h *host) write(at int, b []byte) { h.memory.Write(uint32(at), b) }

func (h *host) read(at, n int) []byte {
	b, _ := h.memory.Read(uint32(at), uint32(n))
	return append([]byte(nil), b...)
}

func call(t testing.TB, f api.Function, args ...int) int {
	words := make([]uint64, len(args))
	for i, a := range args {
		words[i] = uint64(uint32(a))
	}
	out, err := f.Call(context.Background(), words...)
	if err != nil {
		t.Fatalf("trap: %v", err)
	}
	if len(out) == 0 {
		return 0
	}
	return int(int32(out[0]))
}

func (h *host) decodeAt(t testing.TB, src, n, dst, room int) int {
	return call(t, h.decode, src, n, dst, room)
}
func (h *host) joinAt(t testing.TB, src, dst, n, width int) { call(t, h.joinFn, src, dst, n, width) }
func (h *host) sumAt(t testing.TB, src, n, out int)         { call(t, h.sumFn, src, n, out) }

// TestSumModule: the module of the sum alone agrees with Sum, in memories of
// both kinds.
func TestSumModule(t *testing.T) {
	for _, shared := range []bool{false, true} {
		ctx := context.Background()
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesThreads))
		defer r.Close(ctx)
		env, err := r.InstantiateWithConfig(ctx, emit.MemoryModule(shared), wazero.NewModuleConfig().WithName("env"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.Instantiate(ctx, SumModule(shared))
		if err != nil {
			t.Fatal(err)
		}
		for n := range 200 {
			b := planes(n)[:n]
			env.Memory().Write(uint32(77+n), b)
			low := call(t, m.ExportedFunction("sum"), 77+n, n)
			high := call(t, m.ExportedFunction("high"))
			if got := uint64(uint32(high))<<32 | uint64(uint32(low)); got != Sum(b) {
				t.Errorf("shared %v: %d bytes: %x, want %x", shared, n, got, Sum(b))
			}
		}
	}
}
