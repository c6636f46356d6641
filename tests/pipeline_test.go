package tests

import (
	"bytes"
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

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/tests/golden/pipeline"
	"wisp/tests/golden/seeded"
)

// directory is a diffusers pipeline directory as a [diffusion.Model].
type directory struct {
	t    *testing.T
	path string
}

func (d directory) Config(component string) (json.RawMessage, bool) {
	for _, name := range []string{component + "/config.json", component + "/scheduler_config.json", component + ".json"} {
		if b, ok := d.File(name); ok {
			return b, true
		}
	}
	return nil, false
}

func (d directory) File(name string) ([]byte, bool) {
	b, err := os.ReadFile(filepath.Join(d.path, name))
	return b, err == nil
}

func (d directory) Stream(_ context.Context, component string, prefixes []string, each func(name, dtype string, shape []int, fill func(io.WriterAt) error) error) error {
	for _, file := range seeded.Files(filepath.Join(d.path, component)) {
		for name, t := range readSafetensors(d.t, file) {
			if hasPrefix(name, prefixes) {
				fill := func(w io.WriterAt) error { _, err := w.WriteAt(t.Data, 0); return err }
				if err := each(name, t.DType.String(), t.Shape, fill); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func hasPrefix(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return len(prefixes) == 0
}

// What a picture must reach against diffusers, from f32 weights and from the
// packed ones of a page.
const (
	minPSNR       = 45
	minPackedPSNR = 35
	// Rounding to 8 bits shows more in tiny networks than in those of use.
	minQuantisedPSNR = 20
)

// tinyPipelines lists the goldens that come with their model.
func tinyPipelines(t *testing.T) (dirs []string) {
	t.Helper()
	models, err := filepath.Glob(filepath.Join("golden", "pipeline", "*", "model"))
	if err != nil || len(models) == 0 {
		t.Fatalf("no pipelines: %v", err)
	}
	for _, m := range models {
		dirs = append(dirs, filepath.Dir(m))
	}
	return dirs
}

// plainPipeline is one of them, of Stable Diffusion's kind.
var plainPipeline = filepath.Join("golden", "pipeline", "tiny_ddim_kl")

// TestPipelines draws the pictures of the tiny pipelines and compares them
// with those of diffusers.
func TestPipelines(t *testing.T) {
	for _, dir := range tinyPipelines(t) {
		for _, b := range backends(t) {
			t.Run(filepath.Base(dir)+"/"+b.label, func(t *testing.T) {
				checkPipeline(t, b, directory{t, filepath.Join(dir, "model")}, dir, minPSNR)
			})
		}
	}
}

// checkPipeline draws the pictures of dir/golden.json with a model.
func checkPipeline(t *testing.T, b labelled, m diffusion.Model, dir string, bound float64) {
	cases, err := pipeline.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	checkCases(t, b, m, dir, cases, bound)
}

// checkCases draws some of them.
func checkCases(t *testing.T, b labelled, m diffusion.Model, dir string, cases []pipeline.Case, bound float64) {
	p, err := diffusion.New(t.Context(), b.Backend, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, c := range cases {
		r, err := p.Generate(t.Context(), c.Request(), nil)
		if err != nil {
			t.Errorf("%.30q: %v", c.Prompt, err)
			continue
		}
		for i, name := range c.Files {
			db, err := pipeline.PSNR(r.Images[i], filepath.Join(dir, name))
			if err != nil {
				t.Error(err)
				continue
			}
			parity{Case: filepath.Base(dir), DB: db}.log(t, b)
			if db < bound {
				t.Errorf("%s: PSNR %.1f dB, want %.0f", name, db, bound)
			}
		}
	}
}

// holder is a backend that keeps count of the bytes it holds.
type holder struct {
	engine.Backend
	bytes, most int
}

type held struct {
	engine.Buffer
	by   *holder
	size int
}

func (h *holder) Upload(t engine.Tensor) (engine.Buffer, error) {
	b, err := h.Backend.Upload(t)
	h.bytes += len(t.Data)
	h.most = max(h.most, h.bytes)
	return held{b, h, len(t.Data)}, err
}

// small is a backend whose memory is full after some weights.
type small struct {
	*holder
	left int
}

func (s *small) Upload(t engine.Tensor) (engine.Buffer, error) {
	if s.left--; s.left < 0 {
		return nil, engine.ErrOutOfMemory
	}
	return s.holder.Upload(t)
}

// TestFullMemory: where a weight finds no room, the failure keeps its type and
// nothing stays on the backend.
func TestFullMemory(t *testing.T) {
	for _, room := range []int{0, 1, 50} {
		b := &small{&holder{Backend: cpu.New()}, room}
		_, err := diffusion.New(t.Context(), b, directory{t, filepath.Join(plainPipeline, "model")}, nil)
		if !errors.Is(err, engine.ErrOutOfMemory) {
			t.Errorf("room for %d weights: error %v", room, err)
		}
		if b.bytes != 0 {
			t.Errorf("room for %d weights: %d bytes are held", room, b.bytes)
		}
	}
}

// altered is a model with another text for one config.
type altered struct {
	diffusion.Model
	component, config string
}

func (a altered) Config(component string) (json.RawMessage, bool) {
	if component == a.component {
		return json.RawMessage(a.config), true
	}
	return a.Model.Config(component)
}

// TestDefaultsAreChecked: a model that recommends what it cannot do is a bad
// model, found before any of its weights are asked for.
func TestDefaultsAreChecked(t *testing.T) {
	m := directory{t, filepath.Join(plainPipeline, "model")}
	unet, _ := m.Config("unet")
	for _, bad := range []altered{
		{m, "wisp", `{"steps": -4, "guidance": 1}`},
		{m, "wisp", `{"steps": 100000}`},
		{m, "wisp", `{"guidance": -2}`},
		{m, "wisp", `{"schedule": "none such"}`},
		{m, "unet", strings.Replace(string(unet), "{", `{"sample_size": 16000, "ignored": {`, 1) + "}"},
	} {
		b := &holder{Backend: cpu.New()}
		if _, err := diffusion.New(t.Context(), b, bad, nil); !errors.Is(err, diffusion.ErrBadModel) {
			t.Errorf("%s %.40s: error %v", bad.component, bad.config, err)
		}
		if b.most != 0 {
			t.Errorf("%s %.40s: %d bytes of weights were loaded", bad.component, bad.config, b.most)
		}
	}
}

// TestWeightsAreChecked: weights that are not of the config's shapes make a bad
// model, whatever the backend would say of them.
func TestWeightsAreChecked(t *testing.T) {
	m := directory{t, filepath.Join(plainPipeline, "model")}
	unet, _ := m.Config("unet")
	wide := altered{m, "unet", strings.Replace(string(unet), `"time_embedding_dim": null`, `"time_embedding_dim": 48`, 1)}
	for _, b := range backends(t) {
		if _, err := diffusion.New(t.Context(), b.Backend, wide, nil); !errors.Is(err, diffusion.ErrBadModel) || !strings.Contains(err.Error(), "time_emb") {
			t.Errorf("%s: error %v", b.label, err)
		}
	}
}

func (h held) Release() {
	h.by.bytes -= h.size
	h.Buffer.Release()
}

func (h *holder) Compile(g *engine.Graph, weights map[string]engine.Buffer) (engine.Program, error) {
	plain := map[string]engine.Buffer{}
	for name, w := range weights {
		plain[name] = w.(held).Buffer
	}
	return h.Backend.Compile(g, plain)
}

// TestBudget: with one component at a time on the backend, pictures
// are the same, and the weights there are never more than the largest
// component's.
func TestBudget(t *testing.T) {
	dir := plainPipeline
	cases, err := pipeline.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	request := cases[0].Request()
	request.Count, request.Previews = 2, true
	var pictures [][]*image.NRGBA
	largest, before := 0, 0 // bytes of a component, of those before it
	for _, options := range [][]diffusion.Option{nil, {diffusion.Budget(1)}} {
		h := &holder{Backend: cpu.New()}
		p, err := diffusion.New(t.Context(), h, directory{t, filepath.Join(dir, "model")}, func(e diffusion.Event) {
			if e.Stage == "compile" {
				largest, before = max(largest, h.bytes-before), h.bytes
			}
		}, options...)
		if err != nil {
			t.Fatal(err)
		}
		if options != nil && h.bytes != 0 {
			t.Errorf("%d bytes of weights are loaded before they are needed", h.bytes)
		}
		r, err := p.Generate(t.Context(), request, nil)
		if err != nil {
			t.Fatal(err)
		}
		pictures = append(pictures, r.Images)
		for i, text := range r.Parameters {
			if seed := fmt.Sprintf("Seed: %d,", request.Seed+uint64(i)); !strings.Contains(text, seed) || len(r.Parameters) != request.Count {
				t.Errorf("parameters %d of %d are %q, want %s", i, len(r.Parameters), text, seed)
			}
		}
		if options != nil && h.most != largest {
			t.Errorf("%d bytes of weights at a time, the largest component has %d", h.most, largest)
		}
		if p.Close(); h.bytes != 0 {
			t.Errorf("%d bytes are held after Close", h.bytes)
		}
	}
	for i, img := range pictures[0] {
		if !bytes.Equal(img.Pix, pictures[1][i].Pix) {
			t.Errorf("picture %d differs", i)
		}
	}
}

// TestNoOtherSampler: a scheduler that is not done is refused by what it asks for, and never replaced by another.
func TestNoOtherSampler(t *testing.T) {
	m := directory{t, filepath.Join(plainPipeline, "model")}
	for config, want := range map[string]string{
		`{"_class_name": "RePaintScheduler"}`:                                                        "_class_name: RePaintScheduler",
		`{"_class_name": "DDIMScheduler", "beta_schedule": "odd"}`:                                   "beta_schedule: odd",
		`{"_class_name": "DDIMScheduler", "a_new_field": 1}`:                                         "a_new_field: 1",
		`{"_class_name": "UniPCMultistepScheduler", "solver_p": {"_class_name": "X"}}`:               "solver_p",
		`{"_class_name": "DPMSolverMultistepScheduler", "use_flow_sigmas": true, "solver_order": 9}`: "solver_order: 9",
	} {
		_, err := diffusion.New(t.Context(), cpu.New(), altered{m, "scheduler", config}, nil)
		if !errors.Is(err, diffusion.ErrBadModel) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", config, err, want)
		}
	}
}

// TestSchedulers draws with schedulers whose class and fields were drawn from a
// seed, and compares with the pictures of diffusers (golden/pipeline/schedulers.py):
// alike, or refused by a field's name.
func TestSchedulers(t *testing.T) {
	dir := filepath.Join("golden", "pipeline", "schedulers")
	data, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Size, Row int
		Cases     []struct {
			Scheduler json.RawMessage
			pipeline.Case
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil || len(golden.Cases) == 0 {
		t.Fatal(err, len(golden.Cases))
	}
	file, err := os.Open(filepath.Join(dir, "pictures.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sheet, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	m := directory{t, filepath.Join("golden", "pipeline", "tiny_ddim_kl", "model")}
	for i, c := range golden.Cases {
		p, err := diffusion.New(t.Context(), cpu.New(), altered{m, "scheduler", string(c.Scheduler)}, nil)
		if errors.Is(err, diffusion.ErrBadModel) && namesField(err, c.Scheduler) {
			t.Logf("%.60s: refused: %v", c.Scheduler, err)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.Scheduler, err)
			continue
		}
		r := c.Request()
		r.Width, r.Height, r.Count = golden.Size, golden.Size, 1
		result, err := p.Generate(t.Context(), r, nil)
		p.Close()
		if err != nil {
			t.Errorf("%s: %v", c.Scheduler, err)
			continue
		}
		want := image.NewNRGBA(image.Rect(0, 0, golden.Size, golden.Size))
		draw.Draw(want, want.Bounds(), sheet, image.Pt(i%golden.Row*golden.Size, i/golden.Row*golden.Size), draw.Src)
		db := pipeline.Compare(result.Images[0], want)
		t.Logf("%.200s: %.1f dB after %d steps", c.Scheduler, db, c.Steps)
		if db < minPSNR {
			t.Errorf("%s: PSNR %.1f dB, want %d", c.Scheduler, db, minPSNR)
		}
	}
}

// namesField is whether an error says one of the fields.
func namesField(err error, scheduler json.RawMessage) bool {
	var fields map[string]any
	json.Unmarshal(scheduler, &fields)
	for field := range fields {
		if strings.Contains(err.Error(), field) {
			return true
		}
	}
	return false
}
