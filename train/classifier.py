"""Trains the judge of eval.py: names the concept of a picture over white.

  python classifier.py [--minutes 20] [--device cpu]    to that many minutes in all; writes classifier.pt, resumes from it

It sees the real emoji in every style, never the held-out ones; its accuracy on
those is the ceiling of what eval.py can report.
"""

import argparse
import math

import torch
import torch.nn.functional as F
from torch import nn

from common import TRIAL, WORK, Clock, compiled, log, mixed, save
from render import images, on_ground

BATCH = {"cpu": 4, "cuda": 4} if TRIAL else {"cpu": 64, "cuda": 512}
SIDE = 64
FEATURES = 192
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
    """(n, 3, h, h) in [-1, 1], seen at 64 pixels a side, to logits (n, classes); features() gives the (n, 192) before them."""

    def __init__(self, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 32, 4, 2, 1), nn.ReLU(), Block(32, 64), Block(64, 128), Block(128, 320))
        self.feature = nn.Linear(320, FEATURES)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x):
        if x.shape[-1] != SIDE:
            x = F.avg_pool2d(x, x.shape[-1] // SIDE)
        return self.feature(F.relu(self.body(x)).mean((2, 3)))

    def forward(self, x):
        return self.head(F.dropout(F.relu(self.features(x)), 0.2, self.training))


def load():
    """The trained judge and its classes' labels."""
    state = torch.load(CHECKPOINT, map_location="cpu")
    net = Classifier(len(state["labels"]))
    net.load_state_dict(state["net"])
    return net.eval(), state["labels"]


def small(pictures):
    """RGBA bytes (n, h, h, 4) over white at 64 pixels a side, (n, 3, 64, 64) bytes."""
    x = torch.from_numpy(on_ground(pictures)).permute(0, 3, 1, 2).float()
    return F.avg_pool2d(x, x.shape[-1] // SIDE).round().byte()


def varied(x):
    """Each picture (n, 3, 64, 64) turned, sized and moved a little, some blurred, tinted and noisy; white outside."""
    n, device = len(x), x.device
    turn = torch.randn(n, device=device) * 0.12
    scale = 1 + torch.rand(n, device=device) * 0.35 - 0.12
    c, s = torch.cos(turn) * scale, torch.sin(turn) * scale
    move = torch.randn(2, n, device=device) * 0.08
    theta = torch.stack([c, -s, move[0], s, c, move[1]], 1).view(n, 2, 3)
    x = F.grid_sample(x - 1, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False) + 1
    soft = F.avg_pool2d(x, 3, 1, 1)
    some = torch.rand(3, n, 1, 1, 1, device=device)
    x = torch.where(some[0] < 0.4, torch.lerp(x, soft, some[1] * 1.2), x)
    tint = torch.randn(2, n, 3, 1, 1, device=device)
    x = x * (1 + 0.1 * tint[0]) + 0.06 * tint[1]
    return (x + 0.06 * some[2] * torch.randn_like(x)).clamp(-1, 1)


@torch.no_grad()
def accuracy(net, x, y):
    """Top-1 and top-5 part of pictures x (n, 3, h, w) named y (n)."""
    top = torch.cat([net(b).topk(5).indices for b in x.split(100)])
    hit = top == y[:, None]
    return hit[:, 0].float().mean().item(), hit.any(1).float().mean().item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20, help="in all its runs: of the core on a processor")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    args = parser.parse_args()
    device = args.device
    art, rows = images()
    index = [i for i, r in enumerate(rows) if r["concept"]]
    labels = sorted({rows[i]["label"] for i in index})
    number = {label: i for i, label in enumerate(labels)}
    x = torch.stack([small(art[i : i + 1])[0] for i in index])
    y = torch.tensor([number[rows[i]["label"]] for i in index])
    held = torch.tensor([rows[i]["heldout"] for i in index])
    tests, names = x[held].to(device), y[held].to(device)
    x, y = x[~held].to(device), y[~held].to(device)
    chance = 1 / torch.bincount(y, minlength=len(labels))[y].float().sqrt()
    net = Classifier(len(labels)).to(device, memory_format=torch.channels_last)
    state = torch.load(CHECKPOINT, map_location=device) if CHECKPOINT.exists() else {"minutes": 0.0}
    if "net" in state:
        net.load_state_dict(state["net"])
    if state["minutes"] >= args.minutes:
        return
    opt = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.05)
    fused = compiled(net)
    clock, part, step, batch = None, 0.0, 0, BATCH[device]
    while part < 1:
        n = torch.multinomial(chance, batch, replacement=True)
        with mixed(device):
            logits = fused(varied(x[n].float() / 127.5 - 1).contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), y[n], label_smoothing=0.1)
        opt.param_groups[0]["lr"] = 2e-3 * min(1, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * part))
        opt.zero_grad()
        loss.backward()
        opt.step()
        step += 1
        clock = clock or Clock(device, args.minutes, state["minutes"])  # the first step compiles
        part = clock.tick()
        if step % 200 == 0 or part >= 1:
            net.eval()
            one, five = accuracy(net, tests.float() / 127.5 - 1, names) if len(tests) else (0, 0)
            net.train()
            log("judge", f"step {step} {clock.minutes():.1f} min loss {loss.item():.3f}; real held-out pictures: top-1 {one:.3f} top-5 {five:.3f}")
            save({"net": net.state_dict(), "labels": labels, "minutes": args.minutes if part >= 1 else clock.minutes()}, CHECKPOINT)


if __name__ == "__main__":
    main()
