package diffusion

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"wisp/engine/sampler"
)

// method is a way to guide beside the classifier-free one. combine writes the
// prediction of the guided steps; it is called at every step of a picture.
type method struct {
	sampler.Info
	parameters []parameter
	empty      bool // it takes a row of no words
	combine    func(g *guidance, step int, out, cond, uncond, empty []float32)
}

// parameter is a number that a method is given, with its bounds.
type parameter struct {
	name              string
	usual, least, top float64
}

// methods are the ways that a request's GuidanceMethod names, its parameters
// after it: "apg momentum=-0.5".
var methods = []method{
	{sampler.Info{Name: "cfg_zero", Label: "CFG-Zero*"}, []parameter{{"zero_steps", 1, 0, 1000}}, false, cfgZero},
	{sampler.Info{Name: "apg", Label: "Adaptive projected guidance"}, []parameter{{"eta", 0, -10, 10}, {"threshold", 15, 0, 1e6}, {"momentum", -0.5, -1, 1}}, false, apg},
	{sampler.Info{Name: "perp_neg", Label: "Perpendicular negative"}, []parameter{{"scale", 1, 0, 100}}, true, perpNeg},
	{sampler.Info{Name: "dynamic", Label: "Dynamic thresholding"}, []parameter{{"mimic", 7, 0, 100}, {"percentile", 1, 0.5, 1}}, false, dynamic},
}

// readMethod finds a method and its parameters; nil for classifier-free guidance.
func readMethod(text string) (*method, []float64, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
	if len(words) == 0 || words[0] == "cfg" && len(words) == 1 {
		return nil, nil, nil
	}
	i := slices.IndexFunc(methods, func(m method) bool { return m.Name == words[0] })
	if i < 0 {
		return nil, nil, fmt.Errorf("guidance method is %.40q: choose cfg, %s", words[0], strings.Join(methodNames(), ", "))
	}
	set, err := readParameters("guidance method "+words[0], methods[i].parameters, words[1:])
	return &methods[i], set, err
}

func methodNames() (names []string) {
	for _, m := range methods {
		names = append(names, m.Name)
	}
	return names
}

// readParameters reads name=number pairs.
func readParameters(what string, parameters []parameter, words []string) ([]float64, error) {
	var set []float64
	var names []string
	for _, p := range parameters {
		set, names = append(set, p.usual), append(names, p.name)
	}
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		i := slices.Index(names, name)
		if i < 0 {
			return nil, fmt.Errorf("%s: %.40q is no parameter: choose %s", what, word, strings.Join(names, ", "))
		}
		v, err := strconv.ParseFloat(value, 64)
		if p := parameters[i]; err != nil || !(v >= p.least && v <= p.top) {
			return nil, fmt.Errorf("%s: %s is %.40q: choose %g to %g", what, name, value, p.least, p.top)
		}
		set[i] = v
	}
	return set, nil
}

// readSkipLayers reads a request's SkipLayers, numbers of layers and parameters
// under the names of diffusers' pipeline: "7 8 9 scale=2.8 start=0.01 stop=0.2".
func readSkipLayers(text string, layers int, runs float64) (w weakened, err error) {
	var parameters []string
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' }) {
		if strings.Contains(word, "=") {
			parameters = append(parameters, word)
			continue
		}
		i, err := strconv.Atoi(word)
		switch {
		case layers == 0:
			return w, fmt.Errorf("skip layers: this model does not draw without some of its layers")
		case err != nil || i < 0 || i >= min(layers, 64):
			return w, fmt.Errorf("skip layers: %.40q is no layer: choose 0 to %d", word, min(layers, 64)-1)
		}
		w.layers |= 1 << i
	}
	set, err := readParameters("skip layers", []parameter{{"scale", 2.8, 0, 100}, {"start", 0.01, 0, 1}, {"stop", 0.2, 0, 1}}, parameters)
	if err != nil {
		return w, err
	}
	w.scale, w.from, w.to = set[0], set[1]*runs, set[2]*runs
	return w, nil
}

// readChurn reads a request's Churn, S_churn and parameters: "20 min=0.05 max=50 noise=1.003".
func readChurn(text string) (*sampler.Churn, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
	if len(words) == 0 {
		return nil, nil
	}
	if !strings.Contains(words[0], "=") {
		words[0] = "churn=" + words[0]
	}
	set, err := readParameters("churn", []parameter{{"churn", 0, 0, 1e4}, {"min", 0, 0, 1e6}, {"max", 1e6, 0, 1e6}, {"noise", 1, 0, 10}}, words)
	if err != nil {
		return nil, err
	}
	if set[1] > set[2] {
		return nil, fmt.Errorf("churn: min is %g: choose 0 to max, %g", set[1], set[2])
	}
	return &sampler.Churn{S: set[0], Min: set[1], Max: set[2], Noise: set[3]}, nil
}

// cfgZero is Fan et al. 2025, "CFG-Zero*": the negative prediction is first
// scaled to fit the prompt's best, and the first steps stand still. diffusers'
// ClassifierFreeZeroStarGuidance. For flow models.
func cfgZero(g *guidance, step int, out, cond, uncond, _ []float32) {
	if float64(step) < g.set[0] {
		clear(out)
		return
	}
	s := dot(cond, uncond) / (dot(uncond, uncond) + 1e-8)
	for j := range out {
		u := s * float64(uncond[j])
		out[j] = float32(u + g.scale*(float64(cond[j])-u))
	}
}

// apg is Sadat et al. 2024, "Eliminating oversaturation and artifacts of high
// guidance scales in diffusion models", algorithm 1: of the difference that
// guidance adds, the part along the prompt's prediction counts eta times; it is
// bounded, and earlier steps' weigh in. diffusers' AdaptiveProjectedGuidance.
func apg(g *guidance, step int, out, cond, uncond, _ []float32) {
	eta, threshold, momentum := g.set[0], g.set[1], g.set[2]
	if len(g.average) != len(out) || step == 0 {
		g.average = make([]float64, len(out))
	}
	norm, along, square := 0.0, 0.0, 0.0
	for j, c := range cond {
		d := float64(c) - float64(uncond[j]) + momentum*g.average[j]
		g.average[j] = d
		norm, along, square = norm+d*d, along+d*float64(c), square+float64(c)*float64(c)
	}
	bound := 1.0
	if threshold > 0 {
		bound = min(1, threshold/math.Sqrt(norm))
	}
	parallel := along / max(square, 1e-24) * (eta - 1)
	for j, d := range g.average {
		out[j] = float32(float64(uncond[j]) + g.scale*bound*(d+parallel*float64(cond[j])))
	}
}

// perpNeg is Armandpour et al. 2023, "Re-imagine the negative prompt algorithm":
// of the negative prompt only what is perpendicular to the prompt is drawn away
// from, both as differences from no words at all. ComfyUI's PerpNeg.
func perpNeg(g *guidance, _ int, out, cond, uncond, empty []float32) {
	along, square := 0.0, 0.0
	for j, e := range empty {
		p, n := float64(cond[j])-float64(e), float64(uncond[j])-float64(e)
		along, square = along+n*p, square+p*p
	}
	along /= max(square, 1e-24)
	for j, e := range empty {
		p, n := float64(cond[j])-float64(e), float64(uncond[j])-float64(e)
		out[j] = float32(float64(e) + g.scale*(p-g.set[0]*(n-along*p)))
	}
}

// dynamic brings each channel of a strongly guided prediction into the range
// that a weaker guidance, the mimic, would give it: dynamic thresholding (Saharia
// et al. 2022, "Imagen") in the form for latents of the sd-dynamic-thresholding
// extension, about the channel's mean, by absolute deviations.
func dynamic(g *guidance, _ int, out, cond, uncond, _ []float32) {
	n := len(out) / g.channel
	strong, deviations := make([]float64, n), make([]float64, n)
	for c := range g.channel {
		mean, mimicMean := 0.0, 0.0
		mimic := func(j int) float64 { u := float64(uncond[j]); return u + g.set[0]*(float64(cond[j])-u) }
		for i := range n {
			j := i*g.channel + c
			u := float64(uncond[j])
			strong[i] = u + g.scale*(float64(cond[j])-u)
			mean, mimicMean = mean+strong[i]/float64(n), mimicMean+mimic(j)/float64(n)
		}
		reach := 0.0
		for i := range n {
			reach = max(reach, math.Abs(mimic(i*g.channel+c)-mimicMean))
			deviations[i] = math.Abs(strong[i] - mean)
		}
		most := max(reach, quantile(deviations, g.set[1]))
		for i, v := range strong {
			out[i*g.channel+c] = float32(min(max(v-mean, -most), most)/max(most, 1e-24)*reach + mean)
		}
	}
}

// quantile is torch.quantile's, of x, which it sorts.
func quantile(x []float64, q float64) float64 {
	slices.Sort(x)
	at := q * float64(len(x)-1)
	i := int(at)
	if i+1 >= len(x) {
		return x[len(x)-1]
	}
	return x[i] + (at-float64(i))*(x[i+1]-x[i])
}

func dot(a, b []float32) float64 {
	sum := 0.0
	for j, v := range a {
		sum += float64(v) * float64(b[j])
	}
	return sum
}
