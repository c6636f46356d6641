package tests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/tests/golden/pipeline"
)

var modesDir = filepath.Join("golden", "modes")

// modeCase is one entry of golden/modes/golden.json.
type modeCase struct {
	Name, Model string
	Scheduler   json.RawMessage   // in place of the model's; empty for that
	Pipeline    string            // diffusers' class, in place of the model's
	Parts       map[string]string // components in place of the model's: their directories in golden/modes
	Controls    []struct {
		Part, Image        string
		Weight, Start, End float32
		Mode               int
	}
	Reference struct {
		Adapter, Encoder string
		Images           []string
	}
	Request map[string]json.RawMessage
}

// patched is a model of whose components some are another's.
type patched struct {
	diffusion.Model
	t     *testing.T
	parts map[string]string // directories by component
}

// part is a directory as a pipeline that has nothing but this part.
func (p patched) part(component string) (directory, bool) {
	name, ok := p.parts[component]
	return directory{p.t, filepath.Join(modesDir, name)}, ok
}

func (p patched) Config(component string) (json.RawMessage, bool) {
	if d, ok := p.part(component); ok {
		return d.File("config.json")
	}
	return p.Model.Config(component)
}

func (p patched) Stream(ctx context.Context, component string, prefixes []string, each func(name, dtype string, shape []int, fill func(io.WriterAt) error) error) error {
	if d, ok := p.part(component); ok {
		return d.Stream(ctx, "", prefixes, each)
	}
	return p.Model.Stream(ctx, component, prefixes, each)
}

func modeCases(t *testing.T) []modeCase {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(modesDir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []modeCase }
	if err := json.Unmarshal(data, &file); err != nil || len(file.Cases) == 0 {
		t.Fatal(err, len(file.Cases))
	}
	return file.Cases
}

// readPNG reads a picture of golden/modes.
func readPNG(t *testing.T, name string) *image.NRGBA {
	t.Helper()
	f, err := os.Open(filepath.Join(modesDir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(name, err)
	}
	out := image.NewNRGBA(img.Bounds())
	draw.Draw(out, out.Rect, img, image.Point{}, draw.Src)
	return out
}

// request fills the model's defaults with the fields of a case; a picture is
// the name of its file.
func (c modeCase) request(t *testing.T, r diffusion.Request) diffusion.Request {
	t.Helper()
	read := 0
	for _, field := range diffusion.RequestFields {
		value, ok := c.Request[field.Name]
		if !ok {
			continue
		}
		read++
		var err error
		switch to := field.In(&r).(type) {
		case **image.NRGBA:
			var name string
			err = json.Unmarshal(value, &name)
			*to = readPNG(t, name)
		default:
			err = json.Unmarshal(value, to)
		}
		if err != nil {
			t.Fatalf("%s: %s: %v", c.Name, field.Name, err)
		}
	}
	if value, ok := c.Request["references"]; ok {
		read++
		var names []string
		if err := json.Unmarshal(value, &names); err != nil {
			t.Fatalf("%s: references: %v", c.Name, err)
		}
		for _, name := range names {
			r.References = append(r.References, readPNG(t, name))
		}
	}
	if read != len(c.Request) {
		t.Fatalf("%s: %d of %d fields are a request's", c.Name, read, len(c.Request))
	}
	return r
}

// check draws the case's picture and compares it with diffusers'.
func (c modeCase) check(t *testing.T, b labelled, bound float64) {
	t.Helper()
	got, err := c.draw(t, b)
	if err != nil {
		t.Fatal(err)
	}
	db := pipeline.Compare(got, readPNG(t, c.Name+".png"))
	parity{Case: c.Name, DB: db}.log(t, b)
	if db < bound {
		t.Errorf("PSNR %.1f dB, want %.0f", db, bound)
	}
}

// draw is the case's picture.
func (c modeCase) draw(t *testing.T, b labelled) (*image.NRGBA, error) {
	t.Helper()
	var m diffusion.Model = directory{t, filepath.Join("golden", "pipeline", c.Model, "model")}
	if len(c.Scheduler) > 0 {
		m = altered{m, "scheduler", string(c.Scheduler)}
	}
	if c.Pipeline != "" {
		m = altered{m, "model_index", fmt.Sprintf(`{"_class_name": %q}`, c.Pipeline)}
	}
	m = patched{m, t, c.Parts}
	p, err := diffusion.New(t.Context(), b.Backend, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r := c.request(t, p.Defaults())
	for _, given := range c.Controls {
		net := patched{m, t, map[string]string{"": given.Part}}
		config, _ := net.Config("")
		err := p.AddControl(given.Part, config, patched{m, t, map[string]string{"ControlNet " + given.Part: given.Part}})
		if err != nil {
			t.Fatal(err)
		}
		r.Controls = append(r.Controls, diffusion.Control{ID: given.Part, Image: readPNG(t, given.Image), Weight: given.Weight, Start: given.Start, End: given.End, Mode: given.Mode})
	}
	if c.Reference.Adapter != "" {
		part := func(name string) patched {
			return patched{m, t, map[string]string{"": name, "IP-Adapter": name, "image encoder": name}}
		}
		encoder := part(c.Reference.Encoder)
		config, _ := encoder.Config("")
		if err := p.AddImagePrompt(t.Context(), part(c.Reference.Adapter), config, encoder); err != nil {
			t.Fatal(err)
		}
		for _, name := range c.Reference.Images {
			r.References = append(r.References, readPNG(t, name))
		}
	}
	result, err := p.Generate(t.Context(), r, nil)
	if err != nil {
		return nil, err
	}
	return result.Images[0], nil
}

// TestModes draws what diffusers' own pipelines drew: pictures that begin with
// pictures (golden/modes/make.py).
func TestModes(t *testing.T) {
	for _, c := range modeCases(t) {
		for _, b := range backends(t) {
			t.Run(c.Name+"/"+b.label, func(t *testing.T) { c.check(t, b, minPSNR) })
		}
	}
}

// TestControlOfAnotherModel: a ControlNet whose weights are not of the model's
// shapes is refused when it is added, by a weight's name, and the one before
// stays.
func TestControlOfAnotherModel(t *testing.T) {
	models := map[string]string{}
	for _, c := range modeCases(t) {
		for _, given := range c.Controls {
			models[given.Part] = c.Model
		}
	}
	if len(models) < 2 {
		t.Fatal(models)
	}
	for part, name := range models {
		m := directory{t, filepath.Join("golden", "pipeline", name, "model")}
		p, err := diffusion.New(t.Context(), cpu.New(), m, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for other, of := range models {
			config, _ := patched{m, t, map[string]string{"": part}}.Config("")
			err := p.AddControl("x", config, patched{m, t, map[string]string{"ControlNet x": other}})
			alike := of == "tiny_ddim_kl" && strings.HasPrefix(part, "control") && strings.HasPrefix(other, "control")
			switch {
			case (part == other || of == name && alike) && err != nil:
				t.Errorf("%s with %s: %v", name, other, err)
			case of != name && (!errors.Is(err, diffusion.ErrBadModel) || !strings.Contains(err.Error(), "weight \"")):
				t.Errorf("%s with %s of %s: %v, want a weight that does not fit", name, other, of, err)
			}
		}
	}
}
