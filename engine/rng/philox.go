package rng

import "math"

// Philox is torch.Generator("cuda") as torch.randn uses it: Philox4x32-10 (Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3", 2011), a counter-based generator. AUTOMATIC1111 draws its noise this way.
type Philox struct {
	key  [2]uint32
	call uint32 // torch.randn calls made so far
}

// NewPhilox returns the generator after torch.cuda.manual_seed(seed). All 64 bits count.
func NewPhilox(seed uint64) *Philox { return &Philox{key: [2]uint32{uint32(seed), uint32(seed >> 32)}} }

// Randn fills out with what torch.randn(len(out), device="cuda") returns, as long as the GPU has a thread for
// every element (a few hundred thousand on current ones; a latent is far below). Element i is thread i: the
// counter is (call, 0, i, 0), and of the four words the first two make one normal. Agreement with the GPU is
// to 1e-5 absolute, since its log and sin are not correctly rounded either.
func (g *Philox) Randn(out []float32) {
	for i := range out {
		w := philox4x32([4]uint32{g.call, 0, uint32(i), uint32(uint64(i) >> 32)}, g.key)
		out[i] = boxMullerPhilox(w[0], w[1])
	}
	g.call++
}

// boxMullerPhilox is the first of cuRAND's two Box-Muller outputs: sqrt(-2 ln u) sin(v), with u in (0, 1] and v
// in (0, 2 pi] rounded to float32 as cuRAND's fused multiply-add does.
func boxMullerPhilox(x, y uint32) float32 {
	const inv = 1.0 / (1 << 32)
	inv2pi := float64(float32(inv * 2 * math.Pi))
	u := float32(float64(float32(x))*inv + inv/2)
	v := float32(float64(float32(y))*inv2pi + inv2pi/2)
	return float32(math.Sqrt(-2*math.Log(float64(u))) * math.Sin(float64(v)))
}

// philox4x32 is the ten-round block function.
func philox4x32(c [4]uint32, k [2]uint32) [4]uint32 {
	for range 10 {
		p0 := uint64(c[0]) * 0xd2511f53
		p1 := uint64(c[2]) * 0xcd9e8d57
		c = [4]uint32{uint32(p1>>32) ^ c[1] ^ k[0], uint32(p1), uint32(p0>>32) ^ c[3] ^ k[1], uint32(p0)}
		k[0] += 0x9e3779b9
		k[1] += 0xbb67ae85
	}
	return c
}
