package webgpu

import (
	"cmp"
	"fmt"
	"slices"

	"wisp/engine"
)

// value is a run of bytes that steps read and write: a node's result, a
// kernel's scratch, a weight or a constant.
type value struct {
	size        int // bytes
	first, last int // steps between which it is alive
	fixed       bool
	at          span // where it lies: given where fixed, else set by place

	// apart are values that share a step with this one, one of the two being
	// written: WebGPU forbids them to share a buffer.
	apart map[*value]bool
}

// view is a part of a value. Its offset is a multiple of bindAlign.
type view struct {
	v            *value
	offset, size int
}

// bindAlign is the alignment of every binding that a device may ask for.
const bindAlign = 256

// part is the view of size bytes from offset.
func (w view) part(offset, size int) view { return view{w.v, w.offset + offset, size} }

func (w view) span() span {
	return span{w.v.at.buffer, w.v.at.offset + w.offset, align(w.size, 16)}
}

// lifetimes sets when each value is first and last touched and what it must
// be kept apart from. Uploads are written before the first step, downloads
// read after the last.
func lifetimes(steps []step, uploads, downloads []view) []*value {
	var values []*value
	touch := func(v *value, i int) {
		if v.fixed {
			return
		}
		if v.apart == nil {
			v.apart, v.first = map[*value]bool{}, i
			values = append(values, v)
		}
		v.last = i
	}
	for _, u := range uploads {
		touch(u.v, -1)
	}
	for i, s := range steps {
		touch(s.out.v, i)
		for _, r := range s.reads {
			touch(r.v, i)
			if !r.v.fixed {
				r.v.apart[s.out.v], s.out.v.apart[r.v] = true, true
			}
		}
	}
	for _, d := range downloads {
		touch(d.v, len(steps))
	}
	return values
}

// place lays the values out in buffers of at most limit bytes and returns the
// sizes of the buffers. It is the greedy-by-size placement of Pisarchyk & Lee
// 2020 over several buffers: the largest value first, each where it makes the
// total grow least, and at the lowest offset there.
func place(values []*value, limit int) ([]int, error) {
	order := slices.Clone(values)
	slices.SortStableFunc(order, func(a, b *value) int { return cmp.Compare(b.size, a.size) })
	var slots []slot
	for _, v := range order {
		size := align(v.size, bindAlign)
		if size > limit {
			return nil, fmt.Errorf("a tensor takes %d MiB, the device's buffers hold %d: %w", size>>20, limit>>20, engine.ErrOutOfMemory)
		}
		best, offset, growth := len(slots), 0, size
		for i := range slots {
			at, ok := slots[i].gap(v, size)
			if grown := max(0, at+size-slots[i].size); ok && at+size <= limit && (grown < growth || i == 0 && best == len(slots) && grown == growth) {
				best, offset, growth = i, at, grown
			}
		}
		if best == len(slots) {
			slots = append(slots, slot{})
		}
		v.at = span{bufferID(best), offset, size}
		slots[best].add(v)
	}
	sizes := make([]int, len(slots))
	for i, s := range slots {
		sizes[i] = s.size
	}
	return sizes, nil
}

// slot is a buffer that is being filled.
type slot struct {
	size   int
	values []*value // by offset
}

// gap is the lowest offset at which v fits beside the values that live at the
// same time; not ok where a value lies here that v must be kept apart from.
func (s *slot) gap(v *value, size int) (offset int, ok bool) {
	for _, p := range s.values {
		if v.apart[p] {
			return 0, false
		}
	}
	for _, p := range s.values {
		if p.last < v.first || v.last < p.first {
			continue
		}
		if p.at.offset-offset >= size {
			break
		}
		offset = max(offset, p.at.offset+p.at.size)
	}
	return offset, true
}

func (s *slot) add(v *value) {
	i, _ := slices.BinarySearchFunc(s.values, v.at.offset, func(p *value, offset int) int { return cmp.Compare(p.at.offset, offset) })
	s.values = slices.Insert(s.values, i, v)
	s.size = max(s.size, v.at.offset+v.at.size)
}
