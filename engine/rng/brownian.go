package rng

import (
	"math"
	"strconv"
)

// Brownian is one path of a Brownian motion over noise levels, whose increments are a sampler's fresh noise: the same
// path whatever the steps, so that more of them refine a picture instead of changing it. It is torchsde's BrownianTree
// as k-diffusion and ComfyUI use it: halves of halves, each of whose noise comes from a seed of its own (numpy's
// SeedSequence) on torch's CPU generator.
type Brownian struct {
	seed     uint64
	from, to float64
	known    float64   // the place whose value is kept: a walk asks for each twice
	value    []float32 // of the motion there, from 0 at the least level
	other, w []float32
	noise    []float32
}

// NewBrownian is the path of a seed between two noise levels.
func NewBrownian(seed uint64, least, most float64) *Brownian {
	return &Brownian{seed: seed, from: round6(least), to: round6(most), known: math.NaN()}
}

// Increment fills out with the motion's way from a level to another, divided by the root of its length: standard
// normal numbers, as BrownianTreeNoiseSampler(from, to) gives them. The length of out is that of the first call.
func (b *Brownian) Increment(from, to float64, out []float32) {
	if len(b.value) != len(out) {
		b.value, b.other = make([]float32, len(out)), make([]float32, len(out))
		b.w, b.noise = make([]float32, len(out)), make([]float32, len(out))
		b.known = math.NaN()
	}
	if b.known != from {
		b.at(from, b.value)
	}
	b.at(to, b.other)
	scale := float32(1 / math.Sqrt(math.Abs(to-from)))
	for j := range out {
		out[j] = (b.other[j] - b.value[j]) * scale
	}
	b.value, b.other, b.known = b.other, b.value, to
}

// at fills out with the motion's value at level t. It goes down the tree: an interval's increment, split in the middle,
// is that of its left half, normal about its share, and the rest.
func (b *Brownian) at(t float64, out []float32) {
	t = min(max(round6(t), b.from), b.to)
	clear(out)
	start, end := b.from, b.to
	New(uint64(seedSequence(b.seed)[0])).Randn(b.w)
	scaleBy(b.w, math.Sqrt(end-start))
	for key, depth := uint64(0), uint64(0); t > start; depth++ {
		if t >= end {
			for j, v := range b.w {
				out[j] += v
			}
			return
		}
		middle := round6((start + end) / 2)
		if !(start < middle && middle < end) {
			return // finer than the tree is
		}
		New(uint64(seedSequence(b.seed, key, depth)[0])).Randn(b.noise)
		share, deviation := float32((middle-start)/(end-start)), float32(math.Sqrt((middle-start)*(end-middle)/(end-start)))
		key *= 2
		if t <= middle {
			end = middle
		} else {
			start, key = middle, key+1
		}
		for j, w := range b.w {
			left := share*w + deviation*b.noise[j]
			if end == middle {
				b.w[j] = left
			} else {
				b.w[j] = w - left
				out[j] += left
			}
		}
	}
}

func scaleBy(x []float32, c float64) {
	for j := range x {
		x[j] *= float32(c)
	}
}

// round6 is Python's round(x, 6), which torchsde cuts places with.
func round6(x float64) float64 {
	v, err := strconv.ParseFloat(strconv.FormatFloat(x, 'f', 6, 64), 64)
	if err != nil {
		return x
	}
	return v
}

// seedSequence is the first four words of numpy.random.SeedSequence(entropy, spawn_key=spawn, pool_size=24), O'Neill's
// seed_seq_fe.
func seedSequence(entropy uint64, spawn ...uint64) [4]uint32 {
	const pool = 24
	words := words32(entropy)
	if len(spawn) > 0 {
		words = append(words, make([]uint32, pool-len(words))...)
		for _, s := range spawn {
			words = append(words, words32(s)...)
		}
	}
	constant := uint32(0x43b0d7e5)
	hash := func(v uint32) uint32 {
		v ^= constant
		constant *= 0x931e8875
		v *= constant
		return v ^ v>>16
	}
	mix := func(x, y uint32) uint32 {
		v := 0xca01f9dd*x - 0x4973f715*y
		return v ^ v>>16
	}
	var mixed [pool]uint32
	for i := range mixed {
		if i < len(words) {
			mixed[i] = hash(words[i])
		} else {
			mixed[i] = hash(0)
		}
	}
	for i := range mixed {
		for j := range mixed {
			if i != j {
				mixed[j] = mix(mixed[j], hash(mixed[i]))
			}
		}
	}
	for i := pool; i < len(words); i++ {
		for j := range mixed {
			mixed[j] = mix(mixed[j], hash(words[i]))
		}
	}
	var out [4]uint32
	constant = 0x8b51f9dd
	for i := range out {
		v := mixed[i] ^ constant
		constant *= 0x58f38ded
		v *= constant
		out[i] = v ^ v>>16
	}
	return out
}

// words32 cuts a number into words, the low one first.
func words32(v uint64) []uint32 {
	if v>>32 == 0 {
		return []uint32{uint32(v)}
	}
	return []uint32{uint32(v), uint32(v >> 32)}
}
