package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Failures that a caller acts on; test with errors.Is.
var (
	// ErrUnsupported: this device or browser cannot run the backend.
	ErrUnsupported = errors.New("not supported here")
	// ErrOutOfMemory: the device could not allocate what the program needs, or
	// its limits are too small for it.
	ErrOutOfMemory = errors.New("out of memory")
	// ErrDeviceLost: the device went away; buffers and programs of the backend are void.
	ErrDeviceLost = errors.New("device lost")
)

// Backend executes graphs on one device. Package engine/cpu is the reference.
// A Backend and what it makes are used from one goroutine at a time.
type Backend interface {
	// Name is "cpu", "simd" or "webgpu".
	Name() string
	// Supports reports whether Compile takes the node as it is: true for
	// every [Primitive], and else for what there is a kernel for. A declined
	// fused form is never made by Optimize, and a declined composite op is
	// expanded by Lower.
	Supports(n *Node) bool
	// Upload copies a weight to the device. The buffer may be used by any
	// number of programs and must outlive them.
	Upload(t Tensor) (Buffer, error)
	// Compile does all planning, kernel choice and weight packing. Every
	// weight of the graph must be in weights with the shape it declares.
	Compile(g *Graph, weights map[string]Buffer) (Program, error)
	// Close frees everything the backend holds.
	Close() error
}

// Streamer is a [Backend] that takes a weight piece by piece, straight into its
// own memory.
type Streamer interface {
	Backend
	// Stream is Upload with the data written by fill: [ByteSize] bytes, from
	// the first to the last, to a w whose offset 0 is the first. Bytes may be
	// written again until fill returns, and w is void after. Where the memory
	// is not the program's own, w may have other methods than WriteAt by which
	// those who know the host reach it.
	Stream(d DType, s Shape, fill func(w io.WriterAt) error) (Buffer, error)
}

// Remote is a [Backend] that computes a value sooner than the host can send it
// there: nothing is worth keeping in the host's memory for it.
type Remote interface {
	Backend
	Remote()
}

// Overlapping is a [Backend] that takes weights, from another goroutine, while
// one of its programs runs.
type Overlapping interface {
	Backend
	// Overlaps tells whether it does, here.
	Overlaps() bool
}

// Rounder is a [Backend] that may keep values in f16 between ops, but for the
// [Graph.Precise]: what leaves its range, 65504, is infinite.
type Rounder interface {
	Backend
	// Rounds tells whether it does, here.
	Rounds() bool
}

// Stream makes a weight of the bytes that fill writes, on any backend.
func Stream(b Backend, d DType, s Shape, fill func(w io.WriterAt) error) (Buffer, error) {
	if err := CheckType(d, s); err != nil {
		return nil, err
	}
	if b, ok := b.(Streamer); ok {
		return b.Stream(d, s, fill)
	}
	t := NewTensor(d, s...)
	if err := fill(t); err != nil {
		return nil, err
	}
	return b.Upload(t)
}

// Program is a compiled graph.
type Program interface {
	// Run executes the program: in has every input, and each tensor of out
	// has its Data allocated by the caller and filled by Run. A cancelled
	// ctx ends the run early with ctx.Err().
	Run(ctx context.Context, in, out map[string]Tensor) error
	Close() error
}

// Buffer is a tensor held by a backend.
type Buffer interface {
	// Size is the number of bytes held on the device.
	Size() int
	// Release frees the buffer.
	Release()
}

// CheckIO validates the tensors handed to Program.Run against the graph.
func CheckIO(g *Graph, in, out map[string]Tensor) error {
	for _, n := range g.Inputs() {
		t, ok := in[n.Name]
		if !ok {
			return fmt.Errorf("engine: run: input %q is missing", n.Name)
		}
		if err := checkTensor("input", n.Name, n, t); err != nil {
			return err
		}
	}
	nodes := map[string]*Node{}
	for _, o := range g.Outputs {
		nodes[o.Name] = o.Node
	}
	for name, t := range out {
		n, ok := nodes[name]
		if !ok {
			return fmt.Errorf("engine: run: no output %q", name)
		}
		if err := checkTensor("output", name, n, t); err != nil {
			return err
		}
	}
	return nil
}

func checkTensor(kind, name string, n *Node, t Tensor) error {
	if t.DType != n.DType || !t.Shape.Equal(n.Shape) {
		return fmt.Errorf("engine: run: %s %q is %v %v, want %v %v", kind, name, t.DType, t.Shape, n.DType, n.Shape)
	}
	if err := t.Validate(); err != nil {
		return fmt.Errorf("engine: run: %s %q: %w", kind, name, err)
	}
	return nil
}
