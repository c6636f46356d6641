"""Judges exported models: python eval.py DIR... [--steps 1,2,4,8] [--guidance G] [--count 256] [--packed MODEL] [--device cpu]

Needs classifier.pt. A row of the table for each directory and step count, also
appended to eval.jsonl, and sheets of gallery.txt and strangers.txt (seed 0, unpicked) in sheets/:
  seen      top-1 and top-5 concept accuracy, in per cent, of `count` trained concept x style pairs
  held      the same of the 100 pairs that no network was trained on
  first     top-5 of those of the seen pairs that are of the first edition's 512 concepts
  FD        Frechet distance of the seen pairs' pictures to all real emoji, on the judge's features
  FL        the same on the codec's latents, 4x4 means: the judge has no part in it
  colour    the main colour of the "<colour> <thing>" prompts of compositional.txt is the one asked for
  where     of its "and", "above" and "below" prompts, both things are among the judge's ten of their own half
  words     top-5 of 64 of the seen pairs' concepts asked for in German, Spanish, French, Chinese and by emoji
  vary      mean distance (32x32, RMS) between the pictures of eight seeds of 16 prompts, in per cent of the range
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
from diffusers import AutoencoderTiny
from PIL import Image

import classifier
import compose
import packed
from autoencoder import given, to_tensor
from captions import STYLES
from colours import PALETTE, dominant
from common import HERE, TRIAL, WORK, mixed
from data import LANGUAGES
from render import images, on_ground
from sample import Pipeline, gallery

COPY = 0.05
VARIED = ("red heart", "cat", "dog", "house", "car", "tree", "rocket", "pizza", "crying face", "man", "robot", "fish", "flower", "star", "castle", "guitar")
COLUMNS = ("seen1", "seen5", "held1", "held5", "first", "fd", "fl", "colour", "where", "words", "vary", "own", "copies")
MOST = 12 if TRIAL else None  # of a list of prompts
PLAIN = ("fd", "fl")  # what is no part of a hundred
HEAD = f"{'model':28} {'steps':>5} {'cfg':>4} " + " ".join(f"{c:>6}" for c in COLUMNS)


def frechet(a, b):
    """Frechet distance of two feature sets (n, d) taken as normal distributions."""
    a, b = a.double(), b.double()
    ca, cb = torch.cov(a.T), torch.cov(b.T)
    values = torch.linalg.eigvals(ca @ cb).real.clamp(min=0)
    return ((a.mean(0) - b.mean(0)).square().sum() + ca.trace() + cb.trace() - 2 * values.sqrt().sum()).item()


def tiny(pictures):
    """RGBA bytes over white at 32x32, (n, 3 * 32 * 32) in [0, 1]."""
    x = torch.from_numpy(on_ground(pictures)).permute(0, 3, 1, 2).float() / 255
    return F.avg_pool2d(x, x.shape[-1] // 32).flatten(1)


def seen_by(pictures):
    """RGBA bytes as the judge sees them, (n, 3, 64, 64) in [-1, 1]."""
    return classifier.small(pictures).float() / 127.5 - 1


class Judge:
    """Pictures are RGBA bytes (n, 256, 256, 4)."""

    def __init__(self, count, vae):
        self.net, self.labels = classifier.load()
        self.number = {label: i for i, label in enumerate(self.labels)}
        self.vae = vae
        self.art, self.rows = art, rows = images()
        trained = [i for i, r in enumerate(rows) if r["concept"] and not r["heldout"]]
        self.held = [i for i, r in enumerate(rows) if r["heldout"]]
        rng, by = random.Random(0), {}
        for i in trained:
            by.setdefault(rows[i]["label"], []).append(i)
        self.seen = []
        for label in rng.sample(sorted(by), min(count, len(by))):
            self.seen += rng.choices(by[label], [STYLES[rows[i]["style"]][1] for i in by[label]])
        self.real = rng.sample(trained, min(2048, len(trained)))
        self.features, self.latents = self.feature(art[self.real]), self.latent(art[self.real])
        self.small = torch.cat([tiny(art[trained[i : i + 256]]) for i in range(0, len(trained), 256)])
        self.place = {i: n for n, i in enumerate(trained)}
        lines = (HERE / "compositional.txt").read_text().split("\n")
        self.coloured = [p for p in lines if p.split(" ")[0] in PALETTE and " and " not in p][:MOST]
        self.related = [p for p in lines if any(f" {w} " in p for w in ("and", "above", "below"))][:MOST]

    @torch.no_grad()
    def feature(self, pictures):
        return torch.cat([self.net.features(seen_by(pictures[i : i + 100])) for i in range(0, len(pictures), 100)])

    @torch.no_grad()
    def latent(self, pictures):
        """(n, 16 * 4 * 4): the codec's latents, each quarter of a side as its mean."""
        with mixed():
            return torch.cat([F.avg_pool2d(self.vae.encoder(given(to_tensor(pictures[i : i + 32]))).float(), 4).flatten(1)
                              for i in range(0, len(pictures), 32)])

    def prompts(self, index):
        return [f"{self.rows[i]['label']}, {STYLES[self.rows[i]['style']][0]}" for i in index]

    def accuracy(self, pictures, labels):
        return classifier.accuracy(self.net, seen_by(pictures), torch.tensor([self.number[label] for label in labels]))

    def figures(self, seen, held):
        """Those of pictures of the seen and held-out pairs."""
        far = torch.cdist(tiny(seen), self.small) / self.small.shape[1] ** 0.5
        least, which = far.min(1)
        own = which == torch.tensor([self.place[i] for i in self.seen])
        label = lambda index: [self.rows[i]["label"] for i in index]
        s1, s5 = self.accuracy(seen, label(self.seen))
        first = [n for n, i in enumerate(self.seen) if self.rows[i]["common"]]
        out = {"seen1": s1, "seen5": s5, "fd": frechet(self.feature(seen), self.features), "fl": frechet(self.latent(seen), self.latents),
               "own": own.float().mean().item(), "copies": (least < COPY).float().mean().item()}
        if first:
            out["first"] = self.accuracy(seen[first], [self.rows[self.seen[n]]["label"] for n in first])[1]
        if len(held):
            out["held1"], out["held5"] = self.accuracy(held, label(self.held))
        return out

    def colour(self, ask):
        """The part of the coloured prompts' pictures that have the colour asked for."""
        pictures = on_ground(ask(self.coloured))
        return sum(dominant(p) == w.split(" ")[0] for p, w in zip(pictures, self.coloured)) / len(self.coloured)

    @torch.no_grad()
    def where(self, ask):
        """The part of the "and", "above" and "below" prompts whose things are each in their own half."""
        hits = 0
        for text, picture in zip(self.related, ask(self.related)):
            first, word, second = next(text.partition(f" {w} ") for w in ("and", "above", "below") if f" {w} " in text)
            word = word.strip()
            if word == "below":
                first, second = second, first
            halves = (picture[:, :128], picture[:, 128:]) if word == "and" else (picture[:128], picture[128:])
            hits += all(self.named(half, name) for half, name in zip(halves, (first, second)))
        return hits / len(self.related)

    def named(self, half, name):
        """Whether the thing is among the judge's ten for what is drawn in the half."""
        if (half[..., 3] > 20).sum() < 50:
            return False
        part = compose.trimmed(half, 256, 256)
        canvas = np.zeros((256, 256, 4), np.uint8)
        compose.lay(canvas, part, (256 - part.shape[0]) // 2, (256 - part.shape[1]) // 2)
        top = self.net(seen_by(canvas[None])).topk(min(10, len(self.labels))).indices[0]
        return self.number.get(compose.THINGS[name]) in top

    def words(self, ask):
        """Top-5 of concepts asked for in other languages and by emoji."""
        rows = [self.rows[i] for i in self.seen[:64]]
        asked = [(r["label"], r["emoji"] if kind == "emoji" else r["names"][kind][0])
                 for n, r in enumerate(rows) for kind in [(*LANGUAGES, "emoji")[n % 5]] if kind == "emoji" or kind in r["names"]]
        return self.accuracy(ask([text for _, text in asked]), [label for label, _ in asked])[1]


def vary(ask):
    """Mean distance between the pictures of one prompt."""
    prompts = VARIED[:MOST and 2]
    x = tiny(ask([p for p in prompts for _ in range(8)])).view(len(prompts), 8, -1)
    far = torch.cdist(x, x) / x.shape[-1] ** 0.5
    return (far.sum((1, 2)) / 56).mean().item()


def draw(pipeline, prompts, steps, guidance):
    with mixed(pipeline.device):
        return np.concatenate([pipeline(prompts[i : i + 32], range(i, i + len(prompts[i : i + 32])), steps, guidance)
                               for i in range(0, len(prompts), 32)])


def report(name, steps, guidance, f):
    with open(WORK / "eval.jsonl", "a") as out:
        out.write(json.dumps({"model": name, "steps": steps, "guidance": guidance, **f}) + "\n")
    shown = [f"{f[c] * (1 if c in PLAIN else 100):6.1f}" if c in f else f"{'-':>6}" for c in COLUMNS]
    print(f"{name:28} {steps or '-':>5} {guidance or '-':>4} " + " ".join(shown), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--steps", default="1,2,4,8")
    parser.add_argument("--guidance", type=float, help="default: each directory's own")
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--packed", type=Path, help="a packed model, whose weights take the place of the directories'")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    args = parser.parse_args()
    vae = AutoencoderTiny.from_pretrained(args.paths[0] / "vae")
    judge = Judge(args.count, vae)
    sheets = WORK / "sheets"
    sheets.mkdir(exist_ok=True)
    print(HEAD)
    seen, held = judge.art[judge.seen], judge.art[judge.held]
    report("real pictures", 0, 0, judge.figures(seen, held))
    report("through the codec", 0, 0, judge.figures(through(vae, seen), through(vae, held) if len(held) else held))
    for path in args.paths:
        pipeline, name = Pipeline(path, args.device), path.name
        if args.packed:
            pipeline.fill(packed.weights(args.packed))
            name += " packed"
        guidance = args.guidance or json.loads((path / "wisp.json").read_text())["guidance"]
        for steps in map(int, args.steps.split(",")):
            start = time.time()
            ask = lambda prompts: draw(pipeline, prompts, steps, guidance)
            f = judge.figures(ask(judge.prompts(judge.seen)), ask(judge.prompts(judge.held)) if judge.held else [])
            f |= {"colour": judge.colour(ask), "where": judge.where(ask), "words": judge.words(ask), "vary": vary(ask)}
            for file, across in ("gallery.txt", 12), ("strangers.txt", 10):
                with mixed(args.device):
                    picture = Image.fromarray(gallery(pipeline, steps, guidance, file, across, MOST))
                picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS).save(
                    sheets / f"{name}-{file.removesuffix('.txt')}-{steps}-cfg{guidance:g}.webp", quality=85)
            report(name, steps, guidance, {**f, "seconds": round(time.time() - start)})


@torch.no_grad()
def through(vae, pictures):
    with mixed():
        out = torch.cat([vae.decoder(vae.encoder(given(to_tensor(pictures[i : i + 32])))).float() for i in range(0, len(pictures), 32)])
    return ((out.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


if __name__ == "__main__":
    main()
