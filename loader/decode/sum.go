package decode

import (
	"encoding/binary"
	"math/bits"

	"wisp/wasm/emit"
)

// sumPrime is the multiplier of Sum: 2^64 over the golden ratio.
const sumPrime = 0x9e3779b97f4a7c15

func signed(x uint64) emit.Long { return emit.LNum(int64(x)) }

// emitSum adds sum(src, n, out); see [Module].
func (e *emitter) emitSum() *emit.Func {
	f := e.m.NewFunc(params(3))
	f.StoreL(f.Param(2), 0, sum(f, f.Param(0), f.Param(1)))
	return f
}

// SumModule returns a module that sums bytes where they lie, in any memory,
// shared or not, of which it takes nothing for itself. It imports "env.memory"
// and exports sum(src, n), whose result is the low half of [Sum] of n bytes at
// src, and high(), the high half of the last one.
func SumModule(shared bool) []byte {
	m := &emit.Module{Shared: shared}
	f := m.NewFunc(params(2), emit.I32)
	h := f.LetL(sum(f, f.Param(0), f.Param(1)))
	f.SetScratch(h.Shr(emit.LNum(32)).Low())
	f.Result(h.Low())
	m.Export("sum", f)
	high := m.NewFunc(nil, emit.I32)
	high.Result(emit.Scratch())
	m.Export("high", high)
	return m.Bytes()
}

// sum emits what computes [Sum] of n bytes at src; it uses both up.
func sum(f *emit.Func, src, n emit.Int) emit.Long {
	h := []emit.Long{f.LetL(n.Long()), f.LetL(signed(sumPrime)), f.LetL(emit.LNum(1)), f.LetL(emit.LNum(sumPrime >> 1))}
	mix := func(x emit.Long) emit.Long { return x.Rotl(emit.LNum(29)).Mul(signed(sumPrime)) }
	end := f.Let(src.Add(n))
	stop := f.Let(src.Add(n.And(emit.Num(^31))))
	f.While(src.Ne(stop), func() {
		for i, h := range h {
			f.SetL(h, mix(h.Xor(src.LoadL(8*i))))
		}
		f.Set(src, src.Plus(32))
	})
	f.While(src.Ne(end), func() {
		f.SetL(h[0], mix(h[0].Xor(src.LoadL8(0))))
		f.Set(src, src.Plus(1))
	})
	for _, x := range h[1:] {
		f.SetL(h[0], mix(h[0].Xor(h[0].Shr(emit.LNum(32))).Xor(x)))
	}
	return h[0].Xor(h[0].Shr(emit.LNum(31)))
}

// The primes of XXH64 (the xxHash specification, revision 0.2.0).
const (
	prime1 = 0x9e3779b185ebca87
	prime2 = 0xc2b2ae3d27d4eb4f
	prime3 = 0x165667b19e3779f9
	prime4 = 0x85ebca77c2b2ae63
	prime5 = 0x27d4eb2f165667c5
)

// emitHash adds hash(src, n): the low half of XXH64 with seed 0, the checksum
// of frames.
func (e *emitter) emitHash() *emit.Func {
	f := e.m.NewFunc(params(2), emit.I32)
	src, n := f.Param(0), f.Param(1)
	rotl := func(x emit.Long, n int64) emit.Long { return x.Rotl(emit.LNum(n)) }
	round := func(acc, x emit.Long) emit.Long { return rotl(acc.Add(x.Mul(signed(prime2))), 31).Mul(signed(prime1)) }
	h, total := f.LetL(signed(prime5)), f.LetL(n.Long())
	f.When(n.Above(emit.Num(31)), func() {
		p1, p2 := uint64(prime1), uint64(prime2)
		v := []emit.Long{f.LetL(signed(p1 + p2)), f.LetL(signed(p2)), f.LetL(emit.LNum(0)), f.LetL(signed(-p1))}
		f.While(n.Above(emit.Num(31)), func() {
			for i, v := range v {
				f.SetL(v, round(v, src.LoadL(8*i)))
			}
			f.Set(src, src.Plus(32))
			f.Set(n, n.Plus(-32))
		})
		f.SetL(h, rotl(v[0], 1).Add(rotl(v[1], 7)).Add(rotl(v[2], 12)).Add(rotl(v[3], 18)))
		for _, v := range v {
			f.SetL(h, h.Xor(round(emit.LNum(0), v)).Mul(signed(prime1)).Add(signed(prime4)))
		}
	})
	f.SetL(h, h.Add(total))
	step := func(size int, load func() emit.Long, rotate int64, times, plus uint64) {
		f.While(n.Above(emit.Num(size-1)), func() {
			f.SetL(h, rotl(h.Xor(load()), rotate).Mul(signed(times)).Add(signed(plus)))
			f.Set(src, src.Plus(size))
			f.Set(n, n.Plus(-size))
		})
	}
	step(8, func() emit.Long { return round(emit.LNum(0), src.LoadL(0)) }, 27, prime1, prime4)
	step(4, func() emit.Long { return src.LoadL32(0).Mul(signed(prime1)) }, 23, prime2, prime3)
	step(1, func() emit.Long { return src.LoadL8(0).Mul(signed(prime5)) }, 11, prime1, 0)
	f.SetL(h, h.Xor(h.Shr(emit.LNum(33))).Mul(signed(prime2)))
	f.SetL(h, h.Xor(h.Shr(emit.LNum(29))).Mul(signed(prime3)))
	f.Result(h.Xor(h.Shr(emit.LNum(32))).Low())
	return f
}

// Sum is a fast sum against bit rot and torn writes, four multiplicative lanes
// of 64 bits: what the module's sum computes. It is no defence against anyone.
func Sum(b []byte) uint64 {
	const p = sumPrime
	le := binary.LittleEndian
	h0, h1, h2, h3 := uint64(len(b)), uint64(p), uint64(1), uint64(p>>1)
	for ; len(b) >= 32; b = b[32:] {
		q := b[:32]
		h0 = bits.RotateLeft64(h0^le.Uint64(q), 29) * p
		h1 = bits.RotateLeft64(h1^le.Uint64(q[8:]), 29) * p
		h2 = bits.RotateLeft64(h2^le.Uint64(q[16:]), 29) * p
		h3 = bits.RotateLeft64(h3^le.Uint64(q[24:]), 29) * p
	}
	for _, c := range b {
		h0 = bits.RotateLeft64(h0^uint64(c), 29) * p
	}
	for _, h := range []uint64{h1, h2, h3} {
		h0 = bits.RotateLeft64(h0^h0>>32^h, 29) * p
	}
	return h0 ^ h0>>31
}
