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

func conv2d(c *compiler, n *engine.Node) error {
	return c.eachConv(n, func(im image, b band, p packed, s step) error {
		pixels := b.images * (b.oy1 - b.oy0) * im.ow
		tile := c.tileRows(pixels, p.rows)
		s.kernel = "conv2d"
		s.constants["rows_per_thread"] = float64(tile)
		s.constants["kw"] = float64(im.kw)
		s.grid = [3]int{(p.rows + 63) / 64, (pixels + 8*tile - 1) / (8 * tile), 1}
		return c.add(s)
	})
}

// winogradFits: the convolution is what F(2×2, 3×3) computes, and its weights
// are cheap to unpack: a channel of a quantised one has nine scales.
func winogradFits(c *compiler, n *engine.Node) bool {
	a, shape := n.Attrs.(engine.Conv2DAttrs), n.Inputs[1].Shape
	w := c.matrix(n.Inputs[1])
	return a.Stride == 1 && shape[2] == 3 && shape[3] == 3 && shape[0] >= 16 && w != nil && !w.quantised()
}

func conv2dWinograd(c *compiler, n *engine.Node) error {
	return c.eachConv(n, func(im image, b band, p packed, s step) error {
		th, tw := (b.oy1-b.oy0+1)/2, (im.ow+1)/2
		tiles := b.images * th * tw
		s.kernel = "conv2d_winograd"
		s.dims[1] = uint32(tiles)
		s.dims[21], s.dims[22] = uint32(th), uint32(tw)
		s.grid = [3]int{(p.rows + 15) / 16, (tiles + 31) / 32, 1}
		s.flops = 2 * 16 * float64(tiles) * float64(p.rows) * float64(im.c)
		return c.add(s)
	})
}

// eachConv prepares the steps of a convolution, one for each part of its
// weight and each band of its image that can be bound, with the dims of
// parts/conv2d_dims.wgsl, and hands them to add.
func (c *compiler) eachConv(n *engine.Node, add func(im image, b band, p packed, s step) error) error {
	a := n.Attrs.(engine.Conv2DAttrs)
	o, err := c.operands(n, a.Epilogue)
	if err != nil {
		return err
	}
	source, up := n.Inputs[0], 1
	if c.upsampled[source] {
		up = source.Shape[1] / source.Inputs[0].Shape[1]
		source = source.Inputs[0]
	}
	x, err := c.read(source)
	if err != nil {
		return err
	}
	h, w, ch := source.Shape[1], source.Shape[2], source.Shape[3]
	if x, err = c.pad(x, source.Shape[0]*h*w, ch); err != nil {
		return err
	}
	parts, err := c.parts(n.Inputs[1])
	if err != nil {
		return err
	}
	im := image{n: n.Shape[0], h: h, w: w, c: align(ch, 4), oh: n.Shape[1], ow: n.Shape[2], oc: n.Shape[3], step: a.Stride, up: up, kh: n.Inputs[1].Shape[2], kw: n.Inputs[1].Shape[3], top: a.Pad[0]}
	es := elemSize(c.elem)
	for _, b := range c.bands(im) {
		pixels := b.images * (b.oy1 - b.oy0) * im.ow
		at, size := b.out*es, pixels*im.oc*es
		for _, p := range parts {
			s := o.step(p, at, size)
			s.constants["up"] = float64(up)
			s.reads[0] = x.part(b.in*es, b.images*(b.y1-b.y0)*im.w*im.c*es)
			s.out = c.views[n].part(at, size)
			s.dims = append(o.dims(p, pixels, im.kh*im.kw*im.c/4, im.oc),
				u(b.y1-b.y0, im.w, im.c/4, b.oy1-b.oy0, im.ow, b.top, a.Pad[1], a.Stride, im.kh*im.kw, 0, 0)...)
			s.flops = 2 * float64(pixels) * float64(p.rows) * float64(im.kh*im.kw*ch)
			if err := add(im, b, p, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// image is the geometry of a convolution.
type image struct {
	n, h, w, c  int // of the input, c padded
	oh, ow, oc  int
	step, up    int
	kh, kw, top int
}

// band is a run of output rows and the input rows that they need.
type band struct {
	images   int
	oy0, oy1 int
	y0, y1   int
	top      int // padding above row y0; may be negative
	in, out  int // first elements
}

// bands cuts a convolution into pieces whose operands can be bound: all of
// it, image by image, or runs of rows of an image.
func (c *compiler) bands(im image) []band {
	es := elemSize(c.elem)
	inImage, outImage := im.h*im.w*im.c, im.oh*im.ow*im.oc
	if max(inImage, outImage)*im.n*es <= c.limits.Binding {
		return []band{{images: im.n, oy1: im.oh, y1: im.h, top: im.top}}
	}
	outMost, outUnit := c.bindable(im.ow * im.oc * es)
	inMost, inUnit := c.bindable(im.w * im.c * es)
	rows := min(outMost, max(1, (inMost-inUnit)*im.up-im.kh)/im.step)
	var out []band
	for i := range im.n {
		for _, r := range cut(im.oh, rows, outUnit) {
			first := max(0, r[0]*im.step-im.top) / im.up / inUnit * inUnit
			last := min(im.h, ((r[1]-1)*im.step-im.top+im.kh-1)/im.up+1)
			out = append(out, band{
				images: 1, oy0: r[0], oy1: r[1], y0: first, y1: last,
				top: im.top + first*im.up - r[0]*im.step,
				in:  i*inImage + first*im.w*im.c, out: i*outImage + r[0]*im.ow*im.oc,
			})
		}
	}
	return out
}
