//go:build !js

package tests

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"path/filepath"
	"strings"
	"testing"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/tests/golden/pipeline"
)

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
