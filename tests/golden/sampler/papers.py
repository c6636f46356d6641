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
from scipy.optimize import brentq, minimize_scalar

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

# Few steps between levels of variance one: x = alpha x0 + sigma noise.

def bars(fields):
    return diffusers.DDIMScheduler(**fields).alphas_cumprod.double().numpy()


def few(fresh, fields, steps, eta=None, spacing="trailing"):
    """fresh is the deviation of the new noise, of the signal's shares in the variance here and there."""
    bar, net, x = bars(fields), Network(), NOISE
    n = len(bar)
    t = [round(n - i * n / steps) - 1 for i in range(steps)] if spacing == "trailing" else [round(v) for v in np.linspace(0, n - 1, steps)[::-1]]
    for i, at in enumerate(t):
        a, b = bar[at], bar[t[i + 1]] if i + 1 < steps else 1.0
        out = net(x)
        kind = fields.get("prediction_type", "epsilon")
        picture = {"epsilon": lambda: (x - sqrt(1 - a) * out) / sqrt(a), "v_prediction": lambda: sqrt(a) * x - sqrt(1 - a) * out, "sample": lambda: out}[kind]()
        noise = (x - sqrt(a) * picture) / sqrt(1 - a)
        new = fresh(a, b) if eta is None else fresh(a, b, eta)
        x = sqrt(b) * picture + sqrt(max(1 - b - new**2, 0)) * noise + new * net.noise()
    return x


FRESH = {  # of the papers, see posterior.go
    "gddim": lambda a, b, lam=1.0: sqrt((1 - b) * (1 - ((1 - b) / (1 - a)) ** lam**2 * (a / b) ** lam**2)),
    "ddgan": lambda a, b: sqrt((1 - b) / (1 - a) * (1 - a / b)),  # the posterior's beta: (1 - b) beta / (1 - a)
    "ufogen": lambda a, b: sqrt(1 - b),
    "tract": lambda a, b: 0.0,
}
for name, fresh in FRESH.items():
    for kind in ("epsilon", "v_prediction", "sample"):
        fields = dict(SD, prediction_type=kind)
        for n in TEN:
            keep(name, {"_class_name": "EulerDiscreteScheduler", **fields}, n, few(fresh, fields, n, spacing="linspace" if name == "gddim" else "trailing"))
for eta in (0.0, 0.6):
    keep("gddim", {"_class_name": "EulerDiscreteScheduler", **SD}, 10, few(FRESH["gddim"], SD, 10, eta, "linspace"), eta=eta)
betas = [0.31, 0.62, 0.83, 0.96]  # four steps, all that a DDGAN has
fields = dict(trained_betas=betas, num_train_timesteps=4, prediction_type="sample")
keep("ddgan", {"_class_name": "EulerDiscreteScheduler", **fields}, 4, few(FRESH["ddgan"], fields, 4))


def posterior(fields):
    """The same by DDPM's own form: a mean of x and the picture."""
    bar, net, x = bars(fields), Network(), NOISE
    for t in range(len(bar) - 1, -1, -1):
        before = bar[t - 1] if t else 1.0
        beta, picture = 1 - bar[t] / before, net(x)
        mean = sqrt(before) * beta / (1 - bar[t]) * picture + sqrt(1 - beta) * (1 - before) / (1 - bar[t]) * x
        x = mean + sqrt(beta * (1 - before) / (1 - bar[t])) * net.noise()
    return x


assert np.allclose(posterior(fields), cases[-1]["final"], atol=1e-6)


# Annealed Langevin dynamics and consistent annealed sampling.

def ladder(lo, hi, n):
    return np.exp(np.linspace(log(hi), log(lo), n))


def share_of(gamma, steps):
    """Technique 4 of Song and Ermon 2020: the least epsilon / sigma_L^2 with which the variance after the steps is the level's."""
    shares = np.exp(np.linspace(log(1e-9), 0, 400_000))[:-1]
    kept = (1 - shares) ** 2
    stays = 2 * shares / (1 - kept)
    excess = kept**steps * (gamma**2 - stays) + stays - 1
    below = np.flatnonzero(excess <= 0)
    f = lambda e: (1 - e) ** (2 * steps) * (gamma**2 - 2 * e / (1 - (1 - e) ** 2)) + 2 * e / (1 - (1 - e) ** 2) - 1
    if not len(below):  # the nearest to it
        at = np.argmin(excess)
        return minimize_scalar(f, bounds=(shares[at - 1], shares[at + 1]), method="bounded", options=dict(xatol=1e-14)).x
    return brentq(f, shares[below[0] - 1], shares[below[0]], xtol=1e-15)


def langevin(lo, hi, n, each):
    net, x = Network(), NOISE * hi
    sigmas = ladder(lo, hi, n)
    share = share_of(sigmas[0] / sigmas[1], each)
    for sigma in sigmas:
        a = share * sigma**2
        for _ in range(each):
            out = net(x)
            x = x + a * out + sqrt(2 * a) * net.noise()
    return x + lo**2 * net(x)


def consistent(lo, hi, n, eta):
    net, x = Network(), NOISE * hi
    sigmas = ladder(lo, hi, n)
    for i, sigma in enumerate(sigmas):
        out = net(x)
        if i + 1 == n:
            return x + sigma**2 * out
        gamma = sigmas[i + 1] / sigma
        step = 1 - gamma ** (1 + eta)  # the paper's eta
        beta = sqrt(max(1 - (1 - step) ** 2 / gamma**2, 0))
        x = x + step * sigma**2 * out + beta * sigmas[i + 1] * net.noise()


for n in TEN:
    for lo, hi, each in ((0.01, 3.0, 1), (0.01, 3.0, 4), (0.05, 2.0, 30)):
        config = {"_class_name": "ScoreSdeVeScheduler", "sigma_min": lo, "sigma_max": hi, "correct_steps": each}
        keep("ncsn", config, n, langevin(lo, hi, n, each))
    for eta in (0.0, 0.4, 1.0):
        keep("cas", {"_class_name": "ScoreSdeVeScheduler", "sigma_min": 0.01, "sigma_max": 3.0}, n, consistent(0.01, 3.0, n, eta), eta=eta)


# PeRFlow: within a window of time the way is straight; where the window ends follows from what is predicted.

def perflow(kind, windows, steps):
    bar, net, x = bars(SD), Network(), NOISE
    times, spans = [], []
    for w in range(windows):
        hi, lo = (windows - w) / windows, (windows - w - 1) / windows
        count = steps // windows + (w < steps % windows)
        for v in np.linspace(hi, lo, count, endpoint=False):
            times.append(int(v * 1000))
            spans.append((hi, lo))
    for i, (t, (s, e)) in enumerate(zip(times, spans)):
        out, c = net(x), t / 1000
        a, b = bar[int(s * 1000) - 1], bar[max(int(e * 1000) - 1, 0)]
        if kind == "velocity":
            speed = out
        else:
            lam = sqrt(b / a)
            eta = sqrt(1 - b) - sqrt(b / a * (1 - a)) if kind == "ddim_eps" else -sqrt(1 - a / b) * lam
            below = lam * (c - s) + (e - c)
            speed = (lam * (e - s) / below * x + eta * (e - c) / below * out - x) / (e - c)
        x = x + ((times[i + 1] if i + 1 < len(times) else 0) - t) / 1000 * speed
    return x


for kind in ("ddim_eps", "diff_eps", "velocity"):
    for windows, steps in ((4, 4), (4, 5), (4, 10), (4, 20), (2, 5)):
        keep("perflow", {"_class_name": "PeRFlowScheduler", **SD, "prediction_type": kind, "num_time_windows": windows}, steps, perflow(kind, windows, steps))
for n in TEN:
    keep("perflow", {"_class_name": "EulerDiscreteScheduler", **SD}, n, perflow("diff_eps", 4, n))

lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in configs)
text = '{"configs":[\n' + lines + '],\n"cases":[\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "]}\n"
(HERE / "papers.json").write_text(text)
print(len(cases), "cases", len(text), "bytes")
for c in cases:
    if "runs" in c:
        print(c["name"], configs[c["config"]]["_class_name"], c["steps"], c["runs"], "runs")
