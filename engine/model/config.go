package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// ErrConfig: a configuration that is malformed, or asks for something that
// this package does not build. The message names the component and the field.
var ErrConfig = errors.New("unsupported configuration")

// The bounds on what a configuration may ask for, so that a hostile one can
// make neither an endless graph nor a shape that overflows.
const (
	maxBlocks       = 16
	maxLayers       = 256
	maxTransformers = 1024 // layers in a whole network
	maxWidth        = 1 << 16
)

// parse decodes config over the defaults that v holds.
func parse(component string, config []byte, v any) error {
	if err := json.Unmarshal(config, v); err != nil {
		return fmt.Errorf("model: %s config: %w: %w", component, ErrConfig, err)
	}
	return nil
}

// checker collects the first field of a configuration that cannot be built.
type checker struct {
	component string
	err       error
}

func (c *checker) fail(field, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("model: %s config: %w: %s %s", c.component, ErrConfig, field, fmt.Sprintf(format, args...))
	}
}

// within requires lo ≤ v ≤ hi.
func (c *checker) within(field string, v, lo, hi int) {
	if v < lo || v > hi {
		c.fail(field, "is %d, want %d to %d", v, lo, hi)
	}
}

// width requires a positive, sane number of channels.
func (c *checker) width(field string, v int) { c.within(field, v, 1, maxWidth) }

// optionalWidth is width for a value that may be absent.
func (c *checker) optionalWidth(field string, v *int) {
	if v != nil {
		c.width(field, *v)
	}
}

// widths requires between one and maxBlocks sane numbers of channels.
func (c *checker) widths(field string, v []int) {
	c.within("length of "+field, len(v), 1, maxBlocks)
	for _, w := range v {
		c.width(field, w)
	}
}

// one requires a string that is among those supported.
func (c *checker) one(field, v string, supported ...string) {
	if !slices.Contains(supported, v) {
		c.fail(field, "is %q, supported: %q", v, supported)
	}
}

// unset requires an option that is absent, null or false.
func (c *checker) unset(field string, v json.RawMessage) {
	if len(v) > 0 && string(v) != "null" && string(v) != "false" {
		c.fail(field, "is %.100s, which is not supported", v)
	}
}

// divides requires v to be a multiple of by.
func (c *checker) divides(field string, by, v int) {
	if by < 1 || v%by != 0 {
		c.fail(field, "is %d, which does not divide %d", by, v)
	}
}

// perBlock is an option given once for all blocks or as a list with one value
// for each: 2 or [2, 2, 3].
type perBlock[T any] []T

// UnmarshalJSON reads either form; null leaves the default.
func (p *perBlock[T]) UnmarshalJSON(b []byte) error {
	var one T
	if string(b) == "null" {
		return nil
	}
	if b[0] == '[' {
		return json.Unmarshal(b, (*[]T)(p))
	}
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*p = perBlock[T]{one}
	return nil
}

// at is the value for block i.
func (p perBlock[T]) at(i int) T {
	if len(p) == 1 {
		return p[0]
	}
	return p[i]
}

// reversed is the list for the way up.
func (p perBlock[T]) reversed() perBlock[T] {
	r := slices.Clone(p)
	slices.Reverse(r)
	return r
}

// fits requires one value, or n of them.
func (p perBlock[T]) fits(c *checker, field string, n int) {
	if len(p) != 1 && len(p) != n {
		c.fail(field, "has %d values for %d blocks", len(p), n)
	}
}
