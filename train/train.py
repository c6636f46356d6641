"""Trains the text encoder and the UNet together by flow matching on cached latents.

  python train.py MINUTES [--ranks 1]    resumes from denoiser.pt; safe to kill at any moment

x_t = (1 - sigma) x_0 + sigma noise, the target is v = noise - x_0, the UNet's
timestep is 1000 sigma. Every caption goes through the ordinary CLIPTextModel
as 77 ids padded with <|endoftext|>, unmasked in cross attention, exactly as
the pipeline does it at inference.

One process a core, each with one thread, gradients summed: on busy cores this
loses far less than two threads that meet after every layer.
"""

import argparse
import copy
import json
import random
import time
from collections import Counter
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import configs
import tokenizer
from captions import caption, composed
from common import HERE, PAUSE, STYLES, WORK, mixed, save
from muon import Muon

BATCH = 48  # a network's call
CALLS = 2  # to a step, shared by the ranks
PEAK = 1e-3
DROP = 0.11  # captions replaced by the empty prompt, for classifier-free guidance
CAPTIONS = 16  # prompts made for each picture
POPULAR = 3  # what visitors type most is drawn this much oftener
COMPOSED = {"colour": 0.18, "pair": 0.03, "ground": 0.02, "count": 0.02}  # part of the samples that compose.py made
EMA = 0.998
CHECKPOINT = WORK / "denoiser.pt"


class Denoiser(nn.Module):
    """Text encoder and UNet as one module: ids and a noisy latent to a velocity."""

    def __init__(self, words):
        super().__init__()
        self.text = configs.text_encoder(words)
        self.unet = configs.unet()

    def forward(self, x, sigma, ids):
        states = self.text(ids).last_hidden_state
        return self.unet(x, 1000 * sigma, states).sample


def samples(words):
    """Latents (n, 8, 16, 16), ids (n, CAPTIONS, 77) and draw weights of the trained pictures."""
    rows = json.loads((WORK / "manifest.json").read_text())
    made = json.loads((WORK / "composed.json").read_text())
    never = set((HERE / "compositional.txt").read_text().split("\n"))
    popular = set((HERE / "popular.txt").read_text().split("\n"))
    stored = torch.load(WORK / "latents.pt")
    rows = [rows[i] for i in stored["index"]]
    keep = [i for i, r in enumerate(rows) if not r["heldout"]]
    rng = random.Random(0)
    texts = [caption(rows[i], rng, never) for i in keep for _ in range(CAPTIONS)]
    texts += [composed(m, rng) for m in made for _ in range(CAPTIONS)]
    ids = words(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
    weights = torch.tensor([STYLES[rows[i]["style"]][1] * (POPULAR if rows[i]["label"] in popular else 1) for i in keep])
    kinds = Counter(m["kind"] for m in made)
    extra = torch.tensor([COMPOSED[m["kind"]] / kinds[m["kind"]] for m in made])
    weights = torch.cat([weights / weights.sum() * (1 - sum(COMPOSED.values())), extra])
    latents = torch.cat([stored["latents"][keep], stored["composed"]])
    return latents, ids.to(torch.int16).view(len(latents), CAPTIONS, -1), weights


def batch(latents, ids, weights, empty):
    """Draws clean latents and ids, a part of them with the empty prompt."""
    n = torch.multinomial(weights, BATCH, replacement=True)
    text = ids[n, torch.randint(CAPTIONS, (BATCH,))].long()
    text[torch.rand(BATCH) < DROP] = empty
    return latents[n].contiguous(memory_format=torch.channels_last), text


def loss_fn(model, x0, ids):
    """Mean squared error of the velocity; sigma logit-normal, stratified over the batch."""
    u = (torch.randperm(BATCH) + torch.rand(BATCH)) / BATCH
    sigma = torch.sigmoid(torch.special.ndtri(u.clamp(1e-4, 1 - 1e-4)))
    noise = torch.randn_like(x0)
    s = sigma.view(-1, 1, 1, 1)
    # plain attention: the fused kernel's backward is the slower one at these sizes
    with mixed(), sdpa_kernel(SDPBackend.MATH):
        v = model((1 - s) * x0 + s * noise, sigma, ids)
    return (v.float() - (noise - x0)).square().mean()


def rate(step, part):
    """Learning rate: short warm-up, flat, then linear to nothing over the last half."""
    return PEAK * min(1, (step + 1) / 100) * min(1, 2 * (1 - part) + 0.01)


def checkpoint(model, ema, step, path=CHECKPOINT):
    save({"model": model.state_dict(), "ema": {"text": ema.text.state_dict(), "unet": ema.unet.state_dict()}, "step": step}, path)


def train(rank, ranks, minutes, port):
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks, timeout=timedelta(hours=12))
    torch.set_num_threads(1)
    words = tokenizer.load()
    data = samples(words)
    empty = words("", padding="max_length", return_tensors="pt").input_ids[0]
    torch.manual_seed(0)
    model = Denoiser(words).to(memory_format=torch.channels_last)
    ema = copy.deepcopy(model).requires_grad_(False)
    opt = Muon(model)
    step = 0
    if CHECKPOINT.exists():
        state = torch.load(CHECKPOINT)
        model.load_state_dict(state["model"])
        ema.text.load_state_dict(state["ema"]["text"])
        ema.unet.load_state_dict(state["ema"]["unet"])
        step = state["step"]
        opt.load_state_dicts([torch.load(f) for f in sorted(WORK.glob("denoiser-momenta-*.pt"))])
    torch.manual_seed(int(time.time()) * ranks + rank)
    fused = torch.compile(model)  # twice as fast; minutes at first, seconds once cached
    loss_fn(fused, *batch(*data, empty)).backward()
    model.zero_grad()
    dist.barrier()  # the clock starts when both are ready
    start = saved = logged = time.time()
    first, total, part = step, 0.0, 0.0
    while part < 1:
        while PAUSE.exists():
            time.sleep(0.5)
        for _ in range(CALLS // ranks):
            loss = loss_fn(fused, *batch(*data, empty)) * ranks / CALLS
            loss.backward()
            total += loss.item()
        # rank 0's clock rules, so that both stop at the same step
        part = opt.step(rate(step, part), (time.time() - start) / 60 / minutes)
        step += 1
        decay = min(EMA, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(ema.parameters()), [p.data for p in model.parameters()], 1 - decay)
        if rank == 0 and step % 50 == 0:
            now = time.time()
            print(f"{time.strftime('%H:%M:%S')} step {step} samples {step * BATCH * CALLS} loss {total / 50:.4f} "
                  f"{50 * BATCH * CALLS / (now - logged):.0f} samples/s", flush=True)
            logged, total = now, 0.0
        if part >= 1:
            # the rate has fallen to nothing: the weights are still, and fresher than their average
            ema.load_state_dict(model.state_dict())
        if step % 50 == 0 or part >= 1:
            save(opt.state_dict(), WORK / f"denoiser-momenta-{rank}.pt")
            if ranks == 1:
                (WORK / "denoiser-momenta-1.pt").unlink(missing_ok=True)  # all of it is in the other
            if rank == 0:
                checkpoint(model, ema, step)
    if rank == 0:
        print(f"done: {step - first} steps in {minutes:.0f} minutes, {step * BATCH * CALLS} samples in all")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("minutes", type=float)
    parser.add_argument("--ranks", type=int, default=2, choices=(1, 2), help="processes; 1 leaves a core to others")
    args = parser.parse_args()
    mp.spawn(train, (args.ranks, args.minutes, random.randint(20000, 60000)), args.ranks)


if __name__ == "__main__":
    main()
