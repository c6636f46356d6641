// Package pipeline reads the goldens of whole pipelines: pictures that
// diffusers drew (make.py) and how to ask for the same ones.
package pipeline

import (
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"

	"wisp/engine/diffusion"
)

// Case is one entry of a golden.json.
type Case struct {
	Prompt   string   `json:"prompt"`
	Negative string   `json:"negative_prompt"`
	Seed     uint64   `json:"seed"`
	Steps    int      `json:"steps"`
	Guidance float32  `json:"guidance"`
	Width    int      `json:"width"`
	Height   int      `json:"height"`
	Schedule string   `json:"schedule"`
	Second   string   `json:"second_prompt"`
	ClipSkip int      `json:"clip_skip"`
	Syntax   string   `json:"prompt_syntax"`
	Class    int      `json:"class"`
	Files    []string `json:"files"` // one picture for each seed from Seed on
}

// Request asks a pipeline for the pictures of the case.
func (c Case) Request() diffusion.Request {
	return diffusion.Request{
		Prompt: c.Prompt, NegativePrompt: c.Negative, Seed: c.Seed, Steps: c.Steps, Guidance: c.Guidance, Schedule: c.Schedule,
		Width: c.Width, Height: c.Height, Count: len(c.Files), SecondPrompt: c.Second, ClipSkip: c.ClipSkip, PromptSyntax: c.Syntax, Class: c.Class,
	}
}

// Read returns the cases of dir/golden.json.
func Read(dir string) ([]Case, error) {
	name := filepath.Join(dir, "golden.json")
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var file struct {
		Cases []Case `json:"cases"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(file.Cases) == 0 {
		return nil, fmt.Errorf("%s: no cases", name)
	}
	return file.Cases, nil
}

// PSNR compares a picture with a PNG file; see [Compare].
func PSNR(img image.Image, file string) (float64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	want, err := png.Decode(f)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	if img.Bounds() != want.Bounds() {
		return 0, fmt.Errorf("%s: the size is %v, want %v", file, img.Bounds().Size(), want.Bounds().Size())
	}
	return Compare(img, want), nil
}

// Compare is the peak signal-to-noise ratio of the colours of two pictures in
// decibels: 99 where they are equal, 0 where their bounds differ.
func Compare(a, b image.Image) float64 {
	r := a.Bounds()
	if r != b.Bounds() {
		return 0
	}
	var sum float64
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			ar, ag, ab, _ := a.At(x, y).RGBA()
			br, bg, bb, _ := b.At(x, y).RGBA()
			for _, d := range [3]float64{float64(ar>>8) - float64(br>>8), float64(ag>>8) - float64(bg>>8), float64(ab>>8) - float64(bb>>8)} {
				sum += d * d
			}
		}
	}
	if sum == 0 {
		return 99
	}
	return 10 * math.Log10(255*255*float64(3*r.Dx()*r.Dy())/sum)
}
