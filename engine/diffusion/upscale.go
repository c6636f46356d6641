package diffusion

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"math"

	"wisp/engine"
	"wisp/engine/model"
)

// Upscaler enlarges pictures by a network of its own, tile by tile. It is used
// by one caller at a time.
type Upscaler struct {
	net      *model.Upscaler
	backend  engine.Backend
	weights  map[string]engine.Buffer
	programs map[[2]int]engine.Program // by the tile's height and width
}

// UpscalerFile is a checkpoint: the shapes of its weights by their names, and a
// stream of them as [Model] has it.
type UpscalerFile interface {
	Shapes() map[string][]int
	Stream(ctx context.Context, each func(name, dtype string, shape []int, fill func(io.WriterAt) error) error) error
}

// NewUpscaler loads a checkpoint onto a backend. Errors wrap ErrBadModel.
func NewUpscaler(ctx context.Context, b engine.Backend, f UpscalerFile) (*Upscaler, error) {
	net, err := model.ReadUpscaler(f.Shapes())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadModel, err)
	}
	u := &Upscaler{net: net, backend: b, weights: map[string]engine.Buffer{}, programs: map[[2]int]engine.Program{}}
	err = f.Stream(ctx, func(name, dtype string, shape []int, fill func(io.WriterAt) error) error {
		d, err := engine.ParseDType(dtype)
		if err != nil {
			return err
		}
		w, err := engine.Stream(b, d, shape, fill)
		if err == nil {
			u.weights[net.Name(name)] = w
		}
		return err
	})
	if err != nil {
		u.Close()
		return nil, err
	}
	return u, nil
}

// Network is the class of the network, Scale what it multiplies width and
// height by.
func (u *Upscaler) Network() string { return u.net.Network }

// Scale is what one pass of the network multiplies width and height by.
func (u *Upscaler) Scale() int { return u.net.Scale }

// The tiles of a picture, in pixels of what is given: a picture no larger than
// one is a single tile. Neighbours overlap: of that, each leaves out a margin,
// where it sees the zeros around it, and fades into the other over the rest.
const (
	tileSide    = 192
	tileOverlap = 32
	tileMargin  = 12
)

// maxPasses is how often a picture is enlarged to reach a factor.
const maxPasses = 3

// Upscale enlarges a picture by a factor over 1, 0 for the network's own: as
// often as it takes, and to the very size by Lanczos's filter. on, which may
// be nil, hears of tiles. Alpha is enlarged by the filter alone.
func (u *Upscaler) Upscale(ctx context.Context, img *image.NRGBA, by float64, on func(done, total int)) (*image.NRGBA, error) {
	if by == 0 {
		by = float64(u.net.Scale)
	}
	w, h, err := upscaledSize(img, by)
	if err != nil {
		return nil, err
	}
	if on == nil {
		on = func(int, int) {}
	}
	out := img
	for pass := 0; pass < maxPasses && u.net.Scale > 1 && (out.Rect.Dx() < w || out.Rect.Dy() < h) || pass == 0; pass++ {
		size := out.Rect.Size().Mul(u.net.Scale)
		if err := CheckSize("the enlarged picture", size.X, size.Y); err != nil {
			return nil, err
		}
		if out, err = u.pass(ctx, out, on); err != nil {
			return nil, err
		}
	}
	if alpha := resample(img, w, h); out.Rect != alpha.Rect || !img.Opaque() {
		out = resample(out, w, h)
		for i := 3; i < len(out.Pix); i += 4 {
			out.Pix[i] = alpha.Pix[i]
		}
	}
	return out, nil
}

// Enlarge enlarges a picture by a factor over 1 by Lanczos's filter alone.
func Enlarge(img *image.NRGBA, by float64) (*image.NRGBA, error) {
	w, h, err := upscaledSize(img, by)
	if err != nil {
		return nil, err
	}
	return resample(img, w, h), nil
}

func upscaledSize(img *image.NRGBA, by float64) (w, h int, err error) {
	if err := checkPicture("image", img); err != nil {
		return 0, 0, badRequest(err)
	}
	if !(by >= 1 && by <= 16) {
		return 0, 0, badRequest(fmt.Errorf("by is %v: choose 1 to 16", by))
	}
	w, h = int(math.Round(float64(img.Rect.Dx())*by)), int(math.Round(float64(img.Rect.Dy())*by))
	return w, h, CheckSize("the enlarged picture", w, h)
}

// tiles are where those of a side begin, and how long each is: all are of one
// size, which is a multiple.
func tiles(side, multiple int) (starts []int, length int) {
	length = min(tileSide, (side+multiple-1)/multiple*multiple)
	for at := 0; ; at += tileSide - tileOverlap {
		if at+length >= side {
			return append(starts, max(0, side-length)), length
		}
		starts = append(starts, at)
	}
}

// pass enlarges a picture once. What a tile lacks at the right and bottom
// repeats the last pixel.
func (u *Upscaler) pass(ctx context.Context, img *image.NRGBA, on func(done, total int)) (*image.NRGBA, error) {
	size, s := img.Rect.Size(), u.net.Scale
	xs, tw := tiles(size.X, u.net.Multiple)
	ys, th := tiles(size.Y, u.net.Multiple)
	p, err := u.program(th, tw)
	if err != nil {
		return nil, err
	}
	sum := make([]float32, 4*size.X*s*size.Y*s) // colours and the weight of each pixel
	for i := range len(xs) * len(ys) {
		on(i, len(xs)*len(ys))
		x, y := xs[i%len(xs)], ys[i/len(xs)]
		in := make([]float32, 3*tw*th)
		for j := range tw * th {
			at := img.PixOffset(min(x+j%tw, size.X-1), min(y+j/tw, size.Y-1))
			for c := range 3 {
				in[3*j+c] = float32(img.Pix[at+c]) / 255
			}
		}
		out := engine.NewTensor(engine.F32, 1, th*s, tw*s, 3)
		if err := p.Run(ctx, Inputs{"sample": engine.FromFloat32s(in, 1, th, tw, 3)}, Inputs{"sample": out}); err != nil {
			return nil, err
		}
		if err := finite(out); err != nil {
			return nil, fmt.Errorf("%w: the upscaler: sample %w", ErrBadModel, err)
		}
		addTile(sum, size.Mul(s), out.Float32s(), image.Pt(x*s, y*s), image.Pt(tw*s, th*s), s)
	}
	on(len(xs)*len(ys), len(xs)*len(ys))
	result := image.NewNRGBA(image.Rect(0, 0, size.X*s, size.Y*s))
	for i := range size.X * s * size.Y * s {
		for c := range 3 {
			v := sum[4*i+c] / sum[4*i+3]
			result.Pix[4*i+c] = uint8(math.RoundToEven(float64(min(max(v, 0), 1) * 255)))
		}
		result.Pix[4*i+3] = 255
	}
	return result, nil
}

// addTile adds a tile of an enlarged picture, weighted: less towards its
// neighbours.
func addTile(sum []float32, size image.Point, tile []float32, at, side image.Point, scale int) {
	margin, fade := float32(tileMargin*scale), float32((tileOverlap-2*tileMargin)*scale)
	ramp := func(i, n, from, whole int) float32 {
		w := float32(1)
		if from > 0 {
			w = min(w, (float32(i)+0.5-margin)/fade)
		}
		if from+n < whole {
			w = min(w, (float32(n-i)-0.5-margin)/fade)
		}
		return max(0, w)
	}
	for y := range min(side.Y, size.Y-at.Y) {
		for x := range min(side.X, size.X-at.X) {
			w := ramp(x, side.X, at.X, size.X) * ramp(y, side.Y, at.Y, size.Y)
			to := sum[4*((at.Y+y)*size.X+at.X+x):][:4]
			from := tile[3*(y*side.X+x):][:3]
			for c, v := range from {
				to[c] += w * v
			}
			to[3] += w
		}
	}
}

func (u *Upscaler) program(h, w int) (engine.Program, error) {
	key := [2]int{h, w}
	if p := u.programs[key]; p != nil {
		return p, nil
	}
	g, err := u.net.Graph(h, w)
	if err != nil {
		return nil, err
	}
	for _, p := range u.programs { // of another picture
		p.Close()
	}
	clear(u.programs)
	p, err := u.backend.Compile(g, u.weights)
	if err == nil {
		u.programs[key] = p
	}
	return p, err
}

// Close frees the network.
func (u *Upscaler) Close() error {
	var errs []error
	for _, p := range u.programs {
		errs = append(errs, p.Close())
	}
	for _, w := range u.weights {
		w.Release()
	}
	return errors.Join(errs...)
}
