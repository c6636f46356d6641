"""Writes one JSON file per sampler: diffusers' schedulers driven by a fixed, smooth, made-up network.

    python make.py [name ...]        # diffusers 0.42.1, torch 2.15.0, numpy 1.26.4

The network is out[k] = 0.5 sin(in[k] + run) + 0.1 cos(7 k), `in` being the scaled input and `run` counting network
runs; the first latent is init * 1.5 sin(12 k + 1); fresh noise, where a sampler asks for it, is
1.4 cos(5 k + 3 i), i being the index of the step that asks. A walk that starts later begins with 0.7 sin(3 k) as the
picture's latent and 1.5 sin(12 k + 1) as noise; a variance, where the network gives one, is 0.3 sin(out[k]) + 0.5. engine/sampler/golden_test.go computes the same.
"""
import importlib
import inspect
import json
import math
import pathlib
import sys
import tempfile
import types

import diffusers
import numpy as np
import torch

HERE = pathlib.Path(__file__).parent
N = 8
STEPS = (1, 2, 5, 10, 20, 50)
K = np.arange(N)
SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
# What Stable Diffusion 1.5 publishes, for another scheduler to read: fields left out take that scheduler's defaults.
SD15_PNDM = dict(_class_name="PNDMScheduler", _diffusers_version="0.6.0", beta_end=0.012, beta_schedule="scaled_linear",
                 beta_start=0.00085, num_train_timesteps=1000, set_alpha_to_one=False, skip_prk_steps=True,
                 steps_offset=1, trained_betas=None, clip_sample=False)


def f32(x):
    return [float(str(np.float32(v))) for v in np.ravel(x)]


def network(x, run):
    return (torch.sin(x.double() + run) * 0.5 + torch.from_numpy(0.1 * np.cos(7 * K)).reshape(x.shape)).float()


def wave(amplitude, frequency, phase):
    """(1, N, 1): dynamic thresholding wants a batch and channels, others a batch."""
    return torch.from_numpy(amplitude * np.sin(frequency * K + phase)).float().reshape(1, N, 1)


class Noise:
    """Stands in for randn_tensor in a scheduler's module."""

    def __init__(self, cls):
        self.step = 0
        self.asked = []
        sys.modules[cls.__module__].randn_tensor = self

    def __call__(self, shape, **_):
        self.asked.append(self.step)
        return torch.from_numpy(1.4 * np.cos(5 * K + 3 * self.step)).float().reshape(shape)


def run(cls, config, steps, start=0, tokens=0, setting=dict(), **more):
    """config is what the Go side reads: the scheduler's own file, or another's for from_config. more goes to step."""
    s = cls.from_config(dict(config))
    if tokens:
        s.set_timesteps(steps, mu=mu(s.config, tokens))
    else:
        s.set_timesteps(steps, **setting)
    at = start * s.order
    if hasattr(s, "set_begin_index"):
        s.set_begin_index(at)  # else it looks for the first timestep, and finds the second of two alike
    noise = Noise(cls)
    init = float(torch.as_tensor(getattr(s, "init_noise_sigma", 1.0)))
    x = init * wave(1.5, 12, 1)
    if start:
        add = s.scale_noise if hasattr(s, "scale_noise") else s.add_noise
        args = (s.timesteps[at : at + 1], wave(1.5, 12, 1))
        x = add(wave(0.7, 3, 0), *(args if hasattr(s, "scale_noise") else args[::-1]))
    begin, first = x, None
    timesteps = s.timesteps[:-1] if cls is diffusers.SCMScheduler else s.timesteps
    for i, t in enumerate(timesteps[at:]):
        noise.step = i
        scaled = s.scale_model_input(x, t) if hasattr(s, "scale_model_input") else x
        out = network(scaled, i)
        if str(getattr(s.config, "variance_type", None)).startswith("learned") and cls.__name__.startswith("DDPM"):
            out = torch.cat([out, (0.3 * torch.sin(out) + 0.5)], 1)
        result = s.step(out, t, x, **more)
        if first is None:
            first = denoised(s, result, x, out)
        x = result.prev_sample
    case = {"config": config, "steps": steps, "timesteps": f32(timesteps[at:]), "init": init, "final": f32(x)}
    if start:
        case |= {"start": start, "begin": f32(begin)}
    if tokens:
        case["tokens"] = tokens
    if more:
        case |= more
    if hasattr(s, "sigmas") and len(s.sigmas) == len(s.timesteps) + 1 and not cls.__name__.startswith("KDPM2"):
        case["sigmas"] = f32(s.sigmas[at:])
    if first is not None:
        case["denoised"] = f32(first)
    if noise.asked:
        case["asked"] = noise.asked
    return case


def mu(config, tokens):
    """calculate_shift of diffusers' pipelines."""
    base, most = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    lo, hi = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    m = (hi - lo) / (most - base)
    return tokens * m + lo - m * base


def denoised(s, result, x, out):
    if type(s).__name__ == "LCMScheduler":
        return None  # it gives the consistency function, which is not the prediction
    for field in ("denoised", "pred_original_sample"):
        if getattr(result, field, None) is not None:
            return getattr(result, field)
    if type(s).__name__ == "FlowMatchEulerDiscreteScheduler" and s.config.invert_sigmas:
        return x + (1 - s.sigmas[s.begin_index]) * out
    if type(s).__name__ == "FlowMatchEulerDiscreteScheduler":
        return x - s.sigmas[s.begin_index] * out
    return None


def own(cls, **fields):
    """The file diffusers writes for cls(**fields)."""
    with tempfile.TemporaryDirectory() as d:
        cls(**fields).save_pretrained(d)
        return json.loads((pathlib.Path(d) / "scheduler_config.json").read_text())


def cases(cls, configs, steps=STEPS, starts=(), **more):
    configs = [c if "_class_name" in c else own(cls, **c) for c in configs]
    return [run(cls, c, n, **more) for c in configs for n in steps] + [
        run(cls, c, n, start, **more) for c in configs[:4] for n, start in starts]


STARTS = ((5, 1), (5, 3), (20, 4), (20, 13), (20, 19))


def euler():
    grid = [dict(SD, prediction_type=p, timestep_spacing=t, steps_offset=1 if t == "leading" else 0)
            for p in ("epsilon", "v_prediction", "sample") for t in ("linspace", "leading", "trailing")]
    grid += [dict(), dict(beta_schedule="squaredcos_cap_v2", timestep_spacing="leading"),
             dict(SD, rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing"),
             dict(SD, use_karras_sigmas=True), dict(SD, use_karras_sigmas=True, sigma_min=0.05, sigma_max=10.0),
             dict(SD, use_exponential_sigmas=True), dict(SD, final_sigmas_type="sigma_min"),
             dict(trained_betas=np.linspace(0.001, 0.03, 200).tolist(), num_train_timesteps=200), SD15_PNDM]
    grid += [dict(SD, **c) for c in (dict(use_beta_sigmas=True), dict(interpolation_type="log_linear"),
                                     dict(timestep_type="continuous", prediction_type="v_prediction", use_karras_sigmas=True))]
    return cases(diffusers.EulerDiscreteScheduler, grid, starts=STARTS)


def ddim():
    grid = [dict(SD, prediction_type=p, timestep_spacing=t, clip_sample=c, set_alpha_to_one=c,
                 steps_offset=1 if t == "leading" else 0)
            for p in ("epsilon", "v_prediction", "sample") for t in ("linspace", "leading", "trailing")
            for c in (False, True)]
    grid += [dict(), dict(clip_sample_range=0.4), dict(beta_schedule="squaredcos_cap_v2"),
             dict(SD, rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing",
                  clip_sample=False), SD15_PNDM]
    grid += [dict(SD, thresholding=True, sample_max_value=1.3, dynamic_thresholding_ratio=0.8), dict(SD, thresholding=True)]
    return cases(diffusers.DDIMScheduler, grid, starts=STARTS) + cases(diffusers.DDIMScheduler, grid[:9], (5, 20), eta=0.7)


def flow_euler():
    grid = [dict(), dict(shift=3.0), dict(shift=1.15), dict(shift=0.5), dict(num_train_timesteps=500, shift=2.0),
            dict(use_karras_sigmas=True), dict(shift=3.0, use_exponential_sigmas=True)]
    grid += [dict(use_beta_sigmas=True), dict(shift=3.0, shift_terminal=0.1), dict(stochastic_sampling=True)]
    grid = [dict(c, **{}) for c in grid]
    dynamic = [dict(use_dynamic_shifting=True), dict(use_dynamic_shifting=True, base_shift=0.3, max_shift=0.9, max_image_seq_len=8192, shift_terminal=0.02),
               dict(use_dynamic_shifting=True, time_shift_type="linear")]
    cls = diffusers.FlowMatchEulerDiscreteScheduler
    return cases(cls, grid[:7] + grid[-1:], starts=STARTS) + cases(cls, grid[7:9] + [], (2, 8, 20)) + [
        run(cls, own(cls, **c), n, tokens=k) for c in dynamic for n in (4, 20) for k in (256, 1024, 4096)]


FEW = (1, 2, 5, 10, 20)
FLOW = dict(use_flow_sigmas=True, prediction_type="flow_prediction")


def predictions(*names):
    return [dict(SD, prediction_type=p, timestep_spacing=t, steps_offset=1 if t == "leading" else 0)
            for p in names for t in ("linspace", "leading", "trailing")]


def euler_ancestral():
    return cases(diffusers.EulerAncestralDiscreteScheduler, predictions("epsilon", "v_prediction") + [dict(), SD15_PNDM], FEW, STARTS)


def heun():
    grid = predictions("epsilon", "v_prediction", "sample")
    grid += [dict(), dict(SD, use_karras_sigmas=True), dict(SD, use_exponential_sigmas=True),
             dict(SD, clip_sample=True, clip_sample_range=0.6), dict(SD, use_beta_sigmas=True), SD15_PNDM]
    return cases(diffusers.HeunDiscreteScheduler, grid, FEW, STARTS)


def plms():
    grid = [dict(c, skip_prk_steps=True) for c in predictions("epsilon", "v_prediction") + [dict(SD, set_alpha_to_one=True), dict()]]
    return cases(diffusers.PNDMScheduler, grid + [SD15_PNDM], FEW, STARTS)


TEN = (5, 10, 20)


def pndm():
    return cases(diffusers.PNDMScheduler, predictions("epsilon", "v_prediction") + [dict(SD, set_alpha_to_one=True), dict()], (4, 5, 10, 20))


def lms():
    grid = predictions("epsilon", "v_prediction", "sample")
    grid += [dict(), dict(SD, use_karras_sigmas=True), dict(SD, use_exponential_sigmas=True), dict(SD, use_beta_sigmas=True), SD15_PNDM]
    return cases(diffusers.LMSDiscreteScheduler, grid, (1,) + TEN)


def dpm_2():
    grid = predictions("epsilon", "v_prediction")
    grid += [dict(), dict(SD, use_karras_sigmas=True), dict(SD, use_exponential_sigmas=True), dict(SD, use_beta_sigmas=True), SD15_PNDM]
    return cases(diffusers.KDPM2DiscreteScheduler, grid, (1,) + TEN, STARTS)


def dpm_2_a():
    grid = predictions("epsilon", "v_prediction")
    grid += [dict(), dict(SD, use_karras_sigmas=True), dict(SD, use_exponential_sigmas=True), dict(SD, use_beta_sigmas=True), SD15_PNDM]
    return cases(diffusers.KDPM2AncestralDiscreteScheduler, grid, (1,) + TEN, STARTS)


def ddpm():
    grid = [dict(c, clip_sample=False) for c in predictions("epsilon", "v_prediction", "sample")]
    grid += [dict(variance_type=v) for v in ("fixed_small", "fixed_small_log", "fixed_large", "learned", "learned_range")]
    grid += [dict(clip_sample_range=0.4), dict(thresholding=True, sample_max_value=1.5), dict(beta_schedule="sigmoid"),
             dict(beta_schedule="laplace"), dict(beta_schedule="squaredcos_cap_v2", num_train_timesteps=100),
             dict(SD, rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing", clip_sample=False)]
    return cases(diffusers.DDPMScheduler, grid, TEN, STARTS) + cases(diffusers.DDPMScheduler, [dict()], (100,))


def deis():
    grid = predictions("epsilon", "v_prediction", "sample")
    grid += [dict(SD, **c) for c in (
        dict(solver_order=1), dict(solver_order=3), dict(lower_order_final=False, solver_order=3), dict(solver_type="midpoint"),
        dict(use_karras_sigmas=True), dict(use_exponential_sigmas=True), dict(use_beta_sigmas=True), dict(algorithm_type="dpmsolver++"),
        dict(thresholding=True, sample_max_value=1.5))]
    grid += [dict(), FLOW, dict(FLOW, flow_shift=3.0, solver_order=3)]
    return cases(diffusers.DEISMultistepScheduler, grid, (1,) + TEN, STARTS)


def dpm_singlestep():
    grid = [dict(SD, prediction_type=p) for p in ("epsilon", "v_prediction", "sample")]
    grid += [dict(SD, solver_order=o, **c) for o in (1, 2, 3) for c in (
        dict(), dict(lower_order_final=True), dict(solver_type="heun"), dict(algorithm_type="sde-dpmsolver++"),
        dict(algorithm_type="sde-dpmsolver++", solver_type="heun"),
        dict(final_sigmas_type="sigma_min"), dict(algorithm_type="dpmsolver", final_sigmas_type="sigma_min"),
        dict(algorithm_type="dpmsolver", solver_type="heun", final_sigmas_type="sigma_min", prediction_type="v_prediction"))
             if not (o == 3 and c.get("solver_type") == "heun" and c.get("algorithm_type") == "sde-dpmsolver++")]  # which magnifies rounding
    grid += [dict(SD, **c) for c in (
        dict(use_karras_sigmas=True), dict(use_exponential_sigmas=True), dict(use_beta_sigmas=True), dict(thresholding=True),
        dict(lambda_min_clipped=-2.0))]
    grid += [dict(), dict(beta_schedule="squaredcos_cap_v2", lambda_min_clipped=-5.1), FLOW, dict(FLOW, flow_shift=3.0, solver_order=3)]
    return cases(diffusers.DPMSolverSinglestepScheduler, grid, (1, 3) + TEN, STARTS)


def dpmsolver():
    """What DPMSolverMultistepScheduler has besides the second order of dpmsolver++."""
    grid = [dict(c, algorithm_type=a, final_sigmas_type="sigma_min") for c in predictions("epsilon", "v_prediction", "sample")
            for a in ("dpmsolver", "sde-dpmsolver")]
    grid += [dict(SD, algorithm_type=a, solver_order=o, solver_type=t, final_sigmas_type="sigma_min")
             for a in ("dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++") for o in (1, 2, 3) for t in ("midpoint", "heun")
             if not (a == "sde-dpmsolver" and o == 3)]
    grid += [dict(SD, solver_order=3, **c) for c in (
        dict(), dict(lower_order_final=False), dict(use_lu_lambdas=True), dict(use_beta_sigmas=True),
        dict(thresholding=True, sample_max_value=2.0), dict(solver_type="bh2"),
        dict(algorithm_type="dpmsolver", final_sigmas_type="sigma_min", thresholding=True))]
    grid += [dict(rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing", beta_schedule="scaled_linear")]
    return cases(diffusers.DPMSolverMultistepScheduler, grid, TEN, STARTS)


def edm():
    grid = [dict(), dict(prediction_type="v_prediction"), dict(sigma_min=0.02, sigma_max=20.0, sigma_data=1.0), dict(rho=5.0),
            dict(sigma_schedule="exponential"), dict(final_sigmas_type="sigma_min")]
    more = [dict(solver_order=1), dict(solver_order=3), dict(solver_type="heun"), dict(thresholding=True, sample_max_value=1.5),
            dict(algorithm_type="sde-dpmsolver++"), dict(algorithm_type="sde-dpmsolver++", solver_type="heun"),
            dict(euler_at_final=True, final_sigmas_type="sigma_min"), dict(lower_order_final=False, solver_order=3)]
    return cases(diffusers.EDMEulerScheduler, grid, (1,) + TEN, STARTS) + cases(diffusers.EDMDPMSolverMultistepScheduler, grid + more, TEN, STARTS)


def dpm(**more):
    grid = [dict(c, **more) for c in predictions("epsilon", "v_prediction", "sample")]
    grid += [dict(SD, **more, **c) for c in (
        dict(solver_order=1), dict(solver_type="heun"), dict(euler_at_final=True), dict(lower_order_final=False),
        dict(use_karras_sigmas=True), dict(use_exponential_sigmas=True), dict(final_sigmas_type="sigma_min"),
        dict(final_sigmas_type="sigma_min", lower_order_final=False, euler_at_final=True))]
    grid += [dict(more), dict(beta_schedule="squaredcos_cap_v2", lambda_min_clipped=-5.1, **more),
             dict(beta_schedule="squaredcos_cap_v2", use_karras_sigmas=True, **more),
             dict(FLOW, **more), dict(FLOW, flow_shift=3.0, **more)]
    return cases(diffusers.DPMSolverMultistepScheduler, grid, FEW, STARTS)


def dpmpp_2m():
    return dpm()


def dpmpp_2m_sde():
    return dpm(algorithm_type="sde-dpmsolver++")


def unipc():
    grid = predictions("epsilon", "v_prediction", "sample")
    grid += [dict(SD, **c) for c in (
        dict(solver_order=1), dict(solver_order=3), dict(disable_corrector=[0, 1]), dict(use_karras_sigmas=True),
        dict(use_exponential_sigmas=True), dict(solver_order=3, final_sigmas_type="sigma_min"),
        dict(solver_type="bh1", final_sigmas_type="sigma_min"), dict(use_karras_sigmas=True, final_sigmas_type="sigma_min", sigma_min=0.02))]
    grid += [dict(SD, predict_x0=False, final_sigmas_type="sigma_min", prediction_type=p, solver_order=o, solver_type=t)
             for p in ("epsilon", "v_prediction", "sample") for o in (1, 2, 3) for t in ("bh1", "bh2")]
    # diffusers' bh1 gives NaN where the last level is no noise
    grid += [dict(SD, solver_order=o, solver_type=t, final_sigmas_type=f) for o in (1, 2, 3)
             for t, f in (("bh1", "sigma_min"), ("midpoint", "zero"))]
    grid += [dict(SD, use_beta_sigmas=True), dict(SD, thresholding=True, sample_max_value=2.0),
             dict(SD, rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing")]
    grid += [dict(), dict(beta_schedule="squaredcos_cap_v2"), FLOW, dict(FLOW, flow_shift=3.0, solver_order=3),
             dict(FLOW, final_sigmas_type="sigma_min")]
    dynamic = own(diffusers.UniPCMultistepScheduler, **FLOW, use_dynamic_shifting=True)
    terminal = cases(diffusers.UniPCMultistepScheduler, [dict(FLOW, shift_terminal=0.1)], TEN)
    return terminal + cases(diffusers.UniPCMultistepScheduler, grid, FEW, STARTS) + [
        run(diffusers.UniPCMultistepScheduler, dynamic, n, tokens=k) for n in (5, 20) for k in (256, 4096)]


def consistency(cls):
    grid = [dict(prediction_type=p) for p in ("epsilon", "v_prediction", "sample")]
    grid += [dict(beta_schedule="linear"), dict(original_inference_steps=100), SD15_PNDM]
    if cls is diffusers.LCMScheduler:
        grid += [dict(clip_sample=True), dict(timestep_scaling=3.0)]
        grid += [dict(thresholding=True, sample_max_value=1.5)]
    return cases(cls, grid, (1, 2, 4, 8, 50), ((4, 1), (8, 5))) + cases(cls, grid[:3], TEN)


def lcm():
    return consistency(diffusers.LCMScheduler)


def tcd():
    cls = diffusers.TCDScheduler
    return consistency(cls) + [run(cls, own(cls), n, eta=eta) for n in (4, 8) for eta in (0.0, 0.8)]


def flow_more():
    heun, lcm_, ltx = diffusers.FlowMatchHeunDiscreteScheduler, diffusers.FlowMatchLCMScheduler, diffusers.LTXEulerAncestralRFScheduler
    return (cases(heun, [dict(), dict(shift=3.0)], (1,) + TEN) + cases(lcm_, [dict(), dict(shift=3.0), dict(use_karras_sigmas=True)], (1, 4, 8) + TEN, ((4, 1),))
            + [run(lcm_, own(lcm_, use_dynamic_shifting=True), 4, tokens=k) for k in (256, 4096)]
            + cases(ltx, [dict(), dict(eta=0.5), dict(eta=0.0), dict(s_noise=0.8)], (1,) + TEN))


def consistency_models():
    cm = diffusers.CMStochasticIterativeScheduler
    grid = [dict(), dict(clip_denoised=False, sigma_data=2.0), dict(sigma_data=2.0), dict(s_noise=0.7, rho=5.0), dict(num_train_timesteps=10, sigma_max=20.0, sigma_min=0.02)]
    return cases(cm, grid, (1, 2, 5, 10)) + cases(cm, grid[:4], (20,)) + cases(diffusers.IPNDMScheduler, [dict()], (1,) + TEN)


def scm():
    made = []
    for config in (dict(), dict(sigma_data=1.0)):
        for n in (1, 2, 4) + TEN:
            c = own(diffusers.SCMScheduler, **config)
            made.append(run(diffusers.SCMScheduler, c, n, setting=dict() if n == 2 else dict(intermediate_timesteps=None)))
    return made


def sa_solver():
    grid = predictions("epsilon", "v_prediction", "sample")
    grid += [dict(SD, predictor_order=p, corrector_order=c, algorithm_type=a) for p, c in ((1, 1), (1, 2), (2, 1), (3, 3), (3, 4), (4, 2))
             for a in ("data_prediction", "noise_prediction")]
    grid += [dict(SD, **c) for c in (
        dict(lower_order_final=False), dict(use_karras_sigmas=True), dict(use_exponential_sigmas=True), dict(use_beta_sigmas=True),
        dict(thresholding=True, sample_max_value=1.5), dict(algorithm_type="noise_prediction", prediction_type="v_prediction"))]
    grid += [dict(), FLOW, dict(FLOW, flow_shift=3.0)]
    return cases(diffusers.SASolverScheduler, grid, (1,) + TEN, STARTS)


def score_sde():
    """The loops of diffusers' ScoreSdeVePipeline and of the paper, whose last step adds no noise."""
    made = []
    ve = diffusers.ScoreSdeVeScheduler
    for config in (dict(sigma_max=3.0), dict(snr=0.1, correct_steps=2, sigma_max=2.0), dict(correct_steps=0, sampling_eps=0.001, sigma_max=3.0)):
        for n in TEN:
            c = own(ve, **config)
            s, noise, i, asked = ve.from_config(c), Noise(ve), 0, []
            s.set_timesteps(n)
            s.set_sigmas(n)
            x, times = s.init_noise_sigma * wave(1.5, 12, 1), []
            for t in range(n):
                for _ in range(s.config.correct_steps):
                    noise.step = i
                    x = s.step_correct(network(x, i), x).prev_sample
                    i, times = i + 1, times + [s.sigmas[t]]
                noise.step = i
                result = s.step_pred(network(x, i), s.timesteps[t], x)
                x = result.prev_sample
                i, times = i + 1, times + [s.sigmas[t]]
            made.append({"config": c, "steps": n, "timesteps": f32(times), "init": s.init_noise_sigma, "final": f32(result.prev_sample_mean),
                         "asked": list(range(i))})
    vp = diffusers.schedulers.ScoreSdeVpScheduler
    for config in (dict(), dict(beta_min=0.5, beta_max=10, sampling_eps=0.01)):
        for n in (5, 10, 20, 100):
            c = own(vp, **config)
            s, noise, x = vp.from_config(c), Noise(vp), wave(1.5, 12, 1)
            s.set_timesteps(n)
            for i, t in enumerate(s.timesteps):
                noise.step = i
                x, mean = s.step_pred(network(x, i), x, t)
            made.append({"config": c, "steps": n, "timesteps": f32(s.timesteps), "init": 1.0, "final": f32(mean), "asked": list(range(n))})
    return made


class Brownian(Noise):
    """Stands in for the Brownian tree of a scheduler's module."""

    def __init__(self, cls):
        super().__init__(cls)
        self.shape = None
        sys.modules[cls.__module__].BrownianTreeNoiseSampler = lambda x, *_: self.of(x.shape)

    def of(self, shape):
        return lambda *_: self(shape)


def dpm_sde():
    """DPMSolverSDEScheduler, whose noise is an increment of a path: here the same as everywhere."""
    cls, made = diffusers.DPMSolverSDEScheduler, []
    for fields in predictions("epsilon", "v_prediction") + [dict(SD, use_karras_sigmas=True)]:
        config = own(cls, **fields)
        for n in TEN:
            s, noise, x = cls.from_config(config), Brownian(cls), wave(1.5, 12, 1)
            s.set_timesteps(n)
            x = x * float(s.init_noise_sigma)
            for i, t in enumerate(s.timesteps):
                noise.step = i
                x = s.step(network(s.scale_model_input(x, t), i), t, x).prev_sample
            made.append({"config": config, "steps": n, "init": float(s.init_noise_sigma), "final": f32(x)})
    return made


def flow_invert():
    grid = [dict(invert_sigmas=True), dict(invert_sigmas=True, shift=3.0)]
    return cases(diffusers.FlowMatchEulerDiscreteScheduler, grid, steps=(2, 5, 10))


def k_diffusion():
    """k-diffusion's samplers over Stable Diffusion's levels, with fresh noise as everywhere here; config has the name."""
    package = types.ModuleType("k_diffusion")  # whose __init__ wants more than its samplers do
    package.__path__ = importlib.util.find_spec("k_diffusion").submodule_search_locations
    sys.modules["k_diffusion"] = package
    k = importlib.import_module("k_diffusion.sampling")
    made = []
    ladder = {"linspace": dict(SD), "karras": dict(SD, use_karras_sigmas=True)}
    for name, function, more in (
            ("dpmpp_2s_a", k.sample_dpmpp_2s_ancestral, {}), ("dpmpp_sde", k.sample_dpmpp_sde, {}), ("dpmpp_2m_sde", k.sample_dpmpp_2m_sde, {}),
            ("dpmpp_2m_sde_heun", k.sample_dpmpp_2m_sde, dict(solver_type="heun")), ("dpmpp_3m_sde", k.sample_dpmpp_3m_sde, {}), ("dpmpp_3m_sde", k.sample_dpmpp_3m_sde, dict(eta=0.5)), ("dpmpp_sde", k.sample_dpmpp_sde, dict(eta=0.5)),
            ("euler_a", k.sample_euler_ancestral, dict(eta=0.5)), ("dpm_2", k.sample_dpm_2, {}), ("dpm_2_a", k.sample_dpm_2_ancestral, dict(eta=0.5)),
            ("lms", k.sample_lms, {}), ("heun", k.sample_heun, {})):
        for fields in list(ladder.values())[: 1 if name == "euler_a" else 2]:  # whose class here has no use_karras_sigmas
            for n, start in ((5, 0), (10, 0), (20, 0), (20, 7)):
                s = diffusers.EulerDiscreteScheduler(**fields)
                config = own(diffusers.EulerDiscreteScheduler, **fields)
                s.set_timesteps(n)
                sigmas, count = s.sigmas[start:], [-1]

                def model(x, sigma, **_):
                    count[0] += 1
                    return x - sigma[0] * network(x / (sigma[0] ** 2 + 1) ** 0.5, count[0])

                def noise(*_):
                    return torch.from_numpy(1.4 * np.cos(5 * K + 3 * count[0])).float().reshape(1, N, 1)

                x = wave(1.5, 12, 1) * float(sigmas[0])
                if start:
                    x = x + wave(0.7, 3, 0)
                if "noise_sampler" in inspect.signature(function).parameters:
                    more = dict(more, noise_sampler=noise)
                final = function(model, x, sigmas, disable=True, **more)
                made.append({"config": config, "name": name, "steps": n, "init": float(s.sigmas[0]), "final": f32(final)}
                            | ({"start": start} if start else {}) | ({"eta": more["eta"]} if "eta" in more else {}))
    return made


GOLDENS = {f.__name__: f for f in (euler, ddim, flow_euler, euler_ancestral, heun, plms, dpmpp_2m, dpmpp_2m_sde, unipc, lcm, tcd,
                                        pndm, lms, dpm_2, dpm_2_a, ddpm, deis, dpm_singlestep, dpmsolver, edm,
                                        flow_more, consistency_models, scm, sa_solver, score_sde, k_diffusion, dpm_sde, flow_invert)}

for name in sys.argv[1:] or GOLDENS:
    made, configs = GOLDENS[name](), []
    for c in made:
        assert all(math.isfinite(v) for v in c["final"]), c
        if c["config"] not in configs:
            configs.append(c["config"])
        c["config"] = configs.index(c["config"])
    lines = [json.dumps(c, separators=(",", ":"), default=float).replace("-Infinity", "null") for c in configs]
    text = f'{{"diffusers":"{diffusers.__version__}","configs":[\n' + ",\n".join(lines) + '],\n"cases":[\n'
    text += ",\n".join(json.dumps(c, separators=(",", ":"), default=float) for c in made) + "]}\n"
    (HERE / f"{name}.json").write_text(text)
    print(name, len(made), "cases", len(text), "bytes")
