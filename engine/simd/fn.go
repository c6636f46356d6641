package simd

import "math"

// fn is a function under construction: statements append to its code.
type fn struct {
	m      *module
	name   string
	typ    int
	index  int
	params int
	locals []valType
	consts map[uint32]vec // see splat
	begin  code           // sets the constants
	out    code
}

// body encodes the function: its locals in runs of one type, then the code.
func (f *fn) body() []byte {
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

// splat is a variable that holds x in every lane from the start of the
// function: engines make a constant anew wherever it stands, in four
// instructions, and do not move it out of a loop.
func (f *fn) splat(x float32) vec { return f.splatBits(math.Float32bits(x)) }

// splatBits is splat for a 32-bit pattern.
func (f *fn) splatBits(u uint32) vec {
	if v, ok := f.consts[u]; ok {
		return v
	}
	if f.consts == nil {
		f.consts = map[uint32]vec{}
	}
	v := vec{f.local(v128)}
	f.begin = append(append(f.begin, bits(u).code...), 0x21)
	f.begin = append(f.begin, v.code[1:]...)
	f.consts[u] = v
	return v
}

func (f *fn) emit(c code) { f.out = append(f.out, c...) }

func (f *fn) local(t valType) *expr {
	f.locals = append(f.locals, t)
	return get(len(f.locals) - 1)
}

func get(index int) *expr { return cat(uleb([]byte{0x20}, uint64(index))) }

// param is parameter i, an i32; it may be assigned to.
func (f *fn) param(i int) i32v { return i32v{get(i)} }

// int, float, double, long, vector and vectors declare variables.
func (f *fn) int() i32v    { return i32v{f.local(i32)} }
func (f *fn) float() f32v  { return f32v{f.local(f32)} }
func (f *fn) double() f64v { return f64v{f.local(f64)} }
func (f *fn) long() i64v   { return i64v{f.local(i64)} }
func (f *fn) vector() vec  { return vec{f.local(v128)} }
func (f *fn) ints(n int) []i32v {
	vs := make([]i32v, n)
	for i := range vs {
		vs[i] = f.int()
	}
	return vs
}
func (f *fn) vectors(n int) []vec {
	vs := make([]vec, n)
	for i := range vs {
		vs[i] = f.vector()
	}
	return vs
}

// let declares an i32 variable with a first value.
func (f *fn) let(x i32v) i32v {
	v := f.int()
	f.set(v, x)
	return v
}

// letV declares a vector variable with a first value.
func (f *fn) letV(x vec) vec {
	v := f.vector()
	f.setV(v, x)
	return v
}

// letF declares an f32 variable with a first value.
func (f *fn) letF(x f32v) f32v {
	v := f.float()
	f.setF(v, x)
	return v
}

func (f *fn) set(v, x i32v)  { f.assign(v.code, x.code) }
func (f *fn) setF(v, x f32v) { f.assign(v.code, x.code) }
func (f *fn) setL(v, x i64v) { f.assign(v.code, x.code) }
func (f *fn) setD(v, x f64v) { f.assign(v.code, x.code) }
func (f *fn) setV(v, x vec)  { f.assign(v.code, x.code) }

func (f *fn) assign(v, x code) {
	if v[0] != 0x20 {
		panic("simd: assignment to something that is not a variable")
	}
	f.emit(x)
	f.emit(append(code{0x21}, v[1:]...))
}

func (f *fn) store(addr i32v, offset int, x i32v) {
	f.emit(cat(mem([]byte{0x36}, offset), addr, x).code)
}
func (f *fn) store8(addr i32v, offset int, x i32v) {
	f.emit(cat(mem([]byte{0x3a}, offset), addr, x).code)
}
func (f *fn) store16(addr i32v, offset int, x i32v) {
	f.emit(cat(mem([]byte{0x3b}, offset), addr, x).code)
}
func (f *fn) storeF(addr i32v, offset int, x f32v) {
	f.emit(cat(mem([]byte{0x38}, offset), addr, x).code)
}
func (f *fn) storeV(addr i32v, offset int, x vec) { f.emit(cat(memV(0x0b, offset), addr, x).code) }
func (f *fn) storeLane(addr i32v, offset int, x vec, i byte) {
	f.emit(cat(append(memV(0x5a, offset), i), addr, x).code)
}

// copy moves n bytes; the ranges may overlap.
func (f *fn) copy(dst, src, n i32v) { f.emit(cat([]byte{0xfc, 0x0a, 0, 0}, dst, src, n).code) }

// call calls g, whose results, if any, are dropped by the caller's choice of callI.
func (f *fn) call(g *fn, args ...value) { f.emit(callCode(g, args).code) }

// callI is the i32 that g returns.
func callI(g *fn, args ...value) i32v { return i32v{callCode(g, args)} }

func callCode(g *fn, args []value) *expr {
	return cat(uleb([]byte{0x10}, uint64(g.index)), args...)
}

// callIndirect calls entry i of the table, a function of the same type as like.
func (f *fn) callIndirect(like *fn, i i32v, args ...value) {
	op := append(uleb([]byte{0x11}, uint64(like.typ)), 0)
	f.emit(cat(op, append(args, i)...).code)
}

// scratch is the address of the memory that belongs to the running thread.
func scratch() i32v { return i32v{cat([]byte{0x23, 0})} }

func (f *fn) setScratch(x i32v) { f.emit(append(x.code, 0x24, 0)) }

// Atomic accesses of the thread proposal: n is the number of the instruction,
// align the log2 of its size.
func atomicOp(n, align byte, operands ...value) *expr {
	return cat([]byte{0xfe, n, align, 0}, operands...)
}

func (a i32v) atomicLoad() i32v   { return i32v{atomicOp(0x10, 2, a)} }
func (a i32v) atomicLoad64() i64v { return i64v{atomicOp(0x11, 3, a)} }

// atomicAdd adds n to the word at a and is what the word was before.
func (a i32v) atomicAdd(n i32v) i32v { return i32v{atomicOp(0x1e, 2, a, n)} }

// atomicSwap64 stores x at a if old is there, and is 1 if it was.
func (a i32v) atomicSwap64(old, x i64v) i32v {
	return i32v{op1(0x51, i64v{atomicOp(0x49, 3, a, old, x)}, old)}
}

func (f *fn) atomicStore(addr, x i32v)        { f.emit(atomicOp(0x17, 2, addr, x).code) }
func (f *fn) atomicStore64(addr i32v, x i64v) { f.emit(atomicOp(0x18, 3, addr, x).code) }

// notify wakes every thread that waits at addr.
func (f *fn) notify(addr i32v) {
	f.emit(atomicOp(0x00, 2, addr, num(-1)).code)
	f.emit(code{0x1a})
}

// wait blocks while the word at addr is x, for at most ms milliseconds.
func (f *fn) wait(addr, x i32v, ms int) {
	f.emit(atomicOp(0x01, 2, addr, x, i64v{cat(sleb([]byte{0x42}, int64(ms)*1e6))}).code)
	f.emit(code{0x1a})
}

// exit leaves the function with the result x.
func (f *fn) exit(x i32v) { f.emit(append(append(code{}, x.code...), 0x0f)) }

// when runs then if cond is not zero.
func (f *fn) when(cond i32v, then func()) { f.ifElse(cond, then, nil) }

func (f *fn) ifElse(cond i32v, then, otherwise func()) {
	f.emit(append(append(code{}, cond.code...), 0x04, 0x40))
	then()
	if otherwise != nil {
		f.emit(code{0x05})
		otherwise()
	}
	f.emit(code{0x0b})
}

// while repeats body as long as cond, which is tested at the bottom of the
// loop too, so that a turn has one branch.
func (f *fn) while(cond i32v, body func()) {
	f.when(cond, func() { f.repeat(cond, body) })
}

// repeat runs body once, and again as long as cond.
func (f *fn) repeat(cond i32v, body func()) {
	f.emit(code{0x03, 0x40})
	body()
	f.emit(append(append(code{}, cond.code...), 0x0d, 0, 0x0b))
}

// loop runs body with i = from, from+step, … below to (signed).
func (f *fn) loop(i, from, to i32v, step int, body func()) {
	f.set(i, from)
	f.while(i.lt(to), func() {
		body()
		f.set(i, i.plus(step))
	})
}

// each runs body with a fresh variable from..to−1.
func (f *fn) each(from, to i32v, body func(i i32v)) {
	i := f.int()
	f.loop(i, from, to, 1, func() { body(i) })
}

// choice runs cases[x]; an x beyond the last runs nothing.
func (f *fn) choice(x i32v, cases ...func()) {
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
