package diffusion

import (
	"cmp"
	"fmt"
	"strings"
)

// parameters writes the settings as AUTOMATIC1111's web UI writes them into
// the "parameters" text of a PNG: the prompt, the negative prompt, one line of
// "key: value" pairs; those that only wisp has come before the seed. schedule is empty for the model's own. The version tells
// readers that the names are wisp's.
func parameters(r Request, sampler, schedule, model string) string {
	var b strings.Builder
	b.WriteString(r.Prompt)
	if r.NegativePrompt != "" {
		fmt.Fprintf(&b, "\nNegative prompt: %s", r.NegativePrompt)
	}
	fmt.Fprintf(&b, "\nSteps: %d, Sampler: %s", r.Steps, sampler)
	if schedule != "" {
		fmt.Fprintf(&b, ", Schedule type: %s", schedule)
	}
	if r.SecondPrompt != "" {
		fmt.Fprintf(&b, ", Second prompt: %s", quote(r.SecondPrompt))
	}
	if !(Prompt{Syntax: r.PromptSyntax}).plain() {
		fmt.Fprintf(&b, ", Prompt syntax: %s", r.PromptSyntax)
	}
	if r.ClipSkip != 0 {
		fmt.Fprintf(&b, ", Clip skip: %d", r.ClipSkip)
	}
	if r.Class != 0 {
		fmt.Fprintf(&b, ", Class: %d", r.Class)
	}
	switch {
	case r.UpscaleBy > 1:
		fmt.Fprintf(&b, ", Denoising strength: %g, Hires upscale: %g, Hires steps: %d, Hires upscaler: %s",
			r.UpscaleStrength, r.UpscaleBy, cmp.Or(r.UpscaleSteps, r.Steps), upscalerLabel(r.Upscaler))
	case r.Image != nil:
		fmt.Fprintf(&b, ", Denoising strength: %g", r.Strength)
	}
	if r.SourcePrompt != "" {
		fmt.Fprintf(&b, ", Source prompt: %s", quote(r.SourcePrompt))
	}
	if r.Kept != "" {
		fmt.Fprintf(&b, ", Kept: %s", quote(r.Kept))
	}
	if r.Eta != nil {
		fmt.Fprintf(&b, ", Eta: %g", *r.Eta)
	}
	if r.Noise != "" && r.Noise != torchNoise {
		fmt.Fprintf(&b, ", Noise: %s", quote(r.Noise))
	}
	if r.Churn != "" {
		fmt.Fprintf(&b, ", Churn: %s", quote(r.Churn))
	}
	guided(&b, r)
	if r.Reuse != "" {
		fmt.Fprintf(&b, ", Reuse: %s", quote(r.Reuse))
	}
	fmt.Fprintf(&b, ", CFG scale: %g, Seed: %d, Size: %dx%d", r.Guidance, r.Seed, r.Width, r.Height)
	if model != "" {
		fmt.Fprintf(&b, ", Model: %s", quote(model))
	}
	b.WriteString(", Version: wisp")
	return b.String()
}

// guided writes how guidance is done, where that is not as usual.
func guided(b *strings.Builder, r Request) {
	if r.GuidanceStart != 0 { // AUTOMATIC1111's name
		fmt.Fprintf(b, ", Skip Early CFG: %g", r.GuidanceStart)
	}
	if r.guidanceEnd() != 1 {
		fmt.Fprintf(b, ", Guidance end: %g", r.GuidanceEnd)
	}
	if r.GuidanceRescale != 0 {
		fmt.Fprintf(b, ", Guidance rescale: %g", r.GuidanceRescale)
	}
	if r.GuidanceMethod != "" && r.GuidanceMethod != "cfg" {
		fmt.Fprintf(b, ", Guidance method: %s", quote(r.GuidanceMethod))
	}
	if r.SkipLayers != "" {
		fmt.Fprintf(b, ", Skip layers: %s", quote(r.SkipLayers))
	}
}

// quote protects a value that would end early at a comma, colon or newline.
func quote(s string) string {
	if strings.ContainsAny(s, ",:\n\"") {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// upscalerLabel is AUTOMATIC1111's name of what enlarges.
func upscalerLabel(name string) string {
	if name == upscaleLanczos {
		return "Lanczos"
	}
	return "Latent"
}
