package diffusion

import (
	"fmt"
	"io"
	"math"

	"wisp/engine"
)

// maxHost bounds a weight kept on the host, in numbers.
const maxHost = 1 << 16

// keep reads a weight that stays on the host.
func (n *resident) keep(name, dtype string, shape []int, fill func(io.WriterAt) error) error {
	d, err := engine.ParseDType(dtype)
	if err != nil || d == engine.I32 || len(shape) != 1 || shape[0] < 1 || shape[0] > maxHost {
		return fmt.Errorf("%w: weight %q is %s %v, want at most %d numbers", ErrBadModel, name, dtype, shape, maxHost)
	}
	t := engine.NewTensor(d, shape...)
	if err := fill(t); err != nil {
		return err
	}
	if n.host == nil {
		n.host = map[string][]float32{}
	}
	n.host[name] = t.Float32s()
	return nil
}

// batchNorm are the inputs of an autoencoder that follow from the moments of
// its batch norm, whose names are norm's: the mean, the deviation, and one over it.
func batchNorm(norm string, eps float32) (host []string, derive func(map[string][]float32, Inputs)) {
	mean, variance := norm+".running_mean", norm+".running_var"
	return []string{mean, variance}, func(w map[string][]float32, in Inputs) {
		std, reciprocal := make([]float32, len(w[variance])), make([]float32, len(w[variance]))
		for i, v := range w[variance] {
			std[i] = float32(math.Sqrt(float64(v + eps)))
			reciprocal[i] = 1 / std[i]
		}
		in["mean"] = engine.FromFloat32s(w[mean], len(w[mean]))
		in["std"] = engine.FromFloat32s(std, len(std))
		in["reciprocal"] = engine.FromFloat32s(reciprocal, len(reciprocal))
	}
}
