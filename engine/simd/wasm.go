package simd

import "math"

// A valType is a WebAssembly value type.
type valType byte

const (
	i32  valType = 0x7f
	i64  valType = 0x7e
	f32  valType = 0x7d
	f64  valType = 0x7c
	v128 valType = 0x7b
)

// module is a WebAssembly module under construction: functions, a table of
// those that are called by index, one imported memory, one mutable i32 global
// (the scratch address of the thread that runs the instance). It has no data.
type module struct {
	types   [][]byte // encoded function types
	funcs   []*fn
	table   []*fn // reached by callIndirect
	exports []*fn
	shared  bool // the imported memory is shared
}

// newFunc adds a function; its parameters are locals 0 and up.
func (m *module) newFunc(params []valType, results ...valType) *fn {
	enc := []byte{0x60}
	enc = append(vector(enc, len(params)), bytesOf(params)...)
	enc = append(vector(enc, len(results)), bytesOf(results)...)
	f := &fn{m: m, typ: m.typeIndex(enc), index: len(m.funcs), locals: append([]valType(nil), params...), params: len(params)}
	m.funcs = append(m.funcs, f)
	return f
}

func (m *module) typeIndex(enc []byte) int {
	for i, t := range m.types {
		if string(t) == string(enc) {
			return i
		}
	}
	m.types = append(m.types, enc)
	return len(m.types) - 1
}

// export makes f callable by the host under name.
func (m *module) export(name string, f *fn) {
	f.name = name
	m.exports = append(m.exports, f)
}

// bytes encodes the module (WebAssembly Core 2.0, §5.5).
func (m *module) bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	var b []byte
	b = vector(b, len(m.types))
	for _, t := range m.types {
		b = append(b, t...)
	}
	out = section(out, 1, b)

	b = append(vector(nil, 1), name("env")...)
	b = append(append(b, name("memory")...), 0x02)
	if m.shared {
		b = uleb(append(b, 0x03, 1), maxPages)
	} else {
		b = append(b, 0x00, 1)
	}
	out = section(out, 2, b)

	b = vector(nil, len(m.funcs))
	for _, f := range m.funcs {
		b = uleb(b, uint64(f.typ))
	}
	out = section(out, 3, b)
	out = section(out, 4, uleb([]byte{1, 0x70, 0}, uint64(len(m.table))))
	out = section(out, 6, []byte{1, byte(i32), 1, 0x41, 0, 0x0b})

	b = vector(nil, len(m.exports))
	for _, f := range m.exports {
		b = append(append(b, name(f.name)...), 0)
		b = uleb(b, uint64(f.index))
	}
	out = section(out, 7, b)

	b = vector([]byte{1, 0, 0x41, 0, 0x0b}, len(m.table))
	for _, f := range m.table {
		b = uleb(b, uint64(f.index))
	}
	out = section(out, 9, b)

	b = vector(nil, len(m.funcs))
	for _, f := range m.funcs {
		body := f.body()
		b = append(uleb(b, uint64(len(body))), body...)
	}
	return section(out, 10, b)
}

// maxPages is the largest memory a module can address: 4 GiB.
const maxPages = 65536

func section(out []byte, id byte, body []byte) []byte {
	return append(uleb(append(out, id), uint64(len(body))), body...)
}

func vector(b []byte, n int) []byte { return uleb(b, uint64(n)) }

func name(s string) []byte { return append(vector(nil, len(s)), s...) }

func bytesOf(ts []valType) []byte {
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
