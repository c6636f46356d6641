package simd

import "wisp/wasm/emit"

// Threads. The units of a command are cut into shares; a thread takes one at a
// time, and the thread that finishes the last one opens the next command. So a
// command waits only for threads that are at work on it: one that the system
// has put aside, or that is not up yet, holds nobody back. Threads that find no
// share spin for a while, since commands are short, and then sleep. Thread 0 is
// the one that calls run; the others sit in work.

// The control block: words in the module's memory, those that threads contend
// for on cache lines of their own.
const (
	ctlState   = 0   // i64: address of the open command<<32 | shares left; 0 when there is none
	ctlDone    = 64  // shares of the open command that are done
	ctlTurn    = 128 // goes up with every change of the open command: sleepers wait on it
	ctlReady   = 192 // threads in work so far: the next one's index
	ctlStop    = 256 // not 0: leave work
	ctlEnd     = 260 // end of the job's commands
	ctlScratch = 264 // scratch memory of thread 0; the others' follow
	ctlStride  = 268 // bytes of it for each
	ctlBytes   = 320 //
)

const (
	// spins is how often a thread looks before it sleeps: some 10 µs.
	spins = 5000
	// A job that does not move during lostWaits sleeps of lostMS has lost a
	// thread. Sleeps are counted, not time: a page that was frozen as a whole
	// has lost nobody.
	lostMS    = 100
	lostWaits = 30
)

// emitExecutor adds run(start, end, control), which executes commands and
// returns 0, or 1 if a thread was lost; and, for a shared memory,
// work(control), which the other threads call, and halt(control), which makes
// them return.
func (e *emitter) emitExecutor() {
	if !e.shared {
		f := e.m.NewFunc(params(3), emit.I32)
		e.m.Export("run", f)
		start, end, control := f.Param(0), f.Param(1), f.Param(2)
		f.SetScratch(control.Load(ctlScratch))
		f.While(start.Below(end), func() {
			f.CallIndirect(e.m.Table[0], start.Load(4*headKernel), start.Plus(4*commandHead), start.Load(4*headFrom), start.Load(4*headTo))
			f.Set(start, start.Add(start.Load(4*headWords).Shl(2)))
		})
		f.Result(emit.Num(0))
		return
	}
	open := e.emitOpen()
	share := e.emitShare(open)
	e.emitRun(open, share)
	e.emitWork(share)
	f := e.m.NewFunc(params(1))
	e.m.Export("halt", f)
	turn := f.Let(f.Param(0).Plus(ctlTurn))
	f.AtomicStore(f.Param(0).Plus(ctlStop), emit.Num(1))
	f.Set(f.Param(0), turn.AtomicAdd(emit.Num(1)))
	f.Notify(turn)
}

// emitOpen adds open(command, control): it makes command the open one, or none
// if it is the end of the job.
func (e *emitter) emitOpen() *emit.Func {
	f := e.m.NewFunc(params(2))
	command, control := f.Param(0), f.Param(1)
	turn := f.Let(control.Plus(ctlTurn))
	f.AtomicStore(control.Plus(ctlDone), emit.Num(0))
	f.IfElse(command.Eq(control.Load(ctlEnd)), func() {
		f.AtomicStore64(control.Plus(ctlState), emit.Pair(emit.Num(0), emit.Num(0)))
	}, func() {
		f.AtomicStore64(control.Plus(ctlState), emit.Pair(command, command.Load(4*headShares)))
	})
	f.Set(command, turn.AtomicAdd(emit.Num(1)))
	f.Notify(turn)
	return f
}

// emitShare adds share(control, index), by which the thread of that index does
// one share of the open command and gets 1, or 0 if there is none. What it reads of the command is
// valid while it holds a share, since only the last share done ends a command.
func (e *emitter) emitShare(open *emit.Func) *emit.Func {
	f := e.m.NewFunc(params(2), emit.I32)
	control, index := f.Param(0), f.Param(1)
	at, state, won := f.Let(control.Plus(ctlState)), f.Long(), f.Int()
	f.SetL(state, at.AtomicLoad64())
	f.While(state.Low().Ne(emit.Num(0)).And(won.Eqz()), func() {
		f.Set(won, at.AtomicSwap64(state, state.Minus(1)))
		f.When(won.Eqz(), func() { f.SetL(state, at.AtomicLoad64()) })
	})
	f.When(won, func() {
		f.SetScratch(control.Load(ctlScratch).Add(index.Mul(control.Load(ctlStride))))
		command := f.Let(state.High())
		shares := f.Let(command.Load(4 * headShares))
		k := f.Let(shares.Sub(state.Low()))
		from := f.Let(command.Load(4 * headFrom))
		n := f.Let(command.Load(4 * headTo).Sub(from))
		f.CallIndirect(e.m.Table[0], command.Load(4*headKernel), command.Plus(4*commandHead),
			from.Add(n.Mul(k).Div(shares)), from.Add(n.Mul(k.Plus(1)).Div(shares)))
		f.When(control.Plus(ctlDone).AtomicAdd(emit.Num(1)).Plus(1).Eq(shares), func() {
			f.Call(open, command.Add(command.Load(4*headWords).Shl(2)), control)
		})
	})
	f.Result(won)
	return f
}

// emitRun adds run: thread 0's part of a job, and the job's begin and end.
func (e *emitter) emitRun(open, share *emit.Func) {
	f := e.m.NewFunc(params(3), emit.I32)
	e.m.Export("run", f)
	start, end, control := f.Param(0), f.Param(1), f.Param(2)
	state, turn, sleeps := f.Let(control.Plus(ctlState)), f.Int(), f.Int()
	f.Store(control, ctlEnd, end)
	f.Call(open, start, control)
	f.While(state.AtomicLoad64().High(), func() {
		f.Set(turn, control.Plus(ctlTurn).AtomicLoad())
		f.IfElse(emit.CallI(share, control, emit.Num(0)), func() {
			f.Set(sleeps, emit.Num(0))
		}, func() {
			f.When(state.AtomicLoad64().High(), func() {
				f.When(e.await(f, control.Plus(ctlTurn), turn, lostMS), func() { f.Set(sleeps, sleeps.Plus(1)) })
			})
			f.When(control.Plus(ctlStop).AtomicLoad(), func() { f.Return(emit.Num(1)) })
			f.When(sleeps.Gt(emit.Num(lostWaits)), func() { f.Return(emit.Num(1)) })
		})
	})
	f.Result(emit.Num(0))
}

// emitWork adds work.
func (e *emitter) emitWork(share *emit.Func) {
	f := e.m.NewFunc(params(1))
	e.m.Export("work", f)
	control, turn := f.Param(0), f.Int()
	index := f.Let(control.Plus(ctlReady).AtomicAdd(emit.Num(1)).Plus(1))
	f.While(control.Plus(ctlStop).AtomicLoad().Eqz(), func() {
		f.Set(turn, control.Plus(ctlTurn).AtomicLoad())
		f.When(emit.CallI(share, control, index).Eqz(), func() { e.await(f, control.Plus(ctlTurn), turn, 1000) })
	})
}

// await spins while the word at addr is seen, then sleeps once. It gives 1 if
// the word has not changed even then.
func (e *emitter) await(f *emit.Func, addr, seen emit.Int, ms int) emit.Int {
	left := f.Let(emit.Num(spins))
	f.While(addr.AtomicLoad().Eq(seen).And(left.Gt(emit.Num(0))), func() { f.Set(left, left.Plus(-1)) })
	f.When(left.Eqz(), func() { f.Wait(addr, seen, ms) })
	return addr.AtomicLoad().Eq(seen)
}
