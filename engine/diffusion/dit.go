package diffusion

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"wisp/engine"
	"wisp/engine/model"
)

// dit is diffusers' DiTPipeline: a transformer that draws a class. Peebles & Xie
// 2022. A prompt, where there is one, is a class's name.
type dit struct {
	transformer transformer
	vae         decoder
	labels      map[string]int // classes by lower-case name
}

func newDiT(m Configs) (Kind, error) { return readDiT(m, model.DiT) }

// readDiT reads a pipeline whose transformer draws classes.
func readDiT(m Configs, graph func(config []byte, batch, h, w int) (*engine.Graph, error)) (*dit, error) {
	k := &dit{labels: map[string]int{}}
	var err error
	if k.transformer, err = newTransformer(m, func(config []byte, batch, h, w, _ int) (*engine.Graph, error) {
		return graph(config, batch, h, w)
	}); err != nil {
		return nil, err
	}
	if k.vae, err = newDecoder(m, "vae"); err != nil {
		return nil, err
	}
	var index struct {
		Labels map[string]string `json:"id2label"` // "7" to "cock, rooster"
	}
	if err := parse(m, "model_index", &index); err != nil {
		return nil, err
	}
	for id, names := range index.Labels {
		n, err := strconv.Atoi(id)
		if err != nil || n < 0 || n >= k.classes() {
			return nil, fmt.Errorf("model_index.json: id2label: %.40q is no class", id)
		}
		for name := range strings.SplitSeq(names, ",") {
			k.labels[strings.ToLower(strings.TrimSpace(name))] = n
		}
	}
	return k, k.vae.takes(k.transformer.facts.In)
}

// classes is how many there are beside the last, which is none.
func (k *dit) classes() int { return k.transformer.facts.Classes - 1 }

func (k *dit) Nets() []Net { return []Net{k.transformer.net(k, 0), k.vae.net(), k.vae.encoder()} }

func (k *dit) Open(Model) error { return nil }

func (k *dit) Defaults() Request {
	r := k.transformer.defaults(k.vae, 32)
	r.Steps, r.Guidance = 25, 4
	return r
}

func (k *dit) Fields() Fields {
	f := k.transformer.fields(k.vae)
	f.Prompt, f.NegativePrompt, f.Classes, f.Labels = false, false, k.classes(), len(k.labels) > 0
	return f
}

func (k *dit) Latent(r Request) Latent { return k.vae.latent(r) }

func (k *dit) Guided(r Request) bool { return r.Guidance > 1 }

func (k *dit) Encode(_ context.Context, _ Runner, p Prompt) (Conditioning, error) {
	class := p.Class
	switch name := strings.ToLower(strings.TrimSpace(p.Text)); {
	case p.Negative:
		class = k.classes()
	case name != "":
		var ok bool
		if class, ok = k.labels[name]; !ok {
			return Conditioning{}, badRequest(fmt.Errorf("prompt: this model has no class %.60q", p.Text))
		}
	}
	return Conditioning{Inputs: Inputs{"class_labels": engine.FromInt32s([]int32{int32(class)}, 1)}}, nil
}

func (k *dit) Inputs(_ Request, t float32) Inputs {
	embedding := model.TimestepEmbedding([]float32{t}, 256, true, 1)
	return Inputs{"timestep_embedding": engine.FromFloat32s(embedding, 1, 256)}
}

func (k *dit) Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	return k.vae.posterior(ctx, run, r, rgb)
}

func (k *dit) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	return k.vae.decode(ctx, run, r, x)
}
