"""Judges exported models: python eval.py DIR... [--steps 1,2,4,8] [--guidance G] [--count 256] [--packed MODEL]

Needs classifier.pt. A row of the table for each directory and step count, also
appended to eval.jsonl, and a sheet of gallery.txt (seed 0, unpicked) in sheets/:
  seen      top-1 and top-5 concept accuracy, in per cent, of `count` trained concept x style pairs
  held      the same of the 100 pairs that no network was trained on
  FD        Frechet distance of the seen pairs' pictures to all real ones, on the judge's features
  colour    the main colour of the "<colour> <thing>" prompts of compositional.txt is the one asked for, two seeds each
  own       the nearest trained picture (32x32, RMS) is the one that was asked for
  copies    and is nearer than 5 % of the range
The first rows are the same figures of real pictures: the ceiling. Every picture's seed is its place in its list.
"""

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import classifier
import packed
from autoencoder import images, to_tensor
from captions import STYLES
from colours import PALETTE, dominant
from common import HERE, WORK, mixed
from diffusers import AutoencoderTiny
from PIL import Image
from sample import Pipeline, gallery

COPY = 0.05
HEAD = f"{'model':28} {'steps':>5} {'cfg':>4} {'seen1':>6} {'seen5':>6} {'held1':>6} {'held5':>6} {'FD':>6} {'colour':>6} {'own':>5} {'copies':>6}"


def frechet(a, b):
    """Frechet distance of two feature sets (n, d) taken as normal distributions."""
    a, b = a.double(), b.double()
    ca, cb = torch.cov(a.T), torch.cov(b.T)
    values = torch.linalg.eigvals(ca @ cb).real.clamp(min=0)
    return ((a.mean(0) - b.mean(0)).square().sum() + ca.trace() + cb.trace() - 2 * values.sqrt().sum()).item()


class Judge:
    def __init__(self, count):
        self.net, self.labels = classifier.load()
        self.number = {label: i for i, label in enumerate(self.labels)}
        art, rows = images()
        trained = [i for i, r in enumerate(rows) if r["common"] and not r["heldout"]]
        self.held = [i for i, r in enumerate(rows) if r["heldout"]]
        rng = random.Random(0)
        by = {}
        for i in trained:
            by.setdefault(rows[i]["label"], []).append(i)
        self.seen = []
        for label in rng.sample(sorted(by), count):
            self.seen += rng.choices(by[label], [STYLES[rows[i]["style"]][1] for i in by[label]])
        self.rows = rows
        self.real = to_tensor(art[trained])
        self.features = self.feature(self.real)
        self.small = F.avg_pool2d(self.real, 4).flatten(1)
        self.place = {i: n for n, i in enumerate(trained)}
        self.art = art
        lines = (HERE / "compositional.txt").read_text().split("\n")
        self.coloured = [p for p in lines if p.split(" ")[0] in PALETTE and " and " not in p]

    @torch.no_grad()
    def feature(self, x):
        return torch.cat([self.net.features(b) for b in x.split(100)])

    def prompts(self, index):
        return [f"{self.rows[i]['label']}, {STYLES[self.rows[i]['style']][0]}" for i in index]

    def accuracy(self, x, index):
        return classifier.accuracy(self.net, x, torch.tensor([self.number[self.rows[i]["label"]] for i in index]))

    def figures(self, seen, held):
        """Those of pictures (n, 3, 128, 128) of the seen and held-out pairs."""
        far = torch.cdist(F.avg_pool2d(seen, 4).flatten(1), self.small) / self.small.shape[1] ** 0.5 / 2
        least, which = far.min(1)
        own = which == torch.tensor([self.place[i] for i in self.seen])
        s1, s5 = self.accuracy(seen, self.seen)
        h1, h5 = self.accuracy(held, self.held)
        return {"seen1": s1, "seen5": s5, "held1": h1, "held5": h5, "fd": frechet(self.feature(seen), self.features),
                "own": own.float().mean().item(), "copies": (least < COPY).float().mean().item()}

    def colour(self, pictures):
        """The part of two seeds' pictures of the coloured prompts that have the colour asked for."""
        return sum(dominant(p) == w.split(" ")[0] for p, w in zip(pictures, 2 * self.coloured)) / len(pictures)


def draw(pipeline, prompts, steps, guidance):
    with mixed():
        return np.concatenate([pipeline(prompts[i : i + 32], range(i, i + len(prompts[i : i + 32])), steps, guidance)
                               for i in range(0, len(prompts), 32)])


def report(name, steps, guidance, f):
    with open(WORK / "eval.jsonl", "a") as out:
        out.write(json.dumps({"model": name, "steps": steps, "guidance": guidance, **f}) + "\n")
    pct = lambda key: f"{100 * f[key]:.1f}" if key in f else "-"
    print(f"{name:28} {steps or '-':>5} {guidance or '-':>4} {pct('seen1'):>6} {pct('seen5'):>6} {pct('held1'):>6} {pct('held5'):>6} "
          f"{f['fd']:6.2f} {pct('colour'):>6} {pct('own'):>5} {pct('copies'):>6}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--steps", default="1,2,4,8")
    parser.add_argument("--guidance", type=float, help="default: each directory's own")
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--packed", type=Path, help="a packed model, whose weights take the place of the directories'")
    args = parser.parse_args()
    judge = Judge(args.count)
    (WORK / "sheets").mkdir(exist_ok=True)
    print(HEAD)
    seen, held = to_tensor(judge.art[judge.seen]), to_tensor(judge.art[judge.held])
    report("real pictures", 0, 0, judge.figures(seen, held))
    vae = AutoencoderTiny.from_pretrained(args.paths[0] / "vae")
    with torch.no_grad(), mixed():
        seen, held = (torch.cat([vae(b).sample for b in x.split(32)]).float().clamp(-1, 1) for x in (seen, held))
    report("through the autoencoder", 0, 0, judge.figures(seen, held))
    for path in args.paths:
        pipeline, name = Pipeline(path), path.name
        if args.packed:
            pipeline.fill(packed.weights(args.packed))
            name += " packed"
        guidance = args.guidance or json.loads((path / "wisp.json").read_text())["guidance"]
        for steps in map(int, args.steps.split(",")):
            start = time.time()
            seen = to_tensor(draw(pipeline, judge.prompts(judge.seen), steps, guidance))
            held = to_tensor(draw(pipeline, judge.prompts(judge.held), steps, guidance))
            f = judge.figures(seen, held)
            f["colour"] = judge.colour(draw(pipeline, 2 * judge.coloured, steps, guidance))
            with mixed():
                Image.fromarray(gallery(pipeline, steps, guidance)).save(WORK / "sheets" / f"{name}-{steps}-cfg{guidance:g}.png")
            report(name, steps, guidance, {**f, "seconds": round(time.time() - start)})


if __name__ == "__main__":
    main()
