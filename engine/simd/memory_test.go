package simd

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"wisp/engine"
)

// ramHost grows up to a limit and does nothing else.
type ramHost struct {
	host
	pages, limit int
}

func (h *ramHost) grow(n int) bool {
	if h.pages+n > h.limit {
		return false
	}
	h.pages += n
	return true
}

// TestMemory allocates and frees at random: spans must be aligned, disjoint
// and inside the memory, and all of it must come back.
func TestMemory(t *testing.T) {
	h := &ramHost{pages: 1, limit: 500}
	m := newMemory(h)
	r := rand.New(rand.NewPCG(3, 4))
	var held []span
	for range 3000 {
		if len(held) > 0 && r.IntN(5) < 2 {
			i := r.IntN(len(held))
			m.release(held[i])
			held = slices.Delete(held, i, i+1)
			continue
		}
		s, err := m.alloc(r.IntN(40000))
		if err != nil {
			t.Fatal(err)
		}
		if s.addr%engine.ArenaAlign != 0 || s.addr == 0 || s.addr+s.size > h.pages*pageSize-slack {
			t.Fatalf("span %v in %d pages", s, h.pages)
		}
		held = append(held, s)
		if len(held) > 200 {
			for _, s := range held {
				m.release(s)
			}
			held = nil
		}
	}
	slices.SortFunc(held, func(a, b span) int { return a.addr - b.addr })
	for i := 1; i < len(held); i++ {
		if held[i-1].addr+held[i-1].size > held[i].addr {
			t.Fatalf("%v and %v overlap", held[i-1], held[i])
		}
	}
	for _, s := range held {
		m.release(s)
	}
	if want := (span{engine.ArenaAlign, h.pages*pageSize - slack - engine.ArenaAlign}); len(m.free) != 1 || m.free[0] != want {
		t.Errorf("free after all is released: %v, want %v", m.free, want)
	}
}

func TestMemoryLimit(t *testing.T) {
	m := newMemory(&ramHost{pages: 1, limit: 10})
	if _, err := m.alloc(9 * pageSize); err != nil {
		t.Fatalf("within the limit: %v", err)
	}
	if _, err := m.alloc(2 * pageSize); !errors.Is(err, engine.ErrOutOfMemory) {
		t.Fatalf("beyond the limit: %v", err)
	}
	if _, err := newMemory(&ramHost{limit: 1 << 30}).alloc(5 << 30); !errors.Is(err, engine.ErrOutOfMemory) {
		t.Fatalf("beyond 4 GiB: %v", err)
	}
}
