// Package sampler holds the denoising loops: given a scheduler_config.json as diffusers writes it and a number of
// steps, which timesteps the network is run at and how each of its outputs moves the latent.
//
// A latent is small, so this is host arithmetic on []float32: the package knows nothing of tensors, backends or
// networks. One algorithm stands in one file (euler.go is the plainest); schedule.go has the noise schedules they
// share; this file has the contract and the table of names.
package sampler

import (
	"errors"
	"fmt"
	"strings"
)

// Sampler walks one latent from noise to picture:
//
//	x = noise * s.InitSigma()
//	for i, t := range s.Timesteps() {
//		in = copy of x; s.Scale(i, in)
//		s.Step(i, x, network(in, t), fresh noise or nil)
//	}
//
// All slices given to one call have the same length. Steps are taken in order from 0: a sampler may remember
// earlier ones, and forgets them at step 0. A Sampler serves one latent (or one batch laid end to end) at a time.
type Sampler interface {
	// Timesteps is what the network gets at each step, in order. Its length is the number of network runs, which
	// for a second-order sampler is more than the steps asked for.
	Timesteps() []float32
	// Sigmas is the noise level at each step and, one longer than Timesteps, after the last.
	Sigmas() []float32
	// InitSigma is what unit noise is multiplied by to make the first x.
	InitSigma() float32
	// Scale turns a copy of x, in place, into the network's input at step i.
	Scale(i int, x []float32)
	// Step moves x, in place, past step i, given the network's output for it. noise is fresh unit noise, and may
	// be nil unless NeedsNoise.
	Step(i int, x, out, noise []float32)
	// Denoised writes into x0 the picture that x and the network's output at step i foretell. For previews; x0
	// may be out itself. It is to be called before Step(i), which moves x.
	Denoised(i int, x, out, x0 []float32)
	// NeedsNoise says whether Step(i) reads its noise. Noise is drawn only where it does, as diffusers draws it,
	// so that the stream of random numbers stays the same.
	NeedsNoise(i int) bool
}

var (
	// ErrRequest marks what the caller asked for and cannot have: a sampler of that name, that many steps.
	ErrRequest = errors.New("bad request")
	// ErrConfig marks a scheduler_config.json that is wrong or needs something wisp does not do.
	ErrConfig = errors.New("bad scheduler config")
)

// MaxSteps is the most steps New accepts.
const MaxSteps = 1000

// Info names a sampler: Name for New, Label for people.
type Info struct{ Name, Label string }

// row is one sampler: class is the diffusers scheduler it reproduces, with the fields in which samplers of one class
// differ, flow the family of models it is for.
type row struct {
	Info
	class string
	with  string // as JSON; "" for none
	flow  bool
	make  func(s settings, steps int) (Sampler, error)
}

// own is the row that the config itself names: of those of its class the one that agrees in all fields, else the
// first, which refuses by its name the field it cannot do.
func own(c Config) (first row, ok bool) {
	for _, r := range table {
		if r.class != c.class || r.flow != c.flow {
			continue
		}
		if c.agrees(r.with) {
			return r, true
		}
		if !ok {
			first, ok = r, true
		}
	}
	return first, ok
}

// table is in the order shown to people. Names are unique within a family.
var table = []row{
	{Info{"euler", "Euler"}, "EulerDiscreteScheduler", "", false, newEuler},
	{Info{"euler_a", "Euler a"}, "EulerAncestralDiscreteScheduler", "", false, newEulerAncestral},
	{Info{"heun", "Heun"}, "HeunDiscreteScheduler", "", false, newHeun},
	{Info{"ddim", "DDIM"}, "DDIMScheduler", "", false, newDDIM},
	{Info{"plms", "PLMS"}, "PNDMScheduler", "", false, newPLMS},
	{Info{"dpmpp_2m", "DPM++ 2M"}, "DPMSolverMultistepScheduler", `{"algorithm_type":"dpmsolver++","solver_order":2}`, false, newDPMpp},
	{Info{"dpmpp_2m_sde", "DPM++ 2M SDE"}, "DPMSolverMultistepScheduler", `{"algorithm_type":"sde-dpmsolver++","solver_order":2}`, false, newDPMpp},
	{Info{"unipc", "UniPC"}, "UniPCMultistepScheduler", `{"solver_type":"bh2"}`, false, newUniPC},
	{Info{"unipc_bh1", "UniPC bh1"}, "UniPCMultistepScheduler", `{"solver_type":"bh1"}`, false, newUniPC},
	{Info{"lcm", "LCM"}, "LCMScheduler", "", false, newLCM},
	{Info{"tcd", "TCD"}, "TCDScheduler", "", false, newTCD},
	{Info{"euler", "Euler"}, "FlowMatchEulerDiscreteScheduler", "", true, newFlowEuler},
	{Info{"dpmpp_2m", "DPM++ 2M"}, "DPMSolverMultistepScheduler", `{"algorithm_type":"dpmsolver++","solver_order":2}`, true, newDPMpp},
	{Info{"dpmpp_2m_sde", "DPM++ 2M SDE"}, "DPMSolverMultistepScheduler", `{"algorithm_type":"sde-dpmsolver++","solver_order":2}`, true, newDPMpp},
	{Info{"unipc", "UniPC"}, "UniPCMultistepScheduler", `{"solver_type":"bh2"}`, true, newUniPC},
	{Info{"unipc_bh1", "UniPC bh1"}, "UniPCMultistepScheduler", `{"solver_type":"bh1"}`, true, newUniPC},
}

// List gives the samplers that fit the config's family of models, the config's own first where wisp has it.
func List(c Config) []Info {
	var list []Info
	first, ok := own(c)
	if ok {
		list = append(list, first.Info)
	}
	for _, r := range table {
		if r.flow == c.flow && !(ok && r.Name == first.Name) {
			list = append(list, r.Info)
		}
	}
	return list
}

// New returns the sampler of that name (see List), or for "" the config's own, set up for a number of steps.
// Config fields the file leaves out take the defaults of the scheduler class in use, as in diffusers'
// from_config. Errors wrap ErrRequest or ErrConfig.
func New(name string, c Config, steps int) (Sampler, error) {
	r, err := find(name, c)
	if err != nil {
		return nil, err
	}
	with := ""
	if name != "" {
		with = r.with
	}
	s, err := c.settings(r.class, with)
	if err != nil {
		return nil, err
	}
	s.named = name != ""
	if limit := min(MaxSteps, s.NumTrainTimesteps); steps < 1 || steps > limit {
		return nil, fmt.Errorf("sampler: %d steps, need 1 to %d: %w", steps, limit, ErrRequest)
	}
	return r.make(s, steps)
}

func find(name string, c Config) (row, error) {
	var names []string
	for _, r := range table {
		if r.flow == c.flow && name == r.Name {
			return r, nil
		}
		if r.flow == c.flow {
			names = append(names, r.Name)
		}
	}
	all := strings.Join(names, ", ")
	if name != "" {
		return row{}, fmt.Errorf("sampler: no %q for this model; have %s: %w", name, all, ErrRequest)
	}
	r, ok := own(c)
	if !ok {
		return r, fmt.Errorf("sampler: _class_name: %s is not supported; name one of %s: %w", c.class, all, ErrConfig)
	}
	return r, nil
}

// walk is the part every sampler shares: its schedule, and nothing to scale and no noise wanted.
type walk struct {
	timesteps []float32 // (runs)
	sigmas    []float32 // (runs+1)
	init      float32
}

func (w *walk) Timesteps() []float32 { return w.timesteps }
func (w *walk) Sigmas() []float32    { return w.sigmas }
func (w *walk) InitSigma() float32   { return w.init }
func (w *walk) Scale(int, []float32) {}
func (w *walk) NeedsNoise(int) bool  { return false }

// linear is a*x + b*out, which is what predicting x0 and, without clipping, every first-order step come down to.
// Coefficients are worked out in double precision: the cancellation happens there, once.
type linear struct{ a, b float32 }

func (l linear) into(dst, x, out []float32) {
	x, out = x[:len(dst)], out[:len(dst)]
	for j := range dst {
		dst[j] = l.a*x[j] + l.b*out[j]
	}
}
