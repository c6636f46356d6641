package decode

import "wisp/wasm/emit"

// emitPrepare adds prepare(src, n): it reads the header of a block's sequences,
// which take n bytes, and makes their tables (RFC 8878, section 3.1.1.3.2). It
// sets stNumber and stBits, and returns the length of the bitstream.
func (e *emitter) emitPrepare() *emit.Func {
	f := e.m.NewFunc(params(2), emit.I32)
	src, n := f.Param(0), f.Param(1)
	skip := func(k emit.Int) {
		f.Set(src, src.Add(k))
		f.Set(n, n.Sub(k))
	}
	need(f, n.Gt(emit.Num(0)), ErrTruncated)
	number := f.Let(src.LoadU8(0))
	length := f.Let(emit.Num(1).Add(number.Ge(emit.Num(128))).Add(number.Eq(emit.Num(255))))
	need(f, within(length, n), ErrTruncated)
	f.When(number.Ge(emit.Num(128)), func() {
		f.IfElse(number.Eq(emit.Num(255)), func() { f.Set(number, src.LoadU16(1).Plus(0x7f00)) },
			func() { f.Set(number, number.Plus(-128).Shl(8).Or(src.LoadU8(1))) })
	})
	skip(length)
	f.When(number.Eqz(), func() {
		need(f, n.Eqz(), ErrBlock)
		setWord(f, stNumber, number)
		f.Return(n)
	})
	need(f, n.Gt(emit.Num(0)), ErrTruncated)
	modes := f.Let(src.LoadU8(0))
	need(f, modes.And(emit.Num(3)).Eqz(), ErrBlock)
	skip(emit.Num(1))
	for i := range kindTable {
		e.prepareKind(f, i, modes.Shr(6-2*i).And(emit.Num(3)), src, n, skip)
	}
	setWord(f, stNumber, number)
	setWord(f, stBits, src)
	f.Result(n)
	return f
}

// prepareKind makes the table of a kind in the mode that the block names: the
// default one, one of a single code (RLE), one described here, the last again.
func (e *emitter) prepareKind(f *emit.Func, i int, mode, src, n emit.Int, skip func(emit.Int)) {
	k, own, values := kindTable[i], atSeq+i*seqBytes, atValues+i*64*8
	set := func(table int, log emit.Int) {
		setWord(f, stTable+4*i, emit.Num(table))
		setWord(f, stLog+4*i, log)
	}
	f.Choice(mode,
		func() { set(atDefault+i*64*8, emit.Num(k.defaultLog)) },
		func() {
			need(f, n.Gt(emit.Num(0)), ErrTruncated)
			need(f, src.LoadU8(0).Lt(emit.Num(len(k.bits))), ErrTable)
			f.StoreL(emit.Num(0), own, src.LoadU8(0).Shl(3).LoadL(values))
			skip(emit.Num(1))
			set(own, emit.Num(0))
		},
		func() {
			skip(try(f, emit.CallI(e.counts, src, n, emit.Num(len(k.bits)), emit.Num(k.maxLog))))
			f.Call(e.table, emit.Num(atNorm), word(stNumber), word(stCountLog), emit.Num(values), emit.Num(own))
			set(own, word(stCountLog))
		},
		func() { need(f, word(stTable+4*i), ErrTable) })
}

// seqState is where the decoding of a kind stands.
type seqState struct {
	table emit.Int
	entry emit.Long
}

func (s seqState) bits() emit.Long         { return s.entry.And(emit.LNum(0xff)) } // for the next state
func (s seqState) extra() emit.Long        { return s.entry.Shr(emit.LNum(8)).And(emit.LNum(0xff)) }
func (s seqState) next() emit.Int          { return s.entry.Low().Shr(16) }
func (s seqState) base() emit.Int          { return s.entry.High() }
func (s seqState) at(i emit.Int) emit.Long { return s.table.Add(i.Shl(3)).LoadL(0) }

// emitSequences adds sequences(n, dst): it decodes and executes the sequences of
// a block, whose bitstream has n bytes, and returns the length of the output
// (RFC 8878, section 3.1.1.4).
func (e *emitter) emitSequences() *emit.Func {
	f := e.m.NewFunc(params(2), emit.I32)
	n, dst := f.Param(0), f.Param(1)
	src, left := f.Let(word(stBits)), f.Int()
	startBits(f, left, src, n)
	var s [kinds]seqState
	for i := range s {
		s[i] = seqState{f.Let(word(stTable + 4*i)), f.Long()}
		f.SetL(s[i].entry, s[i].at(take(f, src, left, word(stLog+4*i))))
	}
	start, literal := f.Let(dst), f.Let(word(stLiterals))
	literalEnd := f.Let(literal.Add(word(stLiteralN)))
	limit := f.Let(dst.Add(emit.Least(word(stWindow), emit.Num(maxBlock))))
	end, frame, window := f.Let(word(stEnd)), f.Let(word(stStart)), f.Let(word(stWindow))
	var repeat [3]emit.Int
	for i := range repeat {
		repeat[i] = f.Let(word(stRepeat + 4*i))
	}
	number, top := f.Let(word(stNumber)), f.Long()
	// field is the next k bits of top, which are dropped from it.
	field := func(k emit.Long) emit.Int {
		v := f.Let(top.Shr(emit.LNum(1)).Shr(emit.LNum(63).Sub(k)).Low())
		f.SetL(top, top.Shl(k))
		f.Set(left, left.Sub(k.Low()))
		return v
	}
	lit, offset, match := s[kindLiteral], s[kindOffset], s[kindMatch]
	f.While(number, func() {
		f.SetL(top, peekTop(src, left))
		distance := f.Let(offset.base().Add(field(offset.extra())))
		f.SetL(top, peekTop(src, left))
		matchN := f.Let(match.base().Add(field(match.extra())))
		literalN := f.Let(lit.base().Add(field(lit.extra())))
		need(f, left.Ge(emit.Num(0)), ErrStream)
		repeatOffset(f, distance, literalN, repeat)
		need(f, within(literalN, literalEnd.Sub(literal)), ErrSequence)
		after := f.Let(dst.Add(literalN).Add(matchN))
		need(f, within(after, limit), ErrBlock)
		need(f, within(after, end), ErrRoom)
		need(f, within(distance, dst.Add(literalN).Sub(frame)).And(within(distance, window)), ErrSequence)
		f.IfElse(within(emit.Num(slack), end.Sub(after)), func() {
			copyLoop(f, dst, literal, literalN)
			f.Set(dst, dst.Add(literalN))
			f.IfElse(distance.Ge(emit.Num(slack)), func() {
				copyLoop(f, dst, dst.Sub(distance), matchN)
				f.Set(dst, after)
			}, func() { copyBytes(f, dst, distance, after) })
		}, func() {
			f.Copy(dst, literal, literalN)
			f.Set(dst, dst.Add(literalN))
			copyBytes(f, dst, distance, after)
		})
		f.Set(literal, literal.Add(literalN))
		f.Set(number, number.Plus(-1))
		f.When(number, func() {
			f.SetL(top, peekTop(src, left))
			for _, s := range []seqState{lit, match, offset} {
				f.SetL(s.entry, s.at(s.next().Add(field(s.bits()))))
			}
		})
	})
	need(f, left.Eqz(), ErrStream)
	f.Set(n, literalEnd.Sub(literal))
	need(f, within(n, limit.Sub(dst)), ErrBlock)
	need(f, within(n, end.Sub(dst)), ErrRoom)
	f.Copy(dst, literal, n)
	for i := range repeat {
		setWord(f, stRepeat+4*i, repeat[i])
	}
	f.Result(dst.Add(n).Sub(start))
	return f
}

// copyBytes copies bytes that are distance away to dst until after.
func copyBytes(f *emit.Func, dst, distance, after emit.Int) {
	f.While(dst.Below(after), func() {
		f.Store8(dst, 0, dst.Sub(distance).LoadU8(0))
		f.Set(dst, dst.Plus(1))
	})
}

// repeatOffset turns the value of an offset code into a distance: 1 to 3 mean
// one of the last three, or, after no literals, the second, the third, and the
// first less one (RFC 8878, section 3.1.1.5).
func repeatOffset(f *emit.Func, distance, literalN emit.Int, repeat [3]emit.Int) {
	which := f.Int()
	f.IfElse(distance.Above(emit.Num(3)), func() {
		f.Set(distance, distance.Plus(-3))
		f.Set(which, emit.Num(3))
	}, func() {
		f.Set(which, distance.Plus(-1).Add(literalN.Eqz()))
		f.Choice(which,
			func() { f.Set(distance, repeat[0]) },
			func() { f.Set(distance, repeat[1]) },
			func() { f.Set(distance, repeat[2]) },
			func() { f.Set(distance, repeat[0].Plus(-1)) })
		need(f, distance, ErrZeroOffset)
	})
	f.When(which, func() {
		f.When(which.Ne(emit.Num(1)), func() { f.Set(repeat[2], repeat[1]) })
		f.Set(repeat[1], repeat[0])
		f.Set(repeat[0], distance)
	})
}
