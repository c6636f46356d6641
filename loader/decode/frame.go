package decode

import "wisp/wasm/emit"

// The types of blocks.
const (
	blockRaw = iota
	blockRLE
	blockCompressed
	blockReserved
)

const frameMagic = 0xfd2fb528

// emitDecode adds decode(src, n, dst, room); see [Module].
func (e *emitter) emitDecode() *emit.Func {
	f := e.m.NewFunc(params(4), emit.I32)
	src, n, dst, room := f.Param(0), f.Param(1), f.Param(2), f.Param(3)
	start, used := f.Let(dst), f.Int()
	setWord(f, stEnd, dst.Add(room))
	for i, k := range kindTable {
		f.Call(e.table, emit.Num(atDefNorm+i*64*2), emit.Num(len(k.defaults)), emit.Num(k.defaultLog),
			emit.Num(atValues+i*64*8), emit.Num(atDefault+i*64*8))
	}
	need(f, n.Above(emit.Num(7)), ErrTruncated)
	need(f, src.Load(0).Eq(emit.Num(frameMagic)), ErrMagic)
	f.Set(used, try(f, emit.CallI(e.frame, src.Plus(4), n.Plus(-4), dst)).Plus(4))
	need(f, used.Eq(n), ErrTail)
	f.Set(dst, word(stOut))
	f.Result(dst.Sub(start))
	return f
}

// emitFrame adds frame(src, n, dst): it decodes what follows a frame's magic
// number, sets stOut to the end of the output, and returns how many of the n
// bytes it read (RFC 8878, section 3.1.1).
func (e *emitter) emitFrame() *emit.Func {
	f := e.m.NewFunc(params(3), emit.I32)
	src, n, dst := f.Param(0), f.Param(1), f.Param(2)
	begin, start := f.Let(src), f.Let(dst)
	take := func(k emit.Int) {
		f.Set(src, src.Add(k))
		f.Set(n, n.Sub(k))
	}
	size, sized, flags := f.Int(), f.Int(), f.Let(src.LoadU8(0))
	take(emit.Num(1))
	e.frameHeader(f, flags, src, n, size, sized, take)
	setWord(f, stStart, dst)
	setWord(f, stHuffman, emit.Num(0))
	for i := range kinds {
		setWord(f, stTable+4*i, emit.Num(0))
		setWord(f, stRepeat+4*i, emit.Num([]int{1, 4, 8}[i]))
	}
	limit, end := f.Let(emit.Least(word(stWindow), emit.Num(maxBlock))), f.Let(word(stEnd))
	last, kind, length := f.Int(), f.Int(), f.Int()
	room := func(k emit.Int) { need(f, within(k, end.Sub(dst)), ErrRoom) }
	f.Repeat(last.Eqz(), func() {
		need(f, n.Ge(emit.Num(3)), ErrTruncated)
		f.Set(length, src.LoadU16(0).Or(src.LoadU8(2).Shl(16)))
		f.Set(last, length.And(emit.Num(1)))
		f.Set(kind, length.Shr(1).And(emit.Num(3)))
		f.Set(length, length.Shr(3))
		take(emit.Num(3))
		need(f, within(length, limit).And(kind.Lt(emit.Num(blockReserved))), ErrBlock)
		need(f, within(emit.Pick(kind.Eq(emit.Num(blockRLE)), emit.Num(1), length), n), ErrTruncated)
		f.Choice(kind,
			func() {
				room(length)
				f.Copy(dst, src, length)
				f.Set(dst, dst.Add(length))
				take(length)
			},
			func() {
				room(length)
				f.Fill(dst, src.LoadU8(0), length)
				f.Set(dst, dst.Add(length))
				take(emit.Num(1))
			},
			func() {
				f.Set(dst, dst.Add(try(f, emit.CallI(e.block, src, length, dst))))
				take(length)
			})
	})
	need(f, sized.Eqz().Or(dst.Sub(start).Eq(size)), ErrSize)
	f.When(flags.And(emit.Num(1<<2)), func() {
		need(f, n.Ge(emit.Num(4)), ErrTruncated)
		need(f, src.Load(0).Eq(emit.CallI(e.hash, start, dst.Sub(start))), ErrChecksum)
		take(emit.Num(4))
	})
	setWord(f, stOut, dst)
	f.Result(src.Sub(begin))
	return f
}

// frameHeader reads a frame's header after the flags: it sets stWindow and,
// where the header has it, size, the length of the output.
func (e *emitter) frameHeader(f *emit.Func, flags, src, n, size, sized emit.Int, take func(emit.Int)) {
	need(f, flags.And(emit.Num(1<<3)).Eqz(), ErrHeader)
	single := f.Let(flags.And(emit.Num(1 << 5)))
	window, log := f.Int(), f.Int()
	f.When(single.Eqz(), func() {
		need(f, n.Gt(emit.Num(0)), ErrTruncated)
		f.Set(log, src.LoadU8(0).Shr(3).Plus(10))
		need(f, log.Lt(emit.Num(25)), ErrWindow)
		f.Set(window, emit.Num(1).ShlBy(log))
		f.Set(window, window.Add(window.Shr(3).Mul(src.LoadU8(0).And(emit.Num(7)))))
		need(f, within(window, emit.Num(maxWindow)), ErrWindow)
		take(emit.Num(1))
	})
	id := f.Let(emit.Num(1).ShlBy(flags.And(emit.Num(3))).Shr(1)) // 0, 1, 2 or 4 bytes
	need(f, within(id, n), ErrTruncated)
	f.While(id, func() {
		need(f, src.LoadU8(0).Eqz(), ErrDictionary)
		take(emit.Num(1))
		f.Set(id, id.Plus(-1))
	})
	length := f.Let(emit.Num(1).ShlBy(flags.Shr(6)))
	f.Set(sized, single.Or(flags.Shr(6)))
	f.When(sized, func() {
		need(f, within(length, n), ErrTruncated)
		f.Choice(flags.Shr(6),
			func() { f.Set(size, src.LoadU8(0)) },
			func() { f.Set(size, src.LoadU16(0).Plus(256)) },
			func() { f.Set(size, src.Load(0)) },
			func() {
				need(f, src.Load(4).Eqz(), ErrRoom)
				f.Set(size, src.Load(0))
			})
		need(f, within(size, word(stEnd).Sub(dstOf(f))), ErrRoom)
		take(length)
	})
	f.When(single, func() {
		need(f, within(size, emit.Num(maxWindow)), ErrWindow)
		f.Set(window, emit.Pick(size.Lt(emit.Num(minWindow)), emit.Num(minWindow), size))
	})
	setWord(f, stWindow, window)
}

// dstOf is the destination that frame was called with.
func dstOf(f *emit.Func) emit.Int { return f.Param(2) }

// emitBlock adds block(src, n, dst): it decodes a compressed block of n bytes
// and returns the length of its output (RFC 8878, section 3.1.1.3).
func (e *emitter) emitBlock() *emit.Func {
	f := e.m.NewFunc(params(3), emit.I32)
	src, n, dst := f.Param(0), f.Param(1), f.Param(2)
	need(f, n.Gt(emit.Num(1)), ErrBlock)
	used := try(f, emit.CallI(e.literals, src, n, dst, word(stEnd).Sub(dst)))
	f.Set(n, try(f, emit.CallI(e.prepare, src.Add(used), n.Sub(used))))
	f.When(word(stNumber), func() { f.Return(emit.CallI(e.sequences, n, dst)) })
	f.Set(n, word(stLiteralN))
	f.When(word(stLiterals).Ne(dst), func() {
		need(f, within(n, word(stEnd).Sub(dst)), ErrRoom)
		f.Copy(dst, word(stLiterals), n)
	})
	f.Result(n)
	return f
}
