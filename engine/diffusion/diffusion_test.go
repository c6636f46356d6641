package diffusion

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/engine/rng"
)

func TestParameters(t *testing.T) {
	r := Request{Prompt: "a cat, hat", NegativePrompt: "blur", Steps: 8, Guidance: 3.5, Seed: 7, Width: 128, Height: 64}
	want := "a cat, hat\nNegative prompt: blur\nSteps: 8, Sampler: Euler, CFG scale: 3.5, Seed: 7, Size: 128x64, Model: \"x: y, z\", Version: wisp"
	if got := parameters(r, "Euler", "", "x: y, z"); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	r.NegativePrompt = ""
	if got := parameters(r, "DDIM", "Karras", ""); !strings.HasPrefix(got, "a cat, hat\nSteps: 8, Sampler: DDIM, Schedule type: Karras, CFG scale: ") || strings.Contains(got, "Model") {
		t.Errorf("got %q", got)
	}
	r.SecondPrompt, r.PromptSyntax, r.ClipSkip, r.Class = "oil, Seed: 1", "comfyui", 2, 3
	want = "a cat, hat\nSteps: 8, Sampler: DDIM, Second prompt: \"oil, Seed: 1\", Prompt syntax: comfyui, Clip skip: 2, Class: 3, CFG scale: 3.5, Seed: 7, Size: 128x64, Version: wisp"
	if got := parameters(r, "DDIM", "", ""); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if r.PromptSyntax = "none"; strings.Contains(parameters(r, "DDIM", "", ""), "syntax") {
		t.Error("no syntax is told")
	}
}

func TestEncodePNG(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 3, 2))
	img.Set(1, 1, color.NRGBA{10, 20, 30, 255})
	for text, kind := range map[string]string{"café\nSteps: 1": "tEXt", "猫\nSteps: 1": "iTXt"} {
		var b bytes.Buffer
		if err := EncodePNG(&b, img, text); err != nil {
			t.Fatal(err)
		}
		decoded, err := png.Decode(bytes.NewReader(b.Bytes())) // checks the chunk's CRC too
		if err != nil {
			t.Fatal(err)
		}
		if decoded.At(1, 1) != img.At(1, 1) {
			t.Errorf("pixel is %v", decoded.At(1, 1))
		}
		at := b.Bytes()[33:]
		n := binary.BigEndian.Uint32(at)
		body := string(at[8 : 8+n])
		if string(at[4:8]) != kind || !strings.HasPrefix(body, "parameters\x00") {
			t.Errorf("chunk after the header is %s %q", at[4:8], body)
		}
	}
}

// The stream is torch's in (c, h, w) order, whatever order the latents have.
func TestNoiseOrder(t *testing.T) {
	const pixels, c = 12, 4
	n := newNoise(Request{Seed: 3}, 0, Latent{Height: 3, Width: pixels / 3, Channels: c})
	want := make([]float32, 2*pixels*c)
	g := rng.New(3)
	g.Randn(want[:pixels*c])
	g.Randn(want[pixels*c:])
	for _, torch := range [][]float32{want[:pixels*c], want[pixels*c:]} {
		got := n.next()
		for p := range pixels {
			for ch := range c {
				if got[p*c+ch] != torch[ch*pixels+p] {
					t.Fatalf("pixel %d channel %d is %v, want %v", p, ch, got[p*c+ch], torch[ch*pixels+p])
				}
			}
		}
	}
}

func TestCheckNamesTheField(t *testing.T) {
	p := &Pipeline{kind: &stableDiffusion{text: &clipText{}, vae: decoder{facts: model.AutoencoderFacts{Factor: 8}}}}
	good := Request{Prompt: "x", Steps: 4, Guidance: 3, Width: 128, Height: 64, Count: 1}
	if err := p.check(good); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*Request){
		"prompt":   func(r *Request) { r.Prompt = " \n" },
		"steps":    func(r *Request) { r.Steps = 0 },
		"width":    func(r *Request) { r.Width = 0 },
		"height":   func(r *Request) { r.Height = 100 },
		"count":    func(r *Request) { r.Count = 1000 },
		"guidance": func(r *Request) { r.Guidance = -1 },
	} {
		r := good
		change(&r)
		if err := p.check(r); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: error is %v", field, err)
		}
	}
}

type closeCounter struct{ closed *int }

func (c closeCounter) Run(context.Context, map[string]engine.Tensor, map[string]engine.Tensor) error {
	return nil
}
func (c closeCounter) Close() error { *c.closed++; return nil }

func TestProgramCacheDropsTheOldest(t *testing.T) {
	var c programCache
	closed := 0
	key := func(h int) programKey { return programKey{net: "vae", size: Size{Height: h}} }
	for i := range cachedPrograms + 2 {
		c.put(key(i), program{Program: closeCounter{&closed}})
		if _, ok := c.get(key(0)); !ok {
			t.Fatalf("the entry in use was dropped after %d", i)
		}
	}
	if _, ok := c.get(key(1)); ok || closed != 2 {
		t.Errorf("%d programs closed, want the 2 oldest", closed)
	}
	c.drop(func(k programKey) bool { return k.net == "vae" })
	if closed != cachedPrograms+2 {
		t.Errorf("%d programs closed in all", closed)
	}
}
