package sampler

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand"
	"os"
	"slices"
	"strings"
	"testing"
)

// mixture is one of Gaussians of one deviation and equal shares, of which the score is known in closed form at every
// noise level: the network that makes no error. A batch of points is laid end to end.
type mixture struct {
	dim   int
	means [][]float64
	s     float64
	score bool // the network predicts the score of x = x0 + sigma noise
}

// newMixture has k components about a sphere of radius one a dimension.
func newMixture(dim, k int, s float64) mixture {
	random := rand.New(rand.NewSource(7))
	m := mixture{dim: dim, s: s}
	for range k {
		mean := make([]float64, dim)
		norm := 0.0
		for j := range mean {
			mean[j] = random.NormFloat64()
			norm += mean[j] * mean[j]
		}
		for j := range mean {
			mean[j] *= math.Sqrt(float64(dim) / norm)
		}
		m.means = append(m.means, mean)
	}
	return m
}

// predict writes into x0 the mean of the picture given x = alpha x0 + sigma noise.
func (m mixture) predict(x, x0 []float64, alpha, sigma float64) {
	v := alpha*alpha*m.s*m.s + sigma*sigma
	shrink := alpha * m.s * m.s / v
	logs := make([]float64, len(m.means))
	for at := 0; at < len(x); at += m.dim {
		p := x[at : at+m.dim]
		for k, mean := range m.means {
			logs[k] = 0
			for j, c := range mean {
				d := p[j] - alpha*c
				logs[k] -= d * d / (2 * v)
			}
		}
		most, sum := slices.Max(logs), 0.0
		for k, l := range logs {
			logs[k] = math.Exp(l - most)
			sum += logs[k]
		}
		for j := range m.dim {
			mean := 0.0
			for k, w := range logs {
				mean += w / sum * m.means[k][j]
			}
			x0[at+j] = mean + shrink*(p[j]-alpha*mean)
		}
	}
}

// network answers for a sampler's run i, given its input, as a model of the family does.
func (m mixture) network(flow bool, level float32, in, out []float32) {
	alpha, sigma := 1-float64(level), float64(level)
	if m.score {
		alpha = 1
	} else if !flow {
		alpha = 1 / math.Sqrt(1+sigma*sigma)
		sigma *= alpha
	}
	x, x0 := make([]float64, len(in)), make([]float64, len(in))
	for j, v := range in {
		x[j] = float64(v)
	}
	m.predict(x, x0, alpha, sigma)
	for j := range in {
		noise := (x[j] - alpha*x0[j]) / sigma
		if m.score {
			noise /= -sigma
		}
		if out[j] = float32(noise); flow {
			out[j] = float32(noise - x0[j])
		}
	}
}

// walk drives s over unit noise to the end, or to before the last run. It counts evaluations.
func (m mixture) walk(s Sampler, flow, whole bool, noise []float32, random *rand.Rand) (x []float32, runs int) {
	x = slices.Clone(noise)
	for j := range x {
		x[j] *= s.InitSigma()
	}
	in, out, fresh := make([]float32, len(x)), make([]float32, len(x)), make([]float32, len(x))
	for ; runs < len(s.Timesteps()) && (whole || runs+1 < len(s.Timesteps())); runs++ {
		i := runs
		copy(in, x)
		s.Scale(i, in)
		m.network(flow, s.Sigmas()[i], in, out)
		if s.NeedsNoise(i) {
			for j := range fresh {
				fresh[j] = float32(random.NormFloat64())
			}
		}
		s.Step(i, x, out, fresh)
	}
	return x, runs
}

// flowTo takes x at noise level from along the exact ODE to level to, by Runge and Kutta's method of order four in
// lambda: x/alpha = x0 + S noise, d(x/alpha)/d log S = x/alpha - x0.
func (m mixture) flowTo(x []float64, from, to float64, steps int) {
	h := math.Log(to/from) / float64(steps)
	k := make([][]float64, 4)
	at := make([]float64, len(x))
	for i := range k {
		k[i] = make([]float64, len(x))
	}
	slope := func(x, out []float64, level float64) {
		a := 1 / math.Sqrt(1+level*level)
		scaled := make([]float64, len(x))
		for j, v := range x {
			scaled[j] = a * v
		}
		m.predict(scaled, out, a, level*a)
		for j, v := range x {
			out[j] = v - out[j]
		}
	}
	for i := range steps {
		l := math.Log(from) + float64(i)*h
		slope(x, k[0], math.Exp(l))
		for stage, c := range []float64{0.5, 0.5, 1} {
			for j := range x {
				at[j] = x[j] + c*h*k[stage][j]
			}
			slope(at, k[stage+1], math.Exp(l+c*h))
		}
		for j := range x {
			x[j] += h / 6 * (k[0][j] + 2*k[1][j] + 2*k[2][j] + k[3][j])
		}
	}
}

func unitNoise(n int, seed int64) []float32 {
	random := rand.New(rand.NewSource(seed))
	noise := make([]float32, n)
	for j := range noise {
		noise[j] = float32(random.NormFloat64())
	}
	return noise
}

// smooth is a schedule on which the solvers' errors are the smooth functions of the step that their orders are about.
const smooth = `{"_class_name":"EulerDiscreteScheduler","beta_schedule":"scaled_linear","beta_start":0.00085,"beta_end":0.012,"clip_sample":false}`

// Measured orders of convergence on a mixture in two dimensions and in 64: how fast the distance to the exact solution
// falls as steps are halved.
func TestOrders(t *testing.T) {
	for _, c := range claims {
		for _, dim := range []int{2, 64} {
			order, err := measuredOrder(t, c.name, c.graded, dim, c.steps)
			t.Logf("%-20s in %2d dimensions: order %.2f of %v, error %.2g", c.name, dim, order, c.order, err)
			if !(math.Abs(order-c.order) <= 0.15) || !(err < 0.05) {
				t.Errorf("%s in %d dimensions: order %.2f, want %v; error %.2g", c.name, dim, order, c.order, err)
			}
		}
	}
}

// claims are the solvers' orders, with the steps at which they are measured. Those of third order and more begin with
// steps of the first, whose error is of second order; graded schedules, whose first steps are short, show what the
// method itself does.
var claims = []struct {
	name   string
	order  float64
	steps  int
	graded bool
}{
	{"euler", 1, 64, false}, {"ddim", 1, 100, false}, {"gradient_estimation", 1, 64, false}, // with twice the slope's change, not one and a half
	{"heunpp2", 1, 64, false}, // its weights are shares of noise levels, not those of a method of second order
	{"heun", 2, 64, false}, {"dpm_2", 2, 64, false}, {"exp_heun_2_x0", 2, 64, false}, {"dpmpp_2m", 2, 64, false}, {"dpmpp_2s", 2, 64, false}, {"res_multistep", 2, 64, false},
	{"deis", 2, 64, false}, {"ipndm", 2, 64, false}, // with coefficients of evenly spaced levels
	{"unipc", 3, 64, false}, {"unipc_bh1", 3, 64, false}, // of order 2, and the corrector's one more
	{"plms", 2, 250, false}, {"pndm", 2, 250, false},
	{"dpmpp_3m", 2, 128, true}, // its paper's step gives the second difference half the weight that order 3 takes
	{"ipndm_v", 2, 64, true},   // with its package's coefficients
	{"deis_tab", 3, 64, true}, {"lms", 4, 64, true}, {"dpm_fast", 3, 90, false},
}

func measuredOrder(t *testing.T, name string, graded bool, dim, steps int) (order, last float64) {
	m := newMixture(dim, 4, 0.6)
	var errs []float64
	for _, n := range []int{steps, 2 * steps} {
		schedule := "exponential"
		if graded {
			schedule = gradedTimesteps(t, n)
		}
		c, err := parse(t, smooth).WithSchedule(schedule)
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(name, c, Plan{Steps: n})
		if errors.Is(err, ErrRequest) {
			c, _ = c.WithSchedule("leading")
			s, err = New(name, c, Plan{Steps: n})
		}
		if err != nil {
			t.Fatal(err)
		}
		noise := unitNoise(dim*16, 3)
		x, _ := m.walk(s, false, false, noise, nil)
		levels := s.Sigmas()
		end := len(levels) - 2
		exact := make([]float64, len(x))
		for j, v := range noise {
			exact[j] = float64(v*s.InitSigma()) / picture(s, 0)
		}
		m.flowTo(exact, float64(levels[0]), float64(levels[end]), 300)
		sum := 0.0
		for j, v := range x {
			d := float64(v)/picture(s, end) - exact[j]
			sum += d * d
		}
		errs = append(errs, math.Sqrt(sum/float64(len(x))))
	}
	return math.Log2(errs[0] / errs[1]), errs[1]
}

// gradedTimesteps are those of levels whose logarithms fall by the square of the step.
func gradedTimesteps(t *testing.T, n int) string {
	s, err := parse(t, smooth).settings("EulerDiscreteScheduler", "")
	if err != nil {
		t.Fatal(err)
	}
	bar, err := alphasCumprod(s)
	if err != nil {
		t.Fatal(err)
	}
	train := trainSigmas(bar)
	var list []string
	hi, lo := math.Log(float64(train[999])), math.Log(0.05)
	for i := range n {
		u := float64(i) / float64(n-1)
		sigma := math.Exp(hi + (lo-hi)*u*u)
		k := 0
		for k < 998 && float64(train[k+1]) < sigma {
			k++
		}
		a, b := float64(train[k]), float64(train[k+1])
		list = append(list, fmt.Sprint(min(float64(k)+(sigma-a)/(b-a), 999)))
	}
	return strings.Join(list, " ")
}

// picture is what x at run i has of the picture.
func picture(s Sampler, i int) float64 {
	x := []float32{1}
	s.AddNoise(i, x, []float32{0})
	return float64(x[0])
}

// Means and variances of what the stochastic solvers draw are the mixture's within sampling error.
func TestMoments(t *testing.T) {
	m := mixture{dim: 2, s: 0.5, means: [][]float64{{1, -0.5}, {-1, 0.5}}}
	const points = 3000
	for _, c := range []struct {
		name  string
		steps int
		eta   float64
		churn float64
	}{
		{"euler_a", 150, 1, 0}, {"dpm_2_a", 60, 1, 0}, {"dpmpp_2s_a", 60, 1, 0}, {"dpmpp_sde", 60, 1, 0}, {"dpmpp_2m_sde", 60, 1, 0}, {"dpmpp_2m_sde_heun", 60, 1, 0},
		{"dpmpp_3m_sde", 60, 1, 0}, {"sde_dpmsolver", 60, 1, 0}, {"sa_solver", 60, 1, 0}, {"er_sde", 60, 1, 0}, {"seeds_2", 40, 1, 0}, {"seeds_3", 40, 1, 0},
		{"exp_heun_2_x0_sde", 40, 1, 0}, {"ddpm", 200, 1, 0}, {"ddim", 200, 1, 0}, {"ddim", 200, 0.5, 0}, {"res_multistep_a", 60, 1, 0}, {"euler", 150, 0, 30}, {"heun", 50, 0, 20}, {"restart", 40, 0, 0},
		{"gotta_go_fast", 10, 0, 0}, {"gddim", 200, 1, 0}, {"gddim", 200, 0.5, 0}, {"ddgan", 200, 0, 0},
		{"ncsn", 120, 0, 0}, {"cas", 200, 1, 0}, {"cas", 200, 0.5, 0},
	} {
		config := parse(t, smooth)
		if m.score = c.name == "ncsn" || c.name == "cas"; m.score {
			config = parse(t, `{"_class_name":"ScoreSdeVeScheduler","sigma_min":0.01,"sigma_max":15,"correct_steps":20}`)
		}
		schedule := "karras"
		if c.name == "ddpm" || c.name == "ddim" || c.name == "sa_solver" || slices.Contains([]string{"posterior.go"}, About(c.name).File) {
			schedule = "trailing"
		}
		if m.score {
			schedule = ""
		}
		config, err := config.WithSchedule(schedule)
		if err != nil {
			t.Fatal(err)
		}
		plan := Plan{Steps: c.steps, Eta: &c.eta}
		if c.churn > 0 {
			plan.Churn = &Churn{S: c.churn, Max: 10, Noise: 1}
		}
		s, err := New(c.name, config, plan)
		if err != nil {
			t.Fatal(c.name, err)
		}
		x, _ := m.walk(s, false, true, unitNoise(2*points, 5), rand.New(rand.NewSource(11)))
		for d := range 2 {
			mean, variance := 0.0, 0.0
			for j := d; j < len(x); j += 2 {
				mean += float64(x[j]) / points
			}
			for j := d; j < len(x); j += 2 {
				variance += (float64(x[j]) - mean) * (float64(x[j]) - mean) / points
			}
			want := m.s*m.s + m.means[0][d]*m.means[0][d]
			t.Logf("%-18s %v: mean %.3f, variance %.3f of %.3f", c.name, d, mean, variance, want)
			if math.Abs(mean) > 4*math.Sqrt(want/points) || math.Abs(variance/want-1) > 4*math.Sqrt(2./points) {
				t.Errorf("%s, eta %v: mean %.3f and variance %.3f, want 0 and %.3f", c.name, c.eta, mean, variance, want)
			}
		}
	}
}

// Solvers that choose their steps end where the exact solution does, as near as they promise.
func TestChosenSteps(t *testing.T) {
	for _, c := range []struct {
		name  string
		most  float64 // of the distance
		calls int
	}{{"rk45", 2e-4, 200}, {"dpm_adaptive", 0.06, 100}} {
		for _, dim := range []int{2, 64} {
			m := newMixture(dim, 4, 0.6)
			s, err := New(c.name, parse(t, smooth), Plan{Steps: 1})
			if err != nil {
				t.Fatal(err)
			}
			noise := unitNoise(dim*16, 3)
			x, runs := m.walk(s, false, true, noise, nil)
			levels := s.Sigmas()
			exact := make([]float64, len(x))
			for j, v := range noise {
				exact[j] = float64(v * s.InitSigma())
			}
			m.flowTo(exact, float64(levels[0]), float64(levels[len(levels)-1]), 300)
			sum := 0.0
			for j, v := range x {
				sum += (float64(v) - exact[j]) * (float64(v) - exact[j])
			}
			d := math.Sqrt(sum / float64(len(x)))
			t.Logf("%s in %d dimensions: %d evaluations, distance %.2g", c.name, dim, runs, d)
			if !(d < c.most) || runs > c.calls {
				t.Errorf("%s in %d dimensions: %d evaluations, distance %.2g; want at most %d and %.2g", c.name, dim, runs, d, c.calls, c.most)
			}
		}
	}
}

var svg = flag.String("svg", "", "file that TestDistances draws its curves into")

// compared are the solvers of the table, each with a schedule that it is used with.
var compared = []struct{ name, schedule string }{
	{"euler", "karras"}, {"ddim", "leading"}, {"heun", "karras"}, {"plms", "leading"}, {"dpmpp_2m", "exponential"}, {"deis", "karras"}, {"dpmpp_3m", "exponential"},
	{"lms", "karras"}, {"ipndm", "karras"}, {"res_multistep", "karras"}, {"unipc", "exponential"},
}

var budgets = []int{5, 8, 10, 20, 50}

// Distances to the exact solution from the same noise, an upper bound on Wasserstein's of second order, against
// evaluations. The order at ten is that of the literature: DDIM behind PNDM behind DPM-Solver and DEIS behind UniPC. In
// two dimensions, where the exact solution bends little, PNDM is level with DPM-Solver and DEIS.
//
//	go test ./engine/sampler -run TestDistances -svg FILE
func TestDistances(t *testing.T) {
	var curves [][]float64
	for _, dim := range []int{2, 64} {
		table := map[string][]float64{}
		curves = nil
		for _, c := range compared {
			for _, budget := range budgets {
				table[c.name] = append(table[c.name], distanceAt(t, dim, c.name, c.schedule, budget))
			}
			curves = append(curves, table[c.name])
			t.Logf("%2d dimensions: %-14s %.4f", dim, c.name, table[c.name])
		}
		ranks := [][]string{{"ddim", "plms"}, {"plms", "dpmpp_2m"}, {"plms", "deis"}, {"dpmpp_2m", "unipc"}, {"deis", "unipc"}}
		if dim == 2 {
			ranks = [][]string{{"ddim", "plms"}, {"ddim", "dpmpp_2m"}, {"ddim", "deis"}, {"plms", "unipc"}, {"dpmpp_2m", "unipc"}, {"deis", "unipc"}}
		}
		for _, r := range ranks {
			if a, b := table[r[0]][2], table[r[1]][2]; !(a > b) {
				t.Errorf("%d dimensions, ten evaluations: %s at %.4f is not behind %s at %.4f", dim, r[0], a, r[1], b)
			}
		}
		for name, row := range table {
			if !(row[4] < row[0]/5) {
				t.Errorf("%d dimensions: %s gains too little: %.4f", dim, name, row)
			}
		}
	}
	if *svg != "" {
		if err := os.WriteFile(*svg, []byte(drawing(curves)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// drawing has the curves of compared on logarithmic axes.
func drawing(curves [][]float64) string {
	const w, h, left, top = 720, 420, 60, 20
	x := func(n int) float64 { return left + (w-220)*math.Log(float64(n)/5)/math.Log(10) }
	y := func(d float64) float64 { return top + (h-70)*math.Log(0.4/d)/math.Log(0.4/0.0005) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", w, h)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", w, h)
	for _, n := range budgets {
		fmt.Fprintf(&b, `<path d="M%.1f %d V%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", x(n), top, h-50, x(n), h-32, n)
	}
	for _, d := range []float64{0.3, 0.1, 0.03, 0.01, 0.003, 0.001} {
		fmt.Fprintf(&b, `<path d="M%d %.1f H%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n", left, y(d), w-160, left-6, y(d)+4, d)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">evaluations of the network</text>`+"\n", (w-160+left)/2, h-10)
	order := make([]int, len(curves))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return strings.Compare(fmt.Sprintf("%.9f", curves[b][4]), fmt.Sprintf("%.9f", curves[a][4]))
	})
	for at, i := range order {
		colour := fmt.Sprintf("hsl(%d 70%% 40%%)", i*360/len(curves))
		var line []string
		for k, n := range budgets {
			line = append(line, fmt.Sprintf("%.1f,%.1f", x(n), y(curves[i][k])))
		}
		place := top + 60 + 24*float64(at)
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, strings.Join(line, " "), colour)
		fmt.Fprintf(&b, `<path d="M%.1f %.1f L%d %.1f" stroke="%s" stroke-dasharray="2 3"/><text x="%d" y="%.1f" fill="%s">%s</text>`+"\n", x(50), y(curves[i][4]), w-120, place-4, colour, w-115, place, colour, compared[i].name)
	}
	return b.String() + "</svg>\n"
}

// distanceAt is the root of the mean square a dimension, after at most so many evaluations.
func distanceAt(t *testing.T, dim int, name, schedule string, budget int) float64 {
	m := newMixture(dim, 4, 0.6)
	config, err := parse(t, smooth).WithSchedule(schedule)
	if err != nil {
		t.Fatal(err)
	}
	var s Sampler
	for steps := 1; steps <= budget; steps++ {
		next, err := New(name, config, Plan{Steps: steps})
		if err != nil {
			continue
		}
		if len(next.Timesteps()) > budget {
			break
		}
		s = next
	}
	noise := unitNoise(dim*32, 3)
	x, _ := m.walk(s, false, true, noise, nil)
	exact := make([]float64, len(x))
	for j, v := range noise {
		exact[j] = float64(v*s.InitSigma()) / picture(s, 0)
	}
	m.flowTo(exact, float64(s.Sigmas()[0]), 1e-3, 120)
	sum := 0.0
	for j, v := range x {
		sum += (float64(v) - exact[j]) * (float64(v) - exact[j])
	}
	return math.Sqrt(sum / float64(len(x)))
}

// Critically damped walks end with the mixture's mean and variance, and so do their velocities with theirs. The score of
// (x, w) is that of a mixture, too; the splitting takes a fifth of the evaluations that Euler's steps take.
func TestVelocities(t *testing.T) {
	const points, s2 = 4000, 0.25
	means := []float64{1, -1}
	for _, c := range []struct {
		name  string
		steps int
	}{{"cld", 150}, {"cld_euler", 750}} {
		s, err := New(c.name, parse(t, `{"_class_name":"CLDScheduler"}`), Plan{Steps: c.steps})
		if err != nil {
			t.Fatal(err)
		}
		x, out, fresh := unitNoise(2*points, 5), make([]float32, 2*points), make([]float32, 2*points)
		random := rand.New(rand.NewSource(11))
		for i, time := range s.Timesteps() {
			law, x0 := cldAt(8*float64(time)), make([]float32, 2*points)
			for j := range points {
				score, _ := law.posterior(means, s2, float64(x[j]), float64(x[points+j]))
				out[points+j] = float32(score)
			}
			s.Denoised(i, x, out, x0)
			if _, want := law.posterior(means, s2, float64(x[7]), float64(x[points+7])); i == c.steps/2 && math.Abs(float64(x0[7])-want) > 1e-3 {
				t.Errorf("%s foretells %v, want %v", c.name, x0[7], want)
			}
			for j := range fresh {
				fresh[j] = float32(random.NormFloat64())
			}
			s.Step(i, x, out, fresh)
		}
		for half, want := range []float64{1 + s2, cldStart * cldStart / (cldStart + 4*8e-3)} { // the last step gives the mean of w
			mean, variance := 0.0, 0.0
			for _, v := range x[half*points:][:points] {
				mean += float64(v) / points
				variance += float64(v) * float64(v) / points
			}
			variance -= mean * mean
			t.Logf("%s, half %d: mean %.3f, variance %.4f of %.4f", c.name, half, mean, variance, want)
			if math.Abs(mean) > 4*math.Sqrt(want/points) || math.Abs(variance/want-1) > 4*math.Sqrt(2./points) {
				t.Errorf("%s, half %d: mean %.3f and variance %.4f, want 0 and %.4f", c.name, half, mean, variance, want)
			}
		}
	}
}

// posterior is, given (x, w), the score of w and the mean of the picture, of a mixture of equal shares and variance s2.
func (m cldMarginal) posterior(means []float64, s2, x, w float64) (score, picture float64) {
	r, a, b := m.root, m.mean[0][0], m.mean[1][0]
	xx, wx, ww := r[0][0]*r[0][0]+a*a*s2, r[1][0]*r[0][0]+a*b*s2, r[1][0]*r[1][0]+r[1][1]*r[1][1]+b*b*s2
	det, total := xx*ww-wx*wx, 0.0
	for _, mean := range means {
		dx, dw := x-a*mean, w-b*mean
		p := math.Exp(-(ww*dx*dx - 2*wx*dx*dw + xx*dw*dw) / (2 * det))
		score += p * (wx*dx - xx*dw) / det
		picture += p * (mean + s2*(a*(ww*dx-wx*dw)+b*(xx*dw-wx*dx))/det)
		total += p
	}
	return score / total, picture / total
}
