package pack

import (
	"strings"

	"wisp/loader/quant"
	"wisp/loader/safetensors"
)

// Policy is the dtype in which a tensor is packed. Quant "f32" keeps the
// checkpoint's type. "f16" halves f32 and leaves bf16 alone, which already is
// two bytes and would lose range. "q8" and "q4" quantise matrices and
// convolutions of at least 32 weights a row, but leave as in "f16" what is
// small and sensitive:
//   - vectors: biases and norms;
//   - the first and last convolutions, which touch pixels or latents and are
//     known by an end of at most 16 channels;
//   - position embeddings, and the patch embedding and output projection of
//     transformers.
//
// Random frequencies of a time stay f32: their products are angles of many turns.
//
// F8 inputs become f16, which holds them exactly, and what is scaled f16 or f32;
// integers become i32. GGUF's Q8_0 and Q4_0 are q8 and q4 bit for bit and stay
// so, but where less is asked for than Q8_0 has; its other types are values
// like any, exact in "f32".
//
// "ternary" is q2 for the layers of a network that denoises, where they have a block of
// weights a row or more, and q4 for what else q4 quantises: text encoders and
// embeddings do not stand it.
func Policy(quantisation string, denoises bool, t safetensors.Tensor) string {
	switch t.DType {
	case "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL":
		return "i32"
	}
	if quantisable(t) {
		kept := keeps(t)
		if quantisation == "ternary" && denoises && len(t.Shape) == 2 && t.Shape[1] >= quant.BlockOf(2) {
			return "q2"
		}
		switch quantisation {
		case "q8", "f16", "f32":
			if kept != "" {
				return kept
			}
		case "ternary":
			quantisation = "q4"
		}
		if bitsOf[quantisation] > 0 {
			return quantisation
		}
	}
	switch {
	case t.DType == "BF16" && t.Scale == 0:
		return "bf16"
	case strings.HasSuffix(t.Name, "time_proj.weight") && t.DType == "F32":
		return "f32"
	case quantisation == "f32" && wide(t):
		return "f32"
	}
	return "f16"
}

// bitsOf are those of the quantised types.
var bitsOf = map[string]int{"q8": 8, "q4": 4, "q2": 2}

// denoises reports whether a component is a network of diffusers' that draws:
// no text encoder, and no autoencoder.
func (p *packer) denoises(component string) bool {
	c := p.man.Components[component]
	return c.Library == "diffusers" && !strings.HasPrefix(c.Class, "Autoencoder") && !strings.HasPrefix(c.Class, "VQ")
}

// policy is [Policy], or what was chosen for "auto".
func (p *packer) policy(component string, t safetensors.Tensor) string {
	if dtype := p.opts.chosen[component+"/"+t.Name]; dtype != "" {
		return dtype
	}
	if p.opts.Quant == "auto" {
		return Policy("f16", false, t)
	}
	return Policy(p.opts.Quant, p.denoises(component), t)
}

// wide reports whether f16 does not hold every value of a tensor's type.
func wide(t safetensors.Tensor) bool {
	elems, _ := safetensors.Block(t.DType)
	return t.DType == "F32" || t.DType == "F64" || t.Scale != 0 || elems > 1
}

func quantisable(t safetensors.Tensor) bool {
	if len(t.Shape) < 2 || t.Shape[0] == 0 || t.Elems()/t.Shape[0] < quant.Block {
		return false
	}
	if len(t.Shape) == 4 && min(t.Shape[0], t.Shape[1]) <= 16 {
		return false
	}
	if strings.Contains(t.Name, "norm") || strings.Contains(t.Name, "position_embedding") {
		return false
	}
	switch strings.TrimSuffix(t.Name, ".weight") {
	case "conv_in", "conv_out", "x_embedder", "pos_embed", "pos_embed.proj", "pos_embed.pos_embed", "proj_out":
		return false
	}
	return true
}

// keeps is the dtype in which the blocks of a quantised tensor are as they are
// in the file, "" where there is none.
func keeps(t safetensors.Tensor) string {
	if len(t.Shape) < 2 || t.Shape[0] == 0 || t.Elems()/t.Shape[0]%quant.Block != 0 || t.Scale != 0 {
		return ""
	}
	return map[string]string{"Q8_0": "q8", "Q4_0": "q4"}[t.DType]
}

// planes is the number of byte planes of a dtype, 1 for none.
func planes(dtype string) int {
	return max(1, map[string]int{"f32": 4, "f16": 2, "bf16": 2}[dtype])
}

// Bytes is the size of a tensor packed in "f32", "f16", "q8" or "q4".
func Bytes(quantisation string, t safetensors.Tensor) int64 {
	return packedBytes(t, Policy(quantisation, false, t))
}

// packedBytes is the size of a tensor in the dtype it is packed in.
func packedBytes(t safetensors.Tensor, dtype string) int64 {
	if bits := bitsOf[dtype]; bits > 0 {
		return int64(t.Shape[0]) * int64(quant.RowBytes(bits, t.Elems()/t.Shape[0]))
	}
	if planes(dtype) == 2 {
		return 2 * int64(t.Elems())
	}
	return 4 * int64(t.Elems())
}
