package rng

import "math"

const (
	mtN       = 624
	mtM       = 397
	mtMatrixA = 0x9908b0df
)

// MT19937 is torch.Generator("cpu"): the Mersenne Twister of Matsumoto and Nishimura (1998) and, on top of it,
// torch's two ways of making normal numbers. It is not safe for concurrent use.
type MT19937 struct {
	state  [mtN]uint32
	next   int     // index of the next word of state; mtN: the state is used up
	cached float64 // the second half of the last Box-Muller pair of the short path
	full   bool    // whether cached holds one
}

// New returns the generator after torch's manual_seed(seed). As in torch only the low 32 bits count, so a
// negative Python seed is its two's complement.
func New(seed uint64) *MT19937 {
	g := &MT19937{next: mtN}
	g.state[0] = uint32(seed)
	for i := 1; i < mtN; i++ {
		prev := g.state[i-1]
		g.state[i] = 1812433253*(prev^prev>>30) + uint32(i)
	}
	return g
}

// Randn fills out with what torch.randn(len(out), generator=g) returns in float32. Like torch it takes the short
// path below 16 numbers and the block path from 16 on, and a short call may begin with the number left over
// from an earlier short call. Short calls agree with torch to the last bit or the one beside it. Long calls
// agree to 1e-6 absolute: torch itself answers differently from one CPU to the next (its AVX2 code has its own
// log, sin and cos), and this follows the plain code, which is the correctly rounded one.
func (g *MT19937) Randn(out []float32) {
	if len(out) < 16 {
		for i := range out {
			out[i] = float32(g.normal())
		}
		return
	}
	for i := range out {
		out[i] = g.uniform24()
	}
	for i := 0; i+16 <= len(out); i += 16 {
		boxMuller16(out[i : i+16])
	}
	if len(out)%16 != 0 { // the last 16 are drawn afresh, over numbers that are already normal
		tail := out[len(out)-16:]
		for i := range tail {
			tail[i] = g.uniform24()
		}
		boxMuller16(tail)
	}
}

// boxMuller16 turns 16 uniforms in [0, 1) into normals: the first eight are radii, the last eight angles. It
// rounds to float32 where torch does.
func boxMuller16(x []float32) {
	for j := range 8 {
		log := float32(math.Log(float64(1 - x[j])))
		radius := float32(math.Sqrt(float64(-2 * log)))
		theta := 2 * math.Pi * x[j+8]
		sin, cos := math.Sincos(float64(theta))
		x[j] = radius * float32(cos)
		x[j+8] = radius * float32(sin)
	}
}

// normal draws one number by Box-Muller in double precision and keeps the pair's other half for the next call.
func (g *MT19937) normal() float64 {
	if g.full {
		g.full = false
		return g.cached
	}
	u1, u2 := g.uniform53(), g.uniform53()
	r := math.Sqrt(-2 * math.Log1p(-u2))
	sin, cos := math.Sincos(2 * math.Pi * u1)
	g.cached, g.full = r*sin, true
	return r * cos
}

// uniform24 is in [0, 1) with 24 random bits, from one word.
func (g *MT19937) uniform24() float32 { return float32(g.word()&(1<<24-1)) / (1 << 24) }

// uniform53 is in [0, 1) with 53 random bits, from two words, the high one first.
func (g *MT19937) uniform53() float64 {
	hi := uint64(g.word())
	return float64((hi<<32|uint64(g.word()))&(1<<53-1)) / (1 << 53)
}

// word returns the next tempered 32-bit output.
func (g *MT19937) word() uint32 {
	if g.next == mtN {
		g.twist()
	}
	y := g.state[g.next]
	g.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// twist makes the next mtN words of state.
func (g *MT19937) twist() {
	for i := range mtN {
		y := g.state[i]&(1<<31) | g.state[(i+1)%mtN]&(1<<31-1)
		next := g.state[(i+mtM)%mtN] ^ y>>1
		if y&1 != 0 {
			next ^= mtMatrixA
		}
		g.state[i] = next
	}
	g.next = 0
}
