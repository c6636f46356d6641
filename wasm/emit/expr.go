package emit

// Expressions. A value of type Int, Long, Float, Double or Vec is code that
// leaves one WebAssembly value on the stack; methods combine them. A variable is
// a value whose code reads a local; Func.Set assigns to it. Evaluation happens
// where the code is emitted: to compute something once, set a variable to it.
//
// Methods are instructions by their names in the WebAssembly specification,
// unsigned where a comment says so; Plus, Times and the like take constants.
type (
	Int    struct{ *expr } // i32: an integer or an address
	Long   struct{ *expr } // i64
	Float  struct{ *expr } // f32
	Double struct{ *expr } // f64
	Vec    struct{ *expr } // v128; the arithmetic is on four f32 lanes unless named otherwise
)

type code []byte

// expr is what the types share. They are pointers, since the kernels are
// thousands of calls on them, and a call costs code for each word passed.
type expr struct{ code }

// Value is any of the expression types.
type Value interface{ bytes() code }

func (e *expr) bytes() code { return e.code }

// cat is the code of the operands in order, then op.
func cat(op []byte, operands ...Value) *expr {
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

func op1(b byte, operands ...Value) *expr { return cat([]byte{b}, operands...) }

// opV is an instruction of the SIMD page (prefix 0xfd).
func opV(n uint64, operands ...Value) *expr { return cat(uleb([]byte{0xfd}, n), operands...) }

// mem encodes an access with a byte offset. The alignment hint is 1: no engine
// uses it, and addresses are only known to be multiples of 4.
func mem(op []byte, offset int) []byte {
	return uleb(append(append([]byte(nil), op...), 0), uint64(offset))
}

func memV(n uint64, offset int) []byte { return mem(uleb([]byte{0xfd}, n), offset) }

// Num is the constant n.
func Num(n int) Int { return Int{cat(sleb([]byte{0x41}, int64(int32(uint32(n)))))} }

// Arithmetic of 32-bit integers. Shifts by n or b take it modulo 32.
func (a Int) Add(b Int) Int   { return Int{op1(0x6a, a, b)} }
func (a Int) Sub(b Int) Int   { return Int{op1(0x6b, a, b)} }
func (a Int) Mul(b Int) Int   { return Int{op1(0x6c, a, b)} }
func (a Int) Div(b Int) Int   { return Int{op1(0x6e, a, b)} } // unsigned
func (a Int) Rem(b Int) Int   { return Int{op1(0x70, a, b)} } // unsigned
func (a Int) And(b Int) Int   { return Int{op1(0x71, a, b)} }
func (a Int) Or(b Int) Int    { return Int{op1(0x72, a, b)} }
func (a Int) Clz() Int        { return Int{op1(0x67, a)} }
func (a Int) Plus(n int) Int  { return a.Add(Num(n)) }
func (a Int) Times(n int) Int { return a.Mul(Num(n)) }
func (a Int) Shl(n int) Int   { return Int{op1(0x74, a, Num(n))} }
func (a Int) Shr(n int) Int   { return Int{op1(0x76, a, Num(n))} } // unsigned
func (a Int) ShlBy(b Int) Int { return Int{op1(0x74, a, b)} }
func (a Int) ShrBy(b Int) Int { return Int{op1(0x76, a, b)} }      // unsigned
func (a Int) ShrS(n int) Int  { return Int{op1(0x75, a, Num(n))} } // signed

// Comparisons: 1 or 0.
func (a Int) Eqz() Int        { return Int{op1(0x45, a)} }
func (a Int) Eq(b Int) Int    { return Int{op1(0x46, a, b)} }
func (a Int) Ne(b Int) Int    { return Int{op1(0x47, a, b)} }
func (a Int) Lt(b Int) Int    { return Int{op1(0x48, a, b)} } // signed
func (a Int) Below(b Int) Int { return Int{op1(0x49, a, b)} } // unsigned
func (a Int) Above(b Int) Int { return Int{op1(0x4b, a, b)} } // unsigned
func (a Int) Gt(b Int) Int    { return Int{op1(0x4a, a, b)} } // signed
func (a Int) Ge(b Int) Int    { return Int{op1(0x4e, a, b)} } // signed

// Pick is a where cond is not zero, else b; both are evaluated.
func Pick(cond, a, b Int) Int { return Int{op1(0x1b, a, b, cond)} }

// Least is the smaller of a and b, signed; both are evaluated twice.
func Least(a, b Int) Int { return Pick(a.Lt(b), a, b) }

// Loads from the address a + offset, zero- or sign-extended to the result.
func (a Int) Load(offset int) Int    { return Int{cat(mem([]byte{0x28}, offset), a)} }
func (a Int) LoadU8(offset int) Int  { return Int{cat(mem([]byte{0x2d}, offset), a)} }
func (a Int) LoadS8(offset int) Int  { return Int{cat(mem([]byte{0x2c}, offset), a)} }
func (a Int) LoadU16(offset int) Int { return Int{cat(mem([]byte{0x2f}, offset), a)} }
func (a Int) LoadS16(offset int) Int { return Int{cat(mem([]byte{0x2e}, offset), a)} }
func (a Int) LoadF(offset int) Float { return Float{cat(mem([]byte{0x2a}, offset), a)} }

// Conversions of the integer, taken as signed.
func (a Int) Float() Float   { return Float{op1(0xb2, a)} }  // signed
func (a Int) Double() Double { return Double{op1(0xb7, a)} } // signed

// LNum is the constant n.
func LNum(n int64) Long { return Long{cat(sleb([]byte{0x42}, n))} }

// Loads of 64 bits, and of 8, 16 and 32 extended by zeros, from the address
// a + offset; and a itself extended by zeros.
func (a Int) LoadL(offset int) Long   { return Long{cat(mem([]byte{0x29}, offset), a)} }
func (a Int) LoadL8(offset int) Long  { return Long{cat(mem([]byte{0x31}, offset), a)} }
func (a Int) LoadL16(offset int) Long { return Long{cat(mem([]byte{0x33}, offset), a)} }
func (a Int) LoadL32(offset int) Long { return Long{cat(mem([]byte{0x35}, offset), a)} }
func (a Int) Long() Long              { return Long{op1(0xad, a)} }

// Arithmetic of 64-bit integers. Shifts and rotations take b modulo 64.
func (a Long) Add(b Long) Long  { return Long{op1(0x7c, a, b)} }
func (a Long) Sub(b Long) Long  { return Long{op1(0x7d, a, b)} }
func (a Long) Mul(b Long) Long  { return Long{op1(0x7e, a, b)} }
func (a Long) And(b Long) Long  { return Long{op1(0x83, a, b)} }
func (a Long) Or(b Long) Long   { return Long{op1(0x84, a, b)} }
func (a Long) Xor(b Long) Long  { return Long{op1(0x85, a, b)} }
func (a Long) Shl(b Long) Long  { return Long{op1(0x86, a, b)} }
func (a Long) Shr(b Long) Long  { return Long{op1(0x88, a, b)} } // unsigned
func (a Long) Rotl(b Long) Long { return Long{op1(0x89, a, b)} }
func (a Long) Ctz() Long        { return Long{op1(0x7a, a)} }

// Pair is high<<32 | low.
func Pair(high, low Int) Long {
	shifted := op1(0x86, Long{op1(0xad, high)}, Long{cat([]byte{0x42, 32})})
	return Long{op1(0x84, Long{shifted}, Long{op1(0xad, low)})}
}

// Low and High are the halves of a; Minus subtracts a constant.
func (a Long) Low() Int         { return Int{op1(0xa7, a)} }
func (a Long) High() Int        { return Long{op1(0x88, a, Long{cat([]byte{0x42, 32})})}.Low() }
func (a Long) Minus(n int) Long { return Long{op1(0x7d, a, Long{cat(sleb([]byte{0x42}, int64(n)))})} }

// fnum is the constant x.
func FNum(x float32) Float { return Float{cat(append([]byte{0x43}, float32Bytes(x)...))} }

// Arithmetic of f32.
func (a Float) Add(b Float) Float { return Float{op1(0x92, a, b)} }
func (a Float) Sub(b Float) Float { return Float{op1(0x93, a, b)} }
func (a Float) Mul(b Float) Float { return Float{op1(0x94, a, b)} }
func (a Float) Div(b Float) Float { return Float{op1(0x95, a, b)} }
func (a Float) Max(b Float) Float { return Float{op1(0x97, a, b)} }
func (a Float) Sqrt() Float       { return Float{op1(0x91, a)} }
func (a Float) Ne(b Float) Int    { return Int{op1(0x5c, a, b)} }
func (a Float) Double() Double    { return Double{op1(0xbb, a)} }
func (a Float) Splat() Vec        { return Vec{opV(0x13, a)} }

// dnum is the constant x.
func DNum(x float64) Double { return Double{cat(append([]byte{0x44}, float64Bytes(x)...))} }

// Arithmetic of f64; Single rounds to f32.
func (a Double) Add(b Double) Double { return Double{op1(0xa0, a, b)} }
func (a Double) Sub(b Double) Double { return Double{op1(0xa1, a, b)} }
func (a Double) Mul(b Double) Double { return Double{op1(0xa2, a, b)} }
func (a Double) Div(b Double) Double { return Double{op1(0xa3, a, b)} }
func (a Double) Sqrt() Double        { return Double{op1(0x9f, a)} }
func (a Double) Single() Float       { return Float{op1(0xb6, a)} }

// RelaxedMadd is a·b + c in f32 lanes, rounded once or twice as the host likes.
// It takes relaxed SIMD.
func RelaxedMadd(a, b, c Vec) Vec { return Vec{opV(0x105, a, b, c)} }

// Lanes is the constant with these 32-bit lanes.
func Lanes(a, b, c, d uint32) Vec {
	out := []byte{0xfd, 0x0c}
	for _, u := range [4]uint32{a, b, c, d} {
		out = append(out, byte(u), byte(u>>8), byte(u>>16), byte(u>>24))
	}
	return Vec{cat(out)}
}

// Bits has the 32-bit pattern u in every lane.
func Bits(u uint32) Vec { return Lanes(u, u, u, u) }

// All has x in every lane.
func All(x float32) Vec {
	b := float32Bytes(x)
	return Bits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
}

// Vector loads from the address a + offset: 16 bytes, one word in every lane,
// four u16 widened to 32 bits, eight bytes widened to 16; and a in every lane.
func (a Int) LoadV(offset int) Vec     { return Vec{cat(memV(0x00, offset), a)} }
func (a Int) LoadSplat(offset int) Vec { return Vec{cat(memV(0x09, offset), a)} }
func (a Int) LoadU16x4(offset int) Vec { return Vec{cat(memV(0x04, offset), a)} }
func (a Int) LoadS8x8(offset int) Vec  { return Vec{cat(memV(0x01, offset), a)} }
func (a Int) LoadU8x8(offset int) Vec  { return Vec{cat(memV(0x02, offset), a)} }
func (a Int) Splat() Vec               { return Vec{opV(0x11, a)} }

// LoadLane is v with 32-bit lane i replaced from memory at a.
func (a Int) LoadLane(offset int, v Vec, i byte) Vec {
	return Vec{cat(append(memV(0x56, offset), i), a, v)}
}

// Arithmetic of four f32 lanes; comparisons give all bits or none.
func (a Vec) Add(b Vec) Vec  { return Vec{opV(0xe4, a, b)} }
func (a Vec) Sub(b Vec) Vec  { return Vec{opV(0xe5, a, b)} }
func (a Vec) Mul(b Vec) Vec  { return Vec{opV(0xe6, a, b)} }
func (a Vec) Div(b Vec) Vec  { return Vec{opV(0xe7, a, b)} }
func (a Vec) Lt(b Vec) Vec   { return Vec{opV(0x43, a, b)} }
func (a Vec) Pmin(b Vec) Vec { return Vec{opV(0xea, a, b)} } // b < a ? b : a, so a NaN in a stays
func (a Vec) Pmax(b Vec) Vec { return Vec{opV(0xeb, a, b)} } // a < b ? b : a, so a NaN in a stays
func (a Vec) Abs() Vec       { return Vec{opV(0xe0, a)} }
func (a Vec) ToFloat() Vec   { return Vec{opV(0xfa, a)} } // from signed i32x4

// Bitwise operations.
func (a Vec) And(b Vec) Vec    { return Vec{opV(0x4e, a, b)} }
func (a Vec) AndNot(b Vec) Vec { return Vec{opV(0x4f, a, b)} } // a &^ b
func (a Vec) Or(b Vec) Vec     { return Vec{opV(0x50, a, b)} }
func (a Vec) Xor(b Vec) Vec    { return Vec{opV(0x51, a, b)} }

// Choose takes the bits of a where mask is set, else those of b.
func Choose(mask, a, b Vec) Vec { return Vec{opV(0x52, a, b, mask)} }

// Integer lanes.
func (a Vec) AddI(b Vec) Vec     { return Vec{opV(0xae, a, b)} } // i32x4
func (a Vec) SubI(b Vec) Vec     { return Vec{opV(0xb1, a, b)} } // i32x4
func (a Vec) MaxI(b Vec) Vec     { return Vec{opV(0xb8, a, b)} } // i32x4, signed
func (a Vec) LtI(b Vec) Vec      { return Vec{opV(0x39, a, b)} } // i32x4, signed
func (a Vec) EqI(b Vec) Vec      { return Vec{opV(0x37, a, b)} } // i32x4
func (a Vec) ShlI(n int) Vec     { return Vec{opV(0xab, a, Num(n))} }
func (a Vec) ShrI(n int) Vec     { return Vec{opV(0xad, a, Num(n))} } // unsigned
func (a Vec) ShrSI(n int) Vec    { return Vec{opV(0xac, a, Num(n))} } // signed
func (a Vec) LowS16() Vec        { return Vec{opV(0xa7, a)} }         // low four i16 as i32x4
func (a Vec) HighS16() Vec       { return Vec{opV(0xa8, a)} }         // high four i16 as i32x4
func (a Vec) Narrow16(b Vec) Vec { return Vec{opV(0x85, a, b)} }      // two i32x4 as i16x8, saturating
func (a Vec) Dot16(b Vec) Vec    { return Vec{opV(0xba, a, b)} }      // i32x4 sums of pairs of i16 products

// Shuffle takes byte i of the result from byte from[i] of a, or of b where that
// is 16 and more.
func Shuffle(a, b Vec, from [16]byte) Vec {
	return Vec{cat(append([]byte{0xfd, 0x0d}, from[:]...), a, b)}
}

// LowPairs16 interleaves the low four 16-bit lanes of a and b, highPairs16 the high.
func (a Vec) LowPairs16(b Vec) Vec  { return a.pairs16(b, 0) }
func (a Vec) HighPairs16(b Vec) Vec { return a.pairs16(b, 8) }

// pairs16 interleaves from lane first/2 on.
func (a Vec) pairs16(b Vec, first byte) Vec {
	op := []byte{0xfd, 0x0d}
	for i := first; i < first+8; i += 2 {
		op = append(op, i, i+1, 16+i, 17+i)
	}
	return Vec{cat(op, a, b)}
}

// Lane is f32 lane i.
func (a Vec) Lane(i byte) Float { return Float{cat([]byte{0xfd, 0x1f, i}, a)} }

// Sum adds the four lanes, pairwise; a is evaluated four times.
func (a Vec) Sum() Float { return a.Lane(0).Add(a.Lane(2)).Add(a.Lane(1).Add(a.Lane(3))) }

// Top is the greatest lane; a is evaluated four times.
func (a Vec) Top() Float { return a.Lane(0).Max(a.Lane(2)).Max(a.Lane(1).Max(a.Lane(3))) }
