// Package decode emits a WebAssembly module that turns a model's chunks into
// weights: it decodes a Zstandard frame (RFC 8878), joins byte planes, and sums
// bytes up. It knows nothing of models, browsers or Go's heap: it works on
// addresses in a memory that its host imports into it, the lowest [Base] bytes
// of which are its own. Start at [Module]; frame.go reads a frame from the top.
package decode

import "wisp/wasm/emit"

// Emit makes the bytes of the module, which [Module] has: with SIMD instructions or, for hosts
// without them, with a slower join. It imports the memory "env.memory",
// not shared, of Base bytes or more, and exports, with i32 arguments,
//
//   - decode(src, n, dst, room) decodes the frame that the n bytes at src are to
//     dst, where there is room for so many bytes. The result is the number of
//     bytes written or, where it is negative, an [Error].
//   - join(src, dst, n, width) writes n elements of width 2 or 4 bytes to dst
//     from the planes of their bytes at src, one after another.
//   - sum(src, n, out) writes the eight bytes of [Sum] of n bytes to out.
//
// The ranges must lie beyond Base and within the memory, and not overlap. Then
// no content makes a call trap, read beyond them, or write outside of its
// destination and the memory below Base. One call at a time.
func Emit(simd bool) []byte {
	m := &emit.Module{}
	e := &emitter{m: m}
	e.data()
	e.table = e.emitTable()
	e.counts = e.emitCounts()
	e.weights = e.emitWeights()
	e.huffman = e.emitHuffman()
	e.tail = e.emitTail()
	e.four = e.emitFour()
	e.literals = e.emitLiterals()
	e.prepare = e.emitPrepare()
	e.sequences = e.emitSequences()
	e.block = e.emitBlock()
	e.hash = e.emitHash()
	e.frame = e.emitFrame()
	m.Export("decode", e.emitDecode())
	m.Export("join", e.emitJoin(simd))
	m.Export("sum", e.emitSum())
	return m.Bytes()
}

// emitter holds the functions that call one another.
type emitter struct {
	m *emit.Module

	table, counts, weights, huffman, tail, four, literals, prepare, sequences, block, hash, frame *emit.Func
}

// Limits of the format (RFC 8878, sections 3.1.1 and 4) and, the window, of
// this decoder.
const (
	maxWindow  = 16 << 20
	minWindow  = 1 << 10
	maxBlock   = 128 << 10
	huffBits   = 11 // the longest code
	maxWeights = 255
)

// The memory below Base. Tables of sequences have entries of eight bytes: bits
// to read for the next state, bits of the value, base of the next state (two
// bytes), base of the value (four).
const (
	slack     = 16
	atLengths = 64                              // bytes: code lengths by the next huffBits bits
	atSymbols = atLengths + 1<<huffBits + slack // bytes: symbols by the same
	atSeq     = atSymbols + 1<<huffBits + slack // three tables of maxStates
	atDefault = atSeq + kinds*seqBytes          // three tables of 64 states
	atFSE     = atDefault + kinds*64*8          // table of the weights, 64 states
	atValues  = atFSE + 64*8                    // for each kind, by code: eight bytes as in a table
	atDefNorm = atValues + kinds*64*8           // for each kind, by code: its default count, two bytes
	atNorm    = atDefNorm + kinds*64*2          // counts being read, two bytes
	atNext    = atNorm + 256*2                  // next states of a table being made
	atWeight  = atNext + 256*2                  // weights of a Huffman table
	atSorted  = atWeight + 256 + slack          // its symbols, longest code first
	atRanks   = atSorted + 256                  // symbols of each weight, then their places
	atHeader  = atRanks + 16*4                  // a copy of the start of a table's description
	atState   = (atHeader + headerBytes + slack) &^ 15
	atLiteral = atState + 128
	// Base is the number of bytes at the start of the memory that belong to
	// the module.
	Base = (atLiteral + maxBlock + 2*slack + 0xffff) &^ 0xffff

	headerBytes = 160
	maxStates   = 1 << 9
	seqBytes    = maxStates * 8
)

// Words at atState.
const (
	stTable = 4 * iota // of each kind: the address of its table, 0 for none
	_
	_
	stLog // of each kind: log2 of its table's states
	_
	_
	stRepeat // the last three offsets
	_
	_
	stHuffman  // 1 where there is a Huffman table
	stWindow   // bytes
	stStart    // address of the frame's first byte in the destination
	stEnd      // end of the destination
	stLiterals // address of the block's literals
	stLiteralN // their number
	stCountLog // log2 of the states of the table that counts read
	stBits     // address of the block's bitstream of sequences
	stNumber   // of sequences; the number of codes that counts read
	stOut      // end of the output of the last frame
)

// word is the word of the state at offset.
func word(offset int) emit.Int { return emit.Num(0).Load(atState + offset) }

func setWord(f *emit.Func, offset int, x emit.Int) { f.Store(emit.Num(0), atState+offset, x) }

// fail leaves the function with an error.
func fail(f *emit.Func, e Error) { f.Return(emit.Num(int(e))) }

// need fails unless cond.
func need(f *emit.Func, cond emit.Int, e Error) { f.When(cond.Eqz(), func() { fail(f, e) }) }

// try is the result of a call, which fails with the error where it is one.
func try(f *emit.Func, call emit.Int) emit.Int {
	v := f.Let(call)
	f.When(v.Lt(emit.Num(0)), func() { f.Return(v) })
	return v
}

// params is n parameters of type i32.
func params(n int) []emit.Type {
	p := make([]emit.Type, n)
	for i := range p {
		p[i] = emit.I32
	}
	return p
}

// within reports that a is not above b, unsigned.
func within(a, b emit.Int) emit.Int { return a.Above(b).Eqz() }

// copyLoop copies n bytes in steps of 16, up to 15 more than asked for. The
// destination may overlap the source from 16 bytes after its start on.
func copyLoop(f *emit.Func, dst, src, n emit.Int) {
	at := f.Int()
	f.Loop(at, emit.Num(0), n, 16, func() {
		f.StoreL(dst.Add(at), 0, src.Add(at).LoadL(0))
		f.StoreL(dst.Add(at), 8, src.Add(at).LoadL(8))
	})
}
