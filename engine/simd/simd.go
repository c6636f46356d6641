// Package simd runs graphs on the CPU through WebAssembly SIMD: in the browser
// as a module beside the Go program, natively under wazero.
//
// The module is emitted by Go code in this package. wasm.go encodes it, expr.go
// and fn.go are the language the kernels are written in, kernels.go lists them;
// one file holds the kernels of related ops. compile.go turns a graph into a
// list of command words in the module's memory, and one call per run walks it.
// Weights and activations live in that memory, not in Go's heap.
//
// Start reading at backend.Compile and emitModule. The package knows nothing of
// models or pages.
package simd

import (
	"encoding/binary"
	"fmt"

	"wisp/engine"
)

// Switch turns a feature on or off, or leaves the choice to the package.
type Switch uint8

// The settings of a Switch.
const (
	Auto Switch = iota
	On
	Off
)

// Options configure [New]. The zero value takes what the host offers.
type Options struct {
	// Relaxed chooses the flavour that uses relaxed SIMD, whose fused
	// multiply-add is faster and rounds once where the other rounds twice.
	Relaxed Switch
}

type backend struct {
	host host
	fl   flavour
	mem  *memory

	zeros   span // read as absent biases and padding pixels
	scratch span // work memory of kernels
	arena   span // activations: shared by all programs, since one runs at a time
}

// New starts the SIMD module. In the browser it must run in a worker. The
// error is engine.ErrUnsupported where the host lacks WebAssembly SIMD.
func New(opts Options) (engine.Backend, error) {
	h, fl, err := newHost(opts)
	if err != nil {
		return nil, err
	}
	return &backend{host: h, fl: fl, mem: newMemory(h)}, nil
}

func (b *backend) Name() string { return "simd" }

// Supports takes every op and every fused form.
func (b *backend) Supports(*engine.Node) bool { return true }

// Close stops the module; its memory goes with it.
func (b *backend) Close() error { return b.host.close() }

// reserve makes s at least size bytes. Its address and content may change.
func (b *backend) reserve(s *span, size int) error {
	if s.size >= size {
		return nil
	}
	b.mem.release(*s)
	*s = span{}
	grown, err := b.mem.alloc(size)
	*s = grown
	return err
}

// zeroBytes returns the address of n zero bytes. A larger area replaces a
// smaller one, which stays for the programs that refer to it.
func (b *backend) zeroBytes(n int) (int, error) {
	if b.zeros.size < n {
		s, err := b.mem.alloc(max(n, 16<<10))
		if err != nil {
			return 0, err
		}
		b.host.write(s.addr, make([]byte, s.size))
		b.zeros = s
	}
	return b.zeros.addr, nil
}

// runNow executes one command built from args.
func (b *backend) runNow(k kernelID, units int, args ...int) error {
	words := []uint32{headKernel: uint32(k), headWords: uint32(commandHead + len(args)), headFrom: 0, headTo: uint32(units)}
	for _, a := range args {
		words = append(words, uint32(a))
	}
	s, err := b.mem.alloc(4 * len(words))
	if err != nil {
		return err
	}
	defer b.mem.release(s)
	b.host.write(s.addr, wordBytes(words))
	if err := b.host.call("run", s.addr, s.addr+4*len(words)); err != nil {
		return fmt.Errorf("simd: run: %w", err)
	}
	return nil
}

func wordBytes(words []uint32) []byte {
	out := make([]byte, 0, 4*len(words))
	for _, w := range words {
		out = binary.LittleEndian.AppendUint32(out, w)
	}
	return out
}
