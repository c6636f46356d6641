"""Writes schedules.json: noise levels by each schedule's formula, over Stable Diffusion's betas, in float64.

    python schedules.py      # numpy 1.26.4, scipy 1.17.1

No library has all: karras, exponential, polyexponential are k-diffusion's functions, simple, normal, sgm_uniform,
ddim_uniform, beta_steps, linear_quadratic and kl_optimal ComfyUI's, laplace and beta those of AUTOMATIC1111's forks, written out.
"""
import json
import pathlib

import numpy as np
from scipy import stats

betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=np.float32) ** 2
bar = np.cumprod(1 - betas.astype(np.float64))
train = np.sqrt((1 - bar) / bar)
lo, hi = train[0], train[-1]


def at(t):
    return np.exp(np.interp(t, np.arange(1000), np.log(train)))


def polyexponential(n, rho=1.0):
    return np.exp(np.linspace(1, 0, n) ** rho * (np.log(hi) - np.log(lo)) + np.log(lo))


def ddim_uniform(n):
    levels, x = [], 1
    while x < 1000:
        levels.append(train[x])
        x += max(1000 // n, 1)
    return levels[::-1]


def linear_quadratic(n, threshold=0.025):
    if n == 1:
        return [hi]
    linear = n // 2
    short, rest = linear - threshold * n, n - linear
    q = short / (linear * rest**2)
    c = threshold / linear - 2 * short / rest**2
    gone = [i * threshold / linear for i in range(linear)] + [q * i**2 + c * i + q * linear**2 for i in range(linear, n)]
    return hi * (1 - np.array(gone))


def laplace(n, mean=0.0, scale=0.5):
    x = np.linspace(0, 1, n)
    return np.clip(np.exp(mean - scale * np.sign(0.5 - x) * np.log(1 - 2 * np.abs(0.5 - x) + 1e-5)), lo, hi)


def ays(levels, n):
    return np.exp(np.interp(np.linspace(0, 1, n), np.linspace(0, 1, 11), np.log(levels)))


def beta_steps(n):
    return train[np.rint(stats.beta.ppf(1 - np.linspace(0, 1, n, endpoint=False), 0.6, 0.6) * 999).astype(int)]


def arcs(n):
    share = np.arange(n) / max(n - 1, 1)
    return np.tan(share * np.arctan(lo) + (1 - share) * np.arctan(hi))


SCHEDULES = {
    "karras": lambda n: (hi ** (1 / 7) + np.linspace(0, 1, n) * (lo ** (1 / 7) - hi ** (1 / 7))) ** 7,
    "exponential": lambda n: np.exp(np.linspace(np.log(hi), np.log(lo), n)),
    "polyexponential": polyexponential,
    "lu": lambda n: np.exp(np.linspace(np.log(hi), np.log(lo), n)),
    "beta": lambda n: lo + stats.beta.ppf(1 - np.linspace(0, 1, n), 0.6, 0.6) * (hi - lo),
    "simple": lambda n: [train[-(1 + int(i * (1000 / n)))] for i in range(n)],
    "normal": lambda n: at(np.linspace(999, 0, n)),
    "sgm_uniform": lambda n: at(np.linspace(999, 0, n + 1)[:-1]),
    "ddim_uniform": ddim_uniform,
    "kl_optimal": arcs,
    "linear_quadratic": linear_quadratic,
    "laplace": laplace,
    "ays": lambda n: ays([14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029], n),
    "ays_sdxl": lambda n: ays([14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029], n),
    "gits": lambda n: ays([14.615, 4.617, 2.507, 1.236, 0.702, 0.402, 0.240, 0.156, 0.104, 0.094, 0.029], n),
    "gits_sdxl": lambda n: ays([14.615, 4.734, 2.567, 1.529, 0.987, 0.652, 0.418, 0.268, 0.179, 0.127, 0.029], n),
    "beta_steps": beta_steps,
}
cases = [{"name": name, "steps": n, "sigmas": [float(str(np.float32(v))) for v in f(n)] + [0.0]}
         for name, f in SCHEDULES.items() for n in (2, 5, 10, 20)]
(pathlib.Path(__file__).parent / "schedules.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "]\n")
