"""Writes engine/sampler/classes.json: the fields of every scheduler of diffusers with their defaults.

    python classes.py        # diffusers 0.42.1

Schedulers of discrete tokens and of a single pipeline's own stages are left out; wisp refuses them by name.
"""
import inspect
import json
import math
import pathlib

from diffusers import schedulers

OTHER = ("Amused", "BlockRefinement", "DiscreteDDIM", "EntropyBound", "RFD4Proteina", "VQDiffusion")


def default(v):
    return None if isinstance(v, float) and math.isinf(v) else v  # -inf: lambda_min_clipped, where wisp reads null so


classes = {}
for name in dir(schedulers):
    cls = getattr(schedulers, name)
    if name.endswith("Scheduler") and inspect.isclass(cls) and not name.startswith(OTHER):
        parameters = inspect.signature(cls.__init__).parameters.values()
        classes[name] = {p.name: default(p.default) for p in parameters if p.name != "self" and p.kind is p.POSITIONAL_OR_KEYWORD}
# Its authors' class, github.com/magic-research/piecewise-rectified-flow.
classes["PeRFlowScheduler"] = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", trained_betas=None,
                                   set_alpha_to_one=False, prediction_type="ddim_eps", t_noise=1, t_clean=0, num_time_windows=4)
# Its authors have no class, but these names: github.com/nv-tlabs/CLD-SGM.
classes["CLDScheduler"] = dict(beta=4.0, m_inv=4.0, sampling_eps=1e-3, striding="quadratic")
classes = dict(sorted(classes.items()))
text = ",\n".join(f"{json.dumps(k)}:{json.dumps(v, separators=(',', ':'))}" for k, v in classes.items())
(pathlib.Path(__file__).parents[3] / "engine/sampler/classes.json").write_text("{\n" + text + "\n}\n")
