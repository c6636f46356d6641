"""Writes papers.json: samplers that no package of schedulers has, their papers' formulas in float64.

    python papers.py      # diffusers 0.42.1, numpy 1.26.4, scipy 1.17.1, k_diffusion 0.1.1

The network, its noise and its walks are make.py's; where a case is still, the network forgets which run it is, since a
solver that chooses its steps expects a function. RK45 is scipy's, DPM adaptive k_diffusion's.
"""
import importlib
import importlib.util
import json
import math
import pathlib
import sys
import types

import diffusers
import numpy as np
import torch
from scipy.integrate import solve_ivp

HERE = pathlib.Path(__file__).parent
package = types.ModuleType("k_diffusion")  # whose __init__ wants more than its samplers do
package.__path__ = importlib.util.find_spec("k_diffusion").submodule_search_locations
sys.modules["k_diffusion"] = package
k = importlib.import_module("k_diffusion.sampling")
K = np.arange(8)
NOISE = 1.5 * np.sin(12 * K + 1)
PICTURE = 0.7 * np.sin(3 * K)
SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
TEN = (5, 10, 20)
log, exp, sqrt = math.log, math.exp, math.sqrt
configs, cases = [], []


def keep(name, config, steps, final, **more):
    assert np.isfinite(final).all(), (name, config, steps, final)
    if config not in configs:
        configs.append(config)
    cases.append({"name": name, "config": configs.index(config), "steps": steps, "final": [float(f"{v:.8g}") for v in np.ravel(final)]} | more)


class Network:
    def __init__(self, still=False):
        self.runs, self.still = -1, still

    def __call__(self, x):
        self.runs += 1
        return 0.5 * np.sin(x + (0 if self.still else self.runs)) + 0.1 * np.cos(7 * K)

    def noise(self):
        return 1.4 * np.cos(5 * K + 3 * self.runs)


# Solvers that choose their steps, on dx = f x dt + g dw backwards. A process gives from, to, the first x, f, g and the
# score.

class Levels:
    """x = x0 + sigma noise, over t = log sigma."""

    def __init__(self, start=0, steps=10):
        s = diffusers.EulerDiscreteScheduler(**SD)
        s.set_timesteps(steps)
        self.config = {"_class_name": "EulerDiscreteScheduler", **SD}
        self.start, self.end, self.net = log(float(s.sigmas[start])), log(float(s.sigmas[-2])), Network(True)
        self.x = NOISE * float(s.init_noise_sigma) if not start else PICTURE + exp(self.start) * NOISE

    def f(self, t):
        return 0

    def g(self, t):
        return sqrt(2) * exp(t)

    def score(self, x, t):
        sigma = exp(t)
        return -self.net(x / sqrt(sigma**2 + 1)) / sigma


class VP:
    def __init__(self, lo=0.1, hi=3.0, eps=0.01):
        self.config = {"_class_name": "ScoreSdeVpScheduler", "beta_min": lo, "beta_max": hi, "sampling_eps": eps}
        self.lo, self.hi, self.start, self.end, self.x, self.net = lo, hi, 1.0, eps, NOISE, Network(True)

    def beta(self, t):
        return self.lo + t * (self.hi - self.lo)

    def f(self, t):
        return -self.beta(t) / 2

    def g(self, t):
        return sqrt(self.beta(t))

    def score(self, x, t):
        alpha = exp(-0.25 * t**2 * (self.hi - self.lo) - 0.5 * t * self.lo)
        return -self.net(x) / sqrt(1 - alpha**2)


class VE:
    def __init__(self, lo=0.01, hi=3.0, eps=1e-5):
        self.config = {"_class_name": "ScoreSdeVeScheduler", "sigma_min": lo, "sigma_max": hi, "sampling_eps": eps}
        self.lo, self.ratio, self.start, self.end, self.x, self.net = lo, hi / lo, 1.0, eps, NOISE * hi, Network(True)

    def f(self, t):
        return 0

    def g(self, t):
        return self.lo * self.ratio**t * sqrt(2 * log(self.ratio))

    def score(self, x, t):
        return self.net(x)


class Flow(Levels):
    """x = (1 - t) x0 + t noise, whose network gives dx/dt."""

    def __init__(self):
        self.config = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
        self.start, self.end, self.x, self.net = 1.0, 1e-3, NOISE, Network(True)


def rk45(w):
    if isinstance(w, Flow):
        slope = lambda t, x: w.net(x)
    else:
        slope = lambda t, x: w.f(t) * x - w.g(t) ** 2 * w.score(x, t) / 2
    r = solve_ivp(slope, (w.start, w.end), w.x, rtol=1e-5, atol=1e-5, method="RK45", first_step=(w.start - w.end) / 100)
    return r.y[:, -1], r.nfev


def gotta_go_fast(w):
    drift = lambda x, t: w.f(t) * x - w.g(t) ** 2 * w.score(x, t)
    t, x, before, h, runs = w.start, w.x, w.x, (w.start - w.end) / 100, 0
    while t > w.end:
        if t - h - w.end < 1e-9:
            h = t - w.end
        first = drift(x, t)
        z = w.net.noise()
        low = x - h * first + w.g(t) * sqrt(h) * z
        to = w.end if h == t - w.end else t - h
        better = x - h * drift(low, to) + w.g(to) * sqrt(h) * z
        high, runs = (low + better) / 2, runs + 2
        e = sqrt(np.mean(((low - high) / np.maximum(0.0078, 0.02 * np.maximum(abs(low), abs(before)))) ** 2))
        if e <= 1:
            x, before, t = high, low, to
        h *= 0.9 * e**-0.9
    return x, runs


def dpm_adaptive(w):
    model = lambda x, sigma: x + sigma**2 * torch.from_numpy(w.score(x.numpy()[0], log(float(sigma[0]))))[None]
    x, info = k.DPMSolver(model).dpm_solver_adaptive(torch.from_numpy(w.x)[None], torch.tensor(-w.start, dtype=torch.float64), torch.tensor(-w.end, dtype=torch.float64))
    return x.numpy().ravel(), info["nfe"]


for steps, start in ((5, 0), (10, 0), (20, 0), (20, 7)):
    for f in (rk45, gotta_go_fast, dpm_adaptive):
        final, runs = f(Levels(start, steps))
        keep(f.__name__, Levels().config, steps, final, still=True, runs=runs, **({"start": start} if start else {}))
for f in (rk45, gotta_go_fast):
    for w in (VP, VE):
        final, runs = f(w())
        keep(f.__name__, w().config, 10, final, still=True, runs=runs)
final, runs = rk45(Flow())
keep("rk45", Flow().config, 10, final, still=True, runs=runs)

lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in configs)
text = '{"configs":[\n' + lines + '],\n"cases":[\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "]}\n"
(HERE / "papers.json").write_text(text)
print(len(cases), "cases", len(text), "bytes")
for c in cases:
    if "runs" in c:
        print(c["name"], configs[c["config"]]["_class_name"], c["steps"], c["runs"], "runs")
