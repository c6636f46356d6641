package decode

import "wisp/wasm/emit"

// emitWeights adds weights(src, n): it reads weights coded by the n bytes at
// src to atWeight and returns how many (RFC 8878, section 4.2.1.2). Two states
// take turns until the bits are used up.
func (e *emitter) emitWeights() *emit.Func {
	f := e.m.NewFunc(params(2), emit.I32)
	src, n := f.Param(0), f.Param(1)
	used := try(f, emit.CallI(e.counts, src, n, emit.Num(256), emit.Num(6)))
	codes, log := f.Let(word(stNumber)), f.Let(word(stCountLog))
	f.Each(emit.Num(0), codes, func(i emit.Int) { // or a state would read nothing for ever
		need(f, i.Shl(1).LoadS16(atNorm).Lt(emit.Num(1).ShlBy(log)), ErrHuffman)
	})
	f.Call(e.table, emit.Num(atNorm), codes, log, emit.Num(0), emit.Num(atFSE))
	f.Set(src, src.Add(used))
	left := f.Int()
	startBits(f, left, src, n.Sub(used))
	entry := func(state emit.Int) emit.Int { return state.Shl(3).Plus(atFSE) }
	state, other := take(f, src, left, log), take(f, src, left, log)
	count, at, bits, next := f.Int(), f.Int(), f.Int(), f.Int()
	store := func(v emit.Int) {
		need(f, count.Lt(emit.Num(maxWeights)), ErrHuffman)
		f.Store8(count, atWeight, v)
		f.Set(count, count.Plus(1))
	}
	more := f.Let(emit.Num(1))
	f.While(more, func() {
		f.Set(at, entry(state))
		f.Set(bits, at.LoadU8(0))
		store(at.Load(4))
		f.IfElse(left.Lt(emit.Num(1)).And(bits.Gt(emit.Num(0))), func() {
			store(entry(other).Load(4))
			f.Set(more, emit.Num(0))
		}, func() {
			f.Set(next, at.LoadU16(2).Add(take(f, src, left, bits)))
			f.Set(state, other)
			f.Set(other, next)
		})
	})
	need(f, left.Eqz(), ErrHuffman)
	f.Result(count)
	return f
}

// emitHuffman adds huffman(src, n): it reads the description of a Huffman table
// at src, makes the table and returns the description's length (RFC 8878,
// section 4.2.1). The table is indexed by the next huffBits bits of a stream,
// however long its codes are.
func (e *emitter) emitHuffman() *emit.Func {
	f := e.m.NewFunc(params(2), emit.I32)
	src, n := f.Param(0), f.Param(1)
	setWord(f, stHuffman, emit.Num(0))
	need(f, n.Gt(emit.Num(1)), ErrHuffman)
	size, count := f.Let(src.LoadU8(0)), f.Int()
	f.Set(src, src.Plus(1))
	f.IfElse(size.Ge(emit.Num(128)), func() {
		f.Set(count, size.Plus(-127))
		f.Set(size, count.Plus(1).Shr(1))
		need(f, size.Lt(n), ErrHuffman)
		f.Each(emit.Num(0), size, func(i emit.Int) {
			f.Store8(i.Shl(1), atWeight, src.Add(i).LoadU8(0).Shr(4))
			f.Store8(i.Shl(1), atWeight+1, src.Add(i).LoadU8(0).And(emit.Num(15)))
		})
	}, func() {
		need(f, size.Lt(n), ErrHuffman)
		f.Set(count, try(f, emit.CallI(e.weights, src, size)))
	})
	rank := func(w emit.Int) emit.Int { return w.Shl(2).Plus(atRanks) }
	bump := func(at, by emit.Int) { f.Store(at, 0, at.Load(0).Add(by)) }
	f.Fill(emit.Num(atRanks), emit.Num(0), emit.Num(16*4))
	total, weight, at := f.Int(), f.Int(), f.Int()
	f.Each(emit.Num(0), count, func(i emit.Int) {
		f.Set(weight, i.LoadU8(atWeight))
		need(f, within(weight, emit.Num(huffBits)), ErrHuffman)
		f.Set(at, rank(weight))
		bump(at, emit.Num(1))
		f.Set(total, total.Add(emit.Num(1).ShlBy(weight).Shr(1)))
	})
	// The last symbol's weight makes the total a power of two.
	need(f, total, ErrHuffman)
	log := f.Let(emit.Num(32).Sub(total.Clz()))
	need(f, within(log, emit.Num(huffBits)), ErrHuffman)
	f.Set(total, emit.Num(1).ShlBy(log).Sub(total))
	need(f, total.And(total.Plus(-1)).Eqz(), ErrHuffman)
	f.Set(weight, emit.Num(32).Sub(total.Clz()))
	f.Store8(count, atWeight, weight)
	f.Set(count, count.Plus(1))
	f.Set(at, rank(weight))
	bump(at, emit.Num(1))
	f.Set(at, emit.Num(atRanks).Load(4))
	need(f, at.Gt(emit.Num(1)).And(at.And(emit.Num(1)).Eqz()), ErrHuffman)
	e.fillHuffman(f, count, log)
	setWord(f, stHuffman, emit.Num(1))
	f.Result(size.Plus(1))
	return f
}

// fillHuffman makes the table: symbols sorted by weight, each in as many
// entries as the bits after its code allow.
func (e *emitter) fillHuffman(f *emit.Func, count, log emit.Int) {
	place, n, at, weight := f.Let(emit.Num(0)), f.Int(), f.Int(), f.Int()
	f.Each(emit.Num(1), emit.Num(huffBits+1), func(w emit.Int) {
		f.Set(at, w.Shl(2).Plus(atRanks))
		f.Set(n, at.Load(0))
		f.Store(at, 0, place)
		f.Set(place, place.Add(n))
	})
	f.Each(emit.Num(0), count, func(i emit.Int) {
		f.Set(weight, i.LoadU8(atWeight))
		f.When(weight, func() {
			f.Set(at, weight.Shl(2).Plus(atRanks))
			f.Store8(at.Load(0), atSorted, i)
			f.Store(at, 0, at.Load(0).Plus(1))
		})
	})
	symbol, end, lengths, symbols := f.Int(), f.Int(), f.Long(), f.Long()
	fill := func(b emit.Int) emit.Long { return b.Long().Mul(emit.LNum(0x0101010101010101)) } // of every byte
	f.Set(at, emit.Num(0))
	f.Each(emit.Num(0), place, func(i emit.Int) {
		f.Set(symbol, i.LoadU8(atSorted))
		f.Set(weight, symbol.LoadU8(atWeight))
		f.SetL(lengths, fill(log.Plus(1).Sub(weight)))
		f.SetL(symbols, fill(symbol))
		f.Set(end, at.Add(emit.Num(1<<huffBits).ShrBy(log).ShlBy(weight).Shr(1)))
		f.Repeat(at.Lt(end), func() { // the next symbol corrects what is too much
			f.StoreL(at, atLengths, lengths)
			f.StoreL(at, atSymbols, symbols)
			f.Set(at, at.Plus(8))
		})
		f.Set(at, end)
	})
}

// emitTail adds tail(src, left, dst, end): it decodes a backward bitstream of
// Huffman codes to dst, until end, where no bit may be left.
func (e *emitter) emitTail() *emit.Func {
	f := e.m.NewFunc(params(4), emit.I32)
	src, left, dst, end := f.Param(0), f.Param(1), f.Param(2), f.Param(3)
	index := f.Int()
	f.While(dst.Below(end), func() {
		need(f, left.Gt(emit.Num(0)), ErrStream)
		f.Set(index, peekTop(src, left).Shr(emit.LNum(64-huffBits)).Low())
		f.Set(left, left.Sub(index.LoadU8(atLengths)))
		f.Store8(dst, 0, index.LoadU8(atSymbols))
		f.Set(dst, dst.Plus(1))
	})
	need(f, left.Eqz(), ErrStream)
	f.Result(emit.Num(0))
	return f
}

// lanes is the number of streams that literals of more than 1 KiB are cut into.
const lanes = 4

// stream is one of them.
type stream struct {
	src, n    emit.Int // the bytes
	at        emit.Int // address of the eight bytes that bits comes from
	bits      emit.Long
	dst, left emit.Int
}

// emitFour adds four(src, n, dst, len): it decodes the four streams of len
// literals (RFC 8878, section 4.2.2). Each takes part of a turn, so that the
// steps of one hide the time that those of another take. The unread bits are
// the highest of a 64-bit word, and a mark below them shows how many were read;
// after five codes of at most huffBits bits it is loaded anew. A turn is made
// only where no stream can run out in it.
func (e *emitter) emitFour() *emit.Func {
	f := e.m.NewFunc(params(4), emit.I32)
	src, n, dst, size := f.Param(0), f.Param(1), f.Param(2), f.Param(3)
	every, end := f.Let(size.Plus(3).Shr(2)), f.Let(dst.Add(size))
	need(f, n.Ge(emit.Num(10)), ErrLiterals)
	need(f, within(every.Times(lanes-1), size), ErrLiterals)
	var s [lanes]stream
	at, rest := f.Let(src.Plus(6)), f.Let(n.Plus(-6))
	short := f.Let(emit.Num(0)) // a stream has not eight bytes
	for i := range s {
		s[i] = stream{src: f.Let(at), n: f.Let(rest), at: f.Int(), bits: f.Long(), dst: f.Let(dst.Add(every.Times(i))), left: f.Int()}
		if i < lanes-1 {
			f.Set(s[i].n, src.LoadU16(2*i))
			need(f, s[i].n.Lt(rest), ErrLiterals)
			f.Set(rest, rest.Sub(s[i].n))
			f.Set(at, at.Add(s[i].n))
		}
		startBits(f, s[i].left, s[i].src, s[i].n)
		f.Set(short, short.Or(s[i].n.Lt(emit.Num(8))))
	}
	f.When(short.Eqz(), func() { e.turns(f, s, end) })
	for i := range s {
		stop := end
		if i < lanes-1 {
			stop = dst.Add(every.Times(i + 1))
		}
		try(f, emit.CallI(e.tail, s[i].src, s[i].left, s[i].dst, stop))
	}
	f.Result(emit.Num(0))
	return f
}

// turns runs the turns.
func (e *emitter) turns(f *emit.Func, s [lanes]stream, end emit.Int) {
	const codes, most = 5, 7 // in a turn: codes of a stream, bytes that they may use up
	used, room, count := f.Int(), f.Int(), f.Int()
	for i := range s {
		f.Set(s[i].at, s[i].src.Add(s[i].n).Plus(-8))
		f.SetL(s[i].bits, s[i].at.LoadL(0).Or(emit.LNum(1)).Shl(s[i].n.Shl(3).Sub(s[i].left).Long()))
	}
	more := f.Let(emit.Num(1))
	f.While(more, func() {
		f.Set(room, s[0].at.Sub(s[0].src))
		for _, s := range s[1:] {
			f.Set(room, emit.Least(room, s.at.Sub(s.src)))
		}
		f.Set(count, emit.Least(room.Div(emit.Num(most)), end.Sub(s[lanes-1].dst).Div(emit.Num(codes))))
		f.Set(more, count.Gt(emit.Num(0)))
		f.While(count, func() {
			var index [lanes]emit.Int
			for k := range codes {
				for i, s := range s {
					if k == 0 {
						index[i] = f.Int()
					}
					f.Set(index[i], s.bits.Shr(emit.LNum(64-huffBits)).Low())
					f.SetL(s.bits, s.bits.Shl(index[i].LoadL8(atLengths)))
					f.Store8(s.dst, k, index[i].LoadU8(atSymbols))
				}
			}
			for _, s := range s {
				f.Set(used, s.bits.Ctz().Low())
				f.Set(s.at, s.at.Sub(used.Shr(3)))
				f.SetL(s.bits, s.at.LoadL(0).Or(emit.LNum(1)).Shl(used.And(emit.Num(7)).Long()))
				f.Set(s.dst, s.dst.Plus(codes))
			}
			f.Set(count, count.Plus(-1))
		})
	})
	for _, s := range s {
		f.Set(s.left, s.at.Sub(s.src).Shl(3).Plus(64).Sub(s.bits.Ctz().Low()))
	}
}
