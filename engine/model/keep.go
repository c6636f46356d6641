package model

import "wisp/engine"

// The inputs of a UNet built [WithKept].
const (
	KeptWords  = "kept.words"  // (1, tokens, tokens)
	OwnWords   = "kept.own"    // (1, tokens, 1)
	KeptPixels = "kept.pixels" // (1, 1, 1)
)

// mostKept is the most pixels for which self-attention is kept, as in the
// published code.
const mostKept = 32 * 32

// WithKept has a row of the batch keep the attention of the last row, the
// drawing that is edited: Hertz et al. 2022, "Prompt-to-Prompt".
//
// Where the text is read, the row's result is A·(words·v) + B·(own·v): A the last
// row's attention, B its own, v its values. So words[s][t] is how much of what the
// last row's pixels give its token s goes to the row's token t: the identity for
// the same words, zeros for all that is not shared. own[t] is the share of the
// row's own attention. With KeptPixels 1, not 0, its self-attention is the last
// row's, too.
func WithKept(row int) UNetOption { return func(u *unet) { u.kept = row + 1 } }

// splice puts a row (1, …) into the place of another of x (b, …), not the last.
func splice(x, row *engine.Node, at int) *engine.Node {
	rest := engine.Slice(x, 0, at+1, x.Shape[0])
	if at == 0 {
		return engine.Concat(0, row, rest)
	}
	return engine.Concat(0, engine.Slice(x, 0, 0, at), row, rest)
}

// readWords is attention to the text.
func (u *unet) readWords(q, k, v *engine.Node, heads int) *engine.Node {
	if u.kept == 0 {
		return attend(q, k, v, heads, false)
	}
	row, last, t := u.kept-1, q.Shape[0]-1, k.Shape[1]
	of := func(x *engine.Node, i int) *engine.Node { return engine.Slice(x, 0, i, i+1) }
	words, own := u.g.Input(KeptWords, engine.F32, 1, t, t), u.g.Input(OwnWords, engine.F32, 1, t, 1)
	values := of(v, row)
	shared := attend(of(q, last), of(k, last), engine.MatMul(words, values, false), heads, false)
	h := attend(q, k, splice(v, engine.Mul(values, own), row), heads, false)
	return splice(h, engine.Add(of(h, row), shared), row)
}

// readPixels is self-attention.
func (u *unet) readPixels(q, k, v *engine.Node, heads int) *engine.Node {
	if u.kept == 0 || q.Shape[1] > mostKept {
		return attend(q, k, v, heads, false)
	}
	kept := u.g.Input(KeptPixels, engine.F32, 1, 1, 1)
	own, row, last := engine.Affine(kept, -1, 1), u.kept-1, q.Shape[0]-1
	mixed := func(x *engine.Node) *engine.Node {
		theirs, its := engine.Slice(x, 0, last, last+1), engine.Slice(x, 0, row, row+1)
		return splice(x, engine.Add(engine.Mul(theirs, kept), engine.Mul(its, own)), row)
	}
	return attend(mixed(q), mixed(k), v, heads, false)
}
