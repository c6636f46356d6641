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
	// Int8 multiplies by Q8 and Q2 weights in 8-bit integers, each row of activations
	// scaled by its largest element: faster, and some 1e-4 of the result's power
	// off. Auto is Off.
	Int8 Switch
	// Threads is the number of threads; 0 means [DefaultThreads]. More than one
	// needs a memory that can be shared, so that New fails in a page that is
	// not cross-origin isolated. Results do not depend on it.
	Threads int
}

// maxThreads bounds Options.Threads.
const maxThreads = 32

type backend struct {
	host    host
	fl      flavour
	mem     *memory
	threads int
	int8    bool
	limits  winogradLimits

	control span // see threads.go
	zeros   span // read as absent biases and padding pixels
	scratch span // work memory of kernels, one part for each thread
	stride  int  // bytes of a part
	arena   span // activations: shared by all programs, since one runs at a time
}

// New starts the SIMD module. In the browser it must run in a worker. The
// error is engine.ErrUnsupported where the host lacks what the options need.
func New(opts Options) (engine.Backend, error) {
	if opts.Threads == 0 {
		opts.Threads = DefaultThreads()
	}
	opts.Threads = min(max(opts.Threads, 1), maxThreads)
	h, fl, err := newHost(opts)
	if err != nil {
		return nil, err
	}
	b := &backend{host: h, fl: fl, mem: newMemory(h), threads: opts.Threads, int8: opts.Int8 == On, limits: defaultLimits}
	if err := b.startThreads(); err != nil {
		h.close()
		return nil, fmt.Errorf("simd: start threads: %w", err)
	}
	return b, nil
}

// startThreads makes a control block and starts the threads but the first,
// which is the caller's. They need not be up for a run to begin. Threads of an
// earlier pool may live on for a while: they keep their block, which tells them
// to stop, so it is not freed.
func (b *backend) startThreads() (err error) {
	if b.control, err = b.mem.alloc(ctlBytes); err != nil {
		return err
	}
	b.host.write(b.control.addr, make([]byte, ctlBytes))
	b.setScratch()
	if b.threads == 1 {
		return nil
	}
	return b.host.spawn(b.threads-1, b.control.addr)
}

func (b *backend) setScratch() {
	b.host.write(b.control.addr+ctlScratch, wordBytes([]uint32{uint32(b.scratch.addr), uint32(b.stride)}))
}

// run executes commands in memory. After a failure the threads are started
// anew, so that the backend stays usable.
func (b *backend) run(start, end int) error {
	lost, err := b.host.run(start, end, b.control.addr)
	if lost {
		err = fmt.Errorf("a thread was lost: %w", engine.ErrDeviceLost)
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("simd: run: %w", err)
	if b.threads > 1 {
		b.host.halt(b.control.addr)
		if again := b.startThreads(); again != nil {
			err = fmt.Errorf("%w; restart: %w", err, again)
		}
	}
	return err
}

func (b *backend) Name() string { return "simd" }

// MemoryBytes is the size of the module's memory: weights, activations and all
// else but the code. It never shrinks, so that it is the peak too.
func (b *backend) MemoryBytes() int { return b.mem.size }

// Supports takes every op that has a kernel, and every fused form.
func (b *backend) Supports(n *engine.Node) bool { return hasKernel(n.Op) }

// Overlaps: in a browser goroutines take turns, and a run gives way between two
// slices of it. Natively they would change the list of free memory at once.
func (b *backend) Overlaps() bool { return turns }

// Close stops the module and its threads; the memory goes with it.
func (b *backend) Close() error {
	b.host.halt(b.control.addr)
	return b.host.close()
}

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

// reserveScratch makes each thread's scratch memory at least size bytes.
func (b *backend) reserveScratch(size int) error {
	stride := roundUp(size, engine.ArenaAlign)
	if b.stride >= stride {
		return nil
	}
	if err := b.reserve(&b.scratch, stride*b.threads); err != nil {
		b.stride = 0
		return err
	}
	b.stride = stride
	b.setScratch()
	return nil
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
	words := []uint32{headKernel: uint32(k), headWords: uint32(commandHead + len(args)), headTo: uint32(units), headShares: uint32(min(units, 8*maxThreads))}
	for _, a := range args {
		words = append(words, uint32(a))
	}
	s, err := b.mem.alloc(4 * len(words))
	if err != nil {
		return err
	}
	defer b.mem.release(s)
	b.host.write(s.addr, wordBytes(words))
	return b.run(s.addr, s.addr+4*len(words))
}

func wordBytes(words []uint32) []byte {
	out := make([]byte, 0, 4*len(words))
	for _, w := range words {
		out = binary.LittleEndian.AppendUint32(out, w)
	}
	return out
}
