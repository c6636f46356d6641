package diffusion

import (
	"context"
	"errors"
	"fmt"

	"wisp/engine"
	"wisp/engine/model"
)

// hunyuan is diffusers' HunyuanDiTPipeline: BERT and mT5 side by side and a
// transformer that reads Chinese and English. Li et al. 2024. Pictures are drawn
// at the size asked for, as with use_resolution_binning False.
type hunyuan struct {
	text        bertText
	t5          *t5Text
	transformer transformer
	vae         decoder
}

func newHunyuan(m Configs) (Kind, error) {
	k := &hunyuan{}
	var err error
	if k.transformer, err = newTransformer(m, func(config []byte, batch, h, w, _ int) (*engine.Graph, error) {
		return model.HunyuanDiT(config, batch, h, w)
	}); err != nil {
		return nil, err
	}
	f := k.transformer.facts
	if k.text, err = newBERT(m, f.Tokens); err != nil {
		return nil, err
	}
	if k.t5, err = newT5(m, "_2", f.TokensT5, true); err != nil {
		return nil, err
	}
	if k.vae, err = newDecoder(m, "vae"); err != nil {
		return nil, err
	}
	switch {
	case k.t5 == nil:
		return nil, errors.New("the model has no text_encoder_2")
	case k.text.facts.Width != f.Context:
		return nil, fmt.Errorf("text_encoder makes states of width %d, transformer takes %d", k.text.facts.Width, f.Context)
	case k.t5.facts.Width != f.ContextT5:
		return nil, fmt.Errorf("text_encoder_2 makes states of width %d, transformer takes %d", k.t5.facts.Width, f.ContextT5)
	case f.Out != 2*f.In:
		return nil, errors.New("transformer: learn_sigma is false, which this pipeline does not draw")
	}
	return k, k.vae.takes(f.In)
}

func (k *hunyuan) Nets() []Net {
	net := k.transformer.net(k, k.text.tokens)
	net.Fixed = append(net.Fixed, "context_t5", "mask_t5")
	return []Net{k.text.net(), k.t5.net(), net, k.vae.net(), k.vae.encoder()}
}

func (k *hunyuan) Open(m Model) error {
	if err := k.text.open(m); err != nil {
		return err
	}
	return k.t5.open(m)
}

func (k *hunyuan) Defaults() Request {
	r := k.transformer.defaults(k.vae, 128)
	r.Steps, r.Guidance = 50, 5
	return r
}

func (k *hunyuan) Fields() Fields { return k.transformer.fields(k.vae) }

func (k *hunyuan) Latent(r Request) Latent { return k.vae.latent(r) }

func (k *hunyuan) Guided(r Request) bool { return r.Guidance > 1 }

func (k *hunyuan) Encode(ctx context.Context, run Runner, p Prompt) (Conditioning, error) {
	hidden, mask, _, err := k.text.encode(ctx, run, p.Text)
	if err != nil {
		return Conditioning{}, err
	}
	long, longMask, truncated, err := k.t5.encode(ctx, run, p.Text)
	in := Inputs{"context": hidden, "mask": mask, "context_t5": long, "mask_t5": longMask}
	if k.transformer.facts.Sized { // original size, target size, corner of the crop
		sizes := model.TimestepEmbedding256(1024, 1024, float32(p.Height), float32(p.Width), 0, 0)
		in["size_embedding"] = engine.FromFloat32s(sizes, 1, len(sizes))
	}
	return Conditioning{in, truncated}, err
}

func (k *hunyuan) Inputs(_ Request, t float32) Inputs {
	return Inputs{"timestep_embedding": embedded(t)}
}

func (k *hunyuan) Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	return k.vae.posterior(ctx, run, r, rgb)
}

func (k *hunyuan) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	return k.vae.decode(ctx, run, r, x)
}
