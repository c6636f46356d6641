package decode

import "wisp/wasm/emit"

// The types of a block's literals.
const (
	literalsRaw = iota
	literalsRLE
	literalsCompressed
	literalsTreeless
)

// emitLiterals adds literals(src, n, dst, room): it decodes the literals of a
// block of n bytes and returns the length of their section (RFC 8878, section
// 3.1.1.3.1). They go straight to dst where no sequences follow, else to
// atLiteral.
func (e *emitter) emitLiterals() *emit.Func {
	f := e.m.NewFunc(params(4), emit.I32)
	src, n, dst, room := f.Param(0), f.Param(1), f.Param(2), f.Param(3)
	kind, format := f.Let(src.LoadU8(0).And(emit.Num(3))), f.Let(src.LoadU8(0).Shr(2).And(emit.Num(3)))
	head, size, stored, single := f.Int(), f.Int(), f.Int(), f.Int()
	// The header's bits lie within five bytes; the block has two or more.
	byteAt := func(i int) emit.Int { return src.LoadU8(i) }
	header := func(bytes int) {
		f.Set(head, emit.Num(bytes))
		need(f, within(head, n), ErrTruncated)
	}
	f.IfElse(kind.Lt(emit.Num(literalsCompressed)), func() {
		short := func() { header(1); f.Set(size, byteAt(0).Shr(3)) }
		f.Choice(format,
			short,
			func() { header(2); f.Set(size, src.LoadU16(0).Shr(4)) },
			short,
			func() { header(3); f.Set(size, src.LoadU16(0).Or(byteAt(2).Shl(16)).Shr(4)) })
		f.Set(stored, emit.Pick(kind, emit.Num(1), size))
	}, func() {
		ten := func() {
			header(3)
			f.Set(stored, src.LoadU16(0).Or(byteAt(2).Shl(16)).Shr(4))
			f.Set(size, stored.And(emit.Num(1<<10-1)))
			f.Set(stored, stored.Shr(10))
		}
		f.Choice(format,
			func() { ten(); f.Set(single, emit.Num(1)) },
			ten,
			func() {
				header(4)
				f.Set(size, src.Load(0).Shr(4).And(emit.Num(1<<14-1)))
				f.Set(stored, src.Load(0).Shr(18))
			},
			func() {
				header(5)
				f.Set(size, src.Load(0).Shr(4).And(emit.Num(1<<18-1)))
				f.Set(stored, src.Load(0).Shr(22).Or(byteAt(4).Shl(10)))
			})
	})
	need(f, within(size, emit.Least(word(stWindow), emit.Num(maxBlock))), ErrLiterals)
	f.Set(src, src.Add(head))
	f.Set(n, n.Sub(head))
	need(f, stored.Below(n), ErrTruncated) // something must follow
	target := f.Let(emit.Num(atLiteral))
	f.When(src.Add(stored).LoadU8(0).Eqz(), func() {
		f.Set(target, dst)
		need(f, within(size, room), ErrRoom)
	})
	setWord(f, stLiterals, target)
	setWord(f, stLiteralN, size)
	f.Set(head, head.Add(stored))
	f.Choice(kind,
		func() { f.Copy(target, src, size) },
		func() { f.Fill(target, src.LoadU8(0), size) },
		func() {
			f.Set(n, try(f, emit.CallI(e.huffman, src, stored)))
			f.Set(src, src.Add(n))
			f.Set(stored, stored.Sub(n))
		})
	f.When(kind.Ge(emit.Num(literalsCompressed)), func() {
		need(f, word(stHuffman), ErrLiterals)
		f.IfElse(single, func() {
			startBits(f, n, src, stored)
			try(f, emit.CallI(e.tail, src, n, target, target.Add(size)))
		}, func() { try(f, emit.CallI(e.four, src, stored, target, size)) })
	})
	f.Result(head)
	return f
}
