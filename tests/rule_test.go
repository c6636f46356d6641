//go:build !js

package tests

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"path/filepath"
	"strings"
	"testing"

	"wisp/engine/diffusion"
	"wisp/tests/golden/pipeline"
)

// asked is a value for each setting of a request that is not its rest, and the
// settings beside which alone it says something.
var asked = map[string]struct {
	set    func(r *diffusion.Request)
	beside []string
}{
	"prompt":          {set: func(r *diffusion.Request) { r.Prompt = "a blue dog" }},
	"negativePrompt":  {set: func(r *diffusion.Request) { r.NegativePrompt = "fog" }},
	"secondPrompt":    {set: func(r *diffusion.Request) { r.SecondPrompt = "a blue dog" }},
	"promptSyntax":    {set: func(r *diffusion.Request) { r.PromptSyntax = "a1111"; r.Prompt = "a (red:1.5) cat" }},
	"clipSkip":        {set: func(r *diffusion.Request) { r.ClipSkip = 3 }},
	"class":           {set: func(r *diffusion.Request) { r.Class = 3 }},
	"seed":            {set: func(r *diffusion.Request) { r.Seed += 5 }},
	"noise":           {set: func(r *diffusion.Request) { r.Noise = "cuda subseed=5 strength=0.3" }},
	"steps":           {set: func(r *diffusion.Request) { r.Steps += 2 }},
	"guidance":        {set: func(r *diffusion.Request) { r.Guidance += 3 }},
	"guidanceRescale": {set: func(r *diffusion.Request) { r.GuidanceRescale = 0.7 }},
	"guidanceStart":   {set: func(r *diffusion.Request) { r.GuidanceStart = 0.5 }},
	"guidanceEnd":     {set: func(r *diffusion.Request) { r.GuidanceEnd = 0.5 }},
	"guidanceMethod":  {set: func(r *diffusion.Request) { r.GuidanceMethod = "apg" }},
	"skipLayers":      {set: func(r *diffusion.Request) { r.SkipLayers = "0 scale=2.8 start=0.01 stop=0.9" }},
	"reuse":           {set: func(r *diffusion.Request) { r.Reuse = "deepcache interval=2" }},
	"eta":             {set: func(r *diffusion.Request) { half := float32(0.5); r.Eta = &half }},
	"churn":           {set: func(r *diffusion.Request) { r.Churn = "20" }},
	"sampler":         {set: func(r *diffusion.Request) { r.Sampler = "heun" }},
	"schedule":        {set: func(r *diffusion.Request) { r.Schedule = "karras" }},
	"width":           {set: func(r *diffusion.Request) { r.Width *= 2 }},
	"height":          {set: func(r *diffusion.Request) { r.Height *= 2 }},
	"count":           {set: func(r *diffusion.Request) { r.Count = 2 }},
	"image":           {set: func(r *diffusion.Request) { r.Image, r.Strength = coloured(r.Width, r.Height), 0.6 }},
	"strength":        {set: func(r *diffusion.Request) { r.Strength = 0.3 }, beside: []string{"image"}},
	"imageGuidance":   {set: func(r *diffusion.Request) { r.ImageGuidance = 2.5 }, beside: []string{"image"}},
	"upscaleBy":       {set: func(r *diffusion.Request) { r.UpscaleBy = 2 }},
	"upscaler":        {set: func(r *diffusion.Request) { r.Upscaler = "lanczos" }, beside: []string{"upscaleBy"}},
	"upscaleSteps":    {set: func(r *diffusion.Request) { r.UpscaleSteps = 5 }, beside: []string{"upscaleBy"}},
	"upscaleStrength": {set: func(r *diffusion.Request) { r.UpscaleStrength = 0.9 }, beside: []string{"upscaleBy"}},
	"referenceWeight": {set: func(r *diffusion.Request) { r.ReferenceWeight = 0.4 }},
	"guessMode":       {set: func(r *diffusion.Request) { r.GuessMode = true }},
	"noiseLevel":      {set: func(r *diffusion.Request) { r.NoiseLevel = 90 }},
	"sourcePrompt":    {set: func(r *diffusion.Request) { r.SourcePrompt = "red house" }},
	"kept":            {set: func(r *diffusion.Request) { r.Kept = "cross=0.2 self=1" }, beside: []string{"sourcePrompt"}},
	"mask":            {set: func(r *diffusion.Request) { r.Mask = corner(r.Width, r.Height) }, beside: []string{"image"}},
	"maskBlur":        {set: func(r *diffusion.Request) { r.MaskBlur = 6 }, beside: []string{"image", "mask"}},
	"onlyMasked":      {set: func(r *diffusion.Request) { r.OnlyMasked = true }, beside: []string{"image", "mask"}},
	"maskPadding":     {set: func(r *diffusion.Request) { r.MaskPadding = 7 }, beside: []string{"image", "mask", "onlyMasked"}},
	"outpaintLeft":    {set: func(r *diffusion.Request) { r.OutpaintLeft = 8 }, beside: []string{"image"}},
	"outpaintTop":     {set: func(r *diffusion.Request) { r.OutpaintTop = 8 }, beside: []string{"image"}},
	"outpaintRight":   {set: func(r *diffusion.Request) { r.OutpaintRight = 8 }, beside: []string{"image"}},
	"outpaintBottom":  {set: func(r *diffusion.Request) { r.OutpaintBottom = 8 }, beside: []string{"image"}},
}

// coloured is a picture of some colours.
func coloured(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = uint8(i*7) | 3<<6
	}
	return img
}

// corner is a mask that is white in one.
func corner(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			if x < w/4 && y < h/4 {
				img.Set(x, y, color.White)
			}
		}
	}
	return img
}

// words are how errors and notices spell a setting.
func words(field string) []string {
	var b strings.Builder
	for _, c := range field {
		if c >= 'A' && c <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return []string{strings.ToLower(field), strings.ToLower(b.String()), strings.ToLower(strings.Fields(b.String())[0])}
}

// TestEveryFieldOfARequest: what a request asks for changes the picture, is
// refused by its name, or is told; beside what it needs, and without it.
func TestEveryFieldOfARequest(t *testing.T) {
	for _, model := range []string{"tiny_ddim_kl", "sdxl", "ddpm", "dit", "flux_schnell", "lcm"} {
		t.Run(model, func(t *testing.T) {
			dir := filepath.Join("golden", "pipeline", model)
			cases, err := pipeline.Read(dir)
			if err != nil {
				t.Fatal(err)
			}
			backends, err := simdBackends()
			if err != nil {
				t.Fatal(err)
			}
			p, err := diffusion.New(t.Context(), backends[0], directory{t, filepath.Join(dir, "model")}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			draw := func(fields ...string) ([]byte, []string, error) {
				r := cases[0].Request()
				r.Steps, r.Count, r.Image = 4, 1, nil
				for _, name := range fields {
					asked[name].set(&r)
				}
				return pixelsOf(t.Context(), p, r)
			}
			for _, field := range diffusion.RequestFields {
				if field.Name == "previews" { // which are events
					continue
				}
				a, ok := asked[field.Name]
				if !ok {
					t.Errorf("%s: no value to ask for", field.Name)
					continue
				}
				for _, beside := range [][]string{nil, a.beside}[:min(2, 1+len(a.beside))] {
					before, _, err := draw(beside...)
					if err != nil {
						continue // what it would stand beside is refused, by its own name
					}
					after, told, err := draw(append(beside[:len(beside):len(beside)], field.Name)...)
					said := strings.ToLower(strings.Join(told, "\n"))
					if err != nil {
						said = strings.ToLower(err.Error())
					}
					if err == nil && !bytes.Equal(before, after) {
						continue
					}
					if !containsAny(said, words(field.Name)) {
						t.Errorf("%s beside %v: the same picture, and it is said only %q", field.Name, beside, said)
					}
				}
			}
		})
	}
}

func containsAny(text string, list []string) bool {
	for _, one := range list {
		if strings.Contains(text, one) {
			return true
		}
	}
	return false
}

// pixelsOf are a request's pictures, and what is told beside them.
func pixelsOf(ctx context.Context, p *diffusion.Pipeline, r diffusion.Request) (pixels []byte, notices []string, err error) {
	result, err := p.Generate(ctx, r, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, img := range result.Images {
		pixels = append(pixels, img.Pix...)
	}
	return pixels, result.Notices, nil
}
