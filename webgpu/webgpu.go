// Package webgpu runs graphs on the visitor's GPU. Compile turns a graph into
// steps by the kernel table (kernels.go), places what they read and write in a
// few large buffers (plan.go) and hands the browser one list of command words
// (script.go), which replay.js walks at each run.
//
// It knows nothing of models or files, and of JavaScript only in *_js.go,
// behind the interface device. Start at [New], then kernels.go.
package webgpu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/x448/float16"

	"wisp/engine"
	"wisp/shaders"
)

// Options choose what [New] makes of a device.
type Options struct {
	// Fast declines, as engine.ErrUnsupported, a device on which WebAssembly
	// SIMD is the better choice: one that computes on the CPU, or hardly
	// faster.
	Fast bool
	// Precision is "f32" or "f16" for the storage of activations; empty for
	// f16 where the adapter has it and passes the self-test.
	Precision string
	// DefaultLimits keeps to the limits and features that every device has,
	// and to f32.
	DefaultLimits bool
	// NoSubgroups leaves the subgroups feature out.
	NoSubgroups bool
	// Profile times every dispatch, where the device can; see Backend.Profile.
	// Runs take longer.
	Profile bool
}

// slowest is the rate in GFLOP/s, as measured at the start, below which a
// device is no better than WebAssembly SIMD on a few cores.
const slowest = 20

// Info says what a backend runs on and how.
type Info struct {
	Adapter   Adapter
	Precision string // "f32" or "f16": the storage of activations
	Reason    string // why not f16, or empty
	Subgroups bool   // sums go over subgroups
	// GFLOPS is the rate of the matrix kernel, measured at the start, in
	// billions of operations a second.
	GFLOPS float64
}

// Backend is an engine.Backend on a WebGPU device.
type Backend struct {
	dev       device
	limits    Limits
	info      Info
	elem      engine.DType
	wide      bool           // matrices go through linear_wide: the device is a CPU
	pipelines map[string]int // ids by key
	modules   map[string]bool
	arena     []arenaBuffer // shared by all programs, of which one runs at a time
	epoch     int           // counts changes of the arena
	uploaded  int           // bytes since the last flush
	profile   map[string]*KernelTime
}

type arenaBuffer struct {
	id   bufferID
	size int
}

// largest bounds buffers and bindings, so that offsets fit command words.
const largest = 1 << 30

// newBackend makes a backend on a device, with activations in f32.
func newBackend(dev device) *Backend {
	a := dev.adapter()
	limits := a.Limits
	limits.Buffer = min(limits.Buffer, largest) / bindAlign * bindAlign
	limits.Binding = min(limits.Binding, limits.Buffer) / bindAlign * bindAlign
	return &Backend{
		dev: dev, limits: limits, info: Info{Adapter: a, Precision: "f32", Subgroups: a.has("subgroups")}, elem: engine.F32, wide: a.CPU(),
		pipelines: map[string]int{}, modules: map[string]bool{}, epoch: 1,
	}
}

// Name is "webgpu".
func (b *Backend) Name() string { return "webgpu" }

// Remote implements [engine.Remote]: a graphics card computes what follows from
// a text sooner than it is sent at each step.
func (b *Backend) Remote() {}

// Overlaps implements [engine.Overlapping]: a run waits for the device, and what
// is written meanwhile goes to other buffers.
func (b *Backend) Overlaps() bool { return true }

// Rounds implements [engine.Rounder].
func (b *Backend) Rounds() bool { return b.elem == engine.F16 }

// Info says what the backend runs on.
func (b *Backend) Info() Info { return b.info }

// Supports is true for every op that has a kernel; every epilogue is fused.
func (b *Backend) Supports(n *engine.Node) bool {
	return n.Op.IsSource() || n.Op == engine.OpReshape || slices.ContainsFunc(kernels, func(k kernel) bool { return k.op == n.Op })
}

// Close destroys the device.
func (b *Backend) Close() error { return b.dev.close() }

// key names the pipeline of a step.
func (s step) key() string { return fmt.Sprint(s.kernel, s.elem, len(s.reads), s.constants) }

// prepare makes the pipelines that the steps need and do not exist yet.
func (b *Backend) prepare(steps []step) error {
	modules := map[string]string{}
	var wanted []pipeline
	keys := map[string]int{}
	for _, s := range steps {
		key, module := s.key(), fmt.Sprintf("%s_%v", s.kernel, s.elem)
		if _, ok := b.pipelines[key]; ok {
			continue
		}
		if _, ok := keys[key]; ok {
			continue
		}
		if !b.modules[module] {
			text, err := shaders.Source(s.kernel, s.elem)
			if err != nil {
				return err
			}
			modules[module] = text
		}
		keys[key] = len(wanted)
		constants := s.constants
		if constants == nil {
			constants = map[string]float64{}
		}
		wanted = append(wanted, pipeline{module, len(s.reads), constants})
	}
	if len(wanted) == 0 {
		return nil
	}
	first, err := b.dev.compile(modules, wanted)
	if err != nil {
		return err
	}
	for m := range modules {
		b.modules[m] = true
	}
	for key, i := range keys {
		b.pipelines[key] = first + i
	}
	return nil
}

// dispatch makes the command of a step whose operands lie at spans, and
// appends its dims to uniforms.
func (b *Backend) dispatch(s step, spans []span, uniforms *[]byte) dispatch {
	extend(uniforms, bindAlign)
	at := len(*uniforms)
	for _, d := range s.dims {
		*uniforms = binary.LittleEndian.AppendUint32(*uniforms, d)
	}
	extend(uniforms, 16)
	return dispatch{
		pipeline: b.pipelines[s.key()],
		dims:     span{offset: at, size: len(*uniforms) - at},
		grid:     s.grid,
		cost:     b.cost(s, spans),
		bindings: spans,
	}
}

// extend appends zeros up to a multiple of to. Unlike padded it may write behind
// b, so that many dispatches take no longer than their bytes.
func extend(b *[]byte, to int) {
	*b = append(*b, make([]byte, align(len(*b), to)-len(*b))...)
}

// once runs a single step at once: the spans are what it reads, then what it
// writes.
func (b *Backend) once(s step, elem engine.DType, spans ...span) error {
	s.elem, s.reads = elem, make([]view, len(spans)-1)
	if err := b.prepare([]step{s}); err != nil {
		return err
	}
	var sc script
	sc.dispatches = []dispatch{b.dispatch(s, spans, &sc.uniforms)}
	return b.dev.once(&sc)
}

// The rates by which work is estimated before any was measured: those of a
// small integrated GPU. replay.js corrects them as it goes.
const (
	guessedFlops     = 300e3 // a microsecond
	guessedBandwidth = 30e3  // bytes a microsecond
	dispatchCost     = 2     // microseconds
)

// cost estimates the microseconds of a step.
func (b *Backend) cost(s step, spans []span) int {
	flops := guessedFlops
	if b.info.GFLOPS > 0 {
		flops = b.info.GFLOPS * 1e3
	}
	return dispatchCost + int(max(s.flops/flops, float64(total(spans))*guessedFlops/flops/guessedBandwidth))
}

// reserve makes the arena's buffers at least as large as sizes.
func (b *Backend) reserve(sizes []int) error {
	for i, size := range sizes {
		if i < len(b.arena) && b.arena[i].size >= size {
			continue
		}
		b.epoch++
		if i < len(b.arena) {
			b.dev.free(b.arena[i].id) // before its successor takes memory
			b.arena[i] = arenaBuffer{id: -1}
		} else {
			b.arena = append(b.arena, arenaBuffer{id: -1})
		}
		id, err := b.dev.alloc(size)
		if err != nil {
			return err
		}
		b.arena[i] = arenaBuffer{id, size}
	}
	if err := b.dev.flush(); err != nil {
		b.dropArena()
		return err
	}
	return nil
}

// dropArena frees the arena; the next run makes it anew.
func (b *Backend) dropArena() {
	b.epoch++
	for _, a := range b.arena {
		if a.id >= 0 {
			b.dev.free(a.id)
		}
	}
	b.arena = nil
}

// weightsOf checks that each weight of the graph is there.
func weightsOf(g *engine.Graph, weights map[string]engine.Buffer) (map[string]*weight, error) {
	out := map[string]*weight{}
	for _, n := range g.Weights() {
		w, ok := weights[n.Name].(*weight)
		if !ok || w.parts == nil {
			return nil, fmt.Errorf("weight %q is missing", n.Name)
		}
		if !w.shape.Equal(n.Shape) {
			return nil, fmt.Errorf("weight %q is %v, want %v", n.Name, w.shape, n.Shape)
		}
		out[n.Name] = w
	}
	return out, nil
}

// encode is the tensor's data as activations of type d; indices stay as they
// are.
func encode(t engine.Tensor, d engine.DType) []byte {
	if t.DType == engine.I32 || t.DType == d {
		return t.Data
	}
	values := t.Float32s()
	if d == engine.F32 {
		return engine.FromFloat32s(values, len(values)).Data
	}
	out := make([]byte, 0, 2*len(values))
	for _, v := range values {
		out = binary.LittleEndian.AppendUint16(out, float16.Fromfloat32(v).Bits())
	}
	return out
}

// errNotFinite: a result has left the range of f16.
var errNotFinite = errors.New("a result in f16 was not finite")
