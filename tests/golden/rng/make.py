"""Writes randn.json: torch.randn on the CPU for a set of seeds and runs of call lengths.

Run with ATEN_CPU_CAPABILITY=avx2 (the default on most machines) and torch 2.15.0:
    ATEN_CPU_CAPABILITY=avx2 python make.py
Values are float32 bit patterns in hexadecimal. Long outputs keep the first 32, the last 32 and a checksum-like mean
and standard deviation in double precision.
"""
import json
import pathlib

import torch

CASES = [
    (0, [1]), (0, [15]), (0, [16]), (1, [17]), (42, [31]), (42, [32]), (42, [33]), (7, [1, 1, 1, 1]),
    (7, [3, 16, 2, 20, 5]),  # the cached number outlives a long call
    (123456789, [15, 1, 16, 15]), (2**32 - 1, [64]), (2**32 + 5, [64]), (2**53 - 1, [20]), (2**63 + 11, [10]), (-1, [40]),
    (1, [8 * 16 * 16]), (1234, [4 * 64 * 64, 4 * 64 * 64]), (99, [624, 700, 3]), (31337, [1000003]),
]


def hexes(t):
    return [f"{v & 0xFFFFFFFF:08x}" for v in t.view(torch.int32).tolist()]


def call(g, n):
    t = torch.randn(n, generator=g)
    d = t.double()
    return {"n": n, "head": hexes(t[:32].clone()), "tail": hexes(t[-32:].clone()), "mean": d.mean().item(),
            "std": d.pow(2).mean().sqrt().item()}


def case(seed, lengths):
    g = torch.Generator("cpu").manual_seed(seed)
    return {"seed": str(seed % 2**64), "calls": [call(g, n) for n in lengths]}


out = {"torch": torch.__version__, "capability": torch.backends.cpu.get_cpu_capability(),
       "cases": [case(*c) for c in CASES]}
pathlib.Path(__file__).with_name("randn.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")
