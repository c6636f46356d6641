package pack

import (
	"fmt"
	"math"

	"wisp/loader/safetensors"
)

// tensorError compares a tensor with what was packed.
type tensorError struct {
	name, dtype string
	max         float64 // largest absolute difference
	sum         float64 // of absolute differences
	num, den    float64 // sums of squares of difference and value
	n           int
}

func (e *tensorError) add(want, got float32) {
	d := math.Abs(float64(got) - float64(want))
	if math.IsNaN(d) { // NaN or infinity, kept as it is
		d = 0
	}
	e.max = math.Max(e.max, d)
	e.sum += d
	e.num += float64(d * d)
	e.den += float64(want) * float64(want)
	e.n++
}

// relative is the root mean square error over the root mean square value.
func (e *tensorError) relative() float64 {
	if e.den == 0 {
		return 0
	}
	return math.Sqrt(e.num / e.den)
}

func (e tensorError) String() string {
	if e.n == 0 {
		return fmt.Sprintf("%-5s exact            %s", e.dtype, e.name)
	}
	return fmt.Sprintf("%-5s max %.2e mean %.2e relative %.2e %s", e.dtype, e.max, e.sum/float64(e.n), e.relative(), e.name)
}

// summary is the report on a component.
type summary struct {
	tensors int
	before  int64
	all     tensorError
	worst   tensorError // by relative error
}

func (s *summary) add(t safetensors.Tensor, e tensorError) {
	s.tensors++
	s.before += t.Size
	s.all.max = math.Max(s.all.max, e.max)
	s.all.sum += e.sum
	s.all.num += e.num
	s.all.den += e.den
	s.all.n += e.n
	if e.relative() > s.worst.relative() {
		s.worst = e
	}
}

func (s *summary) String() string {
	if s.all.max == 0 {
		return "exact"
	}
	return fmt.Sprintf("error max %.2e mean %.2e relative %.2e, worst %.2e in %s", s.all.max,
		s.all.sum/float64(s.all.n), s.all.relative(), s.worst.relative(), s.worst.name)
}
