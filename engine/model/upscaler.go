package model

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"wisp/engine"
)

// Upscaler is a network that enlarges pictures, told by the names and shapes of
// its weights alone: ESRGAN's RRDBNet (Wang et al. 2018), Real-ESRGAN's forms of
// it and its SRVGGNetCompact (Wang et al. 2021), and RDN (Zhang et al. 2018).
type Upscaler struct {
	Scale    int    // of width and height
	Multiple int    // that width and height of what is given are of
	Network  string // "RRDBNet", "SRVGGNetCompact", "RDN"

	names  map[string]string // the graph's, by the file's
	shapes map[string][]int  // by the graph's names
}

// rrdbNames are the layouts of RRDBNet: as BasicSR has it, as the first ESRGAN
// had it, and as ESRGAN's own old files have it.
var rrdbNames = []*strings.Replacer{
	strings.NewReplacer("RRDB_trunk.", "body.", ".RDB", ".rdb", "trunk_conv.", "conv_body.", "upconv", "conv_up", "HRconv.", "conv_hr."),
	strings.NewReplacer("model.0.", "conv_first.", "model.1.sub.", "body.", ".RDB", ".rdb", ".0.weight", ".weight", ".0.bias", ".bias"),
}

// oldTail reads model.N.weight or .bias, N from 2 to 19.
func oldTail(name string) (n int, part string, ok bool) {
	p := strings.Split(name, ".")
	if len(p) != 3 || p[0] != "model" || !number(p[1]) || p[2] != "weight" && p[2] != "bias" {
		return 0, "", false
	}
	n, err := strconv.Atoi(p[1])
	return n, p[2], err == nil && n >= 2 && n <= 19
}

// oldTrunk reads model.1.sub.N.weight or .bias.
func oldTrunk(name string) (part string, ok bool) {
	rest, ok := strings.CutPrefix(name, "model.1.sub.")
	n, part, _ := strings.Cut(rest, ".")
	return part, ok && number(n) && (part == "weight" || part == "bias")
}

// numbered reads body.N. or F_N_.
func numbered(name string) (n int, ok bool) {
	rest, body := strings.CutPrefix(name, "body")
	if !body {
		rest, body = strings.CutPrefix(name, "F")
	}
	if !body || rest == "" || strings.IndexByte("._", rest[0]) < 0 {
		return 0, false
	}
	end := strings.IndexAny(rest[1:], "._")
	if end < 0 || !number(rest[1:1+end]) {
		return 0, false
	}
	n, err := strconv.Atoi(rest[1 : 1+end])
	return n, err == nil
}

// ReadUpscaler tells which network has weights of these names and shapes, or
// says that none has. Checkpoints nest their names in "params" or "params_ema".
func ReadUpscaler(shapes map[string][]int) (*Upscaler, error) {
	u := &Upscaler{names: map[string]string{}, shapes: map[string][]int{}}
	var tail []int // of the old layout
	for name := range shapes {
		if n, part, ok := oldTail(name); ok && part == "weight" {
			tail = append(tail, n)
		}
	}
	slices.Sort(tail)
	for name, shape := range shapes {
		plain := strings.TrimPrefix(strings.TrimPrefix(name, "params_ema."), "params.")
		if n, part, ok := oldTail(plain); ok {
			plain = oldTailName(tail, n) + "." + part
		} else if part, ok := oldTrunk(plain); ok {
			plain = "conv_body." + part
		} else if strings.HasPrefix(plain, "model.") {
			plain = rrdbNames[1].Replace(plain)
		} else {
			plain = rrdbNames[0].Replace(plain)
		}
		u.names[name], u.shapes[plain] = plain, shape
	}
	if len(u.shapes) != len(shapes) {
		return nil, fmt.Errorf("model: %w: an upscaler with a weight under two names", ErrConfig)
	}
	for _, read := range []func() bool{u.readRRDB, u.readSRVGG, u.readRDN} {
		if read() {
			return u, u.check()
		}
	}
	return nil, fmt.Errorf("model: %w: no upscaler that wisp knows has these weights: it runs ESRGAN's RRDBNet, Real-ESRGAN's SRVGGNetCompact and RDN", ErrConfig)
}

// oldTailName is what follows the trunk in the old layout: a convolution for
// each doubling, then two.
func oldTailName(tail []int, n int) string {
	switch i := slices.Index(tail, n); len(tail) - i {
	case 1:
		return "conv_last"
	case 2:
		return "conv_hr"
	default:
		return "conv_up" + strconv.Itoa(i+1)
	}
}

// check builds a small graph: the weights must be all and as large as it wants.
func (u *Upscaler) check() error {
	g, err := u.Graph(4*u.Multiple, 4*u.Multiple)
	if err != nil {
		return err
	}
	need := g.Weights()
	for _, w := range need {
		if have, ok := u.shapes[w.Name]; !ok || !engine.Shape(have).Equal(w.Shape) {
			return fmt.Errorf("model: %w: %s: the weight %s is %v, want %v", ErrConfig, u.Network, w.Name, have, w.Shape)
		}
		delete(u.shapes, w.Name)
	}
	for name := range u.shapes {
		return fmt.Errorf("model: %w: %s has no weight %s", ErrConfig, u.Network, name)
	}
	for _, w := range need {
		u.shapes[w.Name] = w.Shape
	}
	return nil
}

// Name is a weight's in the graph, by that in the file.
func (u *Upscaler) Name(file string) string { return u.names[file] }

func (u *Upscaler) dim(name string, i int) int {
	if s := u.shapes[name]; i < len(s) {
		return s[i]
	}
	return 0
}

// count is one more than the largest number after a prefix.
func (u *Upscaler) count() (n int) {
	for name := range u.shapes {
		if i, ok := numbered(name); ok && i < maxLayers {
			n = max(n, i+1)
		}
	}
	return n
}

// ups is how often RRDBNet doubles.
func (u *Upscaler) ups() (n int) {
	for u.dim(fmt.Sprintf("conv_up%d.weight", n+1), 0) > 0 {
		n++
	}
	return n
}

func (u *Upscaler) readRRDB() bool {
	in, out := u.dim("conv_first.weight", 1), u.dim("conv_last.weight", 0)
	if in == 0 || out != 3 || u.dim("body.0.rdb1.conv1.weight", 0) == 0 {
		return false
	}
	u.Network, u.Multiple = "RRDBNet", 1
	for u.Multiple*u.Multiple*3 < in && u.Multiple < 8 {
		u.Multiple *= 2
	}
	ups := 1 << min(u.ups(), 6)
	u.Scale = ups / u.Multiple
	return u.Multiple*u.Multiple*3 == in && u.Scale >= 1
}

func (u *Upscaler) readSRVGG() bool {
	last := u.count() - 1
	out := u.dim(fmt.Sprintf("body.%d.weight", last), 0)
	if u.dim("body.0.weight", 1) != 3 || out%3 != 0 || len(u.shapes["body.1.weight"]) != 1 {
		return false
	}
	u.Network, u.Multiple, u.Scale = "SRVGGNetCompact", 1, int(math.Round(math.Sqrt(float64(out/3))))
	return u.Scale*u.Scale*3 == out && u.Scale >= 1 && u.Scale <= 8
}

func (u *Upscaler) readRDN() bool {
	up := u.dim("UPN3.weight", 0)
	if u.dim("F_m1.weight", 1) != 3 || u.dim("SR.weight", 0) != 3 || up%3 != 0 {
		return false
	}
	u.Network, u.Multiple, u.Scale = "RDN", 1, int(math.Round(math.Sqrt(float64(up/3))))
	return u.Scale*u.Scale*3 == up && u.Scale >= 1 && u.Scale <= 16
}

// Graph enlarges pictures: input "sample" (1, h, w, 3), from 0 to 1; output
// "sample" (1, h·Scale, w·Scale, 3), about from 0 to 1.
func (u *Upscaler) Graph(h, w int) (*engine.Graph, error) {
	if h < 1 || w < 1 || h%u.Multiple != 0 || w%u.Multiple != 0 {
		return nil, fmt.Errorf("model: %w: %d×%d pixels are no multiples of %d", ErrConfig, h, w, u.Multiple)
	}
	return engine.Build(func(g *engine.Graph) {
		x := g.Input("sample", engine.F32, 1, h, w, 3)
		switch u.Network {
		case "RRDBNet":
			x = u.rrdb(g, x)
		case "SRVGGNetCompact":
			x = u.srvgg(g, x)
		case "RDN":
			x = u.rdn(g, x)
		}
		g.Output("sample", x)
	})
}

// leaky is a leaky ReLU with a slope of 0.2.
func leaky(x *engine.Node) *engine.Node {
	return engine.Add(engine.Affine(engine.ReLU(x), 0.8, 0), engine.Affine(x, 0.2, 0))
}

// unshuffle packs each square of p×p pixels into channels (c, p, p), c first.
func unshuffle(x *engine.Node, p int) *engine.Node {
	if p == 1 {
		return x
	}
	rows, cols := x.Shape[1]/p, x.Shape[2]/p
	return engine.Reshape(patchify(x, p), x.Shape[0], rows, cols, -1)
}

// shuffle is the reverse.
func shuffle(x *engine.Node, p int) *engine.Node {
	n, h, w, c := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]/(p*p)
	x = engine.Permute(engine.Reshape(x, n, h, w, c, p, p), 0, 1, 4, 2, 5, 3)
	return engine.Reshape(x, n, h*p, w*p, c)
}

func (u *Upscaler) rrdb(g *engine.Graph, x *engine.Node) *engine.Node {
	width, growth := u.dim("conv_first.weight", 0), u.dim("body.0.rdb1.conv1.weight", 0)
	x = conv(g, "conv_first", unshuffle(x, u.Multiple), width, 3)
	h := x
	for i := range u.count() {
		in, block := h, path("body").Sub(i)
		for j := 1; j <= 3; j++ {
			h = denseBlock(g, block.Sub(fmt.Sprint("rdb", j)), h, growth)
		}
		h = engine.Add(engine.Affine(h, 0.2, 0), in)
	}
	x = engine.Add(conv(g, "conv_body", h, width, 3), x)
	for i := range u.ups() {
		x = leaky(upsampled(g, path(fmt.Sprint("conv_up", i+1)), x, width))
	}
	return conv(g, "conv_last", leaky(conv(g, "conv_hr", x, width, 3)), 3, 3)
}

// upsampled doubles x and convolves it.
func upsampled(g *engine.Graph, p path, x *engine.Node, width int) *engine.Node {
	return conv(g, p, double(x), width, 3)
}

// denseBlock is a ResidualDenseBlock: five convolutions, each of which reads
// what all before it made.
func denseBlock(g *engine.Graph, p path, x *engine.Node, growth int) *engine.Node {
	all := []*engine.Node{x}
	for i := 1; i <= 4; i++ {
		all = append(all, leaky(conv(g, p.Sub(fmt.Sprint("conv", i)), engine.Concat(-1, all...), growth, 3)))
	}
	h := conv(g, p.Sub("conv5"), engine.Concat(-1, all...), x.Shape[3], 3)
	return engine.Add(engine.Affine(h, 0.2, 0), x)
}

func (u *Upscaler) srvgg(g *engine.Graph, x *engine.Node) *engine.Node {
	h, width, last := x, u.dim("body.0.weight", 0), u.count()-1
	for i := 0; i < last; i += 2 {
		h = conv(g, path("body").Sub(i), h, width, 3)
		slope := path("body").Sub(i+1).weight(g, "weight", width)
		over := engine.ReLU(h)
		h = engine.Add(engine.Mul(engine.Sub(h, over), slope), over) // PReLU
	}
	h = shuffle(conv(g, path("body").Sub(last), h, 3*u.Scale*u.Scale, 3), u.Scale)
	return engine.Add(h, engine.Upsample2D(x, u.Scale*x.Shape[1], u.Scale*x.Shape[2]))
}

// rdn is RDN as image-super-resolution made it in Keras and UpscalerJS ships
// it: blocks F_i with convolutions F_i_j, and an upsampling by neighbours.
func (u *Upscaler) rdn(g *engine.Graph, x *engine.Node) *engine.Node {
	width, growth := u.dim("F_0.weight", 0), u.dim("F_1_1.weight", 0)
	first := conv(g, "F_m1", x, width, 3)
	h := conv(g, "F_0", first, width, 3)
	var locals []*engine.Node
	for i := 1; u.dim(fmt.Sprintf("LFF_%d.weight", i), 0) > 0 && i < maxLayers; i++ {
		all := []*engine.Node{h}
		for j := 1; u.dim(fmt.Sprintf("F_%d_%d.weight", i, j), 0) > 0 && j < maxLayers; j++ {
			joined := h
			if len(all) > 1 {
				joined = engine.Concat(-1, all...)
			}
			all = append(all, engine.ReLU(conv(g, path(fmt.Sprintf("F_%d_%d", i, j)), joined, growth, 3)))
		}
		h = engine.Add(conv(g, path(fmt.Sprintf("LFF_%d", i)), engine.Concat(-1, all...), width, 1), h)
		locals = append(locals, h)
	}
	if len(locals) > 1 {
		h = engine.Concat(-1, locals...)
	}
	h = conv(g, "GFF_2", conv(g, "GFF_1", h, width, 1), width, 3)
	h = engine.Add(h, first)
	h = engine.ReLU(conv(g, "UPN1", h, u.dim("UPN1.weight", 0), u.dim("UPN1.weight", 2)))
	h = engine.ReLU(conv(g, "UPN2", h, u.dim("UPN2.weight", 0), 3))
	h = conv(g, "UPN3", h, 3*u.Scale*u.Scale, 3)
	h = engine.Upsample2D(h, u.Scale*x.Shape[1], u.Scale*x.Shape[2])
	return conv(g, "SR", h, 3, 3)
}
