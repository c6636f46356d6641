package decode

import (
	"encoding/binary"

	"wisp/wasm/emit"
)

// The kinds of tables that sequences are coded with, in the order in which a
// block describes them.
const (
	kindLiteral = iota // lengths of literals
	kindOffset
	kindMatch // lengths of matches
	kinds
)

// kind describes one: the code of a value is followed by extra bits[code] bits,
// which are added to its base.
type kind struct {
	bits       []byte
	base       uint32 // of code 0
	defaults   []int16
	defaultLog int
	maxLog     int
}

// kindTable holds RFC 8878, sections 3.1.1.3.2.1 and 3.1.1.3.2.2. Offsets are
// those of the format: 1 to 3 repeat an earlier one.
var kindTable = [kinds]kind{
	{bits: append(make([]byte, 16), 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16), defaultLog: 6, maxLog: 9,
		defaults: []int16{4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1}},
	{bits: []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30}, base: 1, defaultLog: 5, maxLog: 8,
		defaults: []int16{1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1}},
	{bits: append(make([]byte, 32), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16), base: 3, defaultLog: 6, maxLog: 9,
		defaults: []int16{1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
			1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1}},
}

// data puts kindTable into the memory.
func (e *emitter) data() {
	for i, k := range kindTable {
		var values, norm []byte
		base := k.base
		for _, b := range k.bits {
			values = append(values, 0, b, 0, 0)
			values = binary.LittleEndian.AppendUint32(values, base)
			base += 1 << b
		}
		for _, n := range k.defaults {
			norm = binary.LittleEndian.AppendUint16(norm, uint16(n))
		}
		e.m.Data(atValues+i*64*8, values)
		e.m.Data(atDefNorm+i*64*2, norm)
	}
}

// emitTable adds table(norm, codes, log, values, out): it makes the table of
// 1<<log states at out from the counts of codes, which add up to that (RFC
// 8878, section 4.1.1). values holds what an entry says of its code; where it
// is 0, the code is the value.
func (e *emitter) emitTable() *emit.Func {
	f := e.m.NewFunc(params(5))
	norm, codes, log, values, out := f.Param(0), f.Param(1), f.Param(2), f.Param(3), f.Param(4)
	size := f.Let(emit.Num(1).ShlBy(log))
	high, count := f.Let(size.Plus(-1)), f.Int()
	f.Each(emit.Num(0), codes, func(i emit.Int) {
		f.Set(count, norm.Add(i.Shl(1)).LoadS16(0))
		f.When(count.Eq(emit.Num(-1)), func() {
			f.Store(out.Add(high.Shl(3)), 0, i)
			f.Set(high, high.Plus(-1))
			f.Set(count, emit.Num(1))
		})
		f.Store16(i.Shl(1), atNext, count)
	})
	at, step := f.Let(emit.Num(0)), f.Let(size.Shr(1).Add(size.Shr(3)).Plus(3))
	f.Each(emit.Num(0), codes, func(i emit.Int) {
		f.Set(count, norm.Add(i.Shl(1)).LoadS16(0))
		f.While(count.Gt(emit.Num(0)), func() {
			f.Set(count, count.Plus(-1))
			f.Store(out.Add(at.Shl(3)), 0, i)
			f.Set(at, at.Add(step).And(size.Plus(-1)))
			f.While(at.Gt(high), func() { f.Set(at, at.Add(step).And(size.Plus(-1))) })
		})
	})
	entry, code, next, bits, value := f.Int(), f.Int(), f.Int(), f.Int(), f.Long()
	f.Each(emit.Num(0), size, func(i emit.Int) {
		f.Set(entry, out.Add(i.Shl(3)))
		f.Set(code, entry.Load(0))
		f.Set(next, code.Shl(1).LoadU16(atNext))
		f.Store16(code.Shl(1), atNext, next.Plus(1))
		f.Set(bits, log.Sub(emit.Num(31).Sub(next.Clz())))
		f.IfElse(values, func() { f.SetL(value, values.Add(code.Shl(3)).LoadL(0)) },
			func() { f.SetL(value, emit.Pair(code, emit.Num(0))) })
		f.StoreL(entry, 0, value.Or(bits.Or(next.ShlBy(bits).Sub(size).Shl(16)).Long()))
	})
	return f
}

// emitCounts adds counts(src, n, codes, maxLog): it reads the counts of at most
// so many codes to atNorm and sets stCountLog (RFC 8878, section 4.1.1). The
// result is the number of bytes read; the number of codes is left at stNumber.
// A table of one code is refused: the format has a shorter way to say that.
func (e *emitter) emitCounts() *emit.Func {
	f := e.m.NewFunc(params(4), emit.I32)
	src, n, codes, maxLog := f.Param(0), f.Param(1), f.Param(2), f.Param(3)
	f.Set(n, emit.Least(n, emit.Num(headerBytes)))
	f.Copy(emit.Num(atHeader), src, n)
	f.StoreL(n, atHeader, emit.LNum(0))
	bit := f.Let(emit.Num(4))
	peek := func() emit.Int { return bit.Shr(3).Load(atHeader).ShrBy(bit.And(emit.Num(7))) }
	log := f.Let(emit.Num(0).LoadU8(atHeader).And(emit.Num(15)).Plus(5))
	need(f, within(log, maxLog), ErrTable)
	setWord(f, stCountLog, log)
	threshold := f.Let(emit.Num(1).ShlBy(log))
	left, width := f.Let(threshold.Plus(1)), f.Let(log.Plus(1))
	code, top, count, run := f.Int(), f.Int(), f.Int(), f.Int()
	f.While(left.Gt(emit.Num(1)).And(code.Lt(codes)), func() {
		need(f, within(bit.Shr(3), n), ErrTable)
		f.Set(top, threshold.Shl(1).Plus(-1).Sub(left))
		f.Set(count, peek().And(threshold.Shl(1).Plus(-1)))
		f.Set(run, count.And(threshold.Plus(-1)))
		f.IfElse(run.Lt(top), func() {
			f.Set(count, run)
			f.Set(bit, bit.Add(width).Plus(-1))
		}, func() {
			f.When(count.Ge(threshold), func() { f.Set(count, count.Sub(top)) })
			f.Set(bit, bit.Add(width))
		})
		f.Set(count, count.Plus(-1))
		f.Set(left, left.Sub(emit.Pick(count.Lt(emit.Num(0)), emit.Num(1), count)))
		f.Store16(code.Shl(1), atNorm, count)
		f.Set(code, code.Plus(1))
		f.When(count.Eqz(), func() {
			f.Set(run, emit.Num(3))
			f.While(run.Eq(emit.Num(3)), func() {
				need(f, within(bit.Shr(3), n), ErrTable)
				f.Set(run, peek().And(emit.Num(3)))
				f.Set(bit, bit.Plus(2))
				f.Set(count, run)
				f.While(count, func() {
					need(f, code.Lt(codes), ErrTable)
					f.Store16(code.Shl(1), atNorm, emit.Num(0))
					f.Set(code, code.Plus(1))
					f.Set(count, count.Plus(-1))
				})
			})
		})
		f.While(left.Lt(threshold), func() {
			f.Set(width, width.Plus(-1))
			f.Set(threshold, threshold.Shr(1))
		})
	})
	f.Set(bit, bit.Plus(7).Shr(3))
	need(f, left.Eq(emit.Num(1)).And(code.Gt(emit.Num(1))).And(within(bit, n)), ErrTable)
	setWord(f, stNumber, code)
	f.Result(bit)
	return f
}

// A backward bitstream is its first byte's address and the number of its bits
// that are unread: it is read from its end.

// startBits sets the number of bits of the stream of n bytes at src, whose last
// byte has a mark above them.
func startBits(f *emit.Func, left, src, n emit.Int) {
	need(f, n.Gt(emit.Num(0)), ErrStream)
	f.Set(left, src.Add(n).Plus(-1).LoadU8(0))
	need(f, left, ErrStream)
	f.Set(left, n.Shl(3).Plus(23).Sub(left.Clz())) // 8(n-1) + 31 - clz
}

// peekTop has the next bits of the stream in the highest ones; 56 at least are
// right, those before the stream's start are any. It reads up to seven bytes
// before the stream.
func peekTop(src, left emit.Int) emit.Long {
	return src.Add(left.ShrS(3)).Plus(-7).LoadL(0).Shl(emit.Num(8).Sub(left.And(emit.Num(7))).Long())
}

// take is the next n bits, at most 56, which are read: left is a variable.
func take(f *emit.Func, src, left, n emit.Int) emit.Int {
	v := f.Let(peekTop(src, left).Shr(emit.LNum(1)).Shr(emit.Num(63).Sub(n).Long()).Low())
	f.Set(left, left.Sub(n))
	return v
}
