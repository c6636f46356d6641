"""Writes configs.json: configurations of all of diffusers' schedulers, all fields drawn at random from a seed, and where
they lead. wisp must go there, or refuse one of the fields by its name: TestRandomConfigs.

    python configs.py [SEED] [COUNT]      # the versions of make.py

A scheduler that raises, or gives what is not finite, leads nowhere ("final" is null): then wisp may do what it likes.
"""
import json
import math
import pathlib
import random as rnd
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).parent))
arguments, sys.argv = sys.argv[1:], ["make.py", "--none"]
source = (pathlib.Path(__file__).parent / "make.py").read_text().split("\nfor name in sys.argv")[0]
exec(compile(source, "make.py", "exec"))
warnings.simplefilter("ignore")
diffusers.utils.logging.set_verbosity_error()
SEED, COUNT = [int(v) for v in arguments + ["17", "400"][len(arguments):]]
CLASSES = [
    "DDIMScheduler", "DDIMParallelScheduler", "DDPMScheduler", "DDPMParallelScheduler", "DEISMultistepScheduler", "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler", "EDMDPMSolverMultistepScheduler", "EDMEulerScheduler", "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler", "FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler", "FlowMatchLCMScheduler",
    "HeunDiscreteScheduler", "IPNDMScheduler", "KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler", "LCMScheduler",
    "LMSDiscreteScheduler", "LTXEulerAncestralRFScheduler", "PNDMScheduler", "SASolverScheduler", "TCDScheduler", "UniPCMultistepScheduler",
    "CMStochasticIterativeScheduler", "CosineDPMSolverMultistepScheduler", "DDIMInverseScheduler", "UnCLIPScheduler",
]
CHOICES = {
    "num_train_timesteps": [1000, 1000, 500, 40], "beta_start": [0.0001, 0.00085, 0.001], "beta_end": [0.012, 0.02, 0.0195],
    "beta_schedule": ["linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace"],
    "prediction_type": ["epsilon", "epsilon", "v_prediction", "sample", "flow_prediction"],
    "timestep_spacing": ["linspace", "leading", "trailing"], "steps_offset": [0, 1, 1], "timestep_type": ["discrete", "discrete", "continuous"],
    "interpolation_type": ["linear", "linear", "log_linear"], "final_sigmas_type": ["zero", "sigma_min"], "sigma_min": [None, None, 0.05],
    "sigma_max": [None, None, 12.0], "sigma_data": [0.5, 1.0], "sigma_schedule": ["karras", "exponential"], "rho": [7.0, 5.0],
    "solver_order": [1, 2, 2, 3, 4], "solver_type": ["midpoint", "heun", "logrho", "bh1", "bh2", "bh2"],
    "algorithm_type": ["dpmsolver++", "dpmsolver++", "sde-dpmsolver++", "dpmsolver", "sde-dpmsolver", "deis", "data_prediction", "noise_prediction"],
    "lambda_min_clipped": [-float("inf"), -5.1, -2.0], "variance_type": [None, None, "learned", "learned_range", "fixed_small", "fixed_large", "fixed_small_log"],
    "dynamic_thresholding_ratio": [0.995, 0.8], "sample_max_value": [1.0, 1.5], "clip_sample_range": [1.0, 0.6], "disable_corrector": [[], [0], [1, 2]],
    "original_inference_steps": [50, 20], "timestep_scaling": [10.0, 3.0], "flow_shift": [1.0, 3.0], "shift": [1.0, 3.0, 0.7],
    "shift_terminal": [None, None, 0.1], "time_shift_type": ["exponential", "linear"], "base_shift": [0.5, 0.3], "max_shift": [1.15, 0.9],
    "base_image_seq_len": [256], "max_image_seq_len": [4096], "predictor_order": [1, 2, 3], "corrector_order": [1, 2, 3, 4], "eta": [1.0, 0.5],
    "s_noise": [1.0, 0.8], "trained_betas": [None], "solver_p": [None], "tau_func": [None], "scale_factors": [None], "upscale_mode": ["bicubic"],
    "noise_sampler_seed": [None],
}
MODES = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas", "use_flow_sigmas", "thresholding", "rescale_betas_zero_snr",
         "use_dynamic_shifting", "invert_sigmas", "stochastic_sampling")


def draw(cls, rng):
    """Random fields: about half are left to their defaults, and modes are rare, or most would be refused for their company."""
    fields = {}
    for p in list(inspect.signature(cls.__init__).parameters.values())[1:]:
        if p.kind is not p.POSITIONAL_OR_KEYWORD or rng.random() < 0.4:
            continue
        if p.name in MODES:
            fields[p.name] = rng.random() < 0.17
        elif p.name in CHOICES:
            fields[p.name] = rng.choice([c for c in CHOICES[p.name] if c is not None or p.default is None])
            if p.name == "beta_schedule" and fields[p.name] in ("sigmoid", "laplace") and not cls.__name__.startswith("DDPM"):
                fields[p.name] = "scaled_linear"
            if p.name == "algorithm_type" and (fields[p.name] in ("data_prediction", "noise_prediction")) != cls.__name__.startswith("SA"):
                fields[p.name] = p.default
        elif isinstance(p.default, bool):
            fields[p.name] = rng.random() < 0.5
        else:
            raise KeyError(f"{cls.__name__}: {p.name}")
    if fields.get("prediction_type") == "flow_prediction" and rng.random() < 0.8:
        fields["use_flow_sigmas"] = True
    return fields


def lead(cls, fields, steps):
    try:
        config = own(cls, **fields)
        tokens = 1024 if fields.get("use_dynamic_shifting") else 0
        if tokens and "mu" not in inspect.signature(cls.set_timesteps).parameters:
            tokens = 0
        case = run(cls, config, steps, tokens=tokens)
    except Exception as e:
        return {"config": {"_class_name": cls.__name__, **fields}, "steps": steps, "final": None, "why": f"{type(e).__name__}: {e}"[:160]}
    case["config"] = {"_class_name": cls.__name__, **fields}
    # the same with a start that rounding could have made: how far that leads astray is how exact anyone can be
    global wave
    plain = wave
    wave = lambda *args: plain(*args) * (1 + 2e-7 * (K % 3 - 1).reshape(1, N, 1)).astype(np.float32)
    try:
        other = run(cls, own(cls, **fields), steps, tokens=tokens)["final"]
    finally:
        wave = plain
    if not all(math.isfinite(v) for v in case["final"] + other):
        case = {"config": 0, "steps": steps, "final": None, "why": "not finite"}
        case["config"] = {"_class_name": cls.__name__, **fields}
    else:
        case["spread"] = float(np.float32(max(abs(a - b) for a, b in zip(case["final"], other))))
    return {k: v for k, v in case.items() if k in ("config", "steps", "tokens", "timesteps", "final", "why", "spread")}


rng, made = rnd.Random(SEED), []
for i in range(COUNT):
    cls = getattr(diffusers, CLASSES[i % len(CLASSES)])
    made.append(lead(cls, draw(cls, rng), rng.choice((1, 4, 9, 20))))
text = f'{{"seed":{SEED},"diffusers":"{diffusers.__version__}","cases":[\n'
text += ",\n".join(json.dumps(c, separators=(",", ":")).replace("-Infinity", "null") for c in made) + "]}\n"
(pathlib.Path(__file__).parent / "configs.json").write_text(text)
print(len(made), "cases,", sum(c["final"] is None for c in made), "lead nowhere,", len(text), "bytes")
