// Package emit writes WebAssembly modules: a [Module] holds functions, and the
// statements of a [Func] take typed expressions, so that the Go compiler checks
// the emitted code. What the code is for, it must not know. Start at expr.go.
package emit

import "math"

// Type is a WebAssembly value type.
type Type byte

// The value types.
const (
	I32  Type = 0x7f
	I64  Type = 0x7e
	F32  Type = 0x7d
	F64  Type = 0x7c
	V128 Type = 0x7b
)

// Module is a WebAssembly module under construction: functions, a table of
// those that are called by index, one imported memory, one mutable i32 global
// (the scratch address of the thread that runs the instance), and bytes that are
// put into the memory when it is instantiated.
type Module struct {
	types   [][]byte // encoded function types
	funcs   []*Func
	Table   []*Func // reached by CallIndirect
	exports []*Func
	data    []byte // encoded segments
	datas   int
	Shared  bool // the imported memory is shared
}

// NewFunc adds a function; its parameters are locals 0 and up.
func (m *Module) NewFunc(params []Type, results ...Type) *Func {
	enc := []byte{0x60}
	enc = append(vector(enc, len(params)), bytesOf(params)...)
	enc = append(vector(enc, len(results)), bytesOf(results)...)
	f := &Func{m: m, typ: m.typeIndex(enc), index: len(m.funcs), locals: append([]Type(nil), params...), params: len(params)}
	m.funcs = append(m.funcs, f)
	return f
}

func (m *Module) typeIndex(enc []byte) int {
	for i, t := range m.types {
		if string(t) == string(enc) {
			return i
		}
	}
	m.types = append(m.types, enc)
	return len(m.types) - 1
}

// Export makes f callable by the host under name.
func (m *Module) Export(name string, f *Func) {
	f.name = name
	m.exports = append(m.exports, f)
}

// Data puts b at addr in the memory whenever the module is instantiated.
func (m *Module) Data(addr int, b []byte) {
	m.data = append(sleb(append(m.data, 0, 0x41), int64(addr)), 0x0b)
	m.data = append(vector(m.data, len(b)), b...)
	m.datas++
}

// Bytes encodes the module (WebAssembly Core 2.0, §5.5).
func (m *Module) Bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	var b []byte
	b = vector(b, len(m.types))
	for _, t := range m.types {
		b = append(b, t...)
	}
	out = section(out, 1, b)

	b = append(vector(nil, 1), name("env")...)
	b = append(append(b, name("memory")...), 0x02)
	if m.Shared {
		b = uleb(append(b, 0x03, 1), MaxPages)
	} else {
		b = append(b, 0x00, 1)
	}
	out = section(out, 2, b)

	b = vector(nil, len(m.funcs))
	for _, f := range m.funcs {
		b = uleb(b, uint64(f.typ))
	}
	out = section(out, 3, b)
	out = section(out, 4, uleb([]byte{1, 0x70, 0}, uint64(len(m.Table))))
	out = section(out, 6, []byte{1, byte(I32), 1, 0x41, 0, 0x0b})

	b = vector(nil, len(m.exports))
	for _, f := range m.exports {
		b = append(append(b, name(f.name)...), 0)
		b = uleb(b, uint64(f.index))
	}
	out = section(out, 7, b)

	b = vector([]byte{1, 0, 0x41, 0, 0x0b}, len(m.Table))
	for _, f := range m.Table {
		b = uleb(b, uint64(f.index))
	}
	out = section(out, 9, b)

	b = vector(nil, len(m.funcs))
	for _, f := range m.funcs {
		body := f.body()
		b = append(uleb(b, uint64(len(body))), body...)
	}
	out = section(out, 10, b)
	if m.datas > 0 {
		out = section(out, 11, append(vector(nil, m.datas), m.data...))
	}
	return out
}

// MemoryModule is a module that exports a memory of one page as "memory", for
// hosts that have no other way to make one.
func MemoryModule(shared bool) []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	if shared {
		b = section(b, 5, uleb([]byte{1, 3, 1}, MaxPages))
	} else {
		b = section(b, 5, []byte{1, 0, 1})
	}
	return section(b, 7, append(append([]byte{1}, name("memory")...), 2, 0))
}

// MaxPages is the largest memory a module can address: 4 GiB.
const MaxPages = 65536

func section(out []byte, id byte, body []byte) []byte {
	return append(uleb(append(out, id), uint64(len(body))), body...)
}

func vector(b []byte, n int) []byte { return uleb(b, uint64(n)) }

func name(s string) []byte { return append(vector(nil, len(s)), s...) }

func bytesOf(ts []Type) []byte {
	b := make([]byte, len(ts))
	for i, t := range ts {
		b[i] = byte(t)
	}
	return b
}

// uleb appends n in unsigned LEB128.
func uleb(b []byte, n uint64) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

// sleb appends n in signed LEB128.
func sleb(b []byte, n int64) []byte {
	for {
		c := byte(n & 0x7f)
		n >>= 7
		if n == 0 && c&0x40 == 0 || n == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func float32Bytes(x float32) []byte {
	u := math.Float32bits(x)
	return []byte{byte(u), byte(u >> 8), byte(u >> 16), byte(u >> 24)}
}

func float64Bytes(x float64) []byte {
	b := make([]byte, 8)
	u := math.Float64bits(x)
	for i := range b {
		b[i] = byte(u >> (8 * i))
	}
	return b
}
