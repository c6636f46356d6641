package webgpu

import "wisp/engine"

func depthwiseConv2D(c *compiler, n *engine.Node) error {
	a := n.Attrs.(engine.Conv2DAttrs)
	o, err := c.operands(n, a.Epilogue)
	if err != nil {
		return err
	}
	x, w, err := c.read2(n)
	if err != nil {
		return err
	}
	in, kernel, es := n.Inputs[0].Shape, n.Inputs[1].Shape, elemSize(c.elem)
	channels, taps := kernel[0], kernel[2]*kernel[3]
	weights := c.scratch(n.Inputs[1].Elems() * es) // (kh, kw, c), so that neighbours read neighbours
	if err := c.copy(w, weights, []axis{{taps, 1, channels}, {channels, taps, 1}}, 0, 0); err != nil {
		return err
	}
	im := image{n: n.Shape[0], h: in[1], w: in[2], c: channels, oh: n.Shape[1], ow: n.Shape[2], oc: channels, step: a.Stride, up: 1, kh: kernel[2], kw: kernel[3], top: a.Pad[0]}
	for _, b := range c.bands(im) {
		count := b.images * (b.oy1 - b.oy0) * im.ow * channels
		s := step{
			kernel: "depthwise_conv2d",
			dims: u(0, count, b.y1-b.y0, im.w, channels, b.oy1-b.oy0, im.ow, im.kh, im.kw, a.Stride, b.top, a.Pad[1],
				actCode(o.Act), flag(o.Bias), flag(o.Residual)),
			reads: []view{x.part(b.in*es, b.images*(b.y1-b.y0)*im.w*channels*es), weights, weights, weights},
			out:   c.views[n].part(b.out*es, count*es),
			grid:  flat(count),
			flops: 2 * float64(count*taps),
		}
		if o.Bias {
			s.reads[2] = o.bias
		}
		if o.Residual {
			s.reads[3] = o.residual.part(b.out*es, count*es)
		}
		if err := c.add(s); err != nil {
			return err
		}
	}
	return nil
}

func fold2d(c *compiler, n *engine.Node) error {
	a, in := n.Attrs.(engine.Fold2DAttrs), n.Inputs[0].Shape
	x, err := c.read(n.Inputs[0])
	if err != nil {
		return err
	}
	bias := x
	if len(n.Inputs) > 1 {
		if bias, err = c.vector(n.Inputs[1]); err != nil {
			return err
		}
	}
	es := elemSize(c.elem)
	im := image{n: n.Shape[0], h: in[1], w: in[2], c: in[3], oh: n.Shape[1], ow: n.Shape[2], oc: n.Shape[3], step: a.Stride, kh: a.KH, top: a.Pad}
	for _, b := range c.foldBands(im) {
		count, patches := b.images*(b.oy1-b.oy0)*im.ow*im.oc, x.part(b.in*es, b.images*(b.y1-b.y0)*im.w*im.c*es)
		s := step{
			kernel: "fold2d",
			dims: u(0, count, b.y1-b.y0, im.w, im.oc, b.oy1-b.oy0, im.ow, a.KH, a.KW, a.Stride, b.top, a.Pad,
				flag(len(n.Inputs) > 1)),
			reads: []view{patches, patches},
			out:   c.views[n].part(b.out*es, count*es),
			grid:  flat(count),
			flops: float64(patches.size / es),
		}
		if len(n.Inputs) > 1 {
			s.reads[1] = bias
		}
		if err := c.add(s); err != nil {
			return err
		}
	}
	return nil
}

// foldBands is bands for fold2d, whose input rows lie im.step output rows apart.
func (c *compiler) foldBands(im image) []band {
	es := elemSize(c.elem)
	inImage, outImage := im.h*im.w*im.c, im.oh*im.ow*im.oc
	if max(inImage, outImage)*im.n*es <= c.limits.Binding {
		return []band{{images: im.n, oy1: im.oh, y1: im.h, top: im.top}}
	}
	outMost, outUnit := c.bindable(im.ow * im.oc * es)
	inMost, inUnit := c.bindable(im.w * im.c * es)
	rows := min(outMost, max(1, (inMost-inUnit-1)*im.step-im.kh))
	var out []band
	for i := range im.n {
		for _, r := range cut(im.oh, rows, outUnit) {
			first := min(max(0, r[0]+im.top-im.kh+1)/im.step, im.h-1) / inUnit * inUnit
			last := max(first+1, min(im.h, (r[1]-1+im.top)/im.step+1))
			out = append(out, band{
				images: 1, oy0: r[0], oy1: r[1], y0: first, y1: last, top: im.top + r[0] - first*im.step,
				in: i*inImage + first*im.w*im.c, out: i*outImage + r[0]*im.ow*im.oc,
			})
		}
	}
	return out
}
