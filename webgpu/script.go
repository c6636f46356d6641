package webgpu

import "encoding/binary"

// script is a list of dispatches with everything that replay.js needs to run
// them.
type script struct {
	uniforms   []byte // the dims of all dispatches
	dispatches []dispatch
	uploads    []span // filled at the start of a run
	downloads  []span // read at its end
}

// dispatch is one command.
type dispatch struct {
	pipeline int
	dims     span // in uniforms
	grid     [3]int
	cost     int    // microseconds, estimated
	bindings []span // what is read, then what is written
}

// span is a run of bytes of a buffer. Sizes and offsets fit 31 bits: WebGPU
// buffers of wisp are below 2 GiB.
type span struct {
	buffer       bufferID
	offset, size int
}

// words encodes the script as replay.js decodes it.
func (s *script) words() []byte {
	var out []byte
	put := func(values ...int) {
		for _, v := range values {
			out = binary.LittleEndian.AppendUint32(out, uint32(v))
		}
	}
	put(len(s.dispatches), len(s.uploads), len(s.downloads))
	for _, d := range s.dispatches {
		put(d.pipeline, d.dims.offset, d.dims.size, d.grid[0], d.grid[1], d.grid[2], d.cost, len(d.bindings))
		for _, b := range d.bindings {
			put(int(b.buffer), b.offset, b.size)
		}
	}
	for _, b := range append(s.uploads[:len(s.uploads):len(s.uploads)], s.downloads...) {
		put(int(b.buffer), b.offset, b.size)
	}
	return out
}

// total is the number of bytes of the spans.
func total(spans []span) (n int) {
	for _, s := range spans {
		n += s.size
	}
	return n
}
