package diffusion

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"maps"
	"math"

	"wisp/engine"
	"wisp/engine/model"
)

// imagePrompter is an IP-Adapter with its image encoder.
type imagePrompter struct {
	adapter, encoder Net
	facts            model.ImagePromptFacts
	vision           model.VisionFacts
}

// AddImagePrompt adds an IP-Adapter, in place of one that is there: its weights
// under the names of its authors' file, and CLIP's image encoder by its config,
// as transformers wrote it, and weights. Errors wrap [ErrBadModel].
func (p *Pipeline) AddImagePrompt(ctx context.Context, adapter Weights, config []byte, encoder Weights) error {
	k, ok := p.kind.(steerable)
	if !ok {
		return fmt.Errorf("%w: IP-Adapter: this model's pipeline takes none", ErrBadModel)
	}
	unet, _ := k.steered()
	shapes := map[string][]int{}
	err := adapter.Stream(ctx, "", nil, func(name, _ string, shape []int, _ func(io.WriterAt) error) error {
		shapes[name] = shape
		return nil
	})
	q := &imagePrompter{}
	if err == nil {
		q.facts, err = model.ReadImagePrompt(unet.config, shapes)
	}
	if err == nil {
		q.vision, err = model.ReadCLIPVision(config)
	}
	if err == nil {
		err = q.fits()
	}
	if err != nil {
		return fmt.Errorf("%w: IP-Adapter: %w", ErrBadModel, err)
	}
	q.adapter = Net{Component: "IP-Adapter", Late: true, From: adapter, Graph: func(Size) (*engine.Graph, error) {
		return model.ImagePrompt(unet.config, q.facts, q.vision.Tokens)
	}}
	q.encoder = Net{Component: "image encoder", Late: true, From: encoder, Graph: func(Size) (*engine.Graph, error) {
		return model.CLIPVision(config, 1)
	}}
	for _, n := range []Net{q.adapter, q.encoder} {
		if old := p.residency.nets[n.name()]; old != nil {
			p.residency.evict(old)
		}
		p.residency.nets[n.name()] = &resident{Net: n}
	}
	p.prompter = q
	return nil
}

func (q *imagePrompter) fits() error {
	width := q.vision.Projected
	if q.facts.States {
		width = q.vision.Width
	}
	if q.facts.Width != width {
		return fmt.Errorf("it reads pictures of width %d, the image encoder makes %d", q.facts.Width, width)
	}
	return nil
}

// referring has the denoiser read pictures beside the words: Ye et al. 2023, as
// diffusers' pipelines do with one IP-Adapter and any number of pictures.
type referring struct {
	unchanged
	q      *imagePrompter
	images []*image.NRGBA
	weight float32
}

// mostReferences bounds the pictures of a request.
const mostReferences = 16

func newReferring(p *Pipeline, r Request) (mode, error) {
	if _, ok := p.kind.(following); ok || len(r.References) == 0 {
		return nil, nil
	}
	if p.prompter == nil {
		return nil, errors.New("references: there is no IP-Adapter to read them")
	}
	if len(r.References) > mostReferences {
		return nil, fmt.Errorf("references: %d pictures, at most %d", len(r.References), mostReferences)
	}
	if l := p.kind.Latent(r); l.Beside == l.Channels {
		return nil, errors.New("references: not with a model that changes pictures")
	}
	if !(math.Abs(float64(r.ReferenceWeight)) <= mostWeight) {
		return nil, fmt.Errorf("reference weight is %v: choose -%d to %d", r.ReferenceWeight, mostWeight, mostWeight)
	}
	for _, img := range r.References {
		if img == nil {
			return nil, errors.New("references: one has no picture")
		}
		if err := checkPicture("reference", img); err != nil {
			return nil, err
		}
	}
	return &referring{q: p.prompter, images: r.References, weight: r.ReferenceWeight}, nil
}

func (m *referring) begin(ctx context.Context, d *drawing) error {
	var read, unread []Inputs
	for _, img := range m.images {
		pixels := m.q.pixels(img)
		states, err := m.q.encode(ctx, d.p.residency, pixels)
		if err != nil {
			return err
		}
		none := engine.NewTensor(engine.F32, states.Shape...)
		if m.q.facts.States { // what the encoder makes of nothing is not nothing
			if none, err = m.q.encode(ctx, d.p.residency, engine.NewTensor(engine.F32, pixels.Shape...)); err != nil {
				return err
			}
		}
		for to, in := range map[*[]Inputs]engine.Tensor{&read: states, &unread: none} {
			out, err := d.p.residency.Run(ctx, m.q.adapter.name(), Size{Batch: 1}, Inputs{"image": in})
			if err != nil {
				return err
			}
			*to = append(*to, out)
		}
	}
	seen, unseen := m.joined(read), m.joined(unread)
	for i, r := range d.guide.rows {
		if r.Role == Negative || r.Role == Empty {
			maps.Copy(d.guide.rows[i].In, unseen)
		} else {
			maps.Copy(d.guide.rows[i].In, seen)
		}
	}
	for _, t := range seen {
		d.images = t.Shape[1]
	}
	return nil
}

// encode is what the adapter reads of pixels.
func (q *imagePrompter) encode(ctx context.Context, run Runner, pixels engine.Tensor) (engine.Tensor, error) {
	out, err := run.Run(ctx, q.encoder.name(), Size{Batch: 1}, Inputs{"image": pixels})
	if err != nil {
		return engine.Tensor{}, err
	}
	if q.facts.States {
		return out["states"], nil
	}
	return out["projected"], nil
}

// joined lays pictures' keys and values one after the other, the values scaled.
func (m *referring) joined(list []Inputs) Inputs {
	all := Inputs{}
	for name := range list[0] {
		t := list[0][name]
		for _, more := range list[1:] {
			t = below(t, more[name])
		}
		if name[len(name)-1] == 'v' {
			v := t.Float32s()
			for i := range v {
				v[i] *= m.weight
			}
			t = engine.FromFloat32s(v, t.Shape...)
		}
		all[name] = t
	}
	return all
}

// The mean and deviation of CLIP's pictures, by colour.
var (
	clipMean      = [3]float32{0.48145466, 0.4578275, 0.40821073}
	clipDeviation = [3]float32{0.26862954, 0.26130258, 0.27577711}
)

// pixels is a picture as CLIP's image processor makes it: its shorter side at
// the encoder's size by a bicubic filter, its middle, normalised.
func (q *imagePrompter) pixels(img *image.NRGBA) engine.Tensor {
	size, w, h := q.vision.Size, img.Rect.Dx(), img.Rect.Dy()
	if w < h {
		w, h = size, max(size, size*h/w)
	} else {
		w, h = max(size, size*w/h), size
	}
	img = resampleBy(bicubicFilter, opaque(img), w, h)
	left, top := (w-size)/2, (h-size)/2
	img = part(img, image.Rect(left, top, left+size, top+size))
	out := make([]float32, 0, 3*size*size)
	for i := 0; i < len(img.Pix); i += 4 {
		for c := range 3 {
			out = append(out, (float32(img.Pix[i+c])/255-clipMean[c])/clipDeviation[c])
		}
	}
	return engine.FromFloat32s(out, 1, size, size, 3)
}
