package simd

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
		f := e.m.newFunc(params(3), i32)
		e.m.export("run", f)
		start, end, control := f.param(0), f.param(1), f.param(2)
		f.setScratch(control.load(ctlScratch))
		f.while(start.below(end), func() {
			f.callIndirect(e.m.table[0], start.load(4*headKernel), start.plus(4*commandHead), start.load(4*headFrom), start.load(4*headTo))
			f.set(start, start.add(start.load(4*headWords).shl(2)))
		})
		f.emit(num(0).code)
		return
	}
	open := e.emitOpen()
	share := e.emitShare(open)
	e.emitRun(open, share)
	e.emitWork(share)
	f := e.m.newFunc(params(1))
	e.m.export("halt", f)
	turn := f.let(f.param(0).plus(ctlTurn))
	f.atomicStore(f.param(0).plus(ctlStop), num(1))
	f.set(f.param(0), turn.atomicAdd(num(1)))
	f.notify(turn)
}

// emitOpen adds open(command, control): it makes command the open one, or none
// if it is the end of the job.
func (e *emitter) emitOpen() *fn {
	f := e.m.newFunc(params(2))
	command, control := f.param(0), f.param(1)
	turn := f.let(control.plus(ctlTurn))
	f.atomicStore(control.plus(ctlDone), num(0))
	f.ifElse(command.eq(control.load(ctlEnd)), func() {
		f.atomicStore64(control.plus(ctlState), pair(num(0), num(0)))
	}, func() {
		f.atomicStore64(control.plus(ctlState), pair(command, command.load(4*headShares)))
	})
	f.set(command, turn.atomicAdd(num(1)))
	f.notify(turn)
	return f
}

// emitShare adds share(control, index), by which the thread of that index does
// one share of the open command and gets 1, or 0 if there is none. What it reads of the command is
// valid while it holds a share, since only the last share done ends a command.
func (e *emitter) emitShare(open *fn) *fn {
	f := e.m.newFunc(params(2), i32)
	control, index := f.param(0), f.param(1)
	at, state, won := f.let(control.plus(ctlState)), f.long(), f.int()
	f.setL(state, at.atomicLoad64())
	f.while(state.low().ne(num(0)).and(won.eqz()), func() {
		f.set(won, at.atomicSwap64(state, state.sub(1)))
		f.when(won.eqz(), func() { f.setL(state, at.atomicLoad64()) })
	})
	f.when(won, func() {
		f.setScratch(control.load(ctlScratch).add(index.mul(control.load(ctlStride))))
		command := f.let(state.high())
		shares := f.let(command.load(4 * headShares))
		k := f.let(shares.sub(state.low()))
		from := f.let(command.load(4 * headFrom))
		n := f.let(command.load(4 * headTo).sub(from))
		f.callIndirect(e.m.table[0], command.load(4*headKernel), command.plus(4*commandHead),
			from.add(n.mul(k).div(shares)), from.add(n.mul(k.plus(1)).div(shares)))
		f.when(control.plus(ctlDone).atomicAdd(num(1)).plus(1).eq(shares), func() {
			f.call(open, command.add(command.load(4*headWords).shl(2)), control)
		})
	})
	f.emit(won.code)
	return f
}

// emitRun adds run: thread 0's part of a job, and the job's begin and end.
func (e *emitter) emitRun(open, share *fn) {
	f := e.m.newFunc(params(3), i32)
	e.m.export("run", f)
	start, end, control := f.param(0), f.param(1), f.param(2)
	state, turn, sleeps := f.let(control.plus(ctlState)), f.int(), f.int()
	f.store(control, ctlEnd, end)
	f.call(open, start, control)
	f.while(state.atomicLoad64().high(), func() {
		f.set(turn, control.plus(ctlTurn).atomicLoad())
		f.ifElse(callI(share, control, num(0)), func() {
			f.set(sleeps, num(0))
		}, func() {
			f.when(state.atomicLoad64().high(), func() {
				f.when(e.await(f, control.plus(ctlTurn), turn, lostMS), func() { f.set(sleeps, sleeps.plus(1)) })
			})
			f.when(control.plus(ctlStop).atomicLoad(), func() { f.exit(num(1)) })
			f.when(sleeps.gt(num(lostWaits)), func() { f.exit(num(1)) })
		})
	})
	f.emit(num(0).code)
}

// emitWork adds work.
func (e *emitter) emitWork(share *fn) {
	f := e.m.newFunc(params(1))
	e.m.export("work", f)
	control, turn := f.param(0), f.int()
	index := f.let(control.plus(ctlReady).atomicAdd(num(1)).plus(1))
	f.while(control.plus(ctlStop).atomicLoad().eqz(), func() {
		f.set(turn, control.plus(ctlTurn).atomicLoad())
		f.when(callI(share, control, index).eqz(), func() { e.await(f, control.plus(ctlTurn), turn, 1000) })
	})
}

// await spins while the word at addr is seen, then sleeps once. It gives 1 if
// the word has not changed even then.
func (e *emitter) await(f *fn, addr, seen i32v, ms int) i32v {
	left := f.let(num(spins))
	f.while(addr.atomicLoad().eq(seen).and(left.gt(num(0))), func() { f.set(left, left.plus(-1)) })
	f.when(left.eqz(), func() { f.wait(addr, seen, ms) })
	return addr.atomicLoad().eq(seen)
}
