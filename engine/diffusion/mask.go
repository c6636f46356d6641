package diffusion

import (
	"image"
	"math"
)

// half is the least grey of a mask that counts as white.
const half = 128

// grey is a mask's lightness, ITU-R 601-2 as Pillow has it, in all three
// colours; what shows through is black.
func grey(img *image.NRGBA) *image.NRGBA {
	out := image.NewNRGBA(img.Rect)
	for i := 0; i < len(img.Pix); i += 4 {
		p := img.Pix[i:]
		v := (19595*int(p[0]) + 38470*int(p[1]) + 7471*int(p[2]) + 1<<15) >> 16
		v = (v*int(p[3]) + 127) / 255
		copy(out.Pix[i:], []uint8{uint8(v), uint8(v), uint8(v), 255})
	}
	return out
}

// mask is 1 for each of a latent's numbers whose pixel a mask of the picture's
// size shows white, else 0: torch's nearest interpolation.
func (l Latent) mask(white *image.NRGBA) []float32 {
	p := max(1, l.Patch)
	out := make([]float32, l.Height*l.Width*l.Channels)
	stepX, stepY := white.Rect.Dx()/(l.Width*p), white.Rect.Dy()/(l.Height*p)
	for i := range out {
		pixel, c := i/l.Channels, i%l.Channels
		row, column := pixel/l.Width*p+c/p%p, pixel%l.Width*p+c%p
		if white.Pix[white.PixOffset(column*stepX, row*stepY)] >= half {
			out[i] = 1
		}
	}
	return out
}

// maskedPart is the part of a mask that is not black, with a margin, grown to the
// proportions of a size as far as the mask reaches: diffusers' get_crop_region.
// It is empty where the mask is black.
func maskedPart(mask *image.NRGBA, width, height, pad int) image.Rectangle {
	r := image.Rectangle{}
	for y := range mask.Rect.Dy() {
		for x := range mask.Rect.Dx() {
			if mask.Pix[mask.PixOffset(x, y)] != 0 {
				r = r.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	if r.Empty() {
		return r
	}
	r = r.Inset(-pad).Intersect(mask.Rect)
	if wanted := float64(width) / float64(height); float64(r.Dx())/float64(r.Dy()) > wanted {
		more := int(float64(r.Dx())/wanted - float64(r.Dy()))
		r.Min.Y, r.Max.Y = grown(r.Min.Y, r.Max.Y, more, mask.Rect.Dy())
	} else {
		more := int(float64(r.Dy())*wanted - float64(r.Dx()))
		r.Min.X, r.Max.X = grown(r.Min.X, r.Max.X, more, mask.Rect.Dx())
	}
	return r
}

// grown makes a span longer on both sides, and moves it to lie within 0 to end.
func grown(from, to, more, end int) (int, int) {
	from -= more / 2
	to += more - more/2
	if to >= end {
		from, to = from-(to-end), end
	}
	if from < 0 {
		from, to = 0, to-from
	}
	return from, min(to, end)
}

// over lays a picture over another of its size where a mask is black, and mixes
// them where it is grey.
func over(below, above, mask *image.NRGBA) *image.NRGBA {
	out := image.NewNRGBA(below.Rect)
	for i := range out.Pix {
		white := int(mask.Pix[i&^3])
		out.Pix[i] = uint8((int(above.Pix[i])*(255-white) + int(below.Pix[i])*white + 127) / 255)
	}
	return out
}

// part copies a rectangle of a picture to 0, 0.
func part(img *image.NRGBA, r image.Rectangle) *image.NRGBA {
	out := image.NewNRGBA(image.Rect(0, 0, r.Dx(), r.Dy()))
	for y := range r.Dy() {
		copy(out.Pix[y*out.Stride:][:out.Stride], img.Pix[img.PixOffset(r.Min.X, r.Min.Y+y):])
	}
	return out
}

// extended grows a picture by margins of its edge's colours.
func extended(img *image.NRGBA, m margins) *image.NRGBA {
	size := img.Rect.Size()
	return pasted(img, size.X+m.left+m.right, size.Y+m.top+m.bottom, m.left, m.top)
}

// pasted lays a picture at a place of one of another size, whose rest is its
// edge's colours.
func pasted(img *image.NRGBA, w, h, left, top int) *image.NRGBA {
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	size := img.Rect.Size()
	for y := range h {
		for x := range w {
			from := img.PixOffset(min(max(x-left, 0), size.X-1), min(max(y-top, 0), size.Y-1))
			copy(out.Pix[out.PixOffset(x, y):][:4], img.Pix[from:][:4])
		}
	}
	return out
}

// bordered grows a mask by margins of white.
func bordered(mask *image.NRGBA, m margins) *image.NRGBA {
	size := mask.Rect.Size()
	out := image.NewNRGBA(image.Rect(0, 0, size.X+m.left+m.right, size.Y+m.top+m.bottom))
	for i := range out.Pix {
		out.Pix[i] = 255
	}
	for y := range size.Y {
		copy(out.Pix[out.PixOffset(m.left, m.top+y):], mask.Pix[y*mask.Stride:][:mask.Stride])
	}
	return out
}

// filled fits a picture into a size, keeping its proportions, with its edge's
// colours around it: diffusers' resize mode "fill".
func filled(img *image.NRGBA, w, h int) *image.NRGBA {
	from := img.Rect.Size()
	toW, toH := w, h
	if w*from.Y < from.X*h {
		toH = max(1, from.Y*w/from.X)
	} else {
		toW = max(1, from.X*h/from.Y)
	}
	return pasted(resample(img, toW, toH), w, h, w/2-toW/2, h/2-toH/2)
}

// covered covers a size with a picture, keeping its proportions and cutting off
// what is left over: diffusers' resize mode "crop".
func covered(img *image.NRGBA, w, h int) *image.NRGBA {
	from := img.Rect.Size()
	toW, toH := w, h
	if w*from.Y > from.X*h {
		toH = from.Y * w / from.X
	} else {
		toW = from.X * h / from.Y
	}
	return pasted(resample(img, toW, toH), w, h, w/2-toW/2, h/2-toH/2)
}

// blurred is Pillow's GaussianBlur to the bit: three box blurs along rows, three
// along columns, each rounded to 8 bits.
func blurred(img *image.NRGBA, radius int) *image.NRGBA {
	if radius == 0 {
		return img
	}
	out := image.NewNRGBA(img.Rect)
	copy(out.Pix, img.Pix)
	w, h, box := img.Rect.Dx(), img.Rect.Dy(), boxRadius(float64(radius))
	line := make([]uint8, max(w, h))
	for y := range h {
		for c := range 3 {
			blurLine(out.Pix[y*out.Stride+c:], 4, line[:w], box)
		}
	}
	for x := range w {
		for c := range 3 {
			blurLine(out.Pix[4*x+c:], out.Stride, line[:h], box)
		}
	}
	return out
}

// blurPasses is how many box blurs make Pillow's Gaussian one.
const blurPasses = 3

// boxRadius is that of the boxes whose deviation together is that of the
// Gaussian (Gwosdek et al. 2011).
func boxRadius(radius float64) float32 {
	sigma := float32(radius * radius / blurPasses)
	l := float32(math.Floor((math.Sqrt(12*float64(sigma)+1) - 1) / 2))
	return l + (2*l+1)*(l*(l+1)-3*sigma)/(6*(sigma-(l+1)*(l+1)))
}

// blurLine blurs every stride-th byte of p, as many as line has, in place.
func blurLine(p []uint8, stride int, line []uint8, box float32) {
	n, r := len(line), int(box)
	ww := uint32(float32(1<<24) / (box*2 + 1))
	fw := (1<<24 - uint32(2*r+1)*ww) / 2
	at := func(i int) uint32 { return uint32(line[min(max(i, 0), n-1)]) }
	for range blurPasses {
		for i := range line {
			line[i] = p[i*stride]
		}
		var sum uint32
		for i := -r - 1; i < r; i++ {
			sum += at(i)
		}
		for i := range n {
			sum += at(i+r) - at(i-r-1)
			p[i*stride] = uint8((sum*ww + (at(i-r-1)+at(i+r+1))*fw + 1<<23) >> 24)
		}
	}
}
