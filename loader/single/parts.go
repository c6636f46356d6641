package single

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"wisp/loader/names"
	"wisp/loader/safetensors"
)

// role is what a part of a checkpoint is in a pipeline.
type role string

const (
	unet  role = "UNet"
	sd3   role = "MMDiT"
	flux  role = "FLUX transformer"
	vae   role = "VAE"
	clip  role = "CLIP text encoder"
	clipL role = "CLIP-L text encoder"
	clipG role = "OpenCLIP bigG text encoder"
	t5    role = "T5 text encoder"

	flux2  role = "FLUX.2 transformer"
	zImage role = "Z-Image transformer"
	qwen   role = "Qwen3 text encoder"
)

// denoises reports whether a pipeline has one such network.
func (r role) denoises() bool { return r == unet || r == sd3 || r == flux || r == flux2 || r == zImage }

// part is one network's tensors, under the names that diffusers and
// transformers give them.
type part struct {
	role role
	file string // that it is from
	from string // the prefix that it had there
	set  *safetensors.Set
}

// prefixes are what the programs that write whole checkpoints put before the
// names of each network: CompVis and Stability, kohya's scripts and ComfyUI.
// An empty role is for the names to tell.
var prefixes = []struct {
	prefix string
	role   role
}{
	{"model.diffusion_model.", ""},
	{"diffusion_model.", ""},
	{"first_stage_model.", vae},
	{"vae.", vae},
	{"cond_stage_model.transformer.", clip},
	{"cond_stage_model.model.", clip},
	{"conditioner.embedders.0.transformer.", clipL},
	{"conditioner.embedders.0.model.", clipG}, // the refiner's
	{"conditioner.embedders.1.model.", clipG},
	{"text_encoders.clip_l.transformer.", clipL},
	{"text_encoders.clip_g.transformer.", clipG},
	{"text_encoders.t5xxl.transformer.", t5},
	{"text_encoders.qwen3_4b.transformer.", qwen},
}

// parts finds the networks in a file, and names the tensors that belong to
// none.
func parts(file string, all *safetensors.Set) (found []part, left []string, err error) {
	byPrefix := map[string]int{} // how many have it
	for _, t := range all.Tensors {
		byPrefix[prefixOf(t.Name)]++
	}
	leave := func(prefix string) {
		for _, t := range all.Tensors {
			if prefixOf(t.Name) == prefix {
				left = append(left, t.Name)
			}
		}
	}
	leave(marked)
	delete(byPrefix, marked)
	bare := len(byPrefix) == 1 && byPrefix[""] > 0
	for _, p := range append(prefixes, struct {
		prefix string
		role   role
	}{}) {
		if byPrefix[p.prefix] == 0 {
			continue
		}
		if p.prefix == "" && !bare {
			leave("")
			continue
		}
		set, err := all.Map(func(t safetensors.Tensor) []safetensors.Tensor {
			if prefixOf(t.Name) != p.prefix {
				return nil
			}
			return names.As(t, strings.TrimPrefix(t.Name, p.prefix))
		})
		if err != nil {
			return nil, nil, err
		}
		one, rest, err := convert(p.role, set)
		if err != nil {
			return nil, nil, err
		}
		one.file, one.from = file, p.prefix
		found = append(found, one)
		for _, name := range rest {
			left = append(left, p.prefix+name)
		}
	}
	return found, left, nil
}

// markNames are tensors of no network that say how to draw.
var markNames = []string{"v_pred", "ztsnr", "edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_min"}

// marked is in place of a prefix for them.
const marked = "(marks)"

func prefixOf(name string) string {
	if slices.Contains(markNames, name) {
		return marked
	}
	for _, p := range prefixes {
		if strings.HasPrefix(name, p.prefix) {
			return p.prefix
		}
	}
	return ""
}

// convert gives a network's tensors their names in diffusers, and applies what
// changes their meaning. Rest names those of no use.
func convert(r role, set *safetensors.Set) (p part, rest []string, err error) {
	if r == "" {
		if r, err = roleOf(set); err != nil {
			return p, nil, err
		}
	}
	if set, err = unscaled(set); err != nil {
		return p, nil, err
	}
	with := map[role]func(*safetensors.Set) (*safetensors.Set, error){
		unet: convertUNet, sd3: convertSD3, flux: convertFLUX, vae: convertVAE, clip: convertCLIP, clipL: convertCLIP, clipG: convertCLIP, t5: convertT5,
		flux2: convertFLUX2, zImage: convertZImage, qwen: convertQwen,
	}[r]
	if has(set, "down_blocks.0.resnets.0.conv1.weight") || has(set, "transformer_blocks.0.attn.to_q.weight") ||
		has(set, "all_x_embedder.2-1.weight") {
		with = nil // they are diffusers'
	}
	p = part{role: r, set: set}
	if with == nil {
		return p, nil, nil
	}
	read := make(map[int64]bool, len(set.Tensors))
	if p.set, err = with(set); err != nil {
		return p, nil, err
	}
	for _, t := range p.set.Tensors {
		read[t.Begin] = true
	}
	for _, t := range set.Tensors {
		if !read[t.Begin] && t.Size > 0 {
			rest = append(rest, t.Name)
		}
	}
	return p, rest, nil
}

// signs are names by which a network without a prefix, or behind one that
// several kinds have, is known.
var signs = []struct {
	name string
	role role
}{
	{"input_blocks.0.0.weight", unet},
	{"down_blocks.0.resnets.0.conv1.weight", unet},
	{"joint_blocks.0.x_block.attn.qkv.weight", sd3},
	{"pos_embed.proj.weight", sd3},
	{"double_stream_modulation_img.lin.weight", flux2},
	{"double_stream_modulation_img.linear.weight", flux2},
	{"double_blocks.0.img_attn.norm.key_norm.scale", flux},
	{"single_transformer_blocks.0.proj_mlp.weight", flux},
	{"decoder.conv_in.weight", vae},
	{"text_model.embeddings.token_embedding.weight", clip},
	{"embeddings.token_embedding.weight", clip},
	{"positional_embedding", clip},
	{"encoder.block.0.layer.0.SelfAttention.q.weight", t5},
	{"enc.blk.0.attn_q.weight", t5},
	{zImageSign, zImage},
	{"blk.0.attn_q_norm.weight", qwen},
	{"model.layers.0.self_attn.q_norm.weight", qwen},
	{"layers.0.self_attn.q_norm.weight", qwen},
}

// zImageSign tells Z-Image's transformer from Lumina's.
const zImageSign = "cap_pad_token"

// roleOf tells what a network is, or why it is none.
func roleOf(set *safetensors.Set) (role, error) {
	if err := refuse(set); err != nil {
		return "", err
	}
	for _, s := range signs {
		if has(set, s.name) {
			return s.role, nil
		}
	}
	first := "nothing"
	if len(set.Tensors) > 0 {
		first = set.Tensors[0].Name
	}
	return "", fmt.Errorf("%w: its tensors begin with %q", ErrUnknown, first)
}

// unscaled applies the scales that ComfyUI keeps beside weights in f8, and
// takes away what says only how to compute with them. Scales that are no
// single number are refused, as is every other quantisation.
func unscaled(set *safetensors.Set) (*safetensors.Set, error) {
	scales := map[string]float32{} // by the weight's name
	aside := map[string]bool{}
	for _, t := range set.Tensors {
		stem, leaf := t.Name[:strings.LastIndex(t.Name, ".")+1], t.Name[strings.LastIndex(t.Name, ".")+1:]
		switch leaf {
		case "scale_weight", "weight_scale":
			v, err := scalar(set, t)
			if err != nil {
				return nil, err
			}
			scales[stem+"weight"], aside[t.Name] = v, true
		case "scale_input", "input_scale", "scaled_fp8":
			aside[t.Name] = true
		case "comfy_quant":
			if w, ok := find(set, stem+"weight"); !ok || !strings.HasPrefix(w.DType, "F8_") {
				return nil, fmt.Errorf("%w: the tensor %q tells of a quantisation that is not read: give the model in f16, bf16 or f8", ErrUnknown, t.Name)
			}
			aside[t.Name] = true
		case "absmax", "quant_map", "SCB", "weight_scale_2", "qweight", "qzeros":
			return nil, fmt.Errorf("%w: the tensor %q tells of a quantisation that is not read: give the model in f16, bf16 or f8", ErrUnknown, t.Name)
		}
	}
	if len(aside) == 0 {
		return set, nil
	}
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor {
		if aside[t.Name] {
			return nil
		}
		if v, ok := scales[t.Name]; ok {
			t.Scale = v
		}
		return []safetensors.Tensor{t}
	})
}

// scalar is the value of a tensor of one element.
func scalar(set *safetensors.Set, t safetensors.Tensor) (float32, error) {
	v, err := numbers(set, t, 1)
	if err == nil && (len(v) != 1 || v[0] != v[0] || math.IsInf(float64(v[0]), 0) || v[0] == 0) {
		err = fmt.Errorf("%w: the tensor %q is %v, not one number", ErrUnknown, t.Name, v)
	}
	if err != nil {
		return 0, err
	}
	return v[0], nil
}

// numbers reads a small tensor.
func numbers(set *safetensors.Set, t safetensors.Tensor, most int) ([]float32, error) {
	if t.Elems() > most {
		return nil, fmt.Errorf("%w: the tensor %q has %d values, %d are read", ErrUnknown, t.Name, t.Elems(), most)
	}
	r, err := set.Section(t)
	if err != nil {
		return nil, err
	}
	src := make([]byte, t.Size)
	if _, err := io.ReadFull(r, src); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	out := make([]float32, t.Elems())
	if t.DType == "I64" {
		for i := range out {
			out[i] = float32(int64(binary.LittleEndian.Uint64(src[8*i:])))
		}
		return out, nil
	}
	if err := safetensors.Float32s(out, src, t.DType); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	return out, nil
}
