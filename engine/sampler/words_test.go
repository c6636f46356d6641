package sampler

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every sampler says what it is good for, and where it is from and written; no other name does.
func TestNotes(t *testing.T) {
	names := map[string]bool{}
	for _, r := range table {
		names[r.Name] = true
		n := About(r.Name)
		if _, err := os.Stat(n.File); n.Good == "" || n.File == "" || err != nil {
			t.Errorf("%s: %+v, %v", r.Name, n, err)
		}
		if !regexp.MustCompile(`^\d{4}\.\d{4,5}$`).MatchString(n.Paper) {
			t.Errorf("%s: paper %q", r.Name, n.Paper)
		}
	}
	for _, n := range nameTable().Samplers {
		if !names[n.Name] && n.File != "" {
			t.Errorf("%s is no sampler", n.Name)
		}
	}
	for _, s := range Schedules {
		if !slices.ContainsFunc(nameTable().Schedules, func(n named) bool { return n.Name == s.Name }) {
			t.Errorf("%s has no row", s.Name)
		}
	}
}

// Every name that AUTOMATIC1111, ComfyUI and diffusers have for what wisp has is taken, and an unknown one is answered
// by the nearest.
func TestCalled(t *testing.T) {
	config := parse(t, `{"_class_name":"EulerDiscreteScheduler"}`)
	fit := List(config)
	for _, n := range nameTable().Samplers {
		if !slices.ContainsFunc(fit, func(i Info) bool { return i.Name == n.Name }) {
			continue
		}
		for _, other := range slices.Concat(n.A1111, n.Comfy, n.Invoke) {
			name, _, _ := Called(config, other, "")
			if !slices.ContainsFunc(fit, func(i Info) bool { return i.Name == name }) {
				t.Errorf("%s, which is %s, is called %q", other, n.Name, name)
			}
			if own := slices.ContainsFunc(fit, func(i Info) bool { return i.Name == other }); name != n.Name && !own && other != "UniPC" {
				t.Errorf("%s is called %s, want %s", other, name, n.Name)
			}
		}
	}
	for _, n := range nameTable().Schedules {
		for _, other := range slices.Concat(n.A1111, n.Comfy) {
			if _, schedule, _ := Called(config, "", other); schedule != n.Name && !slices.ContainsFunc(Schedules, func(i Info) bool { return i.Name == schedule }) && n.Name != "turbo" {
				t.Errorf("the schedule %s is called %q, want %s", other, schedule, n.Name)
			}
		}
	}
	for _, r := range table {
		if r.class != "" && r.family == vpFamily {
			if name, _, _ := Called(config, r.class, ""); !slices.ContainsFunc(table, func(o row) bool { return o.Name == name && o.class == r.class }) {
				t.Errorf("%s is called %s, want %s", r.class, name, r.Name)
			}
		}
	}
	for _, c := range [][4]string{
		{"DPM++ 2M Karras", "", "dpmpp_2m", "karras"}, {"euler a", "", "euler_a", ""}, {"euler_ancestral", "sgm_uniform", "euler_a", "sgm_uniform"}, {"dpmpp_2m_sde_gpu", "Align Your Steps", "dpmpp_2m_sde", "ays"},
		{"uni_pc", "", "unipc_bh1", ""}, {"magic", "magic", "magic", "magic"}, {"", "", "", ""},
	} {
		if name, schedule, _ := Called(config, c[0], c[1]); name != c[2] || schedule != c[3] {
			t.Errorf("%q, %q: %q, %q", c[0], c[1], name, schedule)
		}
	}
	if _, _, differs := Called(config, "uni_pc", ""); differs != "uni_pc (of order 3)" {
		t.Errorf("uni_pc differs in %q", differs)
	}
	if _, err := New("dpmp_2m", config, Plan{Steps: 4}); err == nil || !strings.Contains(err.Error(), "did you mean dpmpp_2m?") {
		t.Error(err)
	}
	if _, err := config.WithSchedule("karas"); err == nil || !strings.Contains(err.Error(), "did you mean karras?") {
		t.Error(err)
	}
}
