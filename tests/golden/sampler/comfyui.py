"""Writes comfyui.json: samplers of ComfyUI's and AUTOMATIC1111's lists that no package has, their formulas in float64.

    python comfyui.py      # diffusers 0.42.1, numpy 1.26.4, k_diffusion 0.1.1

The network, its noise and its walks are make.py's; the prediction of the negative prompt alone is make.py's variance.
Where the formulas are from: comfy/k_diffusion/sampling.py (er_sde, res_multistep, heunpp2, ipndm_v, deis, seeds, cfg_pp,
gradient_estimation), modules/sd_samplers_extra.py (restart), sd_samplers_timesteps_impl.py (ddim_cfgpp). dpm_fast and
dpm_adaptive are k_diffusion's own.
"""
import importlib
import json
import math
import pathlib
import sys
import types

import diffusers
import numpy as np
import torch

HERE = pathlib.Path(__file__).parent
K = np.arange(8)
SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
package = types.ModuleType("k_diffusion")
package.__path__ = importlib.util.find_spec("k_diffusion").submodule_search_locations
sys.modules["k_diffusion"] = package
kd = importlib.import_module("k_diffusion.sampling")
log, exp, expm1, sqrt = math.log, math.exp, math.expm1, math.sqrt


class Walk:
    """The made-up network over levels x = alpha x0 + sigma noise; a flow's alpha is 1 - sigma, others' is 1."""

    def __init__(self, flow):
        self.flow, self.runs, self.free = flow, -1, None

    def __call__(self, x, sigma):
        self.runs += 1
        scale = 1 if self.flow else 1 / sqrt(sigma**2 + 1)
        out = 0.5 * np.sin(x * scale + self.runs) + 0.1 * np.cos(7 * K)
        self.free = x - sigma * (0.3 * np.sin(out) + 0.5)
        return x - sigma * out

    def noise(self):
        return 1.4 * np.cos(5 * K + 3 * self.runs)

    def alpha(self, sigma):
        return 1 - sigma if self.flow else 1.0

    def lam(self, sigma):
        return log(self.alpha(sigma) / sigma)

    def sigma(self, lam):
        return 1 / (1 + exp(lam)) if self.flow else exp(-lam)


def ancestral(a, b, eta=1.0):
    up = min(b, eta * sqrt(b**2 * (a**2 - b**2) / a**2))
    return sqrt(b**2 - up**2), up


def er_sde(m, x, s):
    phi = lambda v: v * (np.exp(v**0.3) + 10)
    lam = [v / m.alpha(v) for v in s]
    d = []
    slopes = {}
    for i in range(len(s) - 1):
        d.append(m(x, s[i]))
        if s[i + 1] == 0:
            return d[-1]
        a, b, r = m.alpha(s[i]), m.alpha(s[i + 1]), phi(lam[i + 1]) / phi(lam[i])
        dt = lam[i + 1] - lam[i]
        places = lam[i + 1] + np.arange(200) * (-dt / 200)
        x = b / a * r * x + b * (1 - r) * d[i]
        if i > 0:
            slopes[i] = (d[i] - d[i - 1]) / (lam[i] - lam[i - 1])
            x = x + b * (dt + np.sum(1 / phi(places)) * (-dt / 200) * phi(lam[i + 1])) * slopes[i]
        if i > 1:
            bend = (slopes[i] - slopes[i - 1]) / ((lam[i] - lam[i - 2]) / 2)
            x = x + b * (dt**2 / 2 + np.sum((places - lam[i]) / phi(places)) * (-dt / 200) * phi(lam[i + 1])) * bend
        x = x + b * m.noise() * sqrt(max(lam[i + 1] ** 2 - lam[i] ** 2 * r**2, 0))
    return x


def res(eta, pp):
    def f(m, x, s):
        old = old_down = None
        for i in range(len(s) - 1):
            d = m(x, s[i])
            u = m.free if pp else d
            down, up = ancestral(s[i], s[i + 1], eta)
            if down == 0 or old is None:
                x = d + (x - u) / s[i] * down
            else:
                h = log(s[i] / down)
                c2 = (-log(s[i - 1]) + log(old_down)) / h
                phi1 = expm1(-h) / -h
                phi2 = (phi1 - 1) / -h
                x = exp(-h) * (x + d - u) + h * ((phi1 - phi2 / c2) * u + phi2 / c2 * old)
            if s[i + 1] > 0:
                x = x + m.noise() * up
            old, old_down = u, down
        return x
    return f


def gradient(pp):
    def f(m, x, s):
        old = None
        for i in range(len(s) - 1):
            d = m(x, s[i])
            slope = (x - (m.free if pp else d)) / s[i]
            if s[i + 1] == 0:
                return d
            x = d + slope * s[i + 1] if pp else x + slope * (s[i + 1] - s[i])
            if old is not None:
                x = x + (slope - old) * (s[i + 1] - s[i])
            old = slope
        return x
    return f


def euler_pp(eta):
    def f(m, x, s):
        for i in range(len(s) - 1):
            d = m(x, s[i])
            if s[i + 1] == 0:
                return d
            a, b = m.alpha(s[i]), m.alpha(s[i + 1])
            down, up = ancestral(s[i] / a, s[i + 1] / b, eta)
            x = b * d + b * down * (x - a * m.free) / s[i] + (b * m.noise() * up if eta else 0)
        return x
    return f


def dpmpp_2m_pp(m, x, s):
    old = None
    for i in range(len(s) - 1):
        d, u = m(x, s[i]), m.free
        if s[i + 1] == 0:
            return d
        h = log(s[i] / s[i + 1])
        mix = -exp(-h) * u
        if old is not None:
            mix = mix - expm1(-h) / (2 * log(s[i - 1] / s[i]) / h) * (d - old)
        x, old = d + mix + exp(-h) * x, u
    return x


def dpmpp_2s_pp(m, x, s):
    for i in range(len(s) - 1):
        d, u = m(x, s[i]), m.free
        down, up = ancestral(s[i], s[i + 1])
        if down == 0:
            return d
        middle = sqrt(s[i] * down)
        x2 = middle / s[i] * (x + d - u) + (1 - middle / s[i]) * d
        kept = x
        d2 = m(x2, middle)
        x = down / s[i] * (kept + d2 - m.free) + (1 - down / s[i]) * d2 + m.noise() * up
    return x


def heunpp2(m, x, s):
    for i in range(len(s) - 1):
        slope = (x - m(x, s[i])) / s[i]
        dt = s[i + 1] - s[i]
        if s[i + 1] == 0:
            return x + slope * dt
        x2 = x + slope * dt
        slope2 = (x2 - m(x2, s[i + 1])) / s[i + 1]
        if s[i + 2] == 0:
            w = s[i + 1] / (2 * s[0])
            x = x + ((1 - w) * slope + w * slope2) * dt
            continue
        x3 = x2 + slope2 * (s[i + 2] - s[i + 1])
        slope3 = (x3 - m(x3, s[i + 2])) / s[i + 2]
        w2, w3 = s[i + 1] / (3 * s[0]), s[i + 2] / (3 * s[0])
        x = x + ((1 - w2 - w3) * slope + w2 * slope2 + w3 * slope3) * dt
    return x


def ipndm_v(m, x, s):
    """Adams and Bashforth's coefficients as zju-pi's diff-sampler writes them."""
    ds = []
    for i in range(len(s) - 1):
        d = m(x, s[i])
        if s[i + 1] == 0:
            return d
        ds.insert(0, (x - d) / s[i])
        h = [s[i + 1 - k] - s[i - k] for k in range(min(4, i + 1))]
        if len(h) == 1:
            c = [1]
        else:
            a, b = h[0], h[1]
            c = [(2 + a / b) / 2, -(a / b) / 2]
        if len(h) > 2:
            d = h[2]
            t1 = (1 - a / (3 * (a + b)) * (a * (a + b)) / (b * (b + d))) / 2
            c = [c[0] + t1, c[1] - (1 + b / d) * t1, t1 * b / d]
        if len(h) > 3:
            e = h[3]
            q = b * (b + d) / (d * (d + e))
            t2 = ((1 - a / (3 * (a + b))) / 2 + (1 - a / (2 * (a + b))) * a / (6 * (a + b + d))) * (a * (a + b) * (a + b + d)) / (b * (b + d) * (b + d + e))
            c = [c[0] + t2, c[1] - (1 + b / d + q) * t2, c[2] + (b / d + q * (1 + d / e)) * t2, -t2 * q * b / d]
        x = x + (s[i + 1] - s[i]) * sum(w * v for w, v in zip(c, ds))
    return x


def deis_tab(m, x, s):
    beta_d = 2 * (log(0.002**2 + 1) / 1e-3 - log(80**2 + 1)) / (1e-3 - 1)
    beta_min = log(80**2 + 1) - 0.5 * beta_d
    time = lambda v: (sqrt(beta_min**2 + 2 * beta_d * log(v**2 + 1)) - beta_min) / beta_d
    ds = []
    for i in range(len(s) - 1):
        ds.insert(0, (x - m(x, s[i])) / s[i])
        order = 1 if s[i + 1] == 0 else min(3, i + 1)
        if order == 1:
            x = x + (s[i + 1] - s[i]) * ds[0]
            continue
        nodes, end = [time(s[i - k]) for k in range(order)], time(s[i + 1])
        taus = np.linspace(nodes[0], end, 10000)
        alpha = np.exp(-0.5 * taus**2 * beta_d - taus * beta_min)
        speed = -0.5 * (-taus * beta_d - beta_min) / np.sqrt(alpha * (1 - alpha))
        for j in range(order):
            poly = np.prod([(taus - nodes[k]) / (nodes[j] - nodes[k]) for k in range(order) if k != j], axis=0)
            x = x + np.sum(speed * poly) * (end - nodes[0]) / 10000 * ds[j]
    return x


def lcm(m, x, s):
    for i in range(len(s) - 1):
        d = m(x, s[i])
        x = m.alpha(s[i + 1]) * d + s[i + 1] * m.noise()
    return x


phi_1 = expm1
phi_2 = lambda h: (expm1(h) - h) / h


def seeds_2(eta=1.0, r=0.5, second=False):
    def f(m, x, s):
        for i in range(len(s) - 1):
            d = m(x, s[i])
            if s[i + 1] == 0:
                return d
            a, b = m.lam(s[i]), m.lam(s[i + 1])
            h, he = b - a, (b - a) * (1 + eta)
            s1 = m.sigma(a + r * h)
            x2 = s1 / s[i] * exp(-r * h * eta) * x - m.alpha(s1) * phi_1(-r * he) * d
            path = sqrt(-expm1(-2 * r * h * eta)) * m.noise()
            d2 = m(x2 + path * s1, s1)
            b2 = phi_2(-he) / r if second else phi_1(-he) / (2 * r)
            x = s[i + 1] / s[i] * exp(-h * eta) * x - m.alpha(s[i + 1]) * ((phi_1(-he) - b2) * d + b2 * d2)
            left = (r - 1) * h * eta
            x = x + s[i + 1] * (path * exp(left) + sqrt(-expm1(2 * left)) * m.noise())
        return x
    return f


def seeds_3(m, x, s, eta=1.0, r1=1 / 3, r2=2 / 3):
    for i in range(len(s) - 1):
        d = m(x, s[i])
        if s[i + 1] == 0:
            return d
        a, b = m.lam(s[i]), m.lam(s[i + 1])
        h, he = b - a, (b - a) * (1 + eta)
        s1, s2 = m.sigma(a + r1 * h), m.sigma(a + r2 * h)
        path = sqrt(-expm1(-2 * r1 * h * eta)) * m.noise()
        d2 = m(s1 / s[i] * exp(-r1 * h * eta) * x - m.alpha(s1) * phi_1(-r1 * he) * d + path * s1, s1)
        w = r2 / r1 * phi_2(-r2 * he)
        left = (r1 - r2) * h * eta
        path = path * exp(left) + sqrt(-expm1(2 * left)) * m.noise()
        d3 = m(s2 / s[i] * exp(-r2 * h * eta) * x - m.alpha(s2) * ((phi_1(-r2 * he) - w) * d + w * d2) + path * s2, s2)
        w = phi_2(-he) / r2
        left = (r2 - 1) * h * eta
        path = path * exp(left) + sqrt(-expm1(2 * left)) * m.noise()
        x = s[i + 1] / s[i] * exp(-h * eta) * x - m.alpha(s[i + 1]) * ((phi_1(-he) - w) * d + w * d3) + path * s[i + 1]
    return x


def restart(m, x, s):
    karras = lambda n, lo, hi: [(hi ** (1 / 7) + k / (n - 1) * (lo ** (1 / 7) - hi ** (1 / 7))) ** 7 for k in range(n)]
    steps, pairs = len(s) - 1, []
    if steps < 20:
        pairs = list(zip(s[:-1], s[1:]))
    else:
        again, times = (steps // 4, 2) if steps >= 36 else (9, 1)
        s = karras(steps - again * times, s[-2], s[0]) + [0]
        low, high = int(np.argmin(np.abs(np.array(s) - 0.1))), int(np.argmin(np.abs(np.array(s) - 2)))
        way = karras(again + 1, s[low], s[high])
        for i in range(len(s) - 1):
            pairs.append((s[i], s[i + 1]))
            if i + 1 == low and high < low:
                pairs += list(zip(way[:-1], way[1:])) * times
    last = pairs[0][0]
    for a, b in pairs:
        if last < a:
            x = x + m.noise() * sqrt(a**2 - last**2)
        slope = (x - m(x, a)) / a
        x2 = x + slope * (b - a)
        x = x2 if b == 0 else x + (slope + (x2 - m(x2, b)) / b) / 2 * (b - a)
        last = b
    return x


def packaged(function, **more):
    def f(m, x, s):
        model = lambda x, sigma: torch.from_numpy(m(x.numpy().ravel(), float(sigma[0])))[None]
        noise = lambda *_: torch.from_numpy(m.noise())[None]
        return function(model, torch.from_numpy(x)[None], float(s[-2]), float(s[0]), noise_sampler=noise, disable=True, **more(s) if callable(more) else more).numpy().ravel()
    return f


def dpm_fast(m, x, s):
    return packaged(kd.sample_dpm_fast, n=len(s) - 1)(m, x, s)


def churned(function, **more):
    """k-diffusion's churn, whose first noise is in what the walk begins with (see Sampler.InitSigma)."""
    def f(m, x, s):
        gamma = min(more["s_churn"] / (len(s) - 1), sqrt(2) - 1)
        hats = [v * (1 + gamma) if more.get("s_tmin", 0) <= v <= more.get("s_tmax", 1e9) else v for v in s]
        x = x * hats[0] / s[0]
        for i in range(len(s) - 1):
            if i > 0 and hats[i] > s[i]:
                x = x + m.noise() * more.get("s_noise", 1) * sqrt(hats[i] ** 2 - s[i] ** 2)
            x = function(m, x, hats[i], s[i + 1])
        return x
    return f


def euler_step(m, x, a, b):
    return x + (x - m(x, a)) / a * (b - a)


def heun_step(m, x, a, b):
    slope = (x - m(x, a)) / a
    if b == 0:
        return x + slope * (b - a)
    x2 = x + slope * (b - a)
    return x + (slope + (x2 - m(x2, b)) / b) / 2 * (b - a)


def dpm2_step(m, x, a, b):
    slope = (x - m(x, a)) / a
    if b == 0:
        return x + slope * (b - a)
    middle = sqrt(a * b)
    x2 = x + slope * (middle - a)
    return x + (x2 - m(x2, middle)) / middle * (b - a)


SAMPLERS = {
    "er_sde": er_sde, "res_multistep": res(0, False), "res_multistep_a": res(1, False), "gradient_estimation": gradient(False),
    "heunpp2": heunpp2, "ipndm_v": ipndm_v, "deis_tab": deis_tab, "seeds_2": seeds_2(), "seeds_3": seeds_3,
    "exp_heun_2_x0": seeds_2(0.0, 1.0, True), "exp_heun_2_x0_sde": seeds_2(1.0, 1.0, True), "restart": restart, "dpm_fast": dpm_fast,
    "euler_cfg_pp": euler_pp(0), "euler_a_cfg_pp": euler_pp(1), "dpmpp_2m_cfg_pp": dpmpp_2m_pp, "dpmpp_2s_a_cfg_pp": dpmpp_2s_pp,
    "res_multistep_cfg_pp": res(0, True), "res_multistep_a_cfg_pp": res(1, True), "gradient_estimation_cfg_pp": gradient(True), "lcm_levels": lcm,
}
CHURNED = {"euler": euler_step, "heun": heun_step, "dpm_2": dpm2_step}
FLOW = ("er_sde", "seeds_2", "seeds_3", "exp_heun_2_x0", "exp_heun_2_x0_sde", "euler_cfg_pp", "euler_a_cfg_pp", "res_multistep", "gradient_estimation", "heunpp2", "ipndm_v")


def own(cls, fields):
    s = cls(**fields)
    return s, {"_class_name": cls.__name__, **fields}


configs, cases = [], []


def walk(name, function, cls, fields, n, start, **more):
    s, config = own(cls, fields)
    s.set_timesteps(n)
    flow = "Flow" in cls.__name__
    sigmas = [float(v) for v in s.sigmas[start:]]
    if flow and sigmas[0] >= 1 and name in ("er_sde", "seeds_2", "seeds_3", "exp_heun_2_x0", "exp_heun_2_x0_sde", "euler_cfg_pp", "euler_a_cfg_pp"):
        t, shift = 1 - 1e-4, fields.get("shift", 1)
        sigmas[0] = float(np.float32(shift * t / (1 + (shift - 1) * t)))
    m = Walk(flow)
    noise = 1.5 * np.sin(12 * K + 1)
    x = noise * (1 if flow else float(s.init_noise_sigma))
    if start:
        x = m.alpha(sigmas[0]) * 0.7 * np.sin(3 * K) + sigmas[0] * noise
    final = function(m, x, sigmas)
    assert np.isfinite(final).all(), (name, final)
    if config not in configs:
        configs.append(config)
    case = {"name": name, "config": configs.index(config), "steps": n, "final": [float(f"{v:.7g}") for v in final]}
    cases.append(case | ({"start": start} if start else {}) | more)


K_ = diffusers.EulerDiscreteScheduler
F = diffusers.FlowMatchEulerDiscreteScheduler
for name, function in SAMPLERS.items():
    for n, start in ((5, 0), (10, 0), (20, 0), (20, 7)) + (((40, 0),) if name == "restart" else ()):
        walk(name, function, K_, SD, n, start)
    walk(name, function, K_, dict(SD, use_karras_sigmas=True), 10, 0)
    if name in FLOW:
        for n, start in ((5, 0), (10, 3)):
            walk(name, function, F, dict(shift=3.0), n, start)
for name, step in CHURNED.items():
    for churn, more in (("20", dict(s_churn=20)), ("3 min=0.05 max=8 noise=1.003", dict(s_churn=3, s_tmin=0.05, s_tmax=8, s_noise=1.003))):
        walk(name, churned(step, **more), K_, dict(SD, use_karras_sigmas=True), 10, 0, churn=churn)
for n in (5, 10, 20):  # DDIM CFG++, over training steps
    scheduler, config = own(diffusers.DDIMScheduler, dict(SD, clip_sample=False))
    scheduler.set_timesteps(n)
    bar = scheduler.alphas_cumprod.double().numpy()
    x = 1.5 * np.sin(12 * K + 1)
    for i, t in enumerate(scheduler.timesteps):
        a, prev = bar[t], bar[max(t - 1000 // n, 0)] if t >= 1000 // n else 1.0
        out = 0.5 * np.sin(x + i) + 0.1 * np.cos(7 * K)
        x = sqrt(prev) * (x - sqrt(1 - a) * out) / sqrt(a) + sqrt(1 - prev) * (0.3 * np.sin(out) + 0.5)
    if config not in configs:
        configs.append(config)
    cases.append({"name": "ddim_cfg_pp", "config": configs.index(config), "steps": n, "final": [float(f"{v:.7g}") for v in x]})
lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in configs)
text = '{"configs":[\n' + lines + '],\n"cases":[\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "]}\n"
(HERE / "comfyui.json").write_text(text)
print(len(cases), "cases", len(text), "bytes")
