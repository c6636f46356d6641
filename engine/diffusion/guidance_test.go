package diffusion

import (
	"cmp"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
)

// Every way to guide against diffusers' guiders or the paper's formula:
// tests/golden/guidance/make.py.
func TestGuidanceMatchesDiffusers(t *testing.T) {
	data, err := os.ReadFile("../../tests/golden/guidance/guidance.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Guidance, Rescale, Start, End float32
			Method                        string
			Out                           [][]float32
		}
	}
	if err := json.Unmarshal(data, &file); err != nil || len(file.Cases) == 0 {
		t.Fatal(err, len(file.Cases))
	}
	for _, c := range file.Cases {
		runs := float32(len(c.Out))
		g := &guidance{scale: float64(c.Guidance), rescale: float64(c.Rescale), from: int(c.Start * runs), to: int(cmp.Or(c.End, 1) * runs), size: 8, channel: 2}
		if g.method, g.set, err = readMethod(c.Method); err != nil {
			t.Fatal(err)
		}
		g.rows = []Row{{Weight: 1 - c.Guidance, Role: Negative}, {Weight: c.Guidance, Role: Positive}, {Role: Empty}}
		for again := range 2 { // nothing is left of the picture before
			for step, want := range c.Out {
				rows := g.at(step)
				var out [][]float32
				for _, r := range rows {
					a := map[Role][2]float64{Positive: {1, 1.1}, Negative: {0.8, 0.7}, Empty: {0.9, 0.4}}[r.Role]
					out = append(out, wave(a[0], a[1], float64(step)))
				}
				for j, v := range g.combine(step, rows, out) {
					if d := math.Abs(float64(v - want[j])); !(d < 1e-5) {
						t.Errorf("%q, guidance %v: picture %d, step %d [%d] is %v, want %v", c.Method, c.Guidance, again, step, j, v, want[j])
					}
				}
			}
		}
	}
}

func wave(a, f, step float64) []float32 {
	out := make([]float32, 8)
	for k := range out {
		out[k] = float32(a * math.Sin(f*float64(k)+step))
	}
	return out
}

// A sampler that wants the negative prompt's prediction gets it behind the
// other, at every step; the weaker network is asked strictly between its steps.
func TestGuidanceRows(t *testing.T) {
	g := &guidance{scale: 3, from: 1, to: 2, size: 8, channel: 2, rows: []Row{{Weight: -2, Role: Negative}, {Weight: 3, Role: Positive}}}
	g.weak = weakened{layers: 5, scale: 2, from: 0, to: 2}
	if n := [3]int{len(g.at(0)), len(g.at(1)), len(g.at(2))}; n != [3]int{1, 3, 1} {
		t.Errorf("rows: %v", n)
	}
	if r := g.at(1)[2]; r.Role != Weak || r.Without != 5 || len(batches(g.at(1))) != 2 {
		t.Errorf("the third row is %v", r)
	}
	cond, uncond, weak := wave(1, 1, 0), wave(1, 2, 0), wave(1, 3, 0)
	for j, v := range g.combine(1, g.at(1), [][]float32{uncond, cond, weak}) {
		if want := 3*cond[j] - 2*uncond[j] + 2*(cond[j]-weak[j]); math.Abs(float64(v-want)) > 1e-5 {
			t.Errorf("[%d] is %v, want %v", j, v, want)
		}
	}
	g.weak, g.split = weakened{}, true
	out := g.combine(0, g.at(0), [][]float32{uncond, cond})
	if len(out) != 16 || out[3] != cond[3] || out[11] != uncond[3] {
		t.Errorf("split: %v", out)
	}
}

func TestReuseIsChecked(t *testing.T) {
	for text, want := range map[string]string{
		"magic": "choose deepcache", "deepcache interval=0": "interval is \"0\": choose 1 to 1000", "deepcache branch=4": "branch is \"4\": choose 0 to 3",
		"deepcache interval=2.5": "whole numbers", "deepcache interval=nan": "interval is", "deepcache speed=2": "no parameter",
	} {
		if _, err := readReuse(text, 4); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := readReuse("deepcache", 0); err == nil || !strings.Contains(err.Error(), "reuse: this model") {
		t.Errorf("a denoiser that is not cut: %v", err)
	}
	if u, err := readReuse("", 0); u != nil || err != nil {
		t.Errorf("nothing asked: %v, %v", u, err)
	}
}

func TestGuidanceIsChecked(t *testing.T) {
	nan := float32(math.NaN())
	for field, r := range map[string]Request{
		"guidance is": {Guidance: nan}, "guidance rescale": {GuidanceRescale: 1.5}, "guidance start": {GuidanceStart: nan},
		"guidance end": {GuidanceStart: 0.5, GuidanceEnd: 0.4}, "eta": {Eta: &nan}, "guidance method is \"magic\": choose cfg, cfg_zero": {GuidanceMethod: "magic"},
		"momentum is \"x\"": {GuidanceMethod: "apg momentum=x"}, "\"speed=1\" is no parameter": {GuidanceMethod: "apg speed=1"},
		"threshold is \"-1\"": {GuidanceMethod: "apg threshold=-1"}, "\"9\" is no layer: choose 0 to 5": {SkipLayers: "9"}, "stop is \"2\"": {SkipLayers: "3 stop=2"},
		"churn is \"-1\"": {Churn: "-1"}, "min is 9: choose 0 to max, 3": {Churn: "4 min=9 max=3"}, "noise is \"x\"": {Churn: "noise=x"},
		"scale is \"nan\"": {SkipLayers: "3,scale=nan"},
	} {
		if err := checkGuidance(r, Fields{Layers: 6}); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := checkGuidance(Request{SkipLayers: "1"}, Fields{}); err == nil {
		t.Error("layers of a model that skips none")
	}
	if err := checkGuidance(Request{GuidanceMethod: "dynamic", SkipLayers: "5 1", GuidanceStart: 0.3}, Fields{Layers: 6}); err != nil {
		t.Error(err)
	}
}
