//go:build !js

package tests

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/engine/sampler"
)

// TestOfferedSchedules: what a pipeline lists it draws with by one of its
// samplers, and what it leaves out none takes.
func TestOfferedSchedules(t *testing.T) {
	p, err := diffusion.New(t.Context(), cpu.New(), tunedModel(t, `{"steps": 4, "guidance": 1, "schedule": "trailing"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r := p.Defaults()
	r.Prompt, r.Width, r.Height, r.Steps = "red cat", 16, 16, 4
	offered := p.Schedules()
	for _, s := range sampler.Schedules {
		taken := slices.ContainsFunc(p.Samplers(), func(i sampler.Info) bool {
			r.Sampler, r.Schedule = i.Name, s.Name
			_, err := p.Generate(t.Context(), r, nil)
			return err == nil
		})
		if listed := slices.Contains(offered, s); listed != taken {
			t.Errorf("%s: listed %v, drawn with %v", s.Name, listed, taken)
		}
	}
	if slices.ContainsFunc(offered, func(i sampler.Info) bool { return i.Name == "ays" }) || len(offered) < 8 {
		t.Errorf("a flow model offers %v", offered)
	}
}

// TestNamesOfOtherTools: a picture drawn by another tool's names is the one by
// wisp's, and its text says them; of a sampler that chooses its steps no part of
// them can be asked for.
func TestNamesOfOtherTools(t *testing.T) {
	p, err := diffusion.New(t.Context(), cpu.New(), tunedModel(t, `{"steps": 4, "guidance": 2, "schedule": "trailing"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r := p.Defaults()
	r.Prompt, r.Width, r.Height, r.Steps = "red cat", 16, 16, 3
	draw := func(name, schedule string) *diffusion.Result {
		t.Helper()
		r.Sampler, r.Schedule = name, schedule
		result, err := p.Generate(t.Context(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	own := draw("euler_a", "karras")
	for _, n := range [][2]string{{"euler_ancestral", "Karras"}, {"Euler a Karras", ""}, {"k_euler_ancestral", "karras"}} {
		other := draw(n[0], n[1])
		if !bytes.Equal(own.Images[0].Pix, other.Images[0].Pix) || own.Parameters[0] != other.Parameters[0] || !strings.Contains(other.Parameters[0], "Sampler: Euler a") {
			t.Errorf("%s: %s", n, other.Parameters[0])
		}
	}
	if n := draw("uni_pc", "").Notices; !slices.Contains(n, "Sampler: uni_pc (of order 3)") {
		t.Errorf("notices %q", n)
	}
	r.Sampler = "rk45"
	r.GuidanceEnd = 0.5
	if _, err := p.Generate(t.Context(), r, nil); err == nil || !strings.Contains(err.Error(), "chooses its steps") {
		t.Errorf("half guided: %v", err)
	}
}
