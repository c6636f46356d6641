package webgpu

import (
	"errors"
	"fmt"
	"io"

	"wisp/engine"
)

// weight is a parameter on the device. Kernels unpack it from its storage
// type, so it serves f32 and f16 programs alike.
//
// Layout. A vector is f32, whatever it was. Any other weight is a matrix of
// rows (the first dimension) by k, stored as words: k elements lowest bits
// first, each row padded with zero bits to a multiple of 8 bytes. A
// convolution's k runs over (i, j, c) with c padded to a multiple of four,
// else k is as in the file. Scales of quantised weights are as in the file:
// f16, rows × ceil(k/block) in the file's order of k. What exceeds a binding is
// cut into parts of whole rows.
type weight struct {
	dev    device
	dtype  engine.DType
	shape  engine.Shape
	parts  []part
	stride int // bytes of a row
	size   int // bytes on the device

	// plain holds the weight as elements in the file's order, by type, made
	// for ops that take it as an activation.
	plain map[engine.DType]bufferID
}

// part is a run of rows of a weight.
type part struct {
	row0, rows int
	data       bufferID
	dataSize   int
	scales     bufferID // data again where there are none
	scalesSize int
}

func (w *weight) Size() int { return w.size }

// Release frees the buffers.
func (w *weight) Release() {
	for _, p := range w.parts {
		w.dev.free(p.data)
		if p.scales != p.data {
			w.dev.free(p.scales)
		}
	}
	for _, b := range w.plain {
		w.dev.free(b)
	}
	w.parts, w.plain, w.size = nil, nil, 0
}

// bits is the size of an element by storage type, and code its number in the
// kernels' override `weights`.
var (
	bits = map[engine.DType]int{engine.F32: 32, engine.F16: 16, engine.BF16: 16, engine.Q8: 8, engine.Q4: 4, engine.Q2: 2}
	code = map[engine.DType]float64{engine.F32: 0, engine.F16: 1, engine.BF16: 2, engine.Q8: 3, engine.Q4: 4, engine.Q2: 5}
)

func (w *weight) quantised() bool { return w.dtype.Quantised() }

// conv splits a row into the places of a convolution kernel and channels.
func (w *weight) conv() (taps, channels int) {
	if len(w.shape) == 4 {
		return w.shape[2] * w.shape[3], w.shape[1]
	}
	_, k := w.shape.Rows()
	return 1, k
}

// blocks is the number of scales of a row, 1 where there are none.
func (w *weight) blocks() int {
	_, k := w.shape.Rows()
	if !w.quantised() {
		return 1
	}
	return (k + w.dtype.Block() - 1) / w.dtype.Block()
}

func align(n, to int) int { return (n + to - 1) / to * to }

// uploadsBetweenFlushes bounds the bytes that wait in the browser's queues
// while a model is uploaded.
const uploadsBetweenFlushes = 64 << 20

// Upload copies a weight to the device.
func (b *Backend) Upload(t engine.Tensor) (engine.Buffer, error) {
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("webgpu: upload: %w", err)
	}
	if len(t.Shape) < 2 {
		t = engine.FromFloat32s(t.Float32s(), t.Shape...)
	}
	if t.DType == engine.I32 || t.Shape.Elems() == 0 {
		return nil, fmt.Errorf("webgpu: upload: a weight cannot be %v %v", t.DType, t.Shape)
	}
	return b.place(t.DType, t.Shape, hostBytes{b.dev, t.Data})
}

// Stream has a weight written into memory of the browser's and from there to the
// device: it never lies in the program's own.
func (b *Backend) Stream(d engine.DType, shape engine.Shape, fill func(io.WriterAt) error) (engine.Buffer, error) {
	if err := engine.CheckType(d, shape); err != nil {
		return nil, fmt.Errorf("webgpu: upload: %w", err)
	}
	if len(shape) < 2 || d == engine.I32 || shape.Elems() == 0 { // small, or converted
		t := engine.NewTensor(d, shape...)
		if err := fill(t); err != nil {
			return nil, err
		}
		return b.Upload(t)
	}
	s, err := b.dev.stage(engine.ByteSize(d, shape))
	if err != nil {
		return nil, fmt.Errorf("webgpu: upload %v %v: %w", d, shape, err)
	}
	if err := fill(s); err != nil {
		return nil, err
	}
	return b.place(d, shape, s)
}

// source is a weight's bytes as the file has them.
type source interface {
	// send writes n bytes from one on to the start of a buffer, and maybe some
	// more, to a multiple of 16.
	send(to bufferID, from, n int) error
}

// hostBytes is a source in the program's memory.
type hostBytes struct {
	dev  device
	data []byte
}

func (h hostBytes) send(to bufferID, from, n int) error {
	return h.dev.write(to, 0, padded(h.data[from:from+n], 16))
}

// WriteAt copies p into the bytes.
func (h hostBytes) WriteAt(p []byte, at int64) (int, error) {
	if at < 0 || at > int64(len(h.data)-len(p)) {
		return 0, fmt.Errorf("webgpu: %d bytes at %d of a weight of %d", len(p), at, len(h.data))
	}
	return copy(h.data[at:], p), nil
}

// place puts a weight on the device.
func (b *Backend) place(d engine.DType, shape engine.Shape, from source) (engine.Buffer, error) {
	w := &weight{dev: b.dev, dtype: d, shape: shape, plain: map[engine.DType]bufferID{}}
	if err := b.upload(w, from); err != nil {
		w.Release()
		return nil, fmt.Errorf("webgpu: upload %v %v: %w", d, shape, err)
	}
	b.uploaded += w.size
	if b.uploaded >= uploadsBetweenFlushes {
		b.uploaded = 0
		if err := errors.Join(b.dev.flush(), b.dev.drain()); err != nil {
			w.Release()
			return nil, fmt.Errorf("webgpu: upload: %w", err)
		}
	}
	return w, nil
}

func (b *Backend) upload(w *weight, from source) error {
	if len(w.shape) < 2 {
		size := 4 * w.shape.Elems()
		w.stride = align(size, 16)
		return w.add(part{rows: 1}, from, span{size: size}, span{})
	}
	rows, _ := w.shape.Rows()
	first := 0 // byte of the weights behind the scales
	if w.quantised() {
		first = 2 * rows * w.blocks()
	}
	parts, row, err := w.layout(b.limits)
	if err != nil {
		return err
	}
	taps, _ := w.conv()
	for _, p := range parts {
		data := span{offset: first + p.row0*row, size: p.rows * row}
		var scales span
		if first > 0 {
			scales = span{offset: 2 * p.row0 * w.blocks(), size: 2 * p.rows * w.blocks()}
		}
		asItIs := data
		if taps != 1 || row != w.stride {
			asItIs = span{}
		}
		if err := w.add(p, from, asItIs, scales); err != nil {
			return err
		}
		if asItIs.size > 0 {
			continue
		}
		if err := b.pack(w, w.parts[len(w.parts)-1], row, from, data); err != nil {
			return err
		}
	}
	return nil
}

// layout sets the stride of a matrix and cuts its rows into parts that can be
// bound. row is the size of a row in the file.
func (w *weight) layout(limits Limits) (parts []part, row int, err error) {
	rows, k := w.shape.Rows()
	taps, channels := w.conv()
	w.stride = align(taps*align(channels, 4)*bits[w.dtype], 64) / 8
	row = (k*bits[w.dtype] + 7) / 8
	step := min(rows, limits.Binding/w.stride, limits.Binding/row)
	if step == 0 {
		return nil, 0, fmt.Errorf("a row of %d bytes is larger than the device's bindings: %w", w.stride, engine.ErrOutOfMemory)
	}
	for row0 := 0; row0 < rows; row0 += step {
		parts = append(parts, part{row0: row0, rows: min(step, rows-row0)})
	}
	return parts, row, nil
}

// add allocates a part and writes its bytes, which are those spans of the source;
// packed data follows later.
func (w *weight) add(p part, from source, data, scales span) (err error) {
	p.dataSize = align(p.rows*w.stride, 16)
	if p.data, err = w.dev.alloc(p.dataSize); err != nil {
		return err
	}
	p.scales, p.scalesSize = p.data, p.dataSize
	w.size += p.dataSize
	if scales.size > 0 {
		p.scalesSize = align(scales.size, 16)
		if p.scales, err = w.dev.alloc(p.scalesSize); err != nil {
			w.dev.free(p.data)
			return err
		}
		w.size += p.scalesSize
	}
	w.parts = append(w.parts, p)
	if scales.size > 0 {
		if err := from.send(p.scales, scales.offset, scales.size); err != nil {
			return err
		}
	}
	if data.size > 0 {
		return from.send(p.data, data.offset, data.size)
	}
	return nil
}

// pack brings the rows of a part from the file's layout into ours on the device.
func (b *Backend) pack(w *weight, p part, row int, from source, raw span) error {
	size := align(raw.size, 16)
	staging, err := b.dev.alloc(size)
	if err != nil {
		return err
	}
	defer b.dev.free(staging)
	if err := from.send(staging, raw.offset, raw.size); err != nil {
		return err
	}
	taps, channels := w.conv()
	words := p.rows * w.stride / 4
	return b.once(step{
		kernel:    "pack",
		constants: constants{"bits": float64(bits[w.dtype])},
		dims:      u(0, words, w.stride/4, row, taps, channels, align(channels, 4)),
		grid:      flat(words),
	}, engine.F32, span{staging, 0, size}, span{p.data, 0, p.dataSize})
}

// asElements returns a buffer with the weight as plain elements of type d.
func (b *Backend) asElements(w *weight, d engine.DType) (span, error) {
	whole := span{size: align(w.shape.Elems()*elemSize(d), 16)}
	if whole.size > min(b.limits.Binding, b.limits.Buffer) {
		return span{}, fmt.Errorf("%v as activation exceeds the device's bindings: %w", w.shape, engine.ErrOutOfMemory)
	}
	if id, ok := w.plain[d]; ok {
		whole.buffer = id
		return whole, nil
	}
	id, err := b.dev.alloc(whole.size)
	if err != nil {
		return span{}, err
	}
	whole.buffer = id
	if err := b.unpack(w, d, whole); err != nil {
		b.dev.free(id)
		return span{}, err
	}
	w.plain[d] = id
	w.size += whole.size
	return whole, nil
}

// unpack writes the weight as elements of type d to a buffer.
func (b *Backend) unpack(w *weight, d engine.DType, to span) error {
	_, k := w.shape.Rows()
	taps, channels := w.conv()
	if len(w.shape) < 2 {
		k, channels = w.shape.Elems(), w.shape.Elems()
	}
	for _, p := range w.parts {
		count := p.rows * k
		err := b.once(step{
			kernel:    "unpack",
			constants: constants{"weights": code[w.dtype]},
			dims:      u(0, count, k, w.stride/4, w.blocks(), taps, align(channels, 4), p.row0*k),
			grid:      flat(count),
		}, d, span{p.data, 0, p.dataSize}, span{p.scales, 0, p.scalesSize}, to)
		if err != nil {
			return err
		}
	}
	return nil
}

// elemSize is the size of an activation's element.
func elemSize(d engine.DType) int {
	if d == engine.F16 {
		return 2
	}
	return 4
}

// padded returns b, or a copy of it with zeros up to a multiple of to bytes.
func padded(b []byte, to int) []byte {
	if len(b)%to == 0 {
		return b
	}
	return append(b[:len(b):len(b)], make([]byte, align(len(b), to)-len(b))...)
}
