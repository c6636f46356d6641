package diffusion

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"wisp/engine/rng"
	"wisp/engine/sampler"
)

// noise draws latents as torch.randn does: in (c, h, w) order, here turned to
// (h, w, c).
type noise struct {
	source    source
	seed      uint64
	generator rng.Generator
	later     rng.Generator // of the steps' noise, where it is another
	path      *rng.Brownian // nil before a sampler asks for it
	latent    Latent
	at, count int // the picture's place in a batch that is drawn at once; of one, 0 and 1
}

// source is where a request's noise comes from: a program's way to make it of a
// seed.
type source struct {
	kind          string
	subseed       uint64
	strength      float64 // of the subseed
	width, height int     // in pixels that the seed is for; 0 for the picture's
	delta         int64   // of the seed of the steps' noise
}

// The kinds of sources.
const (
	torchNoise = "torch"   // diffusers: torch's CPU generator, for each picture its own
	cudaNoise  = "cuda"    // AUTOMATIC1111: torch's CUDA generator
	comfyNoise = "comfyui" // the CPU's for a whole batch, and the CUDA generator for the steps
)

// readSource reads a request's Noise: a kind, and parameters as AUTOMATIC1111
// names them: "cuda subseed=5 strength=0.3 width=512 height=512 ensd=31337".
func readSource(text string) (source, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
	s := source{kind: torchNoise}
	if len(words) > 0 && !strings.Contains(words[0], "=") {
		s.kind, words = words[0], words[1:]
	}
	if !slices.Contains([]string{torchNoise, cudaNoise, comfyNoise}, s.kind) {
		return s, fmt.Errorf("noise is %.40q: choose %s, %s or %s", s.kind, torchNoise, cudaNoise, comfyNoise)
	}
	set, err := readParameters("noise", []parameter{{"subseed", 0, 0, 1 << 53}, {"strength", 0, 0, 1}, {"width", 0, 0, maxSize}, {"height", 0, 0, maxSize}, {"ensd", 0, -1 << 53, 1 << 53}}, words)
	if err != nil {
		return s, err
	}
	s.subseed, s.strength, s.width, s.height, s.delta = uint64(set[0]), set[1], int(set[2]), int(set[3]), int64(set[4])
	if s.kind == comfyNoise && len(words) > 0 {
		return s, fmt.Errorf("noise: %s has no parameters", comfyNoise)
	}
	return s, nil
}

// newNoise is that of picture i of a request. As in AUTOMATIC1111, pictures with
// a subseed differ by it and share the seed.
func newNoise(r Request, i int, l Latent) *noise {
	l.Patch = max(1, l.Patch)
	s, _ := readSource(r.Noise) // checked before
	n := &noise{source: s, seed: r.Seed + uint64(i), latent: l, count: 1}
	switch {
	case s.kind == comfyNoise:
		n.seed, n.at, n.count = r.Seed, i, max(1, r.Count)
		n.later = rng.NewPhilox(n.seed)
	case s.strength > 0:
		n.seed, n.source.subseed = r.Seed, s.subseed+uint64(i)
	}
	if s.delta != 0 {
		n.later = s.generator(n.seed + uint64(s.delta))
	}
	n.generator = s.generator(n.seed)
	return n
}

func (s source) generator(seed uint64) rng.Generator {
	if s.kind == cudaNoise {
		return rng.NewPhilox(seed)
	}
	return rng.New(seed)
}

// draw fills the picture's part of a batch by randn and packs it.
func (n *noise) draw(randn func(out []float32)) []float32 {
	size := n.latent.Height * n.latent.Width * n.latent.Channels
	v := make([]float32, n.count*size)
	randn(v)
	return n.packed(v[n.at*size:][:size])
}

// packed turns (c, h, w) to (h, w, c).
func (n *noise) packed(v []float32) []float32 {
	l := n.latent
	p, wide := l.Patch, l.Width*l.Patch
	pixels := l.Height * p * wide
	out := make([]float32, len(v))
	for i := range out {
		x, c := i/l.Channels, i%l.Channels
		row, column := x/l.Width*p+c/p%p, x%l.Width*p+c%p
		out[i] = v[c/(p*p)*pixels+row*wide+column]
	}
	return out
}

// next is what the picture's stream has next: first what its walk begins with.
func (n *noise) next() []float32 {
	g := n.generator
	if n.later != nil {
		n.generator, n.later = n.later, nil
	}
	if n.source.strength == 0 && (n.source.width == 0 || n.source.height == 0) {
		return n.draw(g.Randn)
	}
	s := n.source
	n.source.strength, n.source.width = 0, 0 // of the first noise only
	return n.packed(n.varied(s, g))
}

// varied is AUTOMATIC1111's first noise (modules/rng.py, ImageRNG.first): the
// seed's for the size that it was made for, turned towards the subseed's, and
// laid in the middle of the picture's.
func (n *noise) varied(s source, g rng.Generator) []float32 {
	l := n.latent
	h, w := l.Height*l.Patch, l.Width*l.Patch
	c := l.Channels / (l.Patch * l.Patch)
	whole := make([]float32, c*h*w)
	g.Randn(whole)
	nh, nw := h, w
	if s.width > 0 && s.height > 0 {
		nh, nw = max(1, s.height/8), max(1, s.width/8)
	}
	part := whole
	if nh != h || nw != w {
		part = make([]float32, c*nh*nw)
		s.generator(n.seed).Randn(part)
	}
	if s.strength > 0 {
		other := make([]float32, len(part))
		s.generator(s.subseed).Randn(other)
		part = slerp(s.strength, part, other, c, nh, nw)
	}
	if nh == h && nw == w {
		return part
	}
	dx, dy := floorHalf(w-nw), floorHalf(h-nh)
	tx, ty := max(dx, 0), max(dy, 0)
	fx, fy := max(-dx, 0), max(-dy, 0)
	wide, tall := nw, nh
	if dx < 0 {
		wide += 2 * dx
	}
	if dy < 0 {
		tall += 2 * dy
	}
	for k := range c {
		for y := range max(0, min(tall, h-ty)) {
			for x := range max(0, min(wide, w-tx)) {
				whole[(k*h+ty+y)*w+tx+x] = part[(k*nh+fy+y)*nw+fx+x]
			}
		}
	}
	return whole
}

// floorHalf is Python's n // 2.
func floorHalf(n int) int { return n >> 1 }

// slerp turns each column of a, of height h, towards b's, by a share of the
// angle, and is nearly a where they agree.
func slerp(share float64, a, b []float32, c, h, w int) []float32 {
	out := make([]float32, len(a))
	dots, mean := make([]float64, c*w), 0.0
	each := func(f func(column, at int)) {
		for i := range a {
			f(i/(h*w)*w+i%w, i)
		}
	}
	na, nb := make([]float64, c*w), make([]float64, c*w)
	each(func(k, i int) {
		na[k] += float64(a[i]) * float64(a[i])
		nb[k] += float64(b[i]) * float64(b[i])
		dots[k] += float64(a[i]) * float64(b[i])
	})
	for k := range dots {
		dots[k] /= math.Sqrt(na[k] * nb[k])
		mean += dots[k] / float64(len(dots))
	}
	each(func(k, i int) {
		low, high := share, 1-share // as AUTOMATIC1111 has it, though it is the wrong way round
		if mean <= 0.9995 {
			omega := math.Acos(dots[k])
			low, high = math.Sin((1-share)*omega)/math.Sin(omega), math.Sin(share*omega)/math.Sin(omega)
		}
		out[i] = float32(low*float64(a[i]) + high*float64(b[i]))
	})
	return out
}

// step is what the sampler's step i wants: nothing, fresh noise, or an
// increment of the seed's Brownian path.
func (n *noise) step(s sampler.Sampler, i int) []float32 {
	if !s.NeedsNoise(i) {
		return nil
	}
	from, to, ok := s.Span(i)
	if !ok {
		return n.next()
	}
	if n.path == nil {
		levels := slices.DeleteFunc(slices.Clone(s.Sigmas()), func(v float32) bool { return v == 0 })
		n.path = rng.NewBrownian(n.seed, float64(slices.Min(levels)), float64(slices.Max(levels)))
	}
	return n.draw(func(out []float32) { n.path.Increment(from, to, out) })
}
