package model

import "math"

// TimestepEmbedding is the sinusoidal embedding of Vaswani et al. 2017 with
// base 10000, as diffusers' get_timestep_embedding computes it in f32: for
// each t, dim/2 sines, then dim/2 cosines, or the cosines first with
// flipSinToCos. An odd dim ends in a zero. The result is (len(t), dim).
func TimestepEmbedding(t []float32, dim int, flipSinToCos bool, freqShift float32) []float32 {
	half := dim / 2
	out := make([]float32, len(t)*dim)
	sines, cosines := 0, half
	if flipSinToCos {
		sines, cosines = half, 0
	}
	for i := range half {
		exponent := float32(-math.Log(10000)) * float32(i) / (float32(half) - freqShift)
		frequency := float32(math.Exp(float64(exponent)))
		for j, t := range t {
			angle := float64(t * frequency)
			out[j*dim+sines+i] = float32(math.Sin(angle))
			out[j*dim+cosines+i] = float32(math.Cos(angle))
		}
	}
	return out
}
