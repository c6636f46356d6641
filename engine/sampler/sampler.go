// Package sampler holds the denoising loops: given a scheduler_config.json as diffusers writes it and a number of
// steps, which timesteps the network is run at and how each of its outputs moves the latent.
//
// A latent is small, so this is host arithmetic on []float32: the package knows nothing of tensors, backends or
// networks. One algorithm stands in one file (euler.go is the plainest), written as formulas over linear.go, which
// does the steps; levels.go has the noise levels that they go by, schedule.go the schedules; this file has the
// contract and the table of names.
package sampler

import (
	"errors"
	"fmt"
	"slices"
)

// Sampler walks one latent from noise to picture:
//
//	x = noise * s.InitSigma()     or, from a picture's latent: s.AddNoise(0, x, noise)
//	for i := 0; i < len(s.Timesteps()); i++ {
//		in = copy of x; s.Scale(i, in)
//		s.Step(i, x, network(in, s.Timesteps()[i]), fresh noise or nil)
//	}
//
// A sampler that chooses its steps lists those that it knows: Timesteps and Sigmas grow as it walks (see Chooses). All slices given to one call have the same length. Steps are taken in order from 0: a sampler may remember
// earlier ones, and forgets them at step 0. A Sampler serves one latent (or one batch laid end to end, which counts as
// one for dynamic thresholding) at a time.
type Sampler interface {
	// Timesteps is what the network gets at each step, in order, from the plan's Start on. Its length is the number of
	// network runs, which for a second-order sampler is more than the steps asked for.
	Timesteps() []float32
	// Sigmas is the noise level at each step and, one longer than Timesteps, after the last.
	Sigmas() []float32
	// InitSigma is what unit noise is multiplied by to make the first x of a walk that begins at the start.
	InitSigma() float32
	// AddNoise turns the latent of a picture, in place, into the x of step i: what a walk from there begins with, and
	// what is known of x outside of a mask. For i = len(Timesteps()) that is the end of the walk.
	AddNoise(i int, x, noise []float32)
	// Scale turns a copy of x, in place, into the network's input at step i.
	Scale(i int, x []float32)
	// Step moves x, in place, past step i, given the network's output for it. noise is fresh unit noise, and may
	// be nil unless NeedsNoise. With Plan.Varies, out is twice as long as x: the prediction, then the variance.
	Step(i int, x, out, noise []float32)
	// Denoised writes into x0 the picture that x and the network's output at step i foretell. For previews; x0
	// may be out itself. It is to be called before Step(i), which moves x.
	Denoised(i int, x, out, x0 []float32)
	// NeedsNoise says whether Step(i) reads its noise. Noise is drawn only where it does, as diffusers draws it,
	// so that the stream of random numbers stays the same.
	NeedsNoise(i int) bool
	// Splits says that out is twice as long as x: what guidance makes of the predictions, then the negative prompt's alone.
	Splits() bool
	// Span gives the noise levels between which the noise of step i is an increment of one Brownian path (rng.Brownian)
	// over the walk, divided by the root of its length; false where it is independent of all other noise.
	Span(i int) (from, to float64, ok bool)
}

// Plan says which walk a sampler is for.
type Plan struct {
	Steps  int      // of the whole way from noise to picture, 1 to MaxSteps
	Start  int      // the first steps are left out, as many as this; a solver begins there with nothing remembered. x may be another model's sample of that step (Zheng et al. 2022, "Truncated diffusion") or its picture with AddNoise (Lyu et al. 2022, "Early stopping")
	Tokens int      // that the denoiser reads, for schedules that shift with the picture's size; 0 where none does
	Mu     *float64 // their shift, where the pipeline has a rule of its own; nil for the config's line over the tokens
	Eta    *float64 // the share of fresh noise, 0 to 1, where a sampler has one; nil for the sampler's own
	Varies bool     // the network gives, after the prediction, a variance of the same size

	Churn *Churn // of samplers that have it; nil for none

	asked *asks // what the sampler asked for
}

// eta is the share of fresh noise, of which the sampler's own is given.
func (p Plan) eta(own float64) float64 {
	if p.asked != nil {
		p.asked.eta = true
	}
	if p.Eta != nil {
		return *p.Eta
	}
	return own
}

// asks notes which settings of a plan a sampler asked for.
type asks struct{ eta, churn bool }

func (p Plan) churn() *Churn {
	p.asked.churn = true
	return p.Churn
}

// HasEta says whether Plan.Eta counts for the sampler that New would give.
func HasEta(name string, c Config, p Plan) bool {
	p.asked = &asks{}
	_, err := New(name, c, p)
	return err == nil && p.asked.eta
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

// family is what a model's x and output mean, which decides the samplers that it takes.
type family int

const (
	vpFamily   family = iota // x of variance one under betas: Stable Diffusion and most others
	flowFamily               // rectified flow: x = (1 - sigma) x0 + sigma noise
	edmFamily                // preconditioned as Karras et al. 2022 have it
	consistencyFamily
	trigFamily
	ipndmFamily
	scoreVEFamily
	scoreVPFamily
	perflowFamily
	dampedFamily
)

// row is one sampler: class is the diffusers scheduler it reproduces, with the fields in which samplers of one class
// differ; family is the kind of model that it is for. A sampler that is none of diffusers' has no class and reads the
// config as the family's plainest.
type row struct {
	Info
	class  string
	with   string // as JSON; "" for none
	family family
	make   func(s settings, p Plan) (Sampler, error)
}

// reads is the class as which the row reads a config of its family.
func (r row) reads(c Config) string {
	if r.class != "" {
		return r.class
	}
	if c.family > edmFamily {
		return c.class
	}
	return [...]string{vpFamily: "EulerDiscreteScheduler", flowFamily: "FlowMatchEulerDiscreteScheduler", edmFamily: "EDMEulerScheduler"}[c.family]
}

// fits is whether the row is for models of the config's family.
func (r row) fits(c Config) bool { return r.family == c.family }

// own is the row that the config itself names: of those of its class the one that agrees in all fields, else the
// first, which refuses by its name the field it cannot do.
func own(c Config) (first row, ok bool) {
	for _, r := range table {
		if r.class != c.class || !r.fits(c) {
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
	{Info{"euler", "Euler"}, "EulerDiscreteScheduler", "", vpFamily, newEuler},
	{Info{"euler_a", "Euler a"}, "EulerAncestralDiscreteScheduler", "", vpFamily, newEulerAncestral},
	{Info{"heun", "Heun"}, "HeunDiscreteScheduler", "", vpFamily, newHeun},
	{Info{"dpm_2", "DPM2"}, "KDPM2DiscreteScheduler", "", vpFamily, newDPM2},
	{Info{"dpm_2_a", "DPM2 a"}, "KDPM2AncestralDiscreteScheduler", "", vpFamily, newDPM2Ancestral},
	{Info{"lms", "LMS"}, "LMSDiscreteScheduler", "", vpFamily, newLMS},
	{Info{"ipndm", "iPNDM"}, "", "", vpFamily, newKIPNDM},
	{Info{"ipndm_v", "iPNDM v"}, "", "", vpFamily, newIPNDMV},
	{Info{"heunpp2", "Heun++"}, "", "", vpFamily, newHeunPP},
	{Info{"exp_heun_2_x0", "Exponential Heun"}, "", "", vpFamily, newExpHeun},
	{Info{"exp_heun_2_x0_sde", "Exponential Heun SDE"}, "", "", vpFamily, newExpHeunSDE},
	{Info{"dpm_fast", "DPM fast"}, "", "", vpFamily, newDPMFast},
	{Info{"dpm_adaptive", "DPM adaptive"}, "", "", vpFamily, newDPMAdaptive},
	{Info{"rk45", "RK45"}, "", "", vpFamily, newRK45},
	{Info{"gotta_go_fast", "Gotta Go Fast"}, "", "", vpFamily, newGottaGoFast},
	{Info{"restart", "Restart"}, "", "", vpFamily, newRestart},
	{Info{"res_multistep", "RES"}, "", "", vpFamily, newRES},
	{Info{"res_multistep_a", "RES a"}, "", "", vpFamily, newRESAncestral},
	{Info{"gradient_estimation", "Gradient estimation"}, "", "", vpFamily, newGradient},
	{Info{"er_sde", "ER-SDE"}, "", "", vpFamily, newERSDE},
	{Info{"seeds_2", "SEEDS 2"}, "", "", vpFamily, newSEEDS2},
	{Info{"seeds_3", "SEEDS 3"}, "", "", vpFamily, newSEEDS3},
	{Info{"deis_tab", "DEIS tAB"}, "", "", vpFamily, newDEISTab},
	{Info{"euler_cfg_pp", "Euler CFG++"}, "", "", vpFamily, newEulerUnguided},
	{Info{"euler_a_cfg_pp", "Euler a CFG++"}, "", "", vpFamily, newEulerAncestralUnguided},
	{Info{"dpmpp_2m_cfg_pp", "DPM++ 2M CFG++"}, "", "", vpFamily, newDPMpp2MUnguided},
	{Info{"dpmpp_2s_a_cfg_pp", "DPM++ 2S a CFG++"}, "", "", vpFamily, newDPMpp2SAncestralUnguided},
	{Info{"res_multistep_cfg_pp", "RES CFG++"}, "", "", vpFamily, newRESUnguided},
	{Info{"res_multistep_a_cfg_pp", "RES a CFG++"}, "", "", vpFamily, newRESAncestralUnguided},
	{Info{"gradient_estimation_cfg_pp", "Gradient estimation CFG++"}, "", "", vpFamily, newGradientUnguided},
	{Info{"ddim", "DDIM"}, "DDIMScheduler", "", vpFamily, newDDIM},
	{Info{"ddim", "DDIM"}, "DDIMParallelScheduler", "", vpFamily, newDDIM},
	{Info{"ddim_cfg_pp", "DDIM CFG++"}, "DDIMScheduler", "", vpFamily, newDDIMUnguided},
	{Info{"ddpm", "DDPM"}, "DDPMScheduler", "", vpFamily, newDDPM},
	{Info{"ddpm", "DDPM"}, "DDPMParallelScheduler", "", vpFamily, newDDPM},
	{Info{"plms", "PLMS"}, "PNDMScheduler", `{"skip_prk_steps":true}`, vpFamily, newPNDM},
	{Info{"pndm", "PNDM"}, "PNDMScheduler", `{"skip_prk_steps":false}`, vpFamily, newPNDM},
	{Info{"dpmpp_2m", "DPM++ 2M"}, "DPMSolverMultistepScheduler", `{"algorithm_type":"dpmsolver++","solver_order":2}`, vpFamily, newDPM},
	{Info{"dpmpp_3m", "DPM++ 3M"}, "DPMSolverMultistepScheduler", `{"algorithm_type":"dpmsolver++","solver_order":3}`, vpFamily, newDPM},
	{Info{"dpmpp_2m_sde", "DPM++ 2M SDE"}, "", "", vpFamily, newDPMpp2MSDE},
	{Info{"sde_dpmsolver", "SDE-DPM-Solver++"}, "DPMSolverMultistepScheduler", `{"algorithm_type":"sde-dpmsolver++","solver_order":2}`, vpFamily, newDPM},
	{Info{"dpmpp_2s", "DPM++ 2S"}, "DPMSolverSinglestepScheduler", `{"algorithm_type":"dpmsolver++","solver_order":2}`, vpFamily, newDPMSinglestep},
	{Info{"dpmpp_2s_a", "DPM++ 2S a"}, "", "", vpFamily, newDPMpp2SAncestral},
	{Info{"dpmpp_sde", "DPM++ SDE"}, "DPMSolverSDEScheduler", "", vpFamily, newDPMppSDE},
	{Info{"dpmpp_2m_sde_heun", "DPM++ 2M SDE Heun"}, "", "", vpFamily, newDPMpp2MSDEHeun},
	{Info{"dpmpp_3m_sde", "DPM++ 3M SDE"}, "", "", vpFamily, newDPMpp3MSDE},
	{Info{"sa_solver", "SA-Solver"}, "SASolverScheduler", "", vpFamily, newSASolver},
	{Info{"deis", "DEIS"}, "DEISMultistepScheduler", "", vpFamily, newDEIS},
	{Info{"unipc", "UniPC"}, "UniPCMultistepScheduler", `{"solver_type":"bh2"}`, vpFamily, newUniPC},
	{Info{"unipc_bh1", "UniPC bh1"}, "UniPCMultistepScheduler", `{"solver_type":"bh1"}`, vpFamily, newUniPC},
	{Info{"lcm", "LCM"}, "LCMScheduler", "", vpFamily, newLCM},
	{Info{"lcm_levels", "LCM, any schedule"}, "", "", vpFamily, newFlowLCM},
	{Info{"tcd", "TCD"}, "TCDScheduler", "", vpFamily, newTCD},
	{Info{"gddim", "gDDIM"}, "", "", vpFamily, newGDDIM},
	{Info{"ddgan", "DDGAN"}, "", "", vpFamily, newDDGAN},
	{Info{"ufogen", "UFOGen"}, "", "", vpFamily, newUFOGen},
	{Info{"tract", "TRACT"}, "", "", vpFamily, newTRACT},
	{Info{"perflow", "PeRFlow"}, "", "", vpFamily, newPeRFlow},

	{Info{"euler", "Euler"}, "FlowMatchEulerDiscreteScheduler", "", flowFamily, newEuler},
	{Info{"euler_a", "Euler a"}, "LTXEulerAncestralRFScheduler", "", flowFamily, newEulerAncestral},
	{Info{"heun", "Heun"}, "FlowMatchHeunDiscreteScheduler", "", flowFamily, newHeun},
	{Info{"dpm_2", "DPM2"}, "", "", flowFamily, newDPM2},
	{Info{"lms", "LMS"}, "", "", flowFamily, newLMS},
	{Info{"ipndm", "iPNDM"}, "", "", flowFamily, newKIPNDM},
	{Info{"ipndm_v", "iPNDM v"}, "", "", flowFamily, newIPNDMV},
	{Info{"heunpp2", "Heun++"}, "", "", flowFamily, newHeunPP},
	{Info{"rk45", "RK45"}, "", "", flowFamily, newRK45},
	{Info{"exp_heun_2_x0", "Exponential Heun"}, "", "", flowFamily, newExpHeun},
	{Info{"exp_heun_2_x0_sde", "Exponential Heun SDE"}, "", "", flowFamily, newExpHeunSDE},
	{Info{"res_multistep", "RES"}, "", "", flowFamily, newRES},
	{Info{"gradient_estimation", "Gradient estimation"}, "", "", flowFamily, newGradient},
	{Info{"er_sde", "ER-SDE"}, "", "", flowFamily, newERSDE},
	{Info{"seeds_2", "SEEDS 2"}, "", "", flowFamily, newSEEDS2},
	{Info{"seeds_3", "SEEDS 3"}, "", "", flowFamily, newSEEDS3},
	{Info{"euler_cfg_pp", "Euler CFG++"}, "", "", flowFamily, newEulerUnguided},
	{Info{"euler_a_cfg_pp", "Euler a CFG++"}, "", "", flowFamily, newEulerAncestralUnguided},
	{Info{"lcm", "LCM"}, "FlowMatchLCMScheduler", "", flowFamily, newFlowLCM},
	{Info{"sa_solver", "SA-Solver"}, "SASolverScheduler", "", flowFamily, newSASolver},
	{Info{"dpmpp_2m", "DPM++ 2M"}, "DPMSolverMultistepScheduler", `{"algorithm_type":"dpmsolver++","solver_order":2}`, flowFamily, newDPM},
	{Info{"dpmpp_3m", "DPM++ 3M"}, "DPMSolverMultistepScheduler", `{"algorithm_type":"dpmsolver++","solver_order":3}`, flowFamily, newDPM},
	{Info{"dpmpp_2m_sde", "DPM++ 2M SDE"}, "DPMSolverMultistepScheduler", `{"algorithm_type":"sde-dpmsolver++","solver_order":2}`, flowFamily, newDPM},
	{Info{"dpmpp_2s", "DPM++ 2S"}, "DPMSolverSinglestepScheduler", `{"algorithm_type":"dpmsolver++","solver_order":2}`, flowFamily, newDPMSinglestep},
	{Info{"deis", "DEIS"}, "DEISMultistepScheduler", "", flowFamily, newDEIS},
	{Info{"unipc", "UniPC"}, "UniPCMultistepScheduler", `{"solver_type":"bh2"}`, flowFamily, newUniPC},
	{Info{"unipc_bh1", "UniPC bh1"}, "UniPCMultistepScheduler", `{"solver_type":"bh1"}`, flowFamily, newUniPC},

	{Info{"euler", "Euler"}, "EDMEulerScheduler", "", edmFamily, newEuler},
	{Info{"euler_a", "Euler a"}, "", "", edmFamily, newEulerAncestral},
	{Info{"heun", "Heun"}, "", "", edmFamily, newHeun},
	{Info{"dpm_2", "DPM2"}, "", "", edmFamily, newDPM2},
	{Info{"dpm_2_a", "DPM2 a"}, "", "", edmFamily, newDPM2Ancestral},
	{Info{"lms", "LMS"}, "", "", edmFamily, newLMS},
	{Info{"ipndm", "iPNDM"}, "", "", edmFamily, newKIPNDM},
	{Info{"ipndm_v", "iPNDM v"}, "", "", edmFamily, newIPNDMV},
	{Info{"heunpp2", "Heun++"}, "", "", edmFamily, newHeunPP},
	{Info{"exp_heun_2_x0", "Exponential Heun"}, "", "", edmFamily, newExpHeun},
	{Info{"dpm_fast", "DPM fast"}, "", "", edmFamily, newDPMFast},
	{Info{"dpm_adaptive", "DPM adaptive"}, "", "", edmFamily, newDPMAdaptive},
	{Info{"rk45", "RK45"}, "", "", edmFamily, newRK45},
	{Info{"gotta_go_fast", "Gotta Go Fast"}, "", "", edmFamily, newGottaGoFast},
	{Info{"restart", "Restart"}, "", "", edmFamily, newRestart},
	{Info{"res_multistep", "RES"}, "", "", edmFamily, newRES},
	{Info{"res_multistep_a", "RES a"}, "", "", edmFamily, newRESAncestral},
	{Info{"gradient_estimation", "Gradient estimation"}, "", "", edmFamily, newGradient},
	{Info{"er_sde", "ER-SDE"}, "", "", edmFamily, newERSDE},
	{Info{"seeds_2", "SEEDS 2"}, "", "", edmFamily, newSEEDS2},
	{Info{"seeds_3", "SEEDS 3"}, "", "", edmFamily, newSEEDS3},
	{Info{"deis_tab", "DEIS tAB"}, "", "", edmFamily, newDEISTab},
	{Info{"dpmpp_2s_a", "DPM++ 2S a"}, "", "", edmFamily, newDPMpp2SAncestral},
	{Info{"dpmpp_sde", "DPM++ SDE"}, "", "", edmFamily, newDPMppSDE},
	{Info{"dpmpp_3m_sde", "DPM++ 3M SDE"}, "", "", edmFamily, newDPMpp3MSDE},
	{Info{"dpmpp_2m", "DPM++ 2M"}, "EDMDPMSolverMultistepScheduler", `{"algorithm_type":"dpmsolver++","solver_order":2}`, edmFamily, newDPM},
	{Info{"dpmpp_2m_sde", "DPM++ 2M SDE"}, "EDMDPMSolverMultistepScheduler", `{"algorithm_type":"sde-dpmsolver++","solver_order":2}`, edmFamily, newDPM},

	{Info{"consistency", "Consistency"}, "CMStochasticIterativeScheduler", "", consistencyFamily, newConsistency},
	{Info{"scm", "SCM"}, "SCMScheduler", "", trigFamily, newSCM},
	{Info{"ipndm", "iPNDM"}, "IPNDMScheduler", "", ipndmFamily, newIPNDM},
	{Info{"sde_ve", "Score SDE VE"}, "ScoreSdeVeScheduler", "", scoreVEFamily, newScoreVE},
	{Info{"ncsn", "Annealed Langevin"}, "", "", scoreVEFamily, newLangevin},
	{Info{"cas", "Consistent annealed"}, "", "", scoreVEFamily, newConsistentAnnealed},
	{Info{"rk45", "RK45"}, "", "", scoreVEFamily, newRK45},
	{Info{"gotta_go_fast", "Gotta Go Fast"}, "", "", scoreVEFamily, newGottaGoFast},
	{Info{"perflow", "PeRFlow"}, "PeRFlowScheduler", "", perflowFamily, newPeRFlow},
	{Info{"cld", "Critically damped"}, "CLDScheduler", "", dampedFamily, newCLD},
	{Info{"cld_euler", "Critically damped, Euler"}, "", "", dampedFamily, newCLDEuler},
	{Info{"sde_vp", "Score SDE VP"}, "ScoreSdeVpScheduler", "", scoreVPFamily, newScoreVP},
	{Info{"rk45", "RK45"}, "", "", scoreVPFamily, newRK45},
	{Info{"gotta_go_fast", "Gotta Go Fast"}, "", "", scoreVPFamily, newGottaGoFast},
}

// Chooses says that s chooses its steps as it walks, so that their number is not known beforehand.
func Chooses(s Sampler) bool { _, ok := s.(*adaptive); return ok }

// List gives the samplers that fit the config's family of models, the config's own first where wisp has it.
func List(c Config) []Info {
	var list []Info
	if first, ok := own(c); ok {
		list = append(list, first.Info)
	}
	for _, r := range table {
		if r.fits(c) && !slices.ContainsFunc(list, func(i Info) bool { return i.Name == r.Name }) {
			list = append(list, r.Info)
		}
	}
	return list
}

// New returns the sampler of that name (see List), or for "" the config's own, set up for a walk.
// Config fields the file leaves out take the defaults of the scheduler class in use, as in diffusers'
// from_config. Errors wrap ErrRequest or ErrConfig.
func New(name string, c Config, p Plan) (Sampler, error) {
	r, err := find(name, c)
	if err != nil {
		return nil, err
	}
	return r.start(name, c, p)
}

// start sets the row's sampler up for a walk.
func (r row) start(name string, c Config, p Plan) (Sampler, error) {
	with := ""
	if name != "" {
		with = r.with
	}
	s, err := c.settings(r.reads(c), with)
	if err != nil {
		return nil, err
	}
	s.named, s.steps, s.tokens, s.ownMu, s.varies = name != "", p.Steps, p.Tokens, p.Mu, p.Varies
	limit := min(MaxSteps, s.NumTrainTimesteps)
	switch {
	case p.Steps < 1 || p.Steps > limit:
		return nil, fmt.Errorf("sampler: %d steps, need 1 to %d: %w", p.Steps, limit, ErrRequest)
	case p.Start < 0 || p.Start >= p.Steps:
		return nil, fmt.Errorf("sampler: start at step %d of %d, need 0 to %d: %w", p.Start, p.Steps, p.Steps-1, ErrRequest)
	case p.Eta != nil && !(*p.Eta >= 0 && *p.Eta <= 1):
		return nil, fmt.Errorf("sampler: eta is %v, need 0 to 1: %w", *p.Eta, ErrRequest)
	}
	if s.schedule == listed && s.family > edmFamily {
		return nil, fmt.Errorf("sampler: a list of timesteps does not go with this model: %w", ErrRequest)
	}
	if p.Churn != nil {
		if err := p.Churn.check(); err != nil {
			return nil, err
		}
	}
	if p.asked == nil {
		p.asked = &asks{}
	}
	made, err := r.make(s, p)
	if err == nil && p.Churn != nil && !p.asked.churn {
		return nil, fmt.Errorf("sampler: churn does not go with this sampler and model: choose euler, heun or dpm_2, and no flow model: %w", ErrRequest)
	}
	return made, err
}
