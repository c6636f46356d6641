package simd

// flavour says which module to emit.
type flavour struct {
	relaxed bool // relaxed_madd in place of mul and add
	shared  bool // for threads over one shared memory
	mr, nr  int  // rows and columns of the matmul tile; nr is a multiple of 4
}

// The tiles that measured best: 16 vector registers hold the accumulators,
// nr/4 vectors of weights and one value of the left side. Wazero's register
// allocator favours another shape than V8's and SpiderMonkey's.
var (
	relaxedTile  = flavour{relaxed: true, mr: 6, nr: 8}
	baselineTile = flavour{mr: 5, nr: 8}
	wazeroTile   = flavour{mr: 3, nr: 16}
)

// panels is the number of panels that hold n columns.
func (fl flavour) panels(n int) int { return (n + fl.nr - 1) / fl.nr }

// kernelID is the index of a kernel in the module's table.
type kernelID uint32

// The kernels, in the order of their entries in kernelTable.
const (
	kConvert kernelID = iota
	kPackWeights
	kUnpack
	kPack
	kPackT
	kLinear
	kQuantize
	kLinear8
	kConv2D
	kWinogradInput
	kWinogradWeights
	kWinogradOutput
	kAttention
	kGroupNormStats
	kGroupNormCombine
	kGroupNormApply
	kLayerNorm
	kSoftmax
	kEmbedding
	kAdd
	kSub
	kMul
	kActivation
	kGEGLU
	kAffine
	kClamp
	kUpsample2D
	kMove
	kernelCount
)

// emitter builds the module. A kernel is a function (args, from, to): it does
// the units from..to−1 of a command whose argument words are at args. Units
// are independent, so that threads may share them, and the split into units
// depends on shapes alone, so that the result does not depend on the threads.
type emitter struct {
	flavour
	m *module

	act        *fn
	convertRow *fn
	unpack     *fn
	micro      *fn
	unpack8    *fn
	tile8      *fn
}

// emitModule returns the bytes of the SIMD module.
func emitModule(fl flavour) []byte {
	e := &emitter{flavour: fl, m: &module{shared: fl.shared}}
	e.act = e.emitActivations()
	e.convertRow = e.emitConvertRow()
	e.unpack = e.emitUnpack()
	e.micro = e.emitMicro()
	e.unpack8 = e.emitUnpack8()
	e.tile8 = e.emitTile8()
	table := [kernelCount]func(f *fn){
		kConvert: e.convert, kPackWeights: e.packWeights, kUnpack: e.unpackPanels, kPack: e.pack, kPackT: e.packT,
		kLinear: e.linear, kQuantize: e.quantize, kLinear8: e.linear8, kConv2D: e.conv2d, kAttention: e.attention,
		kWinogradInput: e.winogradInput, kWinogradWeights: e.winogradWeights, kWinogradOutput: e.winogradOutput,
		kGroupNormStats: e.groupNormStats, kGroupNormCombine: e.groupNormCombine, kGroupNormApply: e.groupNormApply,
		kLayerNorm: e.layerNorm, kSoftmax: e.softmax, kEmbedding: e.embedding,
		kAdd: e.elementwise(vec.add), kSub: e.elementwise(vec.sub), kMul: e.elementwise(vec.mul),
		kActivation: e.activation, kGEGLU: e.geglu, kAffine: e.affine, kClamp: e.clamp,
		kUpsample2D: e.upsample2d, kMove: e.move,
	}
	for _, emit := range table {
		f := e.m.newFunc([]valType{i32, i32, i32})
		emit(f)
		e.m.table = append(e.m.table, f)
	}
	e.emitExecutor()
	return e.m.bytes()
}

// A command is commandHead words, then the kernel's arguments.
const (
	headKernel = iota // kernelID
	headWords         // length of the command in words
	headFrom          // first unit
	headTo            // unit after the last
	headShares        // parts that threads may take it in
	commandHead
)

// arg is argument word i of the command of kernel f, as a variable.
func (f *fn) arg(i int) i32v { return f.let(f.param(0).load(4 * i)) }

// units runs body for each unit that kernel f was asked for.
func (f *fn) units(body func(i i32v)) { f.each(f.param(1), f.param(2), body) }

// madd is a·b + c.
func (e *emitter) madd(a, b, c vec) vec {
	if e.relaxed {
		return vec{opV(0x105, a, b, c)}
	}
	return a.mul(b).add(c)
}

// storePartial stores the first n (1..3) lanes of v.
func (f *fn) storePartial(addr i32v, offset int, v vec, n i32v) {
	f.storeLane(addr, offset, v, 0)
	f.when(n.gt(num(1)), func() { f.storeLane(addr, offset+4, v, 1) })
	f.when(n.gt(num(2)), func() { f.storeLane(addr, offset+8, v, 2) })
}

// rowVectors walks n elements in vectors: body gets the byte offset of each.
// The last, partial vector has rest (1..3) elements, else rest is nil. Loads
// may read past the end of a row: all memory is followed by readable slack.
func (f *fn) rowVectors(n i32v, body func(at i32v, rest *i32v)) {
	at, full := f.int(), f.let(n.shr(2).shl(4))
	f.loop(at, num(0), full, 16, func() { body(at, nil) })
	rest := f.let(n.and(num(3)))
	f.when(rest, func() { body(full, &rest) })
}

// put stores v at addr: all of it, or rest lanes.
func (f *fn) put(addr i32v, v vec, rest *i32v) {
	if rest == nil {
		f.storeV(addr, 0, v)
		return
	}
	f.storePartial(addr, 0, v, *rest)
}

// laneMask has all bits set in the lanes below n.
func laneMask(n i32v) vec { return lanes(0, 1, 2, 3).ltI(n.splat()) }

// relaxedProbe is a module that only a host with relaxed SIMD accepts.
func relaxedProbe() []byte {
	m := &module{}
	f := m.newFunc(nil)
	f.setV(f.vector(), (&emitter{flavour: flavour{relaxed: true}}).madd(all(1), all(2), all(3)))
	return m.bytes()
}
