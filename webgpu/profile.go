package webgpu

import (
	"cmp"
	"slices"
	"time"
)

// KernelTime is what the dispatches of one kernel took.
type KernelTime struct {
	Kernel     string
	Dispatches int
	Time       time.Duration
	FLOPs      float64 // of all dispatches
	Bytes      int     // of their operands and results
}

// startProfile begins to time dispatches, where the device can.
func (b *Backend) startProfile() {
	if b.info.Adapter.has("timestamp-query") {
		b.profile = map[string]*KernelTime{}
	}
}

// Profile is the time of each kernel in all runs so far, the longest first;
// empty without Options.Profile or where the device has no timestamps.
func (b *Backend) Profile() []KernelTime {
	list := make([]KernelTime, 0, len(b.profile))
	for _, k := range b.profile {
		list = append(list, *k)
	}
	slices.SortFunc(list, func(a, b KernelTime) int { return cmp.Compare(b.Time, a.Time) })
	return list
}

// record adds the microseconds of a program's dispatches.
func (b *Backend) record(p *program, durations []float64) {
	for i, us := range durations {
		s := p.steps[p.pieces[i]]
		k := b.profile[s.kernel]
		if k == nil {
			k = &KernelTime{Kernel: s.kernel}
			b.profile[s.kernel] = k
		}
		k.Dispatches++
		k.Time += time.Duration(us * float64(time.Microsecond))
		if i == 0 || p.pieces[i] != p.pieces[i-1] { // else a further piece of the same step
			k.FLOPs += s.flops
			k.Bytes += s.bytes()
		}
	}
}

// bytes is what the operands and the result of a step span.
func (s step) bytes() int {
	n := s.out.size
	for i, v := range s.reads {
		if !slices.ContainsFunc(s.reads[:i], func(o view) bool { return o.span() == v.span() }) {
			n += v.size
		}
	}
	return n
}
