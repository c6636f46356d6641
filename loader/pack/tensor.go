package pack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"path"
	"slices"
	"strings"

	"wisp/loader"
	"wisp/loader/safetensors"
)

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
	if err == nil {
		err = p.w.end(ctx, info.Length)
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
	if err := p.w.skip(ctx, info.Length); err != nil {
		return e, err
	}
	return e, p.w.end(ctx, info.Length)
}
