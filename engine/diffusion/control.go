package diffusion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/engine/sampler"
)

// Control is a picture that steers a drawing through a ControlNet: Zhang et al.
// 2023.
type Control struct {
	ID         string       // as [Pipeline.AddControl] gave it
	Image      *image.NRGBA // edges, depths, a pose: what the network was trained on
	Weight     float32      // 1 is as it was trained
	Start, End float32      // the share of the steps between which it steers; 0 and 1 for all
	Mode       int          // of a union of ControlNets: which of them, from 0
}

// steerable is a [Kind] with a UNet that takes a ControlNet's outputs, and so
// many pixels to a latent.
type steerable interface{ steered() (unetPart, int) }

// controlled is a [Kind] of another denoiser that takes a ControlNet's outputs.
type controlled interface {
	// controlNet reads the config of one.
	controlNet(config []byte) (*controlNet, error)
}

// controlNet is one that was added.
type controlNet struct {
	Net
	facts   model.ControlFacts        // of a UNet's
	tokens  *model.TransformerControl // of a transformer's, else nil
	adapter *model.AdapterFacts       // of a T2I-Adapter, else nil
	reads   []string                  // inputs of the denoiser
	modes   int                       // of a union, 0 for none
	timed   func([]float32) []float32 // a UNet's embedding of numbers
	// latents is what one that reads a picture's latents is fed, nil for pixels.
	latents func(posterior, *noise) []float32
}

// controlNet reads the config of a ControlNet or T2I-Adapter for the UNet.
func (u unetPart) controlNet(config []byte, factor int) (*controlNet, error) {
	if config == nil {
		config = u.config
	}
	class, err := classOf(config)
	if err != nil {
		return nil, err
	}
	if class == "T2IAdapter" {
		return u.t2iAdapter(config, factor)
	}
	f, err := model.ReadControlNet(config)
	if err == nil {
		err = u.takes(f, factor)
	}
	c := &controlNet{facts: f, modes: f.Modes, timed: u.facts.AddedEmbedding, reads: []string{"context", "timestep_embedding"}}
	if f.Added != 0 {
		c.reads = append(c.reads, "added_embedding")
	}
	c.Fixed = []string{"context", "condition"}
	c.Graph = func(s Size) (*engine.Graph, error) {
		return model.ControlNet(config, s.Batch, s.Height, s.Width, s.Tokens)
	}
	return c, err
}

// classOf is the class that a config names, "" where it names none.
func classOf(config []byte) (string, error) {
	var named struct {
		Class string `json:"_class_name"`
	}
	err := json.Unmarshal(config, &named)
	return named.Class, err
}

// readControl reads a config for the pipeline's denoiser.
func (p *Pipeline) readControl(config []byte) (*controlNet, error) {
	switch k := p.kind.(type) {
	case steerable:
		unet, factor := k.steered()
		return unet.controlNet(config, factor)
	case controlled:
		if config == nil {
			return nil, errors.New("its config.json is needed")
		}
		return k.controlNet(config)
	}
	return nil, errors.New("this model's pipeline takes none")
}

// AddControl adds a ControlNet by its config, as diffusers wrote it, or nil for
// the one that belongs to the model's UNet, and its weights, whose names and
// shapes are checked and which are read when a drawing needs them. It takes the
// place of one of the same id. Errors wrap [ErrBadModel].
func (p *Pipeline) AddControl(id string, config []byte, weights Weights) error {
	net, err := p.readControl(config)
	if err != nil {
		return fmt.Errorf("%w: ControlNet: %w", ErrBadModel, err)
	}
	net.Component, net.Late, net.From = "ControlNet "+id, true, weights
	if err := net.fits(Size{Batch: 1, Height: 16, Width: 16, Tokens: 77}); err != nil {
		return fmt.Errorf("%w: ControlNet: %w", ErrBadModel, err)
	}
	p.RemoveControl(id)
	if p.controls == nil {
		p.controls = map[string]*controlNet{}
	}
	p.controls[id] = net
	p.residency.nets[net.name()] = &resident{Net: net.Net}
	return nil
}

// RemoveControl frees a ControlNet and reports whether it was there.
func (p *Pipeline) RemoveControl(id string) bool {
	c, ok := p.controls[id]
	if ok {
		p.residency.evict(p.residency.nets[c.name()])
		delete(p.residency.nets, c.name())
		delete(p.controls, id)
	}
	return ok
}

// takes validates that a ControlNet is for this UNet.
func (u unetPart) takes(f model.ControlFacts, factor int) error {
	switch {
	case f.In != u.facts.Out:
		return fmt.Errorf("it reads %d channels, the model's latents have %d", f.In, u.facts.Out)
	case f.Context != u.facts.Context || f.Embedding != u.facts.Embedding || f.Added != u.facts.Added:
		return fmt.Errorf("it is for another family of models: it reads texts of width %d, timesteps of %d and added conditions of %d, the model's are of %d, %d and %d",
			f.Context, f.Embedding, f.Added, u.facts.Context, u.facts.Embedding, u.facts.Added)
	case f.Condition != 3:
		return fmt.Errorf("conditioning_channels is %d, a picture has 3", f.Condition)
	case f.Scale != factor:
		return fmt.Errorf("conditioning_embedding_out_channels make one of %d pixels, a latent has %d", f.Scale, factor)
	}
	return nil
}

// fits checks the names and shapes of a network's weights and reads none.
func (n Net) fits(s Size) error {
	g, err := n.Graph(s)
	if err != nil {
		return err
	}
	shapes := map[string][]int{}
	err = n.From.Stream(context.Background(), n.Component, nil, func(name, _ string, shape []int, _ func(io.WriterAt) error) error {
		shapes[name] = shape
		return nil
	})
	if err != nil {
		return err
	}
	return checkWeights(g, n, shapes)
}

// steering runs the ControlNets of a request beside the denoiser, as diffusers'
// StableDiffusionControlNetPipeline and its kin do.
type steering struct {
	unchanged
	controls   []Control
	conditions []engine.Tensor // pixels (1, height, width, 3) from 0 to 1, or latents
	encoded    []posterior     // of those that read latents
	features   []Inputs        // of T2I-Adapters, once they ran
}

// controlMiddle is the last of a ControlNet's outputs.
const controlMiddle = "control.mid"

// mostWeight bounds how strongly a picture may steer.
const mostWeight = 10

func newSteering(p *Pipeline, r Request) (mode, error) {
	if len(r.Controls) == 0 {
		return nil, nil
	}
	if r.SkipLayers != "" {
		return nil, errors.New("skip layers: not together with a control")
	}
	m := &steering{controls: slices.Clone(r.Controls)}
	for _, c := range m.controls {
		if p.controls[c.ID] == nil {
			return nil, fmt.Errorf("control: there is no %.60q", c.ID)
		}
		if c.Image == nil {
			return nil, fmt.Errorf("control %s: it has no image", c.ID)
		}
		if err := checkPicture("control image", c.Image); err != nil {
			return nil, err
		}
		if !(math.Abs(float64(c.Weight)) <= mostWeight) {
			return nil, fmt.Errorf("control weight is %v: choose -%d to %d", c.Weight, mostWeight, mostWeight)
		}
		if !(c.Start >= 0 && c.Start <= c.End && c.End <= 1) {
			return nil, fmt.Errorf("control start and end are %v and %v: choose 0 to 1, in this order", c.Start, c.End)
		}
		net := p.controls[c.ID]
		if err := net.asked(c, r); err != nil {
			return nil, err
		}
		if first := p.controls[m.controls[0].ID]; net.tokens != nil && net.tokens.Blocks != first.tokens.Blocks {
			return nil, fmt.Errorf("controls: %s and %s have outputs for other numbers of blocks: choose one", m.controls[0].ID, c.ID)
		}
		m.conditions = append(m.conditions, net.condition(c.Image, r.Width, r.Height))
	}
	m.encoded, m.features = make([]posterior, len(m.controls)), make([]Inputs, len(m.controls))
	return m, nil
}

// asked validates what a request wants of it.
func (c *controlNet) asked(given Control, r Request) error {
	switch {
	case given.Mode < 0 || given.Mode > max(0, c.modes-1):
		return fmt.Errorf("control mode is %d: choose 0 to %d", given.Mode, max(0, c.modes-1))
	case r.GuessMode && (c.tokens != nil || c.adapter != nil):
		return fmt.Errorf("guess mode: %s steers the same with a prompt and without", given.ID)
	case c.adapter != nil && (r.Width%c.adapter.Scale != 0 || r.Height%c.adapter.Scale != 0):
		return fmt.Errorf("width and height are %d and %d: %s takes multiples of %d", r.Width, r.Height, given.ID, c.adapter.Scale)
	}
	return nil
}

// condition is what a ControlNet reads of a picture.
func (c *controlNet) condition(img *image.NRGBA, w, h int) engine.Tensor {
	rgb := colours(resized(img, w, h))
	for i, v := range rgb {
		rgb[i] = v/2 + 0.5
	}
	if c.facts.BGR {
		for i := 0; i < len(rgb); i += 3 {
			rgb[i], rgb[i+2] = rgb[i+2], rgb[i]
		}
	}
	if c.adapter != nil && c.adapter.In == 1 {
		return engine.FromFloat32s(brightness(rgb), 1, h, w, 1)
	}
	return engine.FromFloat32s(rgb, 1, h, w, 3)
}

// begin encodes the pictures of which latents are read.
func (m *steering) begin(ctx context.Context, d *drawing) (err error) {
	for i, c := range m.controls {
		if d.p.controls[c.ID].latents == nil {
			continue
		}
		if m.encoded[i], err = d.encode(ctx, colours(resized(c.Image, d.r.Width, d.r.Height))); err != nil {
			return err
		}
	}
	return nil
}

// first takes a picture's noise for those latents before any other, as diffusers
// does.
func (m *steering) first(d *drawing, n *noise) []float32 {
	for i, c := range m.controls {
		if read := d.p.controls[c.ID].latents; read != nil {
			l := d.latent
			m.conditions[i] = engine.FromFloat32s(read(m.encoded[i], n), 1, l.Height, l.Width, l.Channels)
		}
	}
	return nil
}

func (m *steering) before(ctx context.Context, d *drawing, step int, rows []Row, in Inputs) error {
	n := float64(len(d.s.Timesteps()))
	for i, c := range m.controls {
		if sampler.Chooses(d.s) && (c.Start > 0 || c.End < 1) {
			return badRequest(errors.New("control for a part of the steps: the sampler chooses its steps as it goes, so that no part is known: choose another"))
		}
		if float64(step)/n < plain64(c.Start) || float64(step+1)/n > plain64(c.End) {
			continue
		}
		var err error
		if net := d.p.controls[c.ID]; net.adapter != nil {
			err = m.adapt(ctx, d, i, net, rows, in)
		} else {
			err = m.steer(ctx, d, net, c, m.conditions[i], rows, in)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// steer adds a ControlNet's outputs to what the denoiser is fed.
func (m *steering) steer(ctx context.Context, d *drawing, net *controlNet, c Control, condition engine.Tensor, rows []Row, in Inputs) error {
	guess := (d.r.GuessMode || net.facts.Pooled) && len(d.guide.rows) > 1
	var which []int
	for i, r := range rows {
		if !guess || r.Role != Negative && r.Role != Empty {
			which = append(which, i)
		}
	}
	if len(which) == 0 {
		return nil
	}
	fed := Inputs{"strength": engine.FromFloat32s([]float32{c.Weight}, 1), "condition": chosen(condition, make([]int, len(which)))}
	for _, name := range net.reads {
		fed[name] = chosen(in[name], which)
	}
	if net.modes > 0 {
		net.feedMode(c.Mode, len(which), fed)
	}
	channels := net.facts.In
	if net.tokens != nil {
		channels = net.tokens.In
		net.feed(d.r, c, fed)
	}
	fed["sample"] = chosen(narrowed(in["sample"], channels), which)
	l := d.latent
	out, err := d.p.residency.Run(ctx, net.name(), Size{Batch: len(which), Height: l.Height, Width: l.Width, Tokens: fed["context"].Shape[1]}, fed)
	if err != nil {
		return err
	}
	for name, t := range out {
		scale := float32(1)
		if (d.r.GuessMode || net.facts.Pooled) && !net.facts.Pooled {
			scale = guessed(name, len(out))
		}
		if net.facts.Pooled {
			t = pooled(t)
		}
		in[name] = added(in[name], t, scale, which, len(rows))
	}
	return nil
}

// feedMode tells a union which of its kinds a picture is.
func (c *controlNet) feedMode(mode, batch int, fed Inputs) {
	fed["mode"] = engine.FromInt32s(slices.Repeat([]int32{int32(mode)}, batch), batch, 1)
	if c.facts.ModeTime > 0 {
		chosen := make([]float32, c.modes)
		chosen[mode] = 1
		embedded := c.timed(chosen)
		fed["mode_embedding"] = engine.FromFloat32s(slices.Repeat(embedded, batch), batch, len(embedded))
	}
}

// plain64 is a share as it was written: 0.3 and not the float32 next to it.
func plain64(v float32) float64 { return math.Round(float64(v)*1e6) / 1e6 }

// guessed is the scale of one of n outputs without a prompt: from a tenth at the
// first to one in the middle, in equal ratios.
func guessed(name string, n int) float32 {
	i := n - 1
	if number, err := strconv.Atoi(strings.TrimPrefix(name, "control.")); name != controlMiddle && err == nil {
		i = number
	}
	return float32(math.Pow(10, float64(i)/float64(n-1)-1))
}

// steered notes what the denoiser takes of ControlNets and T2I-Adapters.
func steered(in Inputs, s *Size) {
	has := func(name string) bool { _, ok := in[name]; return ok }
	if s.Control = has(controlMiddle); !s.Control {
		s.Blocks = model.CountBlocks(has)
	}
	for has(fmt.Sprintf("adapter.%d", s.Adapter)) {
		s.Adapter++
	}
}
