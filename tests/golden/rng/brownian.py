"""Writes brownian.json: increments of k-diffusion's BrownianTreeNoiseSampler.

    python brownian.py       # torchsde 0.2.6, torch 2.15.0, numpy 1.26.4
"""
import json
import pathlib

import numpy as np
import torch
import torchsde

LEVELS = [14.614647, 9.5, 4.25, 1.125, 0.33333, 0.0291675]
cases = []
for seed in (0, 7, 1234567890123):
    for n in (20, 64):
        tree = torchsde.BrownianTree(LEVELS[-1], torch.zeros(n), LEVELS[0], entropy=seed)
        increments = []
        for hi, lo in zip(LEVELS, LEVELS[1:]):
            hi, lo = torch.as_tensor(hi), torch.as_tensor(lo)
            w = -tree(lo, hi) / (hi - lo).abs().sqrt()
            increments.append([float(str(np.float32(v))) for v in w[:8]])
        cases.append({"seed": str(seed), "n": n, "increments": increments})
(pathlib.Path(__file__).parent / "brownian.json").write_text(json.dumps({"levels": LEVELS, "cases": cases}) + "\n")
