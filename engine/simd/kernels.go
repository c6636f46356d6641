package simd

import "wisp/wasm/emit"

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
	kDepthwiseConv2D
	kFold2D
	kWinogradInput
	kWinogradWeights
	kWinogradOutput
	kWinograd
	kAttention
	kGroupNormStats
	kGroupNormCombine
	kGroupNormApply
	kLayerNorm
	kRMSNorm
	kModulate
	kRotateHalf
	kRotatePairs
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
	m *emit.Module

	act        *emit.Func
	convertRow *emit.Func
	unpack     *emit.Func
	micro      *emit.Func
	unpack8    *emit.Func
	tile8      *emit.Func
}

// emitModule returns the bytes of the SIMD module.
func emitModule(fl flavour) []byte {
	e := &emitter{flavour: fl, m: &emit.Module{Shared: fl.shared}}
	e.act = e.emitActivations()
	e.convertRow = e.emitConvertRow()
	e.unpack = e.emitUnpack()
	e.micro = e.emitMicro()
	e.unpack8 = e.emitUnpack8()
	e.tile8 = e.emitTile8()
	table := [kernelCount]func(f *emit.Func){
		kConvert: e.convert, kPackWeights: e.packWeights, kUnpack: e.unpackPanels, kPack: e.pack, kPackT: e.packT,
		kLinear: e.linear, kQuantize: e.quantize, kLinear8: e.linear8, kConv2D: e.conv2d, kDepthwiseConv2D: e.depthwiseConv2D, kFold2D: e.fold2d, kAttention: e.attention,
		kWinogradInput: e.winogradInput, kWinogradWeights: e.winogradWeights, kWinogradOutput: e.winogradOutput, kWinograd: e.winogradFused,
		kGroupNormStats: e.groupNormStats, kGroupNormCombine: e.groupNormCombine, kGroupNormApply: e.groupNormApply,
		kLayerNorm: e.layerNorm, kRMSNorm: e.rmsNorm, kModulate: e.modulate,
		kRotateHalf: e.rotateHalf, kRotatePairs: e.rotatePairs, kSoftmax: e.softmax, kEmbedding: e.embedding,
		kAdd: e.elementwise(emit.Vec.Add), kSub: e.elementwise(emit.Vec.Sub), kMul: e.elementwise(emit.Vec.Mul),
		kActivation: e.activation, kGEGLU: e.geglu, kAffine: e.affine, kClamp: e.clamp,
		kUpsample2D: e.upsample2d, kMove: e.move,
	}
	for _, kernel := range table {
		f := e.m.NewFunc([]emit.Type{emit.I32, emit.I32, emit.I32})
		kernel(f)
		e.m.Table = append(e.m.Table, f)
	}
	e.emitExecutor()
	return e.m.Bytes()
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
func arg(f *emit.Func, i int) emit.Int { return f.Let(f.Param(0).Load(4 * i)) }

// units runs body for each unit that kernel f was asked for.
func units(f *emit.Func, body func(i emit.Int)) { f.Each(f.Param(1), f.Param(2), body) }

// madd is a·b + c.
func (e *emitter) madd(a, b, c emit.Vec) emit.Vec {
	if e.relaxed {
		return emit.RelaxedMadd(a, b, c)
	}
	return a.Mul(b).Add(c)
}

// storePartial stores the first n (1..3) lanes of v.
func storePartial(f *emit.Func, addr emit.Int, offset int, v emit.Vec, n emit.Int) {
	f.StoreLane(addr, offset, v, 0)
	f.When(n.Gt(emit.Num(1)), func() { f.StoreLane(addr, offset+4, v, 1) })
	f.When(n.Gt(emit.Num(2)), func() { f.StoreLane(addr, offset+8, v, 2) })
}

// rowVectors walks n elements in vectors: body gets the byte offset of each.
// The last, partial vector has rest (1..3) elements, else rest is nil. Loads
// may read past the end of a row: all memory is followed by readable slack.
func rowVectors(f *emit.Func, n emit.Int, body func(at emit.Int, rest *emit.Int)) {
	at, full := f.Int(), f.Let(n.Shr(2).Shl(4))
	f.Loop(at, emit.Num(0), full, 16, func() { body(at, nil) })
	rest := f.Let(n.And(emit.Num(3)))
	f.When(rest, func() { body(full, &rest) })
}

// put stores v at addr: all of it, or rest lanes.
func put(f *emit.Func, addr emit.Int, v emit.Vec, rest *emit.Int) {
	if rest == nil {
		f.StoreV(addr, 0, v)
		return
	}
	storePartial(f, addr, 0, v, *rest)
}

// laneMask has all bits set in the lanes below n.
func laneMask(n emit.Int) emit.Vec { return emit.Lanes(0, 1, 2, 3).LtI(n.Splat()) }

// relaxedProbe is a module that only a host with relaxed SIMD accepts.
func relaxedProbe() []byte {
	m := &emit.Module{}
	f := m.NewFunc(nil)
	f.SetV(f.Vector(), (&emitter{flavour: flavour{relaxed: true}}).madd(emit.All(1), emit.All(2), emit.All(3)))
	return m.Bytes()
}
