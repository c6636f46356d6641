package pack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/x448/float16"

	"wisp/loader"
	"wisp/loader/quant"
	"wisp/loader/safetensors"
)

// Policy is the dtype in which a tensor is packed. Quant "f32" keeps the
// checkpoint's type. "f16" halves f32 and leaves bf16 alone, which already is
// two bytes and would lose range. "q8" and "q4" quantise matrices and
// convolutions of at least 32 weights a row, but leave as in "f16" what is
// small and sensitive:
//   - vectors: biases and norms;
//   - the first and last convolutions, which touch pixels or latents and are
//     known by an end of at most 16 channels;
//   - position embeddings, and the patch embedding and output projection of
//     transformers.
//
// Random frequencies of a time stay f32: their products are angles of many turns.
//
// F8 inputs become f16, which holds them exactly, and what is scaled f16 or f32;
// integers become i32. GGUF's Q8_0 and Q4_0 are q8 and q4 bit for bit and stay
// so, but where less is asked for than Q8_0 has; its other types are values
// like any, exact in "f32".
//
// "ternary" is q2 for the layers of a network that denoises, where they have a block of
// weights a row or more, and q4 for what else q4 quantises: text encoders and
// embeddings do not stand it.
func Policy(quantisation string, denoises bool, t safetensors.Tensor) string {
	switch t.DType {
	case "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL":
		return "i32"
	}
	if quantisable(t) {
		kept := keeps(t)
		if quantisation == "ternary" && denoises && len(t.Shape) == 2 && t.Shape[1] >= quant.BlockOf(2) {
			return "q2"
		}
		switch quantisation {
		case "q8", "f16", "f32":
			if kept != "" {
				return kept
			}
		case "ternary":
			quantisation = "q4"
		}
		if bitsOf[quantisation] > 0 {
			return quantisation
		}
	}
	switch {
	case t.DType == "BF16" && t.Scale == 0:
		return "bf16"
	case strings.HasSuffix(t.Name, "time_proj.weight") && t.DType == "F32":
		return "f32"
	case quantisation == "f32" && wide(t):
		return "f32"
	}
	return "f16"
}

// bitsOf are those of the quantised types.
var bitsOf = map[string]int{"q8": 8, "q4": 4, "q2": 2}

// denoises reports whether a component is a network of diffusers' that draws:
// no text encoder, and no autoencoder.
func (p *packer) denoises(component string) bool {
	c := p.man.Components[component]
	return c.Library == "diffusers" && !strings.HasPrefix(c.Class, "Autoencoder") && !strings.HasPrefix(c.Class, "VQ")
}

// policy is [Policy], or what was chosen for "auto".
func (p *packer) policy(component string, t safetensors.Tensor) string {
	if dtype := p.opts.chosen[component+"/"+t.Name]; dtype != "" {
		return dtype
	}
	if p.opts.Quant == "auto" {
		return Policy("f16", false, t)
	}
	return Policy(p.opts.Quant, p.denoises(component), t)
}

// wide reports whether f16 does not hold every value of a tensor's type.
func wide(t safetensors.Tensor) bool {
	elems, _ := safetensors.Block(t.DType)
	return t.DType == "F32" || t.DType == "F64" || t.Scale != 0 || elems > 1
}

func quantisable(t safetensors.Tensor) bool {
	if len(t.Shape) < 2 || t.Shape[0] == 0 || t.Elems()/t.Shape[0] < quant.Block {
		return false
	}
	if len(t.Shape) == 4 && min(t.Shape[0], t.Shape[1]) <= 16 {
		return false
	}
	if strings.Contains(t.Name, "norm") || strings.Contains(t.Name, "position_embedding") {
		return false
	}
	switch strings.TrimSuffix(t.Name, ".weight") {
	case "conv_in", "conv_out", "x_embedder", "pos_embed", "pos_embed.proj", "pos_embed.pos_embed", "proj_out":
		return false
	}
	return true
}

// group keeps an autoencoder's encoder out of the decoder's chunks, so that a
// page that only decodes never downloads it.
func group(class, name string) int {
	if strings.HasPrefix(class, "Autoencoder") && (strings.HasPrefix(name, "encoder.") || strings.HasPrefix(name, "quant_conv.")) {
		return 1
	}
	return 0
}

// large is the checkpoint size from which a component's progress is reported:
// below it takes a second or two.
const large = 256 << 20

// addComponent packs the weights of a component into chunks of its own.
func (p *packer) addComponent(ctx context.Context, c part) error {
	set, err := p.open(c)
	if err != nil {
		return err
	}
	defer set.Close()
	tensors := p.order(c, set)
	stored := p.w.stored
	var sum summary
	var size int64
	for _, t := range tensors {
		size += t.Size
	}
	_, once := p.in.(sequential)
	for i, t := range tensors {
		if i > 0 && group(c.class, t.Name) != group(c.class, tensors[i-1].Name) {
			if err := p.w.flush(ctx); err != nil {
				return err
			}
		}
		if t.Elems() == 0 {
			p.report("%s: %s is empty, left out", c.name, t.Name)
			continue
		}
		e, err := p.addFrom(ctx, c.name, set, t, once)
		if err != nil {
			return fmt.Errorf("tensor %s: %w", t.Name, err)
		}
		before := sum.before
		sum.add(t, e)
		if tenth := sum.before * 10 / size; size >= large && tenth > before*10/size && p.opts.OnProgress == nil {
			p.report("%s: %d %% of %s", c.name, 10*tenth, mb(size))
		}
		if p.opts.PerTensor {
			p.report("  %s", e)
		}
	}
	if err := p.w.flush(ctx); err != nil {
		return err
	}
	for _, f := range set.Files() {
		if f, ok := f.(finisher); ok {
			if err := f.Finish(); err != nil {
				return err
			}
		}
	}
	p.report("%s: %d tensors, %s in the checkpoint, %s packed; %s", c.name, sum.tensors, mb(sum.before), mb(p.w.stored-stored), &sum)
	return nil
}

// addFrom packs a tensor of a set. One of files that are read once is read
// whole first, since some types are read twice.
func (p *packer) addFrom(ctx context.Context, component string, set *safetensors.Set, t safetensors.Tensor, once bool) (tensorError, error) {
	if m, ok := set.File(t).(marker); ok && p.skips(component, t) {
		was, _ := p.w.done.find(component, t.Name)
		if err := m.Return(was.Mark); err != nil {
			return tensorError{}, err
		}
	}
	p.mark = func() string {
		if m, ok := set.File(t).(marker); ok {
			return m.Mark()
		}
		return ""
	}
	r, err := set.Section(t)
	if err == nil && once && !p.skips(component, t) {
		whole := make([]byte, t.Size)
		if _, err = io.ReadFull(r, whole); err == nil {
			r = io.NewSectionReader(bytes.NewReader(whole), 0, t.Size)
		}
	}
	if err != nil {
		return tensorError{}, err
	}
	return p.addTensor(ctx, component, t, r)
}

// skips reports whether a tensor is in the chunks of an earlier pack.
func (p *packer) skips(component string, t safetensors.Tensor) bool {
	was, noted := p.w.done.find(component, t.Name)
	return noted && p.w.known(packedBytes(t, was.DType)) && p.w.done.fixed
}

// order lists a component's tensors as they are packed, those of files that are
// read once in the files' own order.
func (p *packer) order(c part, set *safetensors.Set) []safetensors.Tensor {
	tensors := c.tensors(set)
	if _, once := p.in.(sequential); once {
		slices.SortStableFunc(tensors, set.Order)
	}
	return tensors
}

// tensors lists a component's tensors as they are packed, in order.
func (c part) tensors(set *safetensors.Set) []safetensors.Tensor {
	tensors := slices.Clone(set.Tensors)
	if strings.HasPrefix(c.class, "Autoencoder") {
		for i, t := range tensors {
			tensors[i] = newName(t)
		}
		slices.SortFunc(tensors, func(a, b safetensors.Tensor) int { return strings.Compare(a.Name, b.Name) })
	}
	slices.SortStableFunc(tensors, func(a, b safetensors.Tensor) int { return group(c.class, a.Name) - group(c.class, b.Name) })
	return tensors
}

// open opens a component's weights.
func (p *packer) open(c part) (*safetensors.Set, error) {
	if in, ok := p.in.(weighted); ok {
		return in.Weights(c.name)
	}
	dir, file := path.Split(c.weights)
	return safetensors.OpenSet(file, func(name string) (safetensors.Blob, error) { return p.openFile(dir + name) })
}

// newName gives an autoencoder's attention the names and shapes that diffusers
// has had for it since version 0.18; older checkpoints are read by both.
func newName(t safetensors.Tensor) safetensors.Tensor {
	head, rest, ok := strings.Cut(t.Name, ".attentions.")
	number, layer, _ := strings.Cut(rest, ".")
	module, leaf, _ := strings.Cut(layer, ".")
	names := map[string]string{"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
	if fresh := names[module]; ok && fresh != "" {
		t.Name = head + ".attentions." + number + "." + fresh + "." + leaf
		return safetensors.Flat(t)
	}
	return t
}

// rowBuffer bounds the f32 values converted at a time, so that memory depends
// on the largest quantised tensor and nothing else.
const rowBuffer = 1 << 18

// addTensor converts one tensor to its packed dtype and writes it.
func (p *packer) addTensor(ctx context.Context, component string, t safetensors.Tensor, r *io.SectionReader) (tensorError, error) {
	if p.opts.Change != nil {
		var err error
		if t, r, err = p.changed(ctx, component, t, r); err != nil {
			return tensorError{}, err
		}
	}
	was, noted := p.w.done.find(component, t.Name)
	if noted && p.w.known(packedBytes(t, was.DType)) {
		if err := p.same(ctx, t, r, was); err != nil {
			return tensorError{}, err
		}
		return p.skipTensor(ctx, t, was)
	}
	dtype := p.policy(component, t)
	if dtype == "f16" && wide(t) {
		fits, err := fitsF16(ctx, t, r)
		if err != nil {
			return tensorError{}, err
		}
		if !fits {
			p.report("%s: %s has values beyond the range of f16, kept as f32", component, t.Name)
			dtype = "f32"
		}
	}
	e := tensorError{name: t.Name, dtype: dtype}
	info := tensorInfo(component, t, dtype)
	if p.w.done != nil {
		p.sum = sourceHash(t)
	}
	var err error
	switch {
	case bitsOf[dtype] > 0:
		info.Place, err = p.addQuantised(ctx, t, r, &e)
	default:
		if info.Place, err = p.w.begin(ctx, packedBytes(t, dtype), planes(dtype)); err == nil {
			err = p.addPlain(ctx, t, r, &e)
		}
	}
	if err != nil {
		return e, err
	}
	p.man.Tensors = append(p.man.Tensors, info)
	if p.w.done == nil {
		return e, nil
	}
	now := packed{component, t.Name, dtype, hex.EncodeToString(p.sum.Sum(nil)), p.mark(), e.max, e.sum, e.num, e.den, e.n}
	if noted && now.Source != was.Source { // chunks of the earlier pack may hold its beginning
		return e, errStale
	}
	return e, p.w.done.note(entry{Tensor: &now})
}

// changed is a tensor with the values that Options.Change makes of its own, in
// f32, or as it was.
func (p *packer) changed(ctx context.Context, component string, t safetensors.Tensor, r *io.SectionReader) (safetensors.Tensor, *io.SectionReader, error) {
	change := p.opts.Change(component, t.Name)
	if change == nil {
		return t, r, nil
	}
	values := make([]float32, 0, t.Elems())
	err := eachBlock(ctx, t, r, rowBuffer, func(src []byte, n int) error {
		values = values[:len(values)+n]
		return floats(values[len(values)-n:], src, t)
	})
	if err == nil {
		err = change(values)
	}
	if err != nil {
		return t, r, fmt.Errorf("%s: %w", t.Name, err)
	}
	p.seen += t.Size // its bytes are counted as it is converted
	t.DType, t.Scale, t.Size = "F32", 0, int64(4*len(values))
	p.seen -= t.Size
	return t, io.NewSectionReader(bytes.NewReader(f32Bytes(values)), 0, t.Size), nil
}

// same fails where a tensor that was packed is not what it was then.
func (p *packer) same(ctx context.Context, t safetensors.Tensor, r *io.SectionReader, was packed) error {
	if p.w.done.fixed {
		return nil
	}
	sum := sourceHash(t)
	err := eachBlock(ctx, t, io.NewSectionReader(r, 0, r.Size()), rowBuffer, func(src []byte, _ int) error {
		sum.Write(src)
		return nil
	})
	if err == nil && hex.EncodeToString(sum.Sum(nil)) != was.Source {
		err = errStale
	}
	return err
}

// sourceHash is a hash for what a tensor is made of, beside its bytes.
func sourceHash(t safetensors.Tensor) hash.Hash {
	h := sha256.New()
	fmt.Fprintf(h, "%s %v %v\n", t.DType, t.Shape, t.Scale)
	return h
}

func tensorInfo(component string, t safetensors.Tensor, dtype string) loader.TensorInfo {
	info := loader.TensorInfo{Component: component, Name: t.Name, DType: dtype, Shape: t.Shape}
	if planes(dtype) > 1 {
		info.Encoding = "planes"
	}
	return info
}

// planes is the number of byte planes of a dtype, 1 for none.
func planes(dtype string) int {
	return max(1, map[string]int{"f32": 4, "f16": 2, "bf16": 2}[dtype])
}

// Bytes is the size of a tensor packed in "f32", "f16", "q8" or "q4".
func Bytes(quantisation string, t safetensors.Tensor) int64 {
	return packedBytes(t, Policy(quantisation, false, t))
}

// packedBytes is the size of a tensor in the dtype it is packed in.
func packedBytes(t safetensors.Tensor, dtype string) int64 {
	if bits := bitsOf[dtype]; bits > 0 {
		return int64(t.Shape[0]) * int64(quant.RowBytes(bits, t.Elems()/t.Shape[0]))
	}
	if planes(dtype) == 2 {
		return 2 * int64(t.Elems())
	}
	return 4 * int64(t.Elems())
}

// skipTensor takes a tensor from the journal.
func (p *packer) skipTensor(ctx context.Context, t safetensors.Tensor, was packed) (tensorError, error) {
	info := tensorInfo(was.Component, t, was.DType)
	e := tensorError{name: t.Name, dtype: was.DType, max: was.Max, sum: was.Sum, num: was.Num, den: was.Den, n: was.N}
	var err error
	p.progress(t.Size)
	if info.Place, err = p.w.begin(ctx, packedBytes(t, was.DType), planes(was.DType)); err != nil {
		return e, err
	}
	p.man.Tensors = append(p.man.Tensors, info)
	return e, p.w.skip(ctx, packedBytes(t, was.DType))
}

// addPlain writes an unquantised tensor, a buffer at a time.
func (p *packer) addPlain(ctx context.Context, t safetensors.Tensor, r io.Reader, e *tensorError) error {
	if e.dtype == "i32" {
		return p.addInts(ctx, t, r)
	}
	same := map[string]string{"F32": "f32", "F16": "f16", "BF16": "bf16"}[t.DType] == e.dtype && t.Scale == 0
	return p.eachBlock(ctx, t, r, rowBuffer, func(src []byte, n int) error {
		if same {
			return p.w.append(ctx, src)
		}
		v := make([]float32, n)
		if err := floats(v, src, t); err != nil {
			return err
		}
		if e.dtype == "f32" {
			return p.w.append(ctx, f32Bytes(v))
		}
		out := make([]byte, 2*n)
		for i, x := range v {
			h := float16.Fromfloat32(x)
			binary.LittleEndian.PutUint16(out[2*i:], h.Bits())
			if p.measure {
				e.add(x, h.Float32())
			}
		}
		return p.w.append(ctx, out)
	})
}

func (p *packer) addInts(ctx context.Context, t safetensors.Tensor, r io.Reader) error {
	return p.eachBlock(ctx, t, r, rowBuffer, func(src []byte, n int) error {
		v := make([]int32, n)
		if err := safetensors.Int32s(v, src, t.DType); err != nil {
			return err
		}
		out := make([]byte, 4*n)
		for i, x := range v {
			binary.LittleEndian.PutUint32(out[4*i:], uint32(x))
		}
		return p.w.append(ctx, out)
	})
}

// addQuantised writes a quantised tensor, row by row into one buffer.
func (p *packer) addQuantised(ctx context.Context, t safetensors.Tensor, r io.Reader, e *tensorError) (loader.Place, error) {
	k := t.Elems() / t.Shape[0]
	m := quant.New(bitsOf[e.dtype], t.Shape[0], k)
	back, at := make([]float32, k), 0
	if keeps(t) == e.dtype {
		return p.addBlocks(ctx, t, r, m)
	}
	values := make([]float32, min(t.Elems(), k*rowsAtOnce(t.DType, k)))
	err := p.eachBlock(ctx, t, r, len(values), func(src []byte, n int) error {
		if err := floats(values[:n], src, t); err != nil {
			return err
		}
		for row := range slices.Chunk(values[:n], k) {
			if err := m.PutRow(at, row); err != nil {
				return err
			}
			if p.measure {
				m.Row(at, back)
				for i, x := range row {
					e.add(x, back[i])
				}
			}
			at++
		}
		return nil
	})
	if err != nil {
		return loader.Place{}, err
	}
	return p.w.put(ctx, m.Data)
}

// rowsAtOnce is how many rows of k elements are converted at a time: whole
// blocks of the dtype.
func rowsAtOnce(dtype string, k int) int {
	rows := max(1, rowBuffer/k)
	for elems, _ := safetensors.Block(dtype); rows*k%elems != 0; {
		rows++
	}
	return rows
}

// keeps is the dtype in which the blocks of a quantised tensor are as they are
// in the file, "" where there is none.
func keeps(t safetensors.Tensor) string {
	if len(t.Shape) < 2 || t.Shape[0] == 0 || t.Elems()/t.Shape[0]%quant.Block != 0 || t.Scale != 0 {
		return ""
	}
	return map[string]string{"Q8_0": "q8", "Q4_0": "q4"}[t.DType]
}

// addBlocks writes the codes of a tensor that [keeps] them.
func (p *packer) addBlocks(ctx context.Context, t safetensors.Tensor, r io.Reader, m quant.Matrix) (loader.Place, error) {
	_, size := safetensors.Block(t.DType)
	at := 0
	err := p.eachBlock(ctx, t, r, rowBuffer, func(src []byte, _ int) error {
		for ; len(src) > 0; src = src[size:] {
			m.PutBlock(at, src[:size])
			at++
		}
		return nil
	})
	if err != nil {
		return loader.Place{}, err
	}
	return p.w.put(ctx, m.Data)
}

// eachBlock is the function of that name with progress and the hash, for
// values that are finite.
func (p *packer) eachBlock(ctx context.Context, t safetensors.Tensor, r io.Reader, n int, each func(src []byte, n int) error) error {
	return eachBlock(ctx, t, r, n, func(src []byte, n int) error {
		if p.sum != nil {
			p.sum.Write(src)
		}
		if i := safetensors.NonFinite(src, t.DType); i >= 0 {
			return errors.New("it has a value that is NaN or infinite: the checkpoint is broken, and would draw black pictures")
		}
		p.progress(int64(len(src)))
		return each(src, n)
	})
}

// eachBlock reads a tensor n elements at a time, fewer at its end, until ctx
// ends.
func eachBlock(ctx context.Context, t safetensors.Tensor, r io.Reader, n int, each func(src []byte, n int) error) error {
	elems, size := safetensors.Block(t.DType)
	buf := make([]byte, min(n, t.Elems())/elems*size)
	for left := t.Elems(); left > 0; left -= n {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(n, left)
		src := buf[:n/elems*size]
		if _, err := io.ReadFull(r, src); err != nil {
			return fmt.Errorf("reading it: %w", err)
		}
		if err := each(src, n); err != nil {
			return err
		}
	}
	return nil
}

// fitsF16 reports whether every finite value stays finite in f16.
func fitsF16(ctx context.Context, t safetensors.Tensor, r *io.SectionReader) (bool, error) {
	fits := true
	err := eachBlock(ctx, t, io.NewSectionReader(r, 0, r.Size()), rowBuffer, func(src []byte, n int) error {
		v := make([]float32, n)
		if err := floats(v, src, t); err != nil {
			return err
		}
		for _, x := range v {
			if x-x == 0 && math.Abs(float64(x)) >= 65520 {
				fits = false
			}
		}
		return nil
	})
	return fits, err
}

// floats converts elements of a tensor, by the scale that its view has.
func floats(dst []float32, src []byte, t safetensors.Tensor) error {
	if err := safetensors.Float32s(dst, src, t.DType); err != nil || t.Scale == 0 {
		return err
	}
	for i := range dst {
		dst[i] *= t.Scale
	}
	return nil
}

func f32Bytes(v []float32) []byte {
	b := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(x))
	}
	return b
}
