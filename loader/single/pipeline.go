package single

import (
	"fmt"
	"math"
	"strings"

	"wisp/loader/safetensors"
)

// pipeline is a kind of pipeline with what its networks' shapes leave open.
type pipeline struct {
	what       string // for people
	notes      []string
	components []component
	tokenizers map[string]string // folder of CLIP's, and the token that it pads with
	t5         string            // folder of T5's
	words      string            // folder of a language model's
	scheduler  map[string]any
	index      map[string]any
}

// component is one network of it.
type component struct {
	name, library, class string
	role, or             role // or another that may take its place
	optional             bool
	identity             bool // a text encoder's projection is the identity
	config               func(*safetensors.Set) map[string]any
}

// mark is a tensor of no network: some of them say how to draw.
type mark struct {
	set    *safetensors.Set
	tensor safetensors.Tensor
}

// marks are those of all files, by name.
type marks map[string]mark

func (m marks) has(name string) bool { _, ok := m[name]; return ok }

// values reads one of them.
func (m marks) values(name string, most int) ([]float32, error) {
	return numbers(m[name].set, m[name].tensor, most)
}

// pipelineOf tells the kind of pipeline.
func pipelineOf(found map[role]part, marks marks) (*pipeline, error) {
	switch {
	case found[unet].set != nil:
		return unetPipeline(found, marks)
	case found[sd3].set != nil:
		return sd3Pipeline(found[sd3]), nil
	case found[flux].set != nil:
		return fluxPipeline(found[flux]), nil
	case found[flux2].set != nil:
		return flux2Pipeline(found[flux2]), nil
	case found[zImage].set != nil:
		return zImagePipeline(found[zImage]), nil
	}
	for r, p := range found {
		return nil, fmt.Errorf("%w: %s is a %s alone: give the file with the denoiser (a UNet or a transformer) too", ErrMissing, p.file, r)
	}
	return nil, ErrMissing
}

// unetPipeline is Stable Diffusion 1, 2 or XL: XL's UNet takes sizes and a
// pooled text besides, and 2's has linear layers around its attentions where
// 1's has convolutions.
func unetPipeline(found map[role]part, marks marks) (*pipeline, error) {
	u := found[unet]
	added := dim(u.set, "add_embedding.linear_1.weight", 1)
	if added == 0 && dim(u.set, "conv_in.weight", 1) == 7 || has(u.set, "class_embedding.weight") {
		return nil, fmt.Errorf("%w: it is an upscaler", ErrUnknown)
	}
	linear := false
	for _, t := range u.set.Tensors {
		linear = linear || strings.HasSuffix(t.Name, ".proj_in.weight") && len(t.Shape) == 2
	}
	var pl *pipeline
	var err error
	switch {
	case added > 0:
		pl, err = xlPipeline(found, marks, added)
	default:
		pl, err = classicPipeline(found, linear)
	}
	if err != nil {
		return nil, err
	}
	if marks.has("v_pred") {
		pl.predictsVelocity("v_pred")
	}
	if marks.has("ztsnr") {
		pl.scheduler["rescale_betas_zero_snr"], pl.scheduler["timestep_spacing"] = true, "trailing"
		pl.notes = append(pl.notes, `the tensor "ztsnr" says that its schedule ends in pure noise`)
	}
	switch in := dim(u.set, "conv_in.weight", 1); in {
	case 4:
	case 8:
		pl.rename("InstructPix2Pix", "an edit by instruction")
	case 9:
		pl.rename("Inpaint", "inpainting")
	case 5:
		pl.rename("Depth2Img", "with depth")
	default:
		return nil, fmt.Errorf("%w: a UNet of %d channels", ErrUnknown, in)
	}
	return pl, nil
}

// rename makes another pipeline of the same networks.
func (pl *pipeline) rename(kind, what string) {
	class := strings.TrimSuffix(pl.index["_class_name"].(string), "Pipeline")
	pl.index["_class_name"] = class + kind + "Pipeline"
	pl.what += ", " + what
}

// predictsVelocity notes that the network predicts v, and why that is so.
func (pl *pipeline) predictsVelocity(mark string) {
	pl.scheduler["prediction_type"] = "v_prediction"
	pl.notes = append(pl.notes, fmt.Sprintf("the tensor %q says that it predicts v", mark))
}

// discrete is the noise schedule of Stable Diffusion.
func discrete(class string) map[string]any {
	return map[string]any{"_class_name": class, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
		"num_train_timesteps": 1000, "steps_offset": 1, "prediction_type": "epsilon", "timestep_spacing": "leading", "trained_betas": nil}
}

func classicPipeline(found map[role]part, linear bool) (*pipeline, error) {
	pl := &pipeline{what: "Stable Diffusion 1", scheduler: discrete("PNDMScheduler"), tokenizers: map[string]string{"tokenizer": "<|endoftext|>"},
		index: map[string]any{"_class_name": "StableDiffusionPipeline", "requires_safety_checker": false}}
	pl.scheduler["skip_prk_steps"], pl.scheduler["set_alpha_to_one"] = true, false
	size := 64
	if linear {
		pl.what, pl.tokenizers["tokenizer"] = "Stable Diffusion 2", "!"
		velocity, err := looksVelocity(found[unet].set)
		if err != nil {
			return nil, err
		}
		if velocity {
			size = 96
			pl.predictsVelocity(velocitySign)
		}
	}
	pl.components = []component{
		{name: "text_encoder", library: "transformers", class: "CLIPTextModel", role: clip, or: clipL, config: func(s *safetensors.Set) map[string]any { return clipConfig(s, linear, false) }},
		{name: "unet", library: "diffusers", class: "UNet2DConditionModel", role: unet, config: func(s *safetensors.Set) map[string]any { return unetConfig(s, size) }},
		{name: "vae", library: "diffusers", class: "AutoencoderKL", role: vae, config: func(s *safetensors.Set) map[string]any { return vaeConfig(s, 0.18215, 0, 8*size) }},
	}
	return pl, nil
}

// velocitySign is the tensor by which the two kinds of Stable Diffusion 2 are
// told apart, which no name or shape does.
const velocitySign = "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias"

// looksVelocity tells as ComfyUI does whether a UNet of Stable Diffusion 2
// predicts v: the deviation of that bias is above 0.09.
func looksVelocity(set *safetensors.Set) (bool, error) {
	t, ok := find(set, velocitySign)
	if !ok {
		return false, nil
	}
	v, err := numbers(set, t, 1<<16)
	if err != nil {
		return false, err
	}
	var sum, squares float64
	for _, x := range v {
		sum += float64(x)
		squares += float64(x) * float64(x)
	}
	n := max(1, float64(len(v)))
	return math.Sqrt(max(0, squares/n-sum/n*sum/n)) > 0.09, nil
}

func xlPipeline(found map[role]part, marks marks, added int) (*pipeline, error) {
	pl := &pipeline{what: "Stable Diffusion XL", scheduler: discrete("EulerDiscreteScheduler"), tokenizers: map[string]string{"tokenizer": "<|endoftext|>", "tokenizer_2": "!"},
		index: map[string]any{"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": true, "add_watermarker": false}}
	pl.scheduler["interpolation_type"], pl.scheduler["use_karras_sigmas"] = "linear", false
	factor, means, err := 0.13025, [][]float32(nil), error(nil)
	if marks.has("edm_mean") && marks.has("edm_std") || marks.has("edm_vpred.sigma_max") {
		if pl.scheduler, means, err = edm(marks); err != nil {
			return nil, err
		}
		pl.what = "Stable Diffusion XL in the formulation of EDM"
		if means != nil {
			factor, pl.what = 0.5, "Playground v2.5"
		}
	}
	first := component{name: "text_encoder", library: "transformers", class: "CLIPTextModel", role: clipL, or: clip, config: func(s *safetensors.Set) map[string]any { return clipConfig(s, false, false) }}
	pl.components = []component{
		{name: "text_encoder_2", library: "transformers", class: "CLIPTextModelWithProjection", role: clipG, config: func(s *safetensors.Set) map[string]any { return clipConfig(s, false, true) }},
		{name: "unet", library: "diffusers", class: "UNet2DConditionModel", role: unet, config: func(s *safetensors.Set) map[string]any { return unetConfig(s, 128) }},
		{name: "vae", library: "diffusers", class: "AutoencoderKL", role: vae, config: func(s *safetensors.Set) map[string]any {
			c := vaeConfig(s, factor, 0, 1024)
			c["force_upcast"] = true
			if means != nil {
				c["latents_mean"], c["latents_std"] = means[0], means[1]
			}
			return c
		}},
	}
	if added == 2560 || found[clipG].from == "conditioner.embedders.0.model." { // five sizes, not six, and one encoder
		pl.what = "Stable Diffusion XL's refiner"
		pl.index["_class_name"], pl.index["requires_aesthetics_score"], pl.index["force_zeros_for_empty_prompt"] = "StableDiffusionXLImg2ImgPipeline", true, false
		delete(pl.tokenizers, "tokenizer")
		pl.index["text_encoder"], pl.index["tokenizer"] = [2]*string{}, [2]*string{}
		return pl, nil
	}
	pl.components = append([]component{first}, pl.components...)
	return pl, nil
}

// edm is the formulation of Karras et al. 2022, with the latents' mean and
// deviation where they are there.
func edm(marks marks) (scheduler map[string]any, means [][]float32, err error) {
	scheduler = map[string]any{"_class_name": "EDMDPMSolverMultistepScheduler", "sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5,
		"sigma_schedule": "karras", "num_train_timesteps": 1000, "prediction_type": "epsilon", "rho": 7.0, "solver_order": 2,
		"algorithm_type": "dpmsolver++", "solver_type": "midpoint", "lower_order_final": true, "final_sigmas_type": "zero"}
	if !marks.has("edm_mean") {
		scheduler["prediction_type"] = "v_prediction"
		v, err := marks.values("edm_vpred.sigma_max", 1)
		if err == nil && len(v) == 1 {
			scheduler["sigma_max"] = float64(v[0])
		}
		if marks.has("edm_vpred.sigma_min") && err == nil {
			if v, err = marks.values("edm_vpred.sigma_min", 1); err == nil && len(v) == 1 {
				scheduler["sigma_min"] = float64(v[0])
			}
		}
		return scheduler, nil, err
	}
	for _, name := range []string{"edm_mean", "edm_std"} {
		v, err := marks.values(name, 64)
		if err != nil {
			return nil, nil, err
		}
		means = append(means, v)
	}
	return scheduler, means, nil
}

func sd3Pipeline(p part) *pipeline {
	pl := &pipeline{what: "Stable Diffusion 3", tokenizers: map[string]string{"tokenizer": "<|endoftext|>", "tokenizer_2": "!"}, t5: "tokenizer_3",
		scheduler: map[string]any{"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0},
		index:     map[string]any{"_class_name": "StableDiffusion3Pipeline"}}
	if has(p.set, "transformer_blocks.0.attn.norm_q.weight") {
		pl.what = "Stable Diffusion 3.5"
	}
	projected := func(s *safetensors.Set) map[string]any { return clipConfig(s, false, true) }
	pl.components = []component{
		{name: "text_encoder", library: "transformers", class: "CLIPTextModelWithProjection", role: clipL, or: clip, identity: true, config: projected},
		{name: "text_encoder_2", library: "transformers", class: "CLIPTextModelWithProjection", role: clipG, config: projected},
		{name: "text_encoder_3", library: "transformers", class: "T5EncoderModel", role: t5, optional: true, config: t5Config},
		{name: "transformer", library: "diffusers", class: "SD3Transformer2DModel", role: sd3, config: sd3Config},
		{name: "vae", library: "diffusers", class: "AutoencoderKL", role: vae, config: func(s *safetensors.Set) map[string]any { return vaeConfig(s, 1.5305, 0.0609, 1024) }},
	}
	return pl
}

func fluxPipeline(p part) *pipeline {
	guided := has(p.set, "time_text_embed.guidance_embedder.linear_1.weight")
	pl := &pipeline{what: "FLUX.1 schnell", tokenizers: map[string]string{"tokenizer": "<|endoftext|>"}, t5: "tokenizer_2",
		scheduler: map[string]any{"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "base_image_seq_len": 256, "max_image_seq_len": 4096,
			"base_shift": 0.5, "max_shift": 1.15, "shift": 1.0, "use_dynamic_shifting": guided},
		index: map[string]any{"_class_name": "FluxPipeline"}}
	if guided {
		pl.what, pl.scheduler["shift"] = "FLUX.1 dev", 3.0
	}
	switch in, out := dim(p.set, "x_embedder.weight", 1), dim(p.set, "proj_out.weight", 0); {
	case in == 2*out:
		pl.index["_class_name"], pl.what = "FluxControlPipeline", "FLUX.1 with depth or edges"
	case in > out:
		pl.index["_class_name"], pl.what = "FluxFillPipeline", "FLUX.1 Fill"
	}
	pl.components = []component{
		{name: "text_encoder", library: "transformers", class: "CLIPTextModel", role: clipL, or: clip, config: func(s *safetensors.Set) map[string]any { return clipConfig(s, false, false) }},
		{name: "text_encoder_2", library: "transformers", class: "T5EncoderModel", role: t5, config: t5Config},
		{name: "transformer", library: "diffusers", class: "FluxTransformer2DModel", role: flux, config: fluxConfig},
		{name: "vae", library: "diffusers", class: "AutoencoderKL", role: vae, config: func(s *safetensors.Set) map[string]any { return vaeConfig(s, 0.3611, 0.1159, 1024) }},
	}
	return pl
}
