"""Upscalers' arithmetic in torch, on seeded weights: what each network makes of a small picture.

  python make.py    writes NAME.seeds.json with the weights under their layout's names, and golden.json with results
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import seeded  # noqa: E402


class Weights(dict):
    def __init__(self, seed):
        self.seed = seed

    def make(self, name, *shape, gain=1.0, mean=0.0):
        key, deviation = 1000 * self.seed + len(self), gain / np.prod(shape[1:] or (100,)) ** 0.5
        values = seeded.make(shape, key, deviation, mean)
        seeded.remember(values, key, deviation, mean)
        self[name] = values
        return torch.from_numpy(values)

    def conv(self, name, x, out, k=3, gain=1.0):
        return F.conv2d(x, self.make(name + ".weight", out, x.shape[1], k, k, gain=gain), self.make(name + ".bias", out), padding=k // 2)


def leaky(x):
    return F.leaky_relu(x, 0.2)


def rrdb(w, x, names, blocks, width, growth, ups, shuffle):
    first, body, rdb, inner, trunk, up, hr, last = names
    x = w.conv(first, F.pixel_unshuffle(x, shuffle) if shuffle > 1 else x, width)
    h = x
    for i in range(blocks):
        before = h
        for j in 1, 2, 3:
            all = [h]
            for k in 1, 2, 3, 4:
                all.append(leaky(w.conv(f"{body}.{i}.{rdb}{j}.conv{k}{inner}", torch.cat(all, 1), growth)))
            h = w.conv(f"{body}.{i}.{rdb}{j}.conv5{inner}", torch.cat(all, 1), width) * 0.2 + h
        h = h * 0.2 + before
    x = x + w.conv(trunk, h, width)
    for name in up[:ups]:
        x = leaky(w.conv(name, F.interpolate(x, scale_factor=2, mode="nearest"), width))
    return w.conv(last, leaky(w.conv(hr, x, width)), 3)


def srvgg(w, x, width, layers, scale):
    h = x
    for i in range(layers + 1):
        h = w.conv(f"body.{2 * i}", h, width)
        h = F.prelu(h, w.make(f"body.{2 * i + 1}.weight", width, mean=0.25))
    h = F.pixel_shuffle(w.conv(f"body.{2 * layers + 2}", h, 3 * scale * scale), scale)
    return h + F.interpolate(x, scale_factor=scale, mode="nearest")


def rdn(w, x, width, growth, blocks, depth, scale):
    first = w.conv("F_m1", x, width)
    h, locals = w.conv("F_0", first, width), []
    for i in range(1, blocks + 1):
        all = [h]
        for j in range(1, depth + 1):
            all.append(F.relu(w.conv(f"F_{i}_{j}", torch.cat(all, 1), growth)))
        h = w.conv(f"LFF_{i}", torch.cat(all, 1), width, 1) + h
        locals.append(h)
    h = w.conv("GFF_2", w.conv("GFF_1", torch.cat(locals, 1), width, 1), width) + first
    h = F.relu(w.conv("UPN1", h, width, 5))
    h = F.relu(w.conv("UPN2", h, width // 2))
    return w.conv("SR", F.interpolate(w.conv("UPN3", h, 3 * scale * scale), scale_factor=scale, mode="nearest"), 3)


NEW = ("conv_first", "body", "rdb", "", "conv_body", ["conv_up1", "conv_up2"], "conv_hr", "conv_last")
FIRST = ("conv_first", "RRDB_trunk", "RDB", "", "trunk_conv", ["upconv1", "upconv2"], "HRconv", "conv_last")
OLD = ("model.0", "model.1.sub", "RDB", ".0", "model.1.sub.2", ["model.3", "model.6"], "model.8", "model.10")
OLD2 = ("model.0", "model.1.sub", "RDB", ".0", "model.1.sub.1", ["model.3"], "model.5", "model.7")

CASES = {
    "rrdb_x4": lambda w, x: rrdb(w, x, NEW, 2, 8, 4, 2, 1),
    "rrdb_x2_unshuffled": lambda w, x: rrdb(w, x, NEW, 1, 8, 4, 2, 2),
    "rrdb_first": lambda w, x: rrdb(w, x, FIRST, 1, 8, 4, 2, 1),
    "rrdb_old": lambda w, x: rrdb(w, x, OLD, 2, 8, 4, 2, 1),
    "rrdb_old_x2": lambda w, x: rrdb(w, x, OLD2, 1, 8, 4, 1, 1),
    "srvgg_x4": lambda w, x: srvgg(w, x, 8, 2, 4),
    "srvgg_x2": lambda w, x: srvgg(w, x, 8, 1, 2),
    "rdn_x3": lambda w, x: rdn(w, x, 8, 4, 2, 3, 3),
}


def main():
    torch.set_num_threads(1)
    x = seeded.make((1, 6, 8, 3), 77, 0.2, 0.5)  # channels last, as the engine has it
    cases = []
    for seed, (name, network) in enumerate(CASES.items()):
        w = Weights(seed)
        y = network(w, torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)[0]
        save_file(dict(w), HERE / f"{name}.safetensors")
        seeded.freeze(HERE / f"{name}.safetensors")
        rows = [[0, 0], [y.shape[0] // 2, y.shape[1] // 3], [y.shape[0] - 1, y.shape[1] - 1]]
        cases.append(dict(name=name, size=list(y.shape), deviation=float(y.std()), mean=[float(v) for v in y.mean((0, 1))],
                          pixels=[dict(at=r, value=[float(v) for v in y[r[0], r[1]]]) for r in rows],
                          square=float((y.double() ** 2).sum())))
        print(name, tuple(y.shape), float(y.std()))
    (HERE / "golden.json").write_text(json.dumps({"torch": torch.__version__, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    with torch.no_grad():
        main()
