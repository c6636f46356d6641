package diffusion

import (
	"context"

	"wisp/engine"
	"wisp/engine/model"
)

// scoreSDE is diffusers' ScoreSdeVePipeline: the score of pictures from 0 to 1
// under noise of any level, whose logarithm is embedded by random frequencies.
// Song et al. 2021. The pipeline takes 2000 steps by default.
type scoreSDE struct{ unconditional }

func newScoreSDE(m Configs) (Kind, error) {
	k := &scoreSDE{unconditional{steps: 1000, time: "fourier"}}
	if err := k.read(m); err != nil {
		return nil, err
	}
	return k, k.fits()
}

func (k *scoreSDE) Nets() []Net {
	const frequencies = "time_proj.weight"
	nets := k.unconditional.Nets()
	nets[0].Host = []string{frequencies}
	nets[0].Derive = func(host map[string][]float32, in Inputs) {
		embedding := model.FourierEmbedding(in["level"].Float32s(), host[frequencies])
		in["timestep_embedding"] = engine.FromFloat32s(embedding, 1, len(embedding))
		delete(in, "level")
	}
	return nets
}

func (k *scoreSDE) Inputs(_ Request, level float32) Inputs {
	return Inputs{"level": engine.FromFloat32s([]float32{level}, 1), "reciprocal": engine.FromFloat32s([]float32{1 / level}, 1)}
}

func (k *scoreSDE) Posterior(_ context.Context, _ Runner, _ Request, rgb []float32) (posterior, error) {
	x := make([]float32, len(rgb))
	for i, v := range rgb {
		x[i] = v/2 + 0.5
	}
	return posterior{mean: x}, nil
}

func (k *scoreSDE) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	signed := make([]float32, len(x))
	for i, v := range x {
		signed[i] = 2*v - 1
	}
	return k.unconditional.Decode(ctx, run, r, signed)
}
