package diffusion

import "wisp/engine/sampler"

// Field is one setting of a [Request] as callers name it.
type Field struct {
	Name string             // in JavaScript: site/module/wisp.d.ts
	Flag string             // of the command; "" for none
	Help string             // for the command's users
	In   func(*Request) any // where it is: *string, *int, *uint64, *float32, **float32 (nil: not said) *bool or **image.NRGBA
}

// RequestFields lists the settings of a request; who decodes, shows or
// documents one goes by it.
var RequestFields = []Field{
	{"prompt", "prompt", "what to draw", func(r *Request) any { return &r.Prompt }},
	{"negativePrompt", "negative", "what to avoid", func(r *Request) any { return &r.NegativePrompt }},
	{"secondPrompt", "second-prompt", "words for the second text encoder, where there is one", func(r *Request) any { return &r.SecondPrompt }},
	{"promptSyntax", "prompt-syntax", "how brackets are read: a1111, comfyui or none", func(r *Request) any { return &r.PromptSyntax }},
	{"clipSkip", "clip-skip", "which of CLIP's layers to read, from the last: 2 is the last but one", func(r *Request) any { return &r.ClipSkip }},
	{"class", "class", "for a model that draws classes: its number", func(r *Request) any { return &r.Class }},
	{"seed", "seed", "seed of the first picture", func(r *Request) any { return &r.Seed }},
	{"noise", "noise", "whose noise a seed stands for: torch, cuda (AUTOMATIC1111) or comfyui; \"cuda subseed=5 strength=0.3 width=512 height=512 ensd=31337\"", func(r *Request) any { return &r.Noise }},
	{"steps", "steps", "denoising steps", func(r *Request) any { return &r.Steps }},
	{"guidance", "guidance", "how closely to follow the prompt", func(r *Request) any { return &r.Guidance }},
	{"guidanceRescale", "guidance-rescale", "how far strong guidance's contrast is taken back, 0 to 1", func(r *Request) any { return &r.GuidanceRescale }},
	{"guidanceStart", "guidance-start", "share of the steps after which guidance begins, 0 to 1", func(r *Request) any { return &r.GuidanceStart }},
	{"guidanceEnd", "guidance-end", "share of the steps after which guidance ends, 0 to 1", func(r *Request) any { return &r.GuidanceEnd }},
	{"guidanceMethod", "guidance-method", "cfg, cfg_zero, apg, perp_neg or dynamic, with parameters: \"apg momentum=-0.5\"", func(r *Request) any { return &r.GuidanceMethod }},
	{"skipLayers", "skip-layers", "layers left out by skip-layer guidance: \"7 8 9 scale=2.8 start=0.01 stop=0.2\"", func(r *Request) any { return &r.SkipLayers }},
	{"reuse", "reuse", "let a UNet's deep part serve several steps: \"deepcache interval=3 branch=0\"", func(r *Request) any { return &r.Reuse }},
	{"eta", "eta", "share of fresh noise in samplers that have one, 0 to 1", func(r *Request) any { return &r.Eta }},
	{"churn", "churn", "stochasticity of euler, heun and dpm_2: \"20 min=0.05 max=50 noise=1.003\"", func(r *Request) any { return &r.Churn }},
	{"sampler", "sampler", "sampler", func(r *Request) any { return &r.Sampler }},
	{"schedule", "schedule", "noise schedule", func(r *Request) any { return &r.Schedule }},
	{"width", "width", "width in pixels", func(r *Request) any { return &r.Width }},
	{"height", "height", "height in pixels", func(r *Request) any { return &r.Height }},
	{"count", "count", "how many pictures", func(r *Request) any { return &r.Count }},
	{"image", "image", "picture to begin with, a PNG, JPEG or GIF file", func(r *Request) any { return &r.Image }},
	{"strength", "strength", "how far to leave the picture behind, 0 to 1", func(r *Request) any { return &r.Strength }},
	{"imageGuidance", "image-guidance", "for a model that changes pictures: how closely to keep to the picture", func(r *Request) any { return &r.ImageGuidance }},
	{"upscaleBy", "upscale", "draw the picture again, so many times as large", func(r *Request) any { return &r.UpscaleBy }},
	{"upscaler", "upscaler", "what enlarges it: latent or lanczos", func(r *Request) any { return &r.Upscaler }},
	{"upscaleSteps", "upscale-steps", "steps of the second drawing; 0 for as many", func(r *Request) any { return &r.UpscaleSteps }},
	{"upscaleStrength", "upscale-strength", "how far it may leave the first, 0 to 1", func(r *Request) any { return &r.UpscaleStrength }},
	{"referenceWeight", "ip-adapter-weight", "how closely to keep to the pictures of -reference", func(r *Request) any { return &r.ReferenceWeight }},
	{"guessMode", "guess-mode", "let -control steer as if there were no prompt", func(r *Request) any { return &r.GuessMode }},
	{"noiseLevel", "noise-level", "for a model that enlarges pictures: how much noise the picture gets, 0 to 350", func(r *Request) any { return &r.NoiseLevel }},
	{"sourcePrompt", "source-prompt", "what the picture shows before -prompt changes it: its shape is kept", func(r *Request) any { return &r.SourcePrompt }},
	{"kept", "kept", "how much of it: \"cross=0.8 self=0.4 blue=2\", shares of the steps and weights of words", func(r *Request) any { return &r.Kept }},
	{"mask", "mask", "picture of the same size, white where to draw", func(r *Request) any { return &r.Mask }},
	{"maskBlur", "mask-blur", "radius of the mask's soft edge in pixels", func(r *Request) any { return &r.MaskBlur }},
	{"onlyMasked", "only-masked", "draw the part around the mask at full size", func(r *Request) any { return &r.OnlyMasked }},
	{"maskPadding", "mask-padding", "pixels around the mask that -only-masked draws, too", func(r *Request) any { return &r.MaskPadding }},
	{"outpaintLeft", "outpaint-left", "pixels to draw at the picture's left", func(r *Request) any { return &r.OutpaintLeft }},
	{"outpaintTop", "outpaint-top", "pixels to draw above it", func(r *Request) any { return &r.OutpaintTop }},
	{"outpaintRight", "outpaint-right", "pixels to draw at its right", func(r *Request) any { return &r.OutpaintRight }},
	{"outpaintBottom", "outpaint-bottom", "pixels to draw below it", func(r *Request) any { return &r.OutpaintBottom }},
	{"previews", "", "", func(r *Request) any { return &r.Previews }},
}

// guidanceSaid names the first setting of guidance that is not at rest.
func guidanceSaid(r Request) string {
	switch {
	case r.GuidanceRescale != 0:
		return "guidance rescale"
	case r.GuidanceStart != 0:
		return "guidance start"
	case r.guidanceEnd() != 1:
		return "guidance end"
	case r.GuidanceMethod != "" && r.GuidanceMethod != "cfg":
		return "guidance method"
	case r.SkipLayers != "":
		return "skip layers"
	}
	return ""
}

// notices tells which settings of a request change nothing.
func (p *Pipeline) notices(r Request) (list []string) {
	f, guided := p.kind.Fields(), p.kind.Guided(r)
	if r.Prompt != "" && !f.Prompt && !f.Labels {
		list = append(list, "prompt: this model draws without words")
	}
	if r.NegativePrompt != "" && !f.NegativePrompt {
		list = append(list, "negative prompt: this model reads none")
	} else if r.NegativePrompt != "" && !guided {
		list = append(list, "negative prompt: it counts where guidance is over 1")
	}
	if said := guidanceSaid(r); said != "" && !guided {
		list = append(list, said+": it counts where guidance is over 1 and the model takes a negative prompt")
	}
	if r.Eta != nil {
		if plan := p.plan(r); !sampler.HasEta(r.Sampler, p.scheduler, plan) {
			list = append(list, "eta: this sampler has no share of fresh noise to set")
		}
	}
	if r.Guidance > 1 && !f.Guidance {
		list = append(list, "guidance: this model draws without")
	}
	list = append(append(list, p.idle(r)...), p.tiled(r)...)
	plain := Prompt{Syntax: r.PromptSyntax}.plain()
	if !plain && !f.Weights && f.Prompt {
		list = append(list, "prompt syntax: this model's text encoder reads brackets as they stand")
	}
	if f.Penultimate && r.PromptSyntax == syntaxA1111 && r.ClipSkip > 2 {
		list = append(list, "clip skip: AUTOMATIC1111 skips no layers of this model's text encoders")
	}
	if f.Weights && r.PromptSyntax == syntaxA1111 {
		for _, u := range undone {
			if u.in(r.Prompt + "\n" + r.NegativePrompt) {
				list = append(list, u.says)
			}
		}
	}
	return list
}

// idle tells of settings that are not at rest beside nothing that they change.
func (p *Pipeline) idle(r Request) (list []string) {
	_, follows := p.kind.(following)
	painted := r.Image != nil && (r.Mask != nil || r.outpaint() != (margins{}))
	latent := p.kind.Latent(r)
	for _, s := range []struct {
		moved, counts bool
		name, where   string
	}{
		{r.Strength != 0 && r.Strength != defaultStrength, r.Image != nil, "strength", "there is an image"},
		{r.ImageGuidance != 0 && r.ImageGuidance != defaultImageGuidance, latent.Beside != 0 && latent.Beside == latent.Channels, "image guidance", "a model changes pictures"},
		{r.MaskBlur != 0, painted, "mask blur", "there is a mask"},
		{r.OnlyMasked, painted, "only masked", "there is a mask"},
		{r.MaskPadding != 0 && r.MaskPadding != defaultPadding, painted && r.OnlyMasked, "mask padding", "only what is masked is drawn"},
		{r.ReferenceWeight != 0 && r.ReferenceWeight != 1, len(r.References) > 0 && !follows, "reference weight", "an IP-Adapter has a picture to refer to"},
		{r.NoiseLevel != 0 && r.NoiseLevel != defaultNoiseLevel, p.enlarges(), "noise level", "a model enlarges pictures"},
		{r.Kept != "", r.SourcePrompt != "", "kept", "there is a source prompt"},
		{r.Reuse != "", r.Steps > 1, "reuse", "there are several steps"},
		{r.GuessMode, len(r.Controls) > 0, "guess mode", "a picture steers"},
		{r.Upscaler != "", r.pass, "upscaler", "the picture is drawn again, larger"},
		{r.UpscaleSteps != 0, r.pass, "upscale steps", "the picture is drawn again, larger"},
		{r.UpscaleStrength != 0 && r.UpscaleStrength != defaultUpscaleStrength, r.pass, "upscale strength", "the picture is drawn again, larger"},
	} {
		if s.moved && !s.counts {
			list = append(list, s.name+": it counts where "+s.where)
		}
	}
	return list
}
