"""Writes one JSON file per sampler: diffusers' schedulers driven by a fixed, smooth, made-up network.

    python make.py [name ...]        # diffusers 0.42.1, torch 2.15.0, numpy 1.26.4

The network is out[k] = 0.5 sin(in[k] + run) + 0.1 cos(7 k), `in` being the scaled input and `run` counting network
runs; the first latent is init * 1.5 sin(12 k + 1); fresh noise, where a sampler asks for it, is
1.4 cos(5 k + 3 i), i being the index of the step that asks. engine/sampler/golden_test.go computes the same.
"""
import json
import math
import pathlib
import sys
import tempfile

import diffusers
import numpy as np
import torch

HERE = pathlib.Path(__file__).parent
N = 16
STEPS = (1, 2, 4, 8, 20, 50)
K = np.arange(N)
SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
# What Stable Diffusion 1.5 publishes, for another scheduler to read: fields left out take that scheduler's defaults.
SD15_PNDM = dict(_class_name="PNDMScheduler", _diffusers_version="0.6.0", beta_end=0.012, beta_schedule="scaled_linear",
                 beta_start=0.00085, num_train_timesteps=1000, set_alpha_to_one=False, skip_prk_steps=True,
                 steps_offset=1, trained_betas=None, clip_sample=False)


def f32(x):
    return [float(np.float32(v)) for v in np.ravel(x)]


def network(x, run):
    return (torch.sin(x.double() + run) * 0.5 + torch.from_numpy(0.1 * np.cos(7 * K))).float()


class Noise:
    """Stands in for randn_tensor in a scheduler's module."""

    def __init__(self, cls):
        self.step = 0
        self.asked = []
        sys.modules[cls.__module__].randn_tensor = self

    def __call__(self, shape, **_):
        self.asked.append(self.step)
        return torch.from_numpy(1.4 * np.cos(5 * K + 3 * self.step)).float().reshape(shape)


def run(cls, config, steps):
    """config is what the Go side reads: the scheduler's own file, or another's for from_config."""
    s = cls.from_config(dict(config))
    s.set_timesteps(steps)
    if hasattr(s, "set_begin_index"):
        s.set_begin_index(0)  # else it looks for the first timestep, and finds the second of two alike
    noise = Noise(cls)
    init = float(torch.as_tensor(getattr(s, "init_noise_sigma", 1.0)))
    x = init * torch.from_numpy(1.5 * np.sin(12 * K + 1)).float()[None]  # (1, N): some want a batch
    first = None
    for i, t in enumerate(s.timesteps):
        noise.step = i
        scaled = s.scale_model_input(x, t) if hasattr(s, "scale_model_input") else x
        out = network(scaled, i)
        result = s.step(out, t, x)
        if first is None:
            first = denoised(s, result, x, out)
        x = result.prev_sample
    case = {"config": config, "steps": steps, "timesteps": f32(s.timesteps), "init": init, "final": f32(x)}
    if hasattr(s, "sigmas"):
        case["sigmas"] = f32(s.sigmas)
    if first is not None:
        case["denoised"] = f32(first)
    if noise.asked:
        case["asked"] = noise.asked
    return case


def denoised(s, result, x, out):
    for field in ("denoised", "pred_original_sample"):
        if getattr(result, field, None) is not None:
            return getattr(result, field)
    if type(s).__name__ == "FlowMatchEulerDiscreteScheduler":
        return x - s.sigmas[0] * out
    return None


def own(cls, **fields):
    """The file diffusers writes for cls(**fields)."""
    with tempfile.TemporaryDirectory() as d:
        cls(**fields).save_pretrained(d)
        return json.loads((pathlib.Path(d) / "scheduler_config.json").read_text())


def cases(cls, configs, steps=STEPS):
    configs = [c if "_class_name" in c else own(cls, **c) for c in configs]
    return [run(cls, c, n) for c in configs for n in steps]


def euler():
    grid = [dict(SD, prediction_type=p, timestep_spacing=t, steps_offset=1 if t == "leading" else 0)
            for p in ("epsilon", "v_prediction", "sample") for t in ("linspace", "leading", "trailing")]
    grid += [dict(), dict(beta_schedule="squaredcos_cap_v2", timestep_spacing="leading"),
             dict(SD, rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing"),
             dict(SD, use_karras_sigmas=True), dict(SD, use_karras_sigmas=True, sigma_min=0.05, sigma_max=10.0),
             dict(SD, use_exponential_sigmas=True), dict(SD, final_sigmas_type="sigma_min"),
             dict(trained_betas=np.linspace(0.001, 0.03, 200).tolist(), num_train_timesteps=200), SD15_PNDM]
    return cases(diffusers.EulerDiscreteScheduler, grid)


def ddim():
    grid = [dict(SD, prediction_type=p, timestep_spacing=t, clip_sample=c, set_alpha_to_one=c,
                 steps_offset=1 if t == "leading" else 0)
            for p in ("epsilon", "v_prediction", "sample") for t in ("linspace", "leading", "trailing")
            for c in (False, True)]
    grid += [dict(), dict(clip_sample_range=0.4), dict(beta_schedule="squaredcos_cap_v2"),
             dict(SD, rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing",
                  clip_sample=False), SD15_PNDM]
    return cases(diffusers.DDIMScheduler, grid)


def flow_euler():
    grid = [dict(), dict(shift=3.0), dict(shift=1.15), dict(shift=0.5), dict(num_train_timesteps=500, shift=2.0),
            dict(use_karras_sigmas=True), dict(shift=3.0, use_exponential_sigmas=True)]
    return cases(diffusers.FlowMatchEulerDiscreteScheduler, grid)


FEW = (1, 2, 3, 5, 10, 24)
FLOW = dict(use_flow_sigmas=True, prediction_type="flow_prediction")


def predictions(*names):
    return [dict(SD, prediction_type=p, timestep_spacing=t, steps_offset=1 if t == "leading" else 0)
            for p in names for t in ("linspace", "leading", "trailing")]


def euler_ancestral():
    return cases(diffusers.EulerAncestralDiscreteScheduler, predictions("epsilon", "v_prediction") + [dict(), SD15_PNDM], FEW)


def heun():
    grid = predictions("epsilon", "v_prediction", "sample")
    grid += [dict(), dict(SD, use_karras_sigmas=True), dict(SD, use_exponential_sigmas=True),
             dict(SD, clip_sample=True, clip_sample_range=0.6), SD15_PNDM]
    return cases(diffusers.HeunDiscreteScheduler, grid, FEW)


def plms():
    grid = [dict(c, skip_prk_steps=True) for c in predictions("epsilon", "v_prediction") + [dict(SD, set_alpha_to_one=True), dict()]]
    return cases(diffusers.PNDMScheduler, grid + [SD15_PNDM], FEW)


def dpm(**more):
    grid = [dict(c, **more) for c in predictions("epsilon", "v_prediction", "sample")]
    grid += [dict(SD, **more, **c) for c in (
        dict(solver_order=1), dict(solver_type="heun"), dict(euler_at_final=True), dict(lower_order_final=False),
        dict(use_karras_sigmas=True), dict(use_exponential_sigmas=True), dict(final_sigmas_type="sigma_min"),
        dict(final_sigmas_type="sigma_min", lower_order_final=False, euler_at_final=True))]
    grid += [dict(more), dict(beta_schedule="squaredcos_cap_v2", lambda_min_clipped=-5.1, **more),
             dict(beta_schedule="squaredcos_cap_v2", use_karras_sigmas=True, **more),
             dict(FLOW, **more), dict(FLOW, flow_shift=3.0, **more)]
    return cases(diffusers.DPMSolverMultistepScheduler, grid, FEW)


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
    grid += [dict(), dict(beta_schedule="squaredcos_cap_v2"), FLOW, dict(FLOW, flow_shift=3.0, solver_order=3)]
    return cases(diffusers.UniPCMultistepScheduler, grid, FEW)


def consistency(cls):
    grid = [dict(prediction_type=p) for p in ("epsilon", "v_prediction", "sample")]
    grid += [dict(beta_schedule="linear"), dict(original_inference_steps=100), SD15_PNDM]
    if cls is diffusers.LCMScheduler:
        grid += [dict(clip_sample=True), dict(timestep_scaling=3.0)]
    return cases(cls, grid, (1, 2, 4, 8, 50))


def lcm():
    return consistency(diffusers.LCMScheduler)


def tcd():
    return consistency(diffusers.TCDScheduler)


GOLDENS = {f.__name__: f for f in (euler, ddim, flow_euler, euler_ancestral, heun, plms, dpmpp_2m, dpmpp_2m_sde, unipc, lcm, tcd)}

for name in sys.argv[1:] or GOLDENS:
    data = {"diffusers": diffusers.__version__, "cases": GOLDENS[name]()}
    text = json.dumps(data, separators=(",", ":"), default=float)
    (HERE / f"{name}.json").write_text(text + "\n")
    assert all(math.isfinite(v) for c in data["cases"] for v in c["final"]), name
    print(name, len(data["cases"]), "cases", len(text), "bytes")
