package simd

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"wisp/engine"
)

// buffer is a weight in the module's memory, in one or more forms: as it was
// uploaded, in f32, and packed for the matmul tile. Compile makes the forms
// that a graph needs and then drops the stored form unless a program reads it.
type buffer struct {
	b      *backend
	dtype  engine.DType // of stored
	shape  engine.Shape
	stored span // empty once dropped
	pinned bool // a program reads the stored form
	f32    span // made where a program reads single elements and stored is not f32
	packed map[packing]*form
}

// form is a packed form of a weight.
type form struct {
	span
	dtype engine.DType
	bytes int  // of a panel
	used  bool // by a program; else only another form was made from it
}

// packing describes a packed form: the weight seen as (rows, k), k being
// (k/taps, taps) for a convolution, transformed for Winograd's or not.
type packing struct {
	rows, k, taps int
	winograd      bool
}

// Upload copies the weight into the module's memory as it is; Compile converts it.
func (b *backend) Upload(t engine.Tensor) (engine.Buffer, error) {
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("simd: upload: %w", err)
	}
	return b.Stream(t.DType, t.Shape, func(w io.WriterAt) error { _, err := w.WriteAt(t.Data, 0); return err })
}

// Stream has the weight written into the module's memory.
func (b *backend) Stream(d engine.DType, shape engine.Shape, fill func(io.WriterAt) error) (engine.Buffer, error) {
	if err := engine.CheckType(d, shape); err != nil {
		return nil, fmt.Errorf("simd: upload: %w", err)
	}
	size := engine.ByteSize(d, shape)
	s, err := b.mem.alloc(size)
	if err != nil {
		return nil, fmt.Errorf("simd: upload %v %v: %w", d, shape, err)
	}
	if err := fill(region{b.host, s.addr, size}); err != nil {
		b.mem.release(s)
		return nil, err
	}
	return &buffer{b: b, dtype: d, shape: shape, stored: s, packed: map[packing]*form{}}, nil
}

// region is a part of the module's memory, for a weight to be written to.
type region struct {
	host       host
	addr, size int
}

// WriteAt copies p into the region at an offset.
func (r region) WriteAt(p []byte, at int64) (int, error) {
	if err := r.check(int(at), len(p)); err != nil {
		return 0, err
	}
	r.host.write(r.addr+int(at), p)
	return len(p), nil
}

func (r region) check(at, n int) error {
	if at < 0 || n < 0 || at > r.size-n {
		return fmt.Errorf("simd: %d bytes at %d of a weight of %d", n, at, r.size)
	}
	return nil
}

// Size is the number of bytes of all forms.
func (w *buffer) Size() int {
	n := w.stored.size + w.f32.size
	for _, s := range w.packed {
		n += s.size
	}
	return n
}

// Release frees all forms.
func (w *buffer) Release() {
	w.drop(&w.stored)
	w.drop(&w.f32)
	for _, s := range w.packed {
		w.b.mem.release(s.span)
	}
	w.packed = nil
}

func (w *buffer) drop(s *span) {
	w.b.mem.release(*s)
	*s = span{}
}

// trim drops the forms that no program uses, but for one from which the others
// can be made again.
func (w *buffer) trim() {
	source := w.f32.size > 0
	for p, s := range w.packed {
		if !s.used {
			w.b.mem.release(s.span)
			delete(w.packed, p)
		} else if !p.winograd {
			source = true
		}
	}
	if source && !w.pinned {
		w.drop(&w.stored)
	}
}

// keep makes sure that the stored form is there: dropped, it comes back from a
// packed form as f32.
func (w *buffer) keep() error {
	if w.stored.size > 0 {
		return nil
	}
	values := make([]float32, w.shape.Elems())
	for p, s := range w.packed {
		if p.winograd {
			continue
		}
		if err := w.b.unpack(p, s, values); err != nil {
			return err
		}
	}
	t := engine.FromFloat32s(values, w.shape...)
	if w.f32.size > 0 {
		w.b.host.read(w.f32.addr, t.Data)
	}
	s, err := w.b.mem.alloc(len(t.Data))
	if err != nil {
		return err
	}
	w.b.host.write(s.addr, t.Data)
	w.stored, w.dtype = s, engine.F32
	return nil
}

// unpack is the inverse of packing, on the host: the module unpacks a panel at
// a time to f32.
func (b *backend) unpack(p packing, s *form, values []float32) error {
	panel, err := b.mem.alloc(b.fl.unpackedBytes(p.k))
	if err != nil {
		return err
	}
	defer b.mem.release(panel)
	data := make([]byte, 4*b.fl.nr*p.k)
	nr, c := b.fl.nr, p.k/p.taps
	for first := 0; first < p.rows; first += nr {
		if err := b.runNow(kUnpack, 1, s.addr+first/nr*s.bytes, panel.addr, p.k, p.taps, int(s.dtype), 0, 0); err != nil {
			return err
		}
		b.host.read(panel.addr, data)
		for row := first; row < min(first+nr, p.rows); row++ {
			for i := range p.k { // i = channel·taps + tap
				at := (i%p.taps*c+i/p.taps)*nr + row - first
				values[row*p.k+i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*at:]))
			}
		}
	}
	return nil
}

// rowsAnyway reports whether the stored form of the weight is also that of a
// matrix of rows of d elements: plain numbers, or quantised in blocks that end
// where the rows do.
func (w *buffer) rowsAnyway(d int) bool {
	return !w.dtype.Quantised() || d%w.dtype.Block() == 0
}

// raw returns the address of the stored form for a program to read.
func (w *buffer) raw() (addr int, dtype engine.DType, err error) {
	err = w.keep()
	w.pinned = true
	return w.stored.addr, w.dtype, err
}

// floats returns the address of the weight in f32 for a program to read.
func (w *buffer) floats() (int, error) {
	if w.f32.size > 0 {
		return w.f32.addr, nil
	}
	if err := w.keep(); err != nil {
		return 0, err
	}
	if w.dtype == engine.F32 || w.dtype == engine.I32 {
		w.pinned = true
		return w.stored.addr, nil
	}
	s, err := w.converted()
	w.f32 = s
	return s.addr, err
}

// converted makes an f32 copy of the stored form.
func (w *buffer) converted() (span, error) {
	rows, k := w.shape.Rows()
	s, err := w.b.mem.alloc(4 * rows * k)
	if err != nil {
		return span{}, err
	}
	return s, w.b.runNow(kConvert, rows, w.stored.addr, s.addr, rows, k, int(w.dtype))
}

// panels returns a packed form for a program to read, making it if need be.
func (w *buffer) panels(p packing) (*form, error) {
	s, err := w.form(p)
	if err == nil {
		s.used = true
	}
	return s, err
}

func (w *buffer) form(p packing) (*form, error) {
	if s, ok := w.packed[p]; ok {
		return s, nil
	}
	make := w.pack
	if p.winograd {
		make = w.winograd
	}
	s, err := make(p)
	if err != nil {
		return nil, err
	}
	w.packed[p] = s
	return s, nil
}

// pack makes the form for a direct product, in the type of the stored form.
func (w *buffer) pack(p packing) (*form, error) {
	if err := w.keep(); err != nil {
		return nil, err
	}
	fl := w.b.fl
	s := &form{dtype: w.dtype, bytes: fl.panelBytes(w.dtype, p.k)}
	if rows, _ := w.shape.Rows(); rows != p.rows && w.dtype.Quantised() {
		return nil, fmt.Errorf("a quantised weight %v cannot be read as %d rows", w.shape, p.rows)
	}
	var err error
	if s.span, err = w.b.mem.alloc(fl.panels(p.rows) * s.bytes); err != nil {
		return nil, err
	}
	return s, w.b.runNow(kPackWeights, fl.panels(p.rows), w.stored.addr, s.addr, p.rows, p.k, p.taps, int(w.dtype), s.bytes)
}

// winograd makes the transformed form from the direct one.
func (w *buffer) winograd(p packing) (*form, error) {
	p.winograd = false
	direct, err := w.form(p)
	if err != nil {
		return nil, err
	}
	fl, c := w.b.fl, p.k/p.taps
	s := &form{dtype: engine.F32, bytes: fl.panelBytes(engine.F32, c)}
	if s.span, err = w.b.mem.alloc(fl.winogradBytes(p.rows, c)); err != nil {
		return nil, err
	}
	if err := w.b.reserveScratch(fl.unpackedBytes(p.k)); err != nil {
		return nil, err
	}
	return s, w.b.runNow(kWinogradWeights, fl.panels(p.rows), direct.addr, int(direct.dtype), direct.bytes, s.addr, c, fl.panels(p.rows))
}
