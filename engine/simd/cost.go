package simd

import (
	"fmt"
	"io"

	"wisp/engine"
)

// Count is how large the module's memory gets, in bytes, when the networks'
// weights are loaded and their graphs compiled, one after the other, as a
// pipeline does it that keeps all of them; stored is a weight's type. It fails
// with [engine.ErrOutOfMemory] where that is more than WebAssembly can address.
// Nothing is computed.
func Count(graphs []*engine.Graph, stored func(n *engine.Node) engine.DType) (int, error) {
	h := uncounted{}
	b := &backend{host: h, fl: relaxedTile, mem: newMemory(h), threads: 1, limits: defaultLimits}
	if err := b.startThreads(); err != nil {
		return 0, err
	}
	nothing := func(io.WriterAt) error { return nil }
	for _, g := range graphs {
		weights := map[string]engine.Buffer{}
		for _, n := range g.Weights() {
			w, err := b.Stream(stored(n), n.Shape, nothing)
			if err != nil {
				return 0, fmt.Errorf("simd: count %v: %w", n, err)
			}
			weights[n.Name] = w
		}
		if _, err := b.Compile(g, weights); err != nil {
			return 0, fmt.Errorf("simd: count: %w", err)
		}
	}
	return b.mem.size, nil
}

// uncounted is a host whose memory holds nothing.
type uncounted struct{}

func (uncounted) grow(int) bool                   { return true }
func (uncounted) write(int, []byte)               {}
func (uncounted) read(int, []byte)                {}
func (uncounted) run(int, int, int) (bool, error) { return false, nil }
func (uncounted) spawn(int, int) error            { return nil }
func (uncounted) halt(int)                        {}
func (uncounted) yield()                          {}
func (uncounted) close() error                    { return nil }
