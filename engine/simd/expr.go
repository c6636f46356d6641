package simd

// Expressions. A value of type i32v, i64v, f32v, f64v or vec is code that leaves one
// WebAssembly value on the stack; methods combine them, so the Go compiler
// checks the types of the emitted code. A variable is a value whose code reads
// a local; fn.set assigns to it. Evaluation happens where the code is emitted:
// to compute something once, set a variable to it.
type (
	i32v struct{ *expr } // i32: an integer or an address
	i64v struct{ *expr } // i64
	f32v struct{ *expr } // f32
	f64v struct{ *expr } // f64
	vec  struct{ *expr } // v128; the arithmetic is on four f32 lanes unless named otherwise
)

type code []byte

// expr is what the types share. They are pointers, since the kernels are
// thousands of calls on them, and a call costs code for each word passed.
type expr struct{ code }

// value is any of the expression types.
type value interface{ bytes() code }

func (e *expr) bytes() code { return e.code }

// cat is the code of the operands in order, then op.
func cat(op []byte, operands ...value) *expr {
	n := len(op)
	for _, o := range operands {
		n += len(o.bytes())
	}
	c := make(code, 0, n)
	for _, o := range operands {
		c = append(c, o.bytes()...)
	}
	return &expr{append(c, op...)}
}

func op1(b byte, operands ...value) *expr { return cat([]byte{b}, operands...) }

// opV is an instruction of the SIMD page (prefix 0xfd).
func opV(n uint64, operands ...value) *expr { return cat(uleb([]byte{0xfd}, n), operands...) }

// mem encodes an access with a byte offset. The alignment hint is 1: no engine
// uses it, and addresses are only known to be multiples of 4.
func mem(op []byte, offset int) []byte {
	return uleb(append(append([]byte(nil), op...), 0), uint64(offset))
}

func memV(n uint64, offset int) []byte { return mem(uleb([]byte{0xfd}, n), offset) }

// num is the constant n.
func num(n int) i32v { return i32v{cat(sleb([]byte{0x41}, int64(int32(uint32(n)))))} }

func (a i32v) add(b i32v) i32v  { return i32v{op1(0x6a, a, b)} }
func (a i32v) sub(b i32v) i32v  { return i32v{op1(0x6b, a, b)} }
func (a i32v) mul(b i32v) i32v  { return i32v{op1(0x6c, a, b)} }
func (a i32v) div(b i32v) i32v  { return i32v{op1(0x6e, a, b)} } // unsigned
func (a i32v) rem(b i32v) i32v  { return i32v{op1(0x70, a, b)} } // unsigned
func (a i32v) and(b i32v) i32v  { return i32v{op1(0x71, a, b)} }
func (a i32v) plus(n int) i32v  { return a.add(num(n)) }
func (a i32v) times(n int) i32v { return a.mul(num(n)) }
func (a i32v) shl(n int) i32v   { return i32v{op1(0x74, a, num(n))} }
func (a i32v) shr(n int) i32v   { return i32v{op1(0x76, a, num(n))} } // unsigned

func (a i32v) eqz() i32v         { return i32v{op1(0x45, a)} }
func (a i32v) eq(b i32v) i32v    { return i32v{op1(0x46, a, b)} }
func (a i32v) ne(b i32v) i32v    { return i32v{op1(0x47, a, b)} }
func (a i32v) lt(b i32v) i32v    { return i32v{op1(0x48, a, b)} } // signed
func (a i32v) below(b i32v) i32v { return i32v{op1(0x49, a, b)} } // unsigned
func (a i32v) gt(b i32v) i32v    { return i32v{op1(0x4a, a, b)} } // signed
func (a i32v) ge(b i32v) i32v    { return i32v{op1(0x4e, a, b)} } // signed

// pick is a where cond is not zero, else b; both are evaluated.
func pick(cond, a, b i32v) i32v { return i32v{op1(0x1b, a, b, cond)} }

// least is the smaller of a and b, signed; both are evaluated twice.
func least(a, b i32v) i32v { return pick(a.lt(b), a, b) }

func (a i32v) load(offset int) i32v    { return i32v{cat(mem([]byte{0x28}, offset), a)} }
func (a i32v) loadU8(offset int) i32v  { return i32v{cat(mem([]byte{0x2d}, offset), a)} }
func (a i32v) loadS8(offset int) i32v  { return i32v{cat(mem([]byte{0x2c}, offset), a)} }
func (a i32v) loadU16(offset int) i32v { return i32v{cat(mem([]byte{0x2f}, offset), a)} }
func (a i32v) loadF(offset int) f32v   { return f32v{cat(mem([]byte{0x2a}, offset), a)} }

func (a i32v) float() f32v  { return f32v{op1(0xb2, a)} } // signed
func (a i32v) double() f64v { return f64v{op1(0xb7, a)} } // signed

// pair is high<<32 | low.
func pair(high, low i32v) i64v {
	shifted := op1(0x86, i64v{op1(0xad, high)}, i64v{cat([]byte{0x42, 32})})
	return i64v{op1(0x84, i64v{shifted}, i64v{op1(0xad, low)})}
}

func (a i64v) low() i32v      { return i32v{op1(0xa7, a)} }
func (a i64v) high() i32v     { return i64v{op1(0x88, a, i64v{cat([]byte{0x42, 32})})}.low() }
func (a i64v) sub(n int) i64v { return i64v{op1(0x7d, a, i64v{cat(sleb([]byte{0x42}, int64(n)))})} }

// fnum is the constant x.
func fnum(x float32) f32v { return f32v{cat(append([]byte{0x43}, float32Bytes(x)...))} }

func (a f32v) add(b f32v) f32v { return f32v{op1(0x92, a, b)} }
func (a f32v) sub(b f32v) f32v { return f32v{op1(0x93, a, b)} }
func (a f32v) mul(b f32v) f32v { return f32v{op1(0x94, a, b)} }
func (a f32v) div(b f32v) f32v { return f32v{op1(0x95, a, b)} }
func (a f32v) max(b f32v) f32v { return f32v{op1(0x97, a, b)} }
func (a f32v) sqrt() f32v      { return f32v{op1(0x91, a)} }
func (a f32v) ne(b f32v) i32v  { return i32v{op1(0x5c, a, b)} }
func (a f32v) double() f64v    { return f64v{op1(0xbb, a)} }
func (a f32v) splat() vec      { return vec{opV(0x13, a)} }

// dnum is the constant x.
func dnum(x float64) f64v { return f64v{cat(append([]byte{0x44}, float64Bytes(x)...))} }

func (a f64v) add(b f64v) f64v { return f64v{op1(0xa0, a, b)} }
func (a f64v) sub(b f64v) f64v { return f64v{op1(0xa1, a, b)} }
func (a f64v) mul(b f64v) f64v { return f64v{op1(0xa2, a, b)} }
func (a f64v) div(b f64v) f64v { return f64v{op1(0xa3, a, b)} }
func (a f64v) sqrt() f64v      { return f64v{op1(0x9f, a)} }
func (a f64v) single() f32v    { return f32v{op1(0xb6, a)} }

// lanes is the constant with these 32-bit lanes.
func lanes(a, b, c, d uint32) vec {
	out := []byte{0xfd, 0x0c}
	for _, u := range [4]uint32{a, b, c, d} {
		out = append(out, byte(u), byte(u>>8), byte(u>>16), byte(u>>24))
	}
	return vec{cat(out)}
}

// bits has the 32-bit pattern u in every lane.
func bits(u uint32) vec { return lanes(u, u, u, u) }

// all has x in every lane.
func all(x float32) vec {
	b := float32Bytes(x)
	return bits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
}

func (a i32v) loadV(offset int) vec     { return vec{cat(memV(0x00, offset), a)} }
func (a i32v) loadSplat(offset int) vec { return vec{cat(memV(0x09, offset), a)} }
func (a i32v) loadU16x4(offset int) vec { return vec{cat(memV(0x04, offset), a)} }
func (a i32v) loadS8x8(offset int) vec  { return vec{cat(memV(0x01, offset), a)} }
func (a i32v) loadU8x8(offset int) vec  { return vec{cat(memV(0x02, offset), a)} }
func (a i32v) splat() vec               { return vec{opV(0x11, a)} }

// loadLane is v with 32-bit lane i replaced from memory at a.
func (a i32v) loadLane(offset int, v vec, i byte) vec {
	return vec{cat(append(memV(0x56, offset), i), a, v)}
}

func (a vec) add(b vec) vec  { return vec{opV(0xe4, a, b)} }
func (a vec) sub(b vec) vec  { return vec{opV(0xe5, a, b)} }
func (a vec) mul(b vec) vec  { return vec{opV(0xe6, a, b)} }
func (a vec) div(b vec) vec  { return vec{opV(0xe7, a, b)} }
func (a vec) lt(b vec) vec   { return vec{opV(0x43, a, b)} }
func (a vec) pmin(b vec) vec { return vec{opV(0xea, a, b)} } // b < a ? b : a, so a NaN in a stays
func (a vec) pmax(b vec) vec { return vec{opV(0xeb, a, b)} } // a < b ? b : a, so a NaN in a stays
func (a vec) abs() vec       { return vec{opV(0xe0, a)} }
func (a vec) toFloat() vec   { return vec{opV(0xfa, a)} } // from signed i32x4

func (a vec) and(b vec) vec    { return vec{opV(0x4e, a, b)} }
func (a vec) andNot(b vec) vec { return vec{opV(0x4f, a, b)} } // a &^ b
func (a vec) or(b vec) vec     { return vec{opV(0x50, a, b)} }
func (a vec) xor(b vec) vec    { return vec{opV(0x51, a, b)} }

// choose takes the bits of a where mask is set, else those of b.
func choose(mask, a, b vec) vec { return vec{opV(0x52, a, b, mask)} }

func (a vec) addI(b vec) vec     { return vec{opV(0xae, a, b)} } // i32x4
func (a vec) subI(b vec) vec     { return vec{opV(0xb1, a, b)} } // i32x4
func (a vec) maxI(b vec) vec     { return vec{opV(0xb8, a, b)} } // i32x4, signed
func (a vec) ltI(b vec) vec      { return vec{opV(0x39, a, b)} } // i32x4, signed
func (a vec) eqI(b vec) vec      { return vec{opV(0x37, a, b)} } // i32x4
func (a vec) shlI(n int) vec     { return vec{opV(0xab, a, num(n))} }
func (a vec) shrI(n int) vec     { return vec{opV(0xad, a, num(n))} } // unsigned
func (a vec) shrSI(n int) vec    { return vec{opV(0xac, a, num(n))} } // signed
func (a vec) lowS16() vec        { return vec{opV(0xa7, a)} }         // low four i16 as i32x4
func (a vec) highS16() vec       { return vec{opV(0xa8, a)} }         // high four i16 as i32x4
func (a vec) narrow16(b vec) vec { return vec{opV(0x85, a, b)} }      // two i32x4 as i16x8, saturating
func (a vec) dot16(b vec) vec    { return vec{opV(0xba, a, b)} }      // i32x4 sums of pairs of i16 products

// lowPairs16 interleaves the low four 16-bit lanes of a and b, highPairs16 the high.
func (a vec) lowPairs16(b vec) vec  { return a.pairs16(b, 0) }
func (a vec) highPairs16(b vec) vec { return a.pairs16(b, 8) }
func (a vec) pairs16(b vec, first byte) vec {
	op := []byte{0xfd, 0x0d}
	for i := first; i < first+8; i += 2 {
		op = append(op, i, i+1, 16+i, 17+i)
	}
	return vec{cat(op, a, b)}
}

func (a vec) lane(i byte) f32v { return f32v{cat([]byte{0xfd, 0x1f, i}, a)} }

// sum adds the four lanes, pairwise; a is evaluated four times.
func (a vec) sum() f32v { return a.lane(0).add(a.lane(2)).add(a.lane(1).add(a.lane(3))) }

// top is the greatest lane; a is evaluated four times.
func (a vec) top() f32v { return a.lane(0).max(a.lane(2)).max(a.lane(1).max(a.lane(3))) }
