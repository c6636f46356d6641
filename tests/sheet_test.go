//go:build !js

package tests

import (
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"wisp/engine/diffusion"
)

// sheetRow are pictures beside each other, all of one size.
type sheetRow []*image.NRGBA

// writeSheet puts rows of pictures under each other in build/NAME, for eyes.
func writeSheet(t *testing.T, name string, rows []sheetRow) {
	t.Helper()
	w, h := 0, 0
	for _, row := range rows {
		wide := 0
		for _, img := range row {
			wide += img.Rect.Dx() + 4
		}
		w, h = max(w, wide), h+row[0].Rect.Dy()+4
	}
	sheet := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(sheet, sheet.Rect, image.NewUniform(color.Gray{Y: 128}), image.Point{}, draw.Src)
	y := 0
	for _, row := range rows {
		x := 0
		for _, img := range row {
			draw.Draw(sheet, img.Rect.Add(image.Pt(x, y)), img, image.Point{}, draw.Over)
			x += img.Rect.Dx() + 4
		}
		y += row[0].Rect.Dy() + 4
	}
	dir := filepath.Join("..", "build")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, sheet); err != nil {
		t.Fatal(err)
	}
}

// heartSketch is a heart as a hand scrawls it: hatched in dull red on white.
func heartSketch(size int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			c := color.NRGBA{255, 255, 255, 255}
			if inHeart(x, y, size) && (x+2*y)%9 < 7 {
				c = color.NRGBA{205, 80, 70, 255}
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

// inHeart is the inside of (x² + y² − 1)³ = x² y³.
func inHeart(px, py, size int) bool {
	x, y := (float64(px)/float64(size)-0.5)*2.9, (0.46-float64(py)/float64(size))*2.9
	return math.Pow(x*x+y*y-1, 3) < x*x*y*y*y
}

// share is the part of a picture's pixels for which is holds.
func share(img *image.NRGBA, is func(x, y int, c color.NRGBA) bool) float64 {
	n := 0
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			if is(x, y, img.NRGBAAt(x, y)) {
				n++
			}
		}
	}
	return float64(n) / float64(img.Rect.Dx()*img.Rect.Dy())
}

// apart is the mean difference of two pictures' bytes where in holds.
func apart(a, b *image.NRGBA, in func(x, y int) bool) float64 {
	sum, n := 0.0, 0
	for y := range a.Rect.Dy() {
		for x := range a.Rect.Dx() {
			if !in(x, y) {
				continue
			}
			p, q := a.NRGBAAt(x, y), b.NRGBAAt(x, y)
			sum += math.Abs(float64(p.R)-float64(q.R)) + math.Abs(float64(p.G)-float64(q.G)) + math.Abs(float64(p.B)-float64(q.B))
			n += 3
		}
	}
	return sum / float64(max(n, 1))
}

// defaultPipeline is the default model on the fastest backend.
func defaultPipeline(t *testing.T) *diffusion.Pipeline {
	t.Helper()
	m, _ := openDefault(t)
	p, err := diffusion.New(t.Context(), fastest(t).Backend, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// TestPicturesIn draws from pictures with the default model, whose weights are
// real: a sketch of a heart at five strengths, a face with other eyes, half a
// heart made whole. build/pictures-in.png shows them.
func TestPicturesIn(t *testing.T) {
	p := defaultPipeline(t)
	drawn := func(prompt string, change func(*diffusion.Request)) *image.NRGBA {
		t.Helper()
		r := p.Defaults()
		r.Prompt, r.Seed = prompt, 3
		change(&r)
		result, err := p.Generate(t.Context(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return result.Images[0]
	}
	everywhere := func(int, int) bool { return true }

	sketch := heartSketch(128)
	hearts := sheetRow{sketch}
	for _, strength := range []float32{0.2, 0.4, 0.6, 0.8, 1} {
		hearts = append(hearts, drawn("red heart, twemoji style", func(r *diffusion.Request) { r.Image, r.Strength, r.Steps = sketch, strength, 5 }))
	}
	heart := hearts[5]
	for i, img := range hearts[1:] {
		white := share(img, func(x, y int, c color.NRGBA) bool { return inHeart(x, y, 128) && min(c.R, c.G, c.B) > 215 })
		red := share(img, func(x, y int, c color.NRGBA) bool {
			return inHeart(x, y, 128) && c.R > 150 && c.R > c.G+35 && c.R > c.B+35
		})
		whole := share(img, func(x, y int, _ color.NRGBA) bool { return inHeart(x, y, 128) })
		t.Logf("strength %.1f: of the sketch's inside %.0f %% are red, %.0f %% white; %.1f from the sketch, %.1f from the heart",
			float64(i+1)/5, 100*red/whole, 100*white/whole, apart(sketch, img, everywhere), apart(heart, img, everywhere))
		if red < 0.8*whole || white > 0.05*whole {
			t.Errorf("picture %d is no filled heart", i)
		}
		if i > 0 && i < 4 && apart(heart, img, everywhere) > apart(heart, hearts[1], everywhere)+1 {
			t.Errorf("picture %d is further from the heart than the weakest change", i)
		}
	}
	if strong := share(heart, func(_, _ int, c color.NRGBA) bool { return c.R > 180 && c.G < 100 && c.B < 110 }); strong < 0.3 {
		t.Errorf("at full strength %.0f %% are strong red", 100*strong)
	}

	face := drawn("grinning face, twemoji style", func(*diffusion.Request) {})
	eyes := image.NewNRGBA(face.Rect)
	draw.Draw(eyes, eyes.Rect, image.Black, image.Point{}, draw.Src)
	draw.Draw(eyes, image.Rect(24, 24, 104, 68), image.White, image.Point{}, draw.Src)
	faces := sheetRow{face, eyes}
	for _, prompt := range []string{"smiling face with heart-eyes, twemoji style", "smiling face with sunglasses, twemoji style"} {
		img := drawn(prompt, func(r *diffusion.Request) { r.Image, r.Mask, r.Strength, r.Steps = face, eyes, 1, 4 })
		in := func(x, y int) bool { return eyes.NRGBAAt(x, y).R > 127 }
		inside, outside := apart(face, img, in), apart(face, img, func(x, y int) bool { return !in(x, y) })
		t.Logf("%s: %.1f inside of the mask, %.2f outside", prompt, inside, outside)
		if inside < 4 || outside > 0.5 {
			t.Errorf("%s: the mask changed %.1f inside, %.2f outside", prompt, inside, outside)
		}
		faces = append(faces, img)
	}

	grown := sheetRow{}
	for _, prompt := range []string{"red heart, twemoji style", "pizza, twemoji style"} {
		whole := drawn(prompt, func(*diffusion.Request) {})
		cut := image.NewNRGBA(image.Rect(0, 0, 72, 128))
		draw.Draw(cut, cut.Rect, whole, image.Point{}, draw.Src)
		img := drawn(prompt, func(r *diffusion.Request) { r.Image, r.Strength, r.Steps, r.OutpaintRight = cut, 1, 4, 56 })
		if d := apart(whole, img, func(x, y int) bool { return x < 60 }); d > 0.5 || img.Rect != whole.Rect {
			t.Errorf("%s: what was given changed by %.2f in a frame of %v", prompt, d, img.Rect)
		}
		coloured := share(img, func(x, y int, c color.NRGBA) bool { return x >= 72 && min(c.R, c.G, c.B) < 200 })
		if t.Logf("%s: %.0f %% of the picture grew", prompt, 100*coloured); coloured < 0.1 {
			t.Errorf("%s: hardly anything grew", prompt)
		}
		grown = append(grown, whole, cut, img)
	}
	writeSheet(t, "pictures-in.png", []sheetRow{hearts, faces, grown})
}

// TestOtherWords changes words of prompts of the default model and keeps the
// pictures' shapes: build/other-words.png shows each source, the change with its
// attention and without.
func TestOtherWords(t *testing.T) {
	p := defaultPipeline(t)
	var rows []sheetRow
	for _, pair := range [][2]string{
		{"red heart, twemoji style", "blue heart, twemoji style"},
		{"red apple, twemoji style", "green apple, twemoji style"},
		{"grinning face, twemoji style", "grinning cat face, twemoji style"},
	} {
		drawn := func(prompt, source string) *image.NRGBA {
			t.Helper()
			r := p.Defaults()
			r.Prompt, r.SourcePrompt, r.Seed = prompt, source, 5
			result, err := p.Generate(t.Context(), r, nil)
			if err != nil {
				t.Fatal(err)
			}
			return result.Images[0]
		}
		rows = append(rows, sheetRow{drawn(pair[0], ""), drawn(pair[1], pair[0]), drawn(pair[1], "")})
	}
	writeSheet(t, "other-words.png", rows)
	blue := func(_, _ int, c color.NRGBA) bool { return c.B > 130 && int(c.B) > int(c.R)+40 }
	if from, to := share(rows[0][0], blue), share(rows[0][1], blue); from > 0.02 || to < 0.2 {
		t.Errorf("%.2f of the red heart are blue, %.2f of the blue one", from, to)
	}
	if d := outlines(rows[0][0], rows[0][1]); d > 0.03 {
		t.Errorf("the outlines of the hearts are apart by %.3f of the picture", d)
	}
	eyes := func(x, y int) bool { return x >= 32 && x < 96 && y >= 24 && y < 80 }
	kept, free := apart(rows[2][0], rows[2][1], eyes), apart(rows[2][0], rows[2][2], eyes)
	if t.Logf("the cat's eyes are %.1f from the face's, without the source %.1f", kept, free); kept > 0.85*free {
		t.Error("the cat's eyes are as far from the face's as without the source")
	}
}

// outlines is the share of pixels that are white in one picture only.
func outlines(a, b *image.NRGBA) float64 {
	white := func(c color.NRGBA) bool { return min(c.R, c.G, c.B) > 200 }
	return share(a, func(x, y int, c color.NRGBA) bool { return white(c) != white(b.NRGBAAt(x, y)) })
}
