// Command solvers measures a model's samplers: what share of a picture's time is
// their own arithmetic, a row of `make bench` each; with -svg, by the model's own
// solution: how far the picture of each sampler is from the one that 200 steps
// make, by evaluations of the denoiser, as a table and a file of curves.
//
//	go run ./tests/bench/solvers [-model DIR] [-svg FILE] [-n PICTURES] [-json]
//
// The distance is the root of the mean square over colours of 0 to 255, as on
// the lab's page, where the same can be seen. Samplers that draw fresh noise
// have another solution for each number of steps and are left out.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"log"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"wisp/engine/diffusion"
	"wisp/engine/sampler"
	"wisp/engine/simd"
	"wisp/loader"
	"wisp/tests/bench/row"
)

// evaluations are those that a picture may take.
var evaluations = []int{1, 2, 4, 8}

// prompts are drawn by turns.
var prompts = []string{"red heart", "crying face"}

// curve is one sampler's distances, negative where it cannot take so few.
type curve struct {
	Sampler   string    `json:"sampler"`
	Distances []float64 `json:"distances"`
}

func main() {
	log.SetFlags(0)
	dir := flag.String("model", "site/models/default", "a packed model")
	file := flag.String("svg", "", "file that the curves are drawn into")
	n := flag.Int("n", 2, "pictures of each kind")
	asJSON := flag.Bool("json", false, "an object a line")
	flag.Parse()
	if err := run(context.Background(), *dir, *file, *n, *asJSON); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir, file string, n int, asJSON bool) error {
	m, err := loader.Open(ctx, loader.Dir(dir), nil, loader.Options{})
	if err != nil {
		return err
	}
	config, ok := m.Config("scheduler")
	if !ok {
		return fmt.Errorf("%s: no scheduler", dir)
	}
	scheduler, err := sampler.ParseConfig(config)
	if err != nil {
		return err
	}
	b, err := simd.New(simd.Options{Threads: 2})
	if err != nil {
		return err
	}
	p, err := diffusion.New(ctx, b, m, nil)
	if err != nil {
		return err
	}
	defer p.Close()
	var latent struct {
		Size     int `json:"sample_size"`
		Channels int `json:"out_channels"`
	}
	unet, _ := m.Config("unet")
	if err := json.Unmarshal(unet, &latent); err != nil {
		return fmt.Errorf("%s: unet: %w", dir, err)
	}
	if file == "" {
		return shares(ctx, p, scheduler, latent.Size*latent.Size*latent.Channels, asJSON)
	}
	curves, err := measure(ctx, p, scheduler, n)
	if err != nil {
		return err
	}
	print(curves, asJSON)
	return os.WriteFile(file, []byte(drawing(curves)), 0o644)
}

// request is picture i with a sampler, on the model's own schedule.
func request(p *diffusion.Pipeline, i int, name string, steps int) diffusion.Request {
	r := p.Defaults()
	r.Prompt, r.Seed, r.Sampler, r.Steps, r.Count = prompts[i%len(prompts)], uint64(i), name, steps, 1
	return r
}

func measure(ctx context.Context, p *diffusion.Pipeline, config sampler.Config, n int) (curves []curve, err error) {
	solutions := make([]*image.NRGBA, n)
	for i := range n {
		if solutions[i], err = draw(ctx, p, request(p, i, "dpmpp_2m", 200)); err != nil {
			return nil, err
		}
	}
	config, err = config.WithSchedule(p.Defaults().Schedule)
	if err != nil {
		return nil, err
	}
	for _, s := range p.Samplers() {
		c := curve{Sampler: s.Name}
		for _, budget := range evaluations {
			steps := stepsFor(config, s.Name, budget)
			d := -1.0
			if steps > 0 {
				d = 0
				for i := range n {
					img, err := draw(ctx, p, request(p, i, s.Name, steps))
					if err != nil {
						return nil, err
					}
					d += distance(img, solutions[i]) / float64(n)
				}
			}
			c.Distances = append(c.Distances, d)
		}
		if slices.Max(c.Distances) > 0 {
			curves = append(curves, c)
		}
	}
	last := len(evaluations) - 1
	slices.SortFunc(curves, func(a, b curve) int { return cmp.Compare(b.Distances[last], a.Distances[last]) })
	return curves, nil
}

// stepsFor is the number of steps that takes just so many evaluations, 0 where
// there is none, or where the sampler chooses its steps, draws noise, or wants
// guidance of its own.
func stepsFor(config sampler.Config, name string, budget int) int {
	for steps := 1; steps <= budget; steps++ {
		s, err := sampler.New(name, config, sampler.Plan{Steps: steps})
		if err != nil {
			continue
		}
		if sampler.Chooses(s) || s.Splits() {
			return 0
		}
		for i := range s.Timesteps() {
			if s.NeedsNoise(i) {
				return 0
			}
		}
		if len(s.Timesteps()) == budget {
			return steps
		}
	}
	return 0
}

func draw(ctx context.Context, p *diffusion.Pipeline, r diffusion.Request) (*image.NRGBA, error) {
	result, err := p.Generate(ctx, r, nil)
	if err != nil {
		return nil, fmt.Errorf("%s, %d steps: %w", r.Sampler, r.Steps, err)
	}
	return result.Images[0], nil
}

// distance is the root of the mean square over colours.
func distance(a, b *image.NRGBA) float64 {
	sum := 0.0
	for i, v := range a.Pix {
		if i%4 != 3 {
			d := float64(v) - float64(b.Pix[i])
			sum += d * d
		}
	}
	return math.Sqrt(sum / float64(len(a.Pix)*3/4))
}

func print(curves []curve, asJSON bool) {
	for _, c := range curves {
		if asJSON {
			line, _ := json.Marshal(c)
			fmt.Println(string(line))
			continue
		}
		fmt.Printf("| %s |", c.Sampler)
		for _, d := range c.Distances {
			if d < 0 {
				fmt.Print(" |")
			} else {
				fmt.Printf(" %.1f |", d)
			}
		}
		fmt.Println()
	}
}

// shares prints, for the samplers with the least and the most arithmetic, what
// of a picture's time is their own, beside the hundredth that it may be.
func shares(ctx context.Context, p *diffusion.Pipeline, config sampler.Config, numbers int, asJSON bool) error {
	for _, name := range []string{"euler", "unipc", "seeds_3"} {
		const steps = 4
		s, err := sampler.New(name, config, sampler.Plan{Steps: steps})
		if err != nil {
			return err
		}
		var whole time.Duration
		for range 2 { // the first compiles
			start := time.Now()
			if _, err := draw(ctx, p, request(p, 0, name, steps)); err != nil {
				return err
			}
			whole = time.Since(start)
		}
		x, out, noise := make([]float32, numbers), make([]float32, numbers), make([]float32, numbers)
		own := testing.Benchmark(func(b *testing.B) {
			for b.Loop() {
				for i := range s.Timesteps() {
					s.Scale(i, x)
					s.Step(i, x, out, noise)
				}
			}
		})
		r := row.Least("own share of "+name+", 4 steps", "ppm", 1e6*float64(own.NsPerOp())/float64(whole.Nanoseconds()), 1e4, "bound")
		if asJSON {
			fmt.Println(r.JSON())
		} else {
			fmt.Println(r)
		}
	}
	return nil
}

// drawing has the curves on logarithmic axes.
func drawing(curves []curve) string {
	const w, h, left, top, right = 720, 420, 60, 20, 170
	hi, lo := 0.0, math.Inf(1)
	for _, c := range curves {
		for _, d := range c.Distances {
			if d > 0 {
				hi, lo = max(hi, d), min(lo, d)
			}
		}
	}
	x := func(k int) float64 { return left + (w-left-right)*float64(k)/float64(len(evaluations)-1) }
	y := func(d float64) float64 { return top + (h-70)*math.Log(hi/max(d, lo))/math.Log(hi/lo) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", w, h)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", w, h)
	for k, n := range evaluations {
		fmt.Fprintf(&b, `<path d="M%.1f %d V%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", x(k), top, h-50, x(k), h-32, n)
	}
	for _, d := range []float64{1, 2, 5, 10, 20, 50, 100} {
		if d >= lo && d <= hi {
			fmt.Fprintf(&b, `<path d="M%d %.1f H%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n", left, y(d), w-right, left-6, y(d)+4, d)
		}
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">evaluations of the network</text>`+"\n", (w-right+left)/2, h-10)
	for i, c := range curves {
		colour := fmt.Sprintf("hsl(%d 70%% 40%%)", i*360/len(curves))
		var line []string
		for k, d := range c.Distances {
			if d >= 0 {
				line = append(line, fmt.Sprintf("%.1f,%.1f", x(k), y(d)))
			}
		}
		place := top + 10 + float64(h-70)*float64(i)/float64(len(curves))
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`, strings.Join(line, " "), colour)
		if d := c.Distances[len(c.Distances)-1]; d >= 0 {
			fmt.Fprintf(&b, `<path d="M%d %.1f L%d %.1f" stroke="%s" stroke-dasharray="2 3"/>`, w-right, y(d), w-right+30, place-4, colour)
		}
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" fill="%s">%s</text>`+"\n", w-right+34, place, colour, c.Sampler)
	}
	return b.String() + "</svg>\n"
}
