"""Writes noise.json: what AUTOMATIC1111 and ComfyUI make of seeds, subseeds and sizes, in torch.

    python noise.py      # torch 2.15.0, numpy 1.26.4

The formulas are those of AUTOMATIC1111's modules/rng.py and rng_philox.py, and of ComfyUI's comfy/sample.py, over latents
(2, h, w); each case has the first noise and the next of picture number "picture", every third number.
"""
import json
import pathlib

import numpy as np
import torch


class Philox:
    def __init__(self, seed):
        self.seed, self.call = seed, 0

    def randn(self, shape):
        n = int(np.prod(shape))
        c = np.zeros((4, n), np.uint64)
        c[0], c[2] = self.call, np.arange(n)
        self.call += 1
        k = [np.uint64(self.seed & 0xFFFFFFFF), np.uint64(self.seed >> 32)]
        low = np.uint64(0xFFFFFFFF)
        for _ in range(10):
            a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
            c = np.array([b >> np.uint64(32) ^ c[1] ^ k[0], b & low, a >> np.uint64(32) ^ c[3] ^ k[1], a & low])
            k = [k[0] + np.uint64(0x9E3779B9) & low, k[1] + np.uint64(0xBB67AE85) & low]
        u = c[0] * 2.3283064e-10 + 2.3283064e-10 / 2
        v = c[1] * (2.3283064e-10 * 6.2831855) + 2.3283064e-10 * 6.2831855 / 2
        return torch.from_numpy((np.sqrt(-2 * np.log(u)) * np.sin(v)).reshape(shape)).float()


class CPU:
    def __init__(self, seed):
        self.g = torch.Generator("cpu").manual_seed(seed)

    def randn(self, shape):
        return torch.randn(shape, generator=self.g)


def slerp(share, low, high):
    a, b = low / torch.norm(low, dim=1, keepdim=True), high / torch.norm(high, dim=1, keepdim=True)
    dot = (a * b).sum(1)
    if dot.mean() > 0.9995:
        return low * share + high * (1 - share)
    omega = torch.acos(dot)
    return (torch.sin((1.0 - share) * omega) / torch.sin(omega)).unsqueeze(1) * low + (torch.sin(share * omega) / torch.sin(omega)).unsqueeze(1) * high


def a1111(make, seed, shape, subseed=0, strength=0.0, width=0, height=0, ensd=0):
    generator = make(seed)
    small = shape if min(width, height) <= 0 else (shape[0], height // 8, width // 8)
    noise = generator.randn(shape) if small == shape else make(seed).randn(small)
    if strength:
        noise = slerp(strength, noise, make(subseed).randn(small))
    if small != shape:
        x = generator.randn(shape)
        dx, dy = (shape[2] - small[2]) // 2, (shape[1] - small[1]) // 2
        w, h = small[2] + 2 * min(dx, 0), small[1] + 2 * min(dy, 0)
        tx, ty, dx, dy = max(dx, 0), max(dy, 0), max(-dx, 0), max(-dy, 0)
        x[:, ty : ty + h, tx : tx + w] = noise[:, dy : dy + h, dx : dx + w]
        noise = x
    if ensd:
        generator = make(seed + ensd)
    return noise, generator.randn(shape)


def comfyui(seed, shape, count, picture):
    return CPU(seed).randn((count, *shape))[picture], Philox(seed).randn((count, *shape))[picture]


cases = []


def case(text, seed, shape, pair, **more):
    thin = lambda x: [float(f"{v:.6g}") for v in x.numpy().ravel()[::3]]
    cases.append(dict(noise=text, seed=seed, height=shape[1], width=shape[2], first=thin(pair[0]), next=thin(pair[1]), **more))


S = (2, 6, 5)
case("", 7, S, a1111(CPU, 7, S))
case("cuda", 2**40 + 5, S, a1111(Philox, 2**40 + 5, S))
case("torch subseed=11 strength=0.3", 7, S, a1111(CPU, 7, S, 12, 0.3), picture=1)
case("cuda subseed=11 strength=0.7 ensd=31337", 9, S, a1111(Philox, 9, S, 11, 0.7, ensd=31337))
case("cuda subseed=9 strength=0.5", 9, S, a1111(Philox, 9, S, 9, 0.5))
case("torch width=24 height=64", 3, S, a1111(CPU, 3, S, width=24, height=64))
case("cuda width=72 height=32 subseed=4 strength=0.2", 3, S, a1111(Philox, 3, S, 4, 0.2, 72, 32))
case("torch ensd=-2", 8, S, a1111(CPU, 8, S, ensd=-2))
case("comfyui", 5, S, comfyui(5, S, 3, 2), picture=2, count=3)
case("comfyui", 5, S, comfyui(5, S, 1, 0), count=1)
(pathlib.Path(__file__).parent / "noise.json").write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "]\n")
