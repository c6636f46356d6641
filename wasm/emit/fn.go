package emit

import "math"

// Func is a function under construction: statements append to its code.
type Func struct {
	m      *Module
	name   string
	typ    int
	index  int
	params int
	locals []Type
	consts map[uint32]Vec // see Splat
	begin  code           // sets the constants
	out    code
}

// body encodes the function: its locals in runs of one type, then the code.
func (f *Func) body() []byte {
	var runs []byte
	n := 0
	own := f.locals[f.params:]
	for i := 0; i < len(own); {
		j := i
		for j < len(own) && own[j] == own[i] {
			j++
		}
		runs = append(uleb(runs, uint64(j-i)), byte(own[i]))
		n++
		i = j
	}
	b := append(vector(nil, n), runs...)
	return append(append(append(b, f.begin...), f.out...), 0x0b)
}

// Splat is a variable that holds x in every lane from the start of the
// function: engines make a constant anew wherever it stands, in four
// instructions, and do not move it out of a loop.
func (f *Func) Splat(x float32) Vec { return f.SplatBits(math.Float32bits(x)) }

// SplatBits is Splat for a 32-bit pattern.
func (f *Func) SplatBits(u uint32) Vec {
	if v, ok := f.consts[u]; ok {
		return v
	}
	if f.consts == nil {
		f.consts = map[uint32]Vec{}
	}
	v := Vec{f.local(V128)}
	f.begin = append(append(f.begin, Bits(u).code...), 0x21)
	f.begin = append(f.begin, v.code[1:]...)
	f.consts[u] = v
	return v
}

func (f *Func) emit(c code) { f.out = append(f.out, c...) }

func (f *Func) local(t Type) *expr {
	f.locals = append(f.locals, t)
	return get(len(f.locals) - 1)
}

func get(index int) *expr { return cat(uleb([]byte{0x20}, uint64(index))) }

// Param is parameter i, an i32; it may be assigned to.
func (f *Func) Param(i int) Int { return Int{get(i)} }

// Int, Float, Double, Long and Vector declare a variable.
func (f *Func) Int() Int       { return Int{f.local(I32)} }
func (f *Func) Float() Float   { return Float{f.local(F32)} }
func (f *Func) Double() Double { return Double{f.local(F64)} }
func (f *Func) Long() Long     { return Long{f.local(I64)} }
func (f *Func) Vector() Vec    { return Vec{f.local(V128)} }

// Ints and Vectors declare n variables.
func (f *Func) Ints(n int) []Int {
	vs := make([]Int, n)
	for i := range vs {
		vs[i] = f.Int()
	}
	return vs
}
func (f *Func) Vectors(n int) []Vec {
	vs := make([]Vec, n)
	for i := range vs {
		vs[i] = f.Vector()
	}
	return vs
}

// Let declares an i32 variable with a first value.
func (f *Func) Let(x Int) Int {
	v := f.Int()
	f.Set(v, x)
	return v
}

// LetV declares a vector variable with a first value.
func (f *Func) LetV(x Vec) Vec {
	v := f.Vector()
	f.SetV(v, x)
	return v
}

// LetL declares an i64 variable with a first value.
func (f *Func) LetL(x Long) Long {
	v := f.Long()
	f.SetL(v, x)
	return v
}

// LetF declares an f32 variable with a first value.
func (f *Func) LetF(x Float) Float {
	v := f.Float()
	f.SetF(v, x)
	return v
}

// Set, SetF, SetL, SetD and SetV assign x to the variable v.
func (f *Func) Set(v, x Int)     { f.assign(v.code, x.code) }
func (f *Func) SetF(v, x Float)  { f.assign(v.code, x.code) }
func (f *Func) SetL(v, x Long)   { f.assign(v.code, x.code) }
func (f *Func) SetD(v, x Double) { f.assign(v.code, x.code) }
func (f *Func) SetV(v, x Vec)    { f.assign(v.code, x.code) }

func (f *Func) assign(v, x code) {
	if v[0] != 0x20 {
		panic("emit: assignment to something that is not a variable")
	}
	f.emit(x)
	f.emit(append(code{0x21}, v[1:]...))
}

// Stores to the address addr + offset: 32 bits, the low 8 or 16, 64 bits, an
// f32, a vector, 32-bit lane i of one.
func (f *Func) Store(addr Int, offset int, x Int) {
	f.emit(cat(mem([]byte{0x36}, offset), addr, x).code)
}
func (f *Func) Store8(addr Int, offset int, x Int) {
	f.emit(cat(mem([]byte{0x3a}, offset), addr, x).code)
}
func (f *Func) Store16(addr Int, offset int, x Int) {
	f.emit(cat(mem([]byte{0x3b}, offset), addr, x).code)
}
func (f *Func) StoreL(addr Int, offset int, x Long) {
	f.emit(cat(mem([]byte{0x37}, offset), addr, x).code)
}
func (f *Func) StoreF(addr Int, offset int, x Float) {
	f.emit(cat(mem([]byte{0x38}, offset), addr, x).code)
}
func (f *Func) StoreV(addr Int, offset int, x Vec) { f.emit(cat(memV(0x0b, offset), addr, x).code) }
func (f *Func) StoreLane(addr Int, offset int, x Vec, i byte) {
	f.emit(cat(append(memV(0x5a, offset), i), addr, x).code)
}

// Copy moves n bytes; the ranges may overlap.
func (f *Func) Copy(dst, src, n Int) { f.emit(cat([]byte{0xfc, 0x0a, 0, 0}, dst, src, n).code) }

// Fill sets n bytes to the low byte of x.
func (f *Func) Fill(dst, x, n Int) { f.emit(cat([]byte{0xfc, 0x0b, 0}, dst, x, n).code) }

// Call calls g, whose results, if any, are dropped by the caller's choice of CallI.
func (f *Func) Call(g *Func, args ...Value) { f.emit(callCode(g, args).code) }

// CallI is the i32 that g returns.
func CallI(g *Func, args ...Value) Int { return Int{callCode(g, args)} }

func callCode(g *Func, args []Value) *expr {
	return cat(uleb([]byte{0x10}, uint64(g.index)), args...)
}

// CallIndirect calls entry i of the table, a function of the same type as like.
func (f *Func) CallIndirect(like *Func, i Int, args ...Value) {
	op := append(uleb([]byte{0x11}, uint64(like.typ)), 0)
	f.emit(cat(op, append(args, i)...).code)
}

// Scratch is the address of the memory that belongs to the running thread.
func Scratch() Int { return Int{cat([]byte{0x23, 0})} }

// SetScratch sets it.
func (f *Func) SetScratch(x Int) { f.emit(append(x.code, 0x24, 0)) }

// Atomic accesses of the thread proposal: n is the number of the instruction,
// align the log2 of its size.
func atomicOp(n, align byte, operands ...Value) *expr {
	return cat([]byte{0xfe, n, align, 0}, operands...)
}

// AtomicLoad and AtomicLoad64 read the word at a.
func (a Int) AtomicLoad() Int    { return Int{atomicOp(0x10, 2, a)} }
func (a Int) AtomicLoad64() Long { return Long{atomicOp(0x11, 3, a)} }

// AtomicAdd adds n to the word at a and is what the word was before.
func (a Int) AtomicAdd(n Int) Int { return Int{atomicOp(0x1e, 2, a, n)} }

// AtomicSwap64 stores x at a if old is there, and is 1 if it was.
func (a Int) AtomicSwap64(old, x Long) Int {
	return Int{op1(0x51, Long{atomicOp(0x49, 3, a, old, x)}, old)}
}

// AtomicStore and AtomicStore64 write the word at addr.
func (f *Func) AtomicStore(addr, x Int)        { f.emit(atomicOp(0x17, 2, addr, x).code) }
func (f *Func) AtomicStore64(addr Int, x Long) { f.emit(atomicOp(0x18, 3, addr, x).code) }

// Notify wakes every thread that waits at addr.
func (f *Func) Notify(addr Int) {
	f.emit(atomicOp(0x00, 2, addr, Num(-1)).code)
	f.emit(code{0x1a})
}

// Wait blocks while the word at addr is x, for at most ms milliseconds.
func (f *Func) Wait(addr, x Int, ms int) {
	f.emit(atomicOp(0x01, 2, addr, x, Long{cat(sleb([]byte{0x42}, int64(ms)*1e6))}).code)
	f.emit(code{0x1a})
}

// Result leaves x as the function's result, at its end.
func (f *Func) Result(x Value) { f.emit(x.bytes()) }

// Return leaves the function at once, with the result x.
func (f *Func) Return(x Int) { f.emit(append(append(code{}, x.code...), 0x0f)) }

// When runs then if cond is not zero.
func (f *Func) When(cond Int, then func()) { f.IfElse(cond, then, nil) }

// IfElse runs then if cond is not zero, otherwise if it is; otherwise may be nil.
func (f *Func) IfElse(cond Int, then, otherwise func()) {
	f.emit(append(append(code{}, cond.code...), 0x04, 0x40))
	then()
	if otherwise != nil {
		f.emit(code{0x05})
		otherwise()
	}
	f.emit(code{0x0b})
}

// While repeats body as long as cond, which is tested at the bottom of the
// loop too, so that a turn has one branch.
func (f *Func) While(cond Int, body func()) {
	f.When(cond, func() { f.Repeat(cond, body) })
}

// Repeat runs body once, and again as long as cond.
func (f *Func) Repeat(cond Int, body func()) {
	f.emit(code{0x03, 0x40})
	body()
	f.emit(append(append(code{}, cond.code...), 0x0d, 0, 0x0b))
}

// Loop runs body with i = from, from+step, … below to (signed).
func (f *Func) Loop(i, from, to Int, step int, body func()) {
	f.Set(i, from)
	f.While(i.Lt(to), func() {
		body()
		f.Set(i, i.Plus(step))
	})
}

// Each runs body with a fresh variable from..to−1.
func (f *Func) Each(from, to Int, body func(i Int)) {
	i := f.Int()
	f.Loop(i, from, to, 1, func() { body(i) })
}

// Choice runs cases[x]; an x beyond the last runs nothing.
func (f *Func) Choice(x Int, cases ...func()) {
	n := len(cases)
	for range n + 1 { // the way out, then one block to the start of each case
		f.emit(code{0x02, 0x40})
	}
	f.emit(x.code)
	f.emit(uleb(code{0x0e}, uint64(n)))
	for i := range n + 1 {
		f.emit(uleb(nil, uint64(i)))
	}
	for i, body := range cases {
		f.emit(code{0x0b})
		body()
		f.emit(uleb(code{0x0c}, uint64(n-1-i)))
	}
	f.emit(code{0x0b})
}
