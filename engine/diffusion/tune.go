package diffusion

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"wisp/engine/sampler"
)

// tuned is the schedule of a walk: the model's own timesteps where it has some
// for so many steps of its own sampler and schedule, else the schedule asked for.
func (p *Pipeline) tuned(name, schedule string, steps int) string {
	own := name == "" || name == p.Samplers()[0].Name
	if t := p.defaults.Timesteps[strconv.Itoa(steps)]; len(t) > 0 && own && schedule == p.defaults.Schedule {
		return timesteps(t)
	}
	return schedule
}

// timesteps is a list as a schedule has it.
func timesteps(t []float64) string {
	var words []string
	for _, v := range t {
		words = append(words, strconv.FormatFloat(v, 'g', 7, 64))
	}
	return strings.Join(words, " ")
}

// checkTimesteps refuses those that a walk cannot visit.
func (p *Pipeline) checkTimesteps() error {
	for key, t := range p.defaults.Timesteps {
		steps, err := strconv.Atoi(key)
		if err != nil || steps != len(t) || steps < 1 {
			return fmt.Errorf("timesteps of %.40q: there are %d", key, len(t))
		}
		r := p.Defaults()
		r.Steps = steps
		if _, err := p.sampler("", r.Schedule, p.plan(r)); err != nil {
			return fmt.Errorf("timesteps of %s steps: %w", key, err)
		}
	}
	return nil
}

// Tuning is what [Pipeline.Tune] found.
type Tuning struct {
	Timesteps     []float64 // latest first
	Before, After float64   // how far walks end from the exact solution, root of mean squares of latents, with the model's schedule and with these
}

// Tune looks for the timesteps with which the model's own sampler comes nearest
// to the exact solution in r.Steps steps. It walks once in fine steps for each
// prompt, with the first seeds from r.Seed on, and knows from that alone what a
// step of any length would cost; dynamic programming gives the cheapest way of
// so many steps (Watson et al. 2021, "Learning to efficiently sample from
// diffusion probabilistic models", with the error of a step in place of its
// bound; Chen et al. 2024, GITS). Then each timestep is moved while the ends of
// whole walks come nearer. Before and After are of other seeds.
func (p *Pipeline) Tune(ctx context.Context, r Request, prompts []string, on func(done, total int)) (Tuning, error) {
	t := tuner{p: p, r: r, prompts: prompts, on: on}
	if len(prompts) == 0 {
		return Tuning{}, badRequest(errors.New("tune: there is no prompt to draw"))
	}
	if err := p.check(withPrompt(r, prompts[0])); err != nil {
		return Tuning{}, badRequest(err)
	}
	return t.tune(ctx)
}

func withPrompt(r Request, prompt string) Request {
	r.Prompt, r.Count = prompt, 1
	return r
}

// tuner is a tuning on its way.
type tuner struct {
	p       *Pipeline
	r       Request
	prompts []string
	on      func(done, total int)
	done    int
}

// The fine walk's steps, and how often the timesteps are moved.
const (
	fineSteps = 60
	rounds    = 2
)

func (t *tuner) tune(ctx context.Context) (Tuning, error) {
	bare := t.r.Schedule
	plain, err := t.p.plainSampler(bare, t.p.plan(t.r))
	if err != nil {
		return Tuning{}, badRequest(err)
	}
	for i := range plain.Timesteps() {
		if plain.NeedsNoise(i) {
			return Tuning{}, badRequest(errors.New("tune: the model's sampler adds noise at each step, so there is no exact solution to come near to"))
		}
	}
	way, err := t.cheapest(ctx)
	if err != nil {
		return Tuning{}, err
	}
	if way, err = t.search(ctx, way, plain); err != nil {
		return Tuning{}, err
	}
	result := Tuning{Timesteps: way}
	held := len(t.prompts)
	ends, err := t.ends(ctx, held)
	if err != nil {
		return Tuning{}, err
	}
	if result.Before, err = t.distance(ctx, plain, held, ends); err != nil {
		return Tuning{}, err
	}
	s, err := t.p.plainSampler(timesteps(way), t.p.plan(t.r))
	if err != nil {
		return Tuning{}, badRequest(err)
	}
	result.After, err = t.distance(ctx, s, held, ends)
	return result, err
}

// plainSampler is the model's own with exactly that schedule.
func (p *Pipeline) plainSampler(schedule string, plan sampler.Plan) (sampler.Sampler, error) {
	config, err := p.scheduler.WithSchedule(schedule)
	if err != nil {
		return nil, err
	}
	return sampler.New("", config, plan)
}

// cheapest is the way whose steps of Euler's method are the nearest to the fine
// walk in all.
func (t *tuner) cheapest(ctx context.Context) ([]float64, error) {
	r := t.r
	r.Steps = fineSteps
	config, err := t.p.scheduler.WithSchedule("linspace")
	if err == nil && config.Flow() {
		config, err = t.p.scheduler.WithSchedule("trailing")
	}
	if err != nil {
		return nil, err
	}
	s, err := sampler.New("euler", config, t.p.plan(r))
	if err != nil {
		return nil, badRequest(fmt.Errorf("tune: %w", err))
	}
	n := len(s.Timesteps())
	cost := make([][]float64, n) // of a step from i to j, at j-i-1
	for i := range cost {
		cost[i] = make([]float64, n-i)
	}
	for k := range t.prompts {
		walk, predictions, err := t.walk(ctx, r, s, k)
		if err != nil {
			return nil, err
		}
		for i := range cost {
			for j := i + 1; j <= n; j++ {
				cost[i][j-i-1] += stepError(s, i, j, walk[i], predictions[i], walk[j])
			}
		}
	}
	var way []float64
	for _, i := range shortest(cost, t.r.Steps) {
		way = append(way, float64(s.Timesteps()[i]))
	}
	return way, nil
}

// walk is s's, from x before the first step to x after the last, and the
// picture that each step foretold, for prompt k with its seed.
func (t *tuner) walk(ctx context.Context, r Request, s sampler.Sampler, k int) (x, predictions [][]float32, err error) {
	r = withPrompt(r, t.prompts[k%len(t.prompts)])
	r.Seed += uint64(k)
	d := &drawing{p: t.p, r: r, s: s, latent: t.p.kind.Latent(r), on: func(Event) {}}
	nets := t.p.kind.Nets()
	d.net = nets[slices.IndexFunc(nets, func(n Net) bool { return n.Denoiser })]
	if d.guide, err = t.p.guidance(ctx, r, s, &Result{}); err != nil {
		return nil, nil, err
	}
	now := d.first(newNoise(r, 0, d.latent))
	x = append(x, slices.Clone(now))
	for i, time := range s.Timesteps() {
		out, err := d.predict(ctx, i, time, now)
		if err != nil {
			return nil, nil, err
		}
		picture := make([]float32, len(now))
		s.Denoised(i, now, out, picture)
		predictions = append(predictions, picture)
		s.Step(i, now, out, nil)
		x = append(x, slices.Clone(now))
		t.done++
		t.on(t.done, 0)
	}
	return x, predictions, nil
}

// stepError is how far one step of Euler's method from i to j ends from x at j.
func stepError(s sampler.Sampler, i, j int, from, picture, x []float32) float64 {
	a, b := place(s, i), place(s, j)
	sum := 0.0
	for k, v := range from {
		noise := (float64(v) - a[0]*float64(picture[k])) / a[1]
		d := b[0]*float64(picture[k]) + b[1]*noise - float64(x[k])
		sum += d * d
	}
	return sum / float64(len(x))
}

// place is what x at step i has of the picture and of noise.
func place(s sampler.Sampler, i int) [2]float64 {
	p, n := []float32{1}, []float32{1}
	s.AddNoise(i, p, []float32{0})
	s.AddNoise(i, n, []float32{1})
	return [2]float64{float64(p[0]), float64(n[0] - p[0])}
}

// shortest is the cheapest way from 0 to n in so many steps, n being the rows
// of cost; it lists where the steps begin.
func shortest(cost [][]float64, steps int) []int {
	n := len(cost)
	steps = min(steps, n)
	best := make([][]float64, steps+1) // to be at j after k steps
	from := make([][]int, steps+1)
	for k := range best {
		best[k], from[k] = slices.Repeat([]float64{math.Inf(1)}, n+1), make([]int, n+1)
	}
	best[0][0] = 0
	for k := range steps {
		for i, c := range best[k][:n] {
			for j := i + 1; j <= n; j++ {
				if v := c + cost[i][j-i-1]; v < best[k+1][j] {
					best[k+1][j], from[k+1][j] = v, i
				}
			}
		}
	}
	way := make([]int, steps)
	for k, j := steps, n; k > 0; k-- {
		j = from[k][j]
		way[k-1] = j
	}
	return way
}

// search begins with the better of a way and of what plain visits, and moves
// each timestep but the first between its neighbours while walks end nearer to
// the exact solution.
func (t *tuner) search(ctx context.Context, way []float64, plain sampler.Sampler) ([]float64, error) {
	ends, err := t.ends(ctx, 0)
	if err != nil {
		return nil, err
	}
	try := func(way []float64) (float64, error) {
		s, err := t.p.plainSampler(timesteps(way), t.p.plan(t.r))
		if errors.Is(err, sampler.ErrRequest) {
			return math.Inf(1), nil
		}
		if err != nil {
			return 0, err
		}
		return t.distance(ctx, s, 0, ends)
	}
	least, err := try(way)
	if err != nil {
		return nil, err
	}
	var own []float64
	for _, v := range plain.Timesteps() {
		own = append(own, float64(v))
	}
	if len(own) == len(way) {
		d, err := try(own)
		if err != nil {
			return nil, err
		}
		if d < least {
			least, way = d, own
		}
	}
	for round := range rounds {
		for i := 1; i < len(way); i++ {
			last := 0.0
			if i+1 < len(way) {
				last = way[i+1]
			}
			share := 0.4 / float64(round+1)
			for _, v := range []float64{way[i] + share*(way[i-1]-way[i]), way[i] - share*(way[i]-last)} {
				moved := slices.Clone(way)
				moved[i] = math.Round(v)
				d, err := try(moved)
				if err != nil {
					return nil, err
				}
				if d < least {
					least, way = d, moved
				}
			}
		}
	}
	return way, nil
}

// ends are where walks in fine steps end, for as many seeds as prompts from the
// first on.
func (t *tuner) ends(ctx context.Context, first int) (ends [][]float32, err error) {
	r := t.r
	r.Steps = fineSteps
	s, err := t.p.plainSampler(t.r.Schedule, t.p.plan(r))
	if err != nil {
		return nil, badRequest(fmt.Errorf("tune: %w", err))
	}
	for k := range t.prompts {
		x, _, err := t.walk(ctx, r, s, first+k)
		if err != nil {
			return nil, err
		}
		ends = append(ends, x[len(x)-1])
	}
	return ends, nil
}

// distance is how far s's walks end from those ends.
func (t *tuner) distance(ctx context.Context, s sampler.Sampler, first int, ends [][]float32) (float64, error) {
	sum, n := 0.0, 0
	for k, end := range ends {
		x, _, err := t.walk(ctx, t.r, s, first+k)
		if err != nil {
			return 0, err
		}
		for j, v := range x[len(x)-1] {
			sum += float64(v-end[j]) * float64(v-end[j])
		}
		n += len(end)
	}
	return math.Sqrt(sum / float64(n)), nil
}
