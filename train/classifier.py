"""Trains the judge of eval.py: names the concept of a 128x128 picture.

  python classifier.py MINUTES    writes classifier.pt, resumes from it

It sees the common concepts' real pictures in every style, never the held-out
ones; its accuracy on those is the ceiling of what eval.py can report.
"""

import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from autoencoder import images, to_tensor
from common import WORK, mixed, save

BATCH = 64
SIDE = 64
FEATURES = 128
CHECKPOINT = WORK / "classifier.pt"


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; halves the picture."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.a = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        self.b = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.short = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.na, self.nb = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)

    def forward(self, x):
        h = self.nb(self.b(F.relu(self.na(self.a(x)))))
        return F.relu(h + self.short(F.avg_pool2d(x, 2)))


class Classifier(nn.Module):
    """(n, 3, 128, 128) in [-1, 1] to logits (n, classes); features() gives the (n, 128) before them."""

    def __init__(self, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 32, 4, 2, 1), nn.ReLU(), Block(32, 64), Block(64, 128), Block(128, 256))
        self.feature = nn.Linear(256, FEATURES)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x):
        if x.shape[-1] != SIDE:
            x = F.avg_pool2d(x, x.shape[-1] // SIDE)
        return self.feature(F.relu(self.body(x)).mean((2, 3)))

    def forward(self, x):
        return self.head(F.dropout(F.relu(self.features(x)), 0.2, self.training))


def load():
    """The trained judge and its classes' labels."""
    state = torch.load(CHECKPOINT)
    net = Classifier(len(state["labels"]))
    net.load_state_dict(state["net"])
    return net.eval(), state["labels"]


def varied(x):
    """Each picture (n, 3, 64, 64) turned, sized and moved a little, some blurred, tinted and noisy; white outside."""
    n = len(x)
    turn = torch.randn(n) * 0.12
    scale = 1 + torch.rand(n) * 0.35 - 0.12
    c, s = torch.cos(turn) * scale, torch.sin(turn) * scale
    theta = torch.stack([c, -s, torch.randn(n) * 0.08, s, c, torch.randn(n) * 0.08], 1).view(n, 2, 3)
    x = F.grid_sample(x - 1, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False) + 1
    soft = F.avg_pool2d(x, 3, 1, 1)
    x = torch.where(torch.rand(n, 1, 1, 1) < 0.4, torch.lerp(x, soft, torch.rand(n, 1, 1, 1) * 1.2), x)
    x = x * (1 + 0.1 * torch.randn(n, 3, 1, 1)) + 0.06 * torch.randn(n, 3, 1, 1)
    return (x + 0.06 * torch.rand(n, 1, 1, 1) * torch.randn_like(x)).clamp(-1, 1)


@torch.no_grad()
def accuracy(net, x, y):
    """Top-1 and top-5 part of pictures x (n, 3, h, w) named y (n)."""
    top = torch.cat([net(b).topk(5).indices for b in x.split(100)])
    hit = top == y[:, None]
    return hit[:, 0].float().mean().item(), hit.any(1).float().mean().item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("minutes", type=float)
    minutes = parser.parse_args().minutes
    art, rows = images()
    labels = sorted({r["label"] for r in rows if r["common"]})
    number = {label: i for i, label in enumerate(labels)}
    index = [i for i, r in enumerate(rows) if r["common"]]
    x = F.avg_pool2d(to_tensor(art[index]), 2)
    y = torch.tensor([number[rows[i]["label"]] for i in index])
    held = torch.tensor([rows[i]["heldout"] for i in index])
    tests, names = x[held], y[held]
    x, y = x[~held], y[~held]
    weights = 1 / torch.bincount(y)[y].float().sqrt()
    net = Classifier(len(labels)).to(memory_format=torch.channels_last)
    if CHECKPOINT.exists():
        net.load_state_dict(torch.load(CHECKPOINT)["net"])
    opt = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.05)
    fused = torch.compile(net)
    start, part, step = None, 0.0, 0  # the core's minutes, not the clock's
    while part < 1:
        n = torch.multinomial(weights, BATCH, replacement=True)
        with mixed():
            logits = fused(varied(x[n]).contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), y[n], label_smoothing=0.1)
        opt.param_groups[0]["lr"] = 2e-3 * min(1, (step + 1) / 100) * (0.5 + 0.5 * np.cos(np.pi * part))
        opt.zero_grad()
        loss.backward()
        opt.step()
        step += 1
        start = start or time.process_time()  # the first step compiles
        part = (time.process_time() - start) / 60 / minutes
        if step % 200 == 0 or part >= 1:
            net.eval()
            one, five = accuracy(net, tests, names)
            net.train()
            print(f"step {step} {part * minutes:.1f} min loss {loss.item():.3f}; real held-out pictures: top-1 {one:.3f} top-5 {five:.3f}", flush=True)
            save({"net": net.state_dict(), "labels": labels}, CHECKPOINT)


if __name__ == "__main__":
    main()
