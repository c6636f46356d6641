package diffusion

import (
	"errors"

	"wisp/engine/model"
)

// sit is the SiTPipeline that SiT's checkpoints in diffusers' layout bring along:
// DiT as a flow. Ma et al. 2024.
type sit struct {
	*dit
	trained float32 // timesteps, of which noise has all
}

func newSiT(m Configs) (Kind, error) {
	k := &sit{}
	var err error
	if k.dit, err = readDiT(m, model.SiT); err != nil {
		return nil, err
	}
	s := struct {
		Trained float32 `json:"num_train_timesteps"`
		Random  bool    `json:"stochastic_sampling"`
	}{Trained: 1000}
	if err := parse(m, "scheduler", &s); err != nil {
		return nil, err
	}
	if s.Random {
		return nil, errors.New("scheduler config: stochastic_sampling is true, which the pipeline refuses")
	}
	k.trained = s.Trained
	return k, nil
}

func (k *sit) Defaults() Request {
	r := k.dit.Defaults()
	r.Steps = 250
	return r
}

func (k *sit) Inputs(_ Request, t float32) Inputs {
	return Inputs{"timestep_embedding": embedded(1 - t/k.trained)}
}
