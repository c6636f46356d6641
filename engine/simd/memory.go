package simd

import (
	"fmt"
	"slices"

	"wisp/engine"
	"wisp/wasm/emit"
)

// memory allocates the module's memory: first fit over a list of free spans,
// growing at the end. The lowest bytes are never handed out, so that address 0
// can mean "none", and slack bytes at the end stay readable for vector loads
// that pass the end of a tensor.
type memory struct {
	host host
	size int    // bytes
	free []span // by address, never touching
}

type span struct{ addr, size int }

const (
	pageSize = 65536
	slack    = 4096
)

func newMemory(h host) *memory {
	return &memory{host: h, size: pageSize, free: []span{{engine.ArenaAlign, pageSize - slack - engine.ArenaAlign}}}
}

// alloc returns n bytes aligned to engine.ArenaAlign; their content is arbitrary.
func (m *memory) alloc(n int) (span, error) {
	n = roundUp(max(n, 1), engine.ArenaAlign)
	for i, s := range m.free {
		if s.size >= n {
			m.take(i, n)
			return span{s.addr, n}, nil
		}
	}
	if err := m.grow(n); err != nil {
		return span{}, err
	}
	return m.alloc(n)
}

func (m *memory) take(i, n int) {
	m.free[i].addr += n
	m.free[i].size -= n
	if m.free[i].size == 0 {
		m.free = slices.Delete(m.free, i, i+1)
	}
}

// growStep bounds what is asked of the host ahead of need.
const growStep = 64 << 20

// grow makes room for n more bytes at the end, and for a quarter of the
// memory's size, up to growStep, if the host has that much.
func (m *memory) grow(n int) error {
	for _, want := range []int{max(n, min(m.size/4, growStep)), n} {
		pages := (want + pageSize - 1) / pageSize
		if (m.size/pageSize)+pages > emit.MaxPages || !m.host.grow(pages) {
			continue
		}
		m.release(span{m.size - slack, pages * pageSize})
		m.size += pages * pageSize
		return nil
	}
	return fmt.Errorf("simd: %d MiB in use, %d more bytes: %w", m.size>>20, n, engine.ErrOutOfMemory)
}

// release gives a span back; an empty one is ignored.
func (m *memory) release(s span) {
	if s.size == 0 {
		return
	}
	i, _ := slices.BinarySearchFunc(m.free, s.addr, func(f span, addr int) int { return f.addr - addr })
	m.free = slices.Insert(m.free, i, s)
	if i+1 < len(m.free) && s.addr+s.size == m.free[i+1].addr {
		m.free[i].size += m.free[i+1].size
		m.free = slices.Delete(m.free, i+1, i+2)
	}
	if i > 0 && m.free[i-1].addr+m.free[i-1].size == s.addr {
		m.free[i-1].size += m.free[i].size
		m.free = slices.Delete(m.free, i, i+1)
	}
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }
