"""Trains the text encoder and the UNet together by flow matching on cached latents: the teacher.

  python train.py [--minutes 600] [--device cpu] [--ranks 1]    to that many minutes in all; resumes from denoiser.pt; safe to kill

x_t = (1 - sigma) x_0 + sigma noise, the target is v = noise - x_0, the UNet's
timestep is 1000 sigma. Every caption goes through the ordinary CLIPTextModel
as 77 ids padded with <|endoftext|>, unmasked in cross attention, exactly as
the pipeline does it at inference.

On processors a process a core, each with one thread, gradients summed: on busy
cores this loses far less than two threads that meet after every layer.
"""

import argparse
import contextlib
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

import compose
import configs
import tokenizer
from captions import caption, composed
from common import HERE, STYLES, TRIAL, WORK, Clock, compiled, log, mixed, save
from muon import Muon

BATCH = {"cpu": 4, "cuda": 8} if TRIAL else {"cpu": 48, "cuda": 768}  # a network's call
CALLS = {"cpu": 2, "cuda": 1}  # to a step, shared by the ranks
PEAK = {"cpu": 1e-3, "cuda": 2e-3}
DROP = 0.11  # captions replaced by the empty prompt, for classifier-free guidance
CAPTIONS = 16  # prompts made for each picture
POPULAR, COMMON = 3, 1.5  # what visitors type most is drawn this much oftener, and the first edition's concepts
COMPOSED = {"colour": 0.1, "and": 0.04, "above": 0.03, "on": 0.04, "in": 0.02, "holding": 0.03, "ground": 0.02, "count": 0.02}  # part of the samples
EMA = 0.998
EVERY = {"cpu": 50, "cuda": 100}  # steps between checkpoints
CHECKPOINT = WORK / "denoiser.pt"
CACHE = WORK / "captions.pt"


class Denoiser(nn.Module):
    """Text encoder and UNet as one module: ids and a noisy latent to a velocity."""

    def __init__(self, words):
        super().__init__()
        self.text = configs.text_encoder(words)
        self.unet = configs.unet()

    def forward(self, x, sigma, ids):
        states = self.text(ids).last_hidden_state
        return self.unet(x, 1000 * sigma, states).sample


def rows_of():
    """The manifest's rows and composed.json's."""
    return json.loads((WORK / "manifest.json").read_text()), compose.load()


def weights_of(rows, made):
    """How often each picture is drawn, those of rows before those of made; nothing of what is held out."""
    popular = set((HERE / "popular.txt").read_text().split("\n"))
    own = torch.tensor([0.0 if r["heldout"] else STYLES[r["style"]][1] * (POPULAR if r["label"] in popular and r["concept"] else COMMON if r["common"] else 1)
                        for r in rows])
    kinds = Counter(m["kind"] for m in made)
    part = {kind: p for kind, p in COMPOSED.items() if kind in kinds}
    extra = torch.tensor([part[m["kind"]] / kinds[m["kind"]] for m in made])
    return torch.cat([own / own.sum() * (1 - sum(part.values())), extra])


def prompts(words):
    """Ids (n, CAPTIONS, 77) of each picture's prompts; made once, while manifest and tokenizer stay as they are."""
    made_of = [(WORK / f).stat().st_mtime for f in ("manifest.json", "composed.json", "tokenizer/vocab.json")]
    if CACHE.exists() and (cache := torch.load(CACHE))["made_of"] == made_of:
        return cache["ids"]
    rows, made = rows_of()
    never, rng = compose.never(), random.Random(0)
    texts = [caption(r, rng, never) for r in rows for _ in range(CAPTIONS)]
    texts += [composed(m, rng) for m in made for _ in range(CAPTIONS)]
    ids = [words(texts[i : i + 4096], padding="max_length", truncation=True, return_tensors="pt").input_ids.to(torch.int16)
           for i in range(0, len(texts), 4096)]
    ids = torch.cat(ids).view(-1, CAPTIONS, ids[0].shape[1])
    save({"ids": ids, "made_of": made_of}, CACHE)
    return ids


class Samples:
    """Clean latents and prompts, on the device."""

    def __init__(self, words, device):
        stored = torch.load(WORK / "latents.pt")
        self.latents = torch.cat([stored["latents"], stored["composed"]]).to(device)
        self.ids = prompts(words).to(device)
        self.weights = weights_of(*rows_of()).to(device)
        self.empty = words("", padding="max_length", return_tensors="pt").input_ids[0].to(device)
        assert len(self.latents) == len(self.ids) == len(self.weights), "latents.pt is of other pictures: python autoencoder.py encode"
        self.n = BATCH[device]

    def draw(self):
        """Latents (n, 16, 16, 16) and ids (n, 77), a part of them with the empty prompt."""
        n = torch.multinomial(self.weights, self.n, replacement=True)
        text = self.ids[n, torch.randint(CAPTIONS, (self.n,), device=n.device)].long()
        text[torch.rand(self.n, device=n.device) < DROP] = self.empty
        return self.latents[n].float().contiguous(memory_format=torch.channels_last), text


def attention(device):
    """Plain attention on processors: the fused kernel's backward is the slower one there at these sizes."""
    return sdpa_kernel(SDPBackend.MATH) if device == "cpu" else contextlib.nullcontext()


def loss_fn(model, x0, ids):
    """Mean squared error of the velocity; sigma logit-normal, stratified over the batch."""
    n, device = len(x0), x0.device
    u = (torch.randperm(n, device=device) + torch.rand(n, device=device)) / n
    sigma = torch.sigmoid(torch.special.ndtri(u.clamp(1e-4, 1 - 1e-4)))
    noise = torch.randn_like(x0)
    s = sigma.view(-1, 1, 1, 1)
    with mixed(device.type), attention(device.type):
        v = model((1 - s) * x0 + s * noise, sigma, ids)
    return (v.float() - (noise - x0)).square().mean()


def group(rank, count, port):
    """Joins the ranks; one alone needs no group."""
    torch.set_num_threads(1)
    if count > 1:
        dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=count, timeout=timedelta(hours=12))


def spawn(function, count, *args):
    """Runs function(rank, count, port, *args) in count processes; in this one where that is one."""
    if count == 1:
        function(0, 1, 0, *args)
    else:
        mp.spawn(function, (count, random.randint(20000, 60000), *args), count)


def together():
    if dist.is_initialized():
        dist.barrier()


def fill(net, weights):
    net.text.load_state_dict(weights["text"])
    net.unet.load_state_dict(weights["unet"])


def weights(net):
    return {"text": net.text.state_dict(), "unet": net.unet.state_dict()}


def train(rank, count, port, minutes, device):
    group(rank, count, port)
    words = tokenizer.load()
    samples = Samples(words, device)
    torch.manual_seed(0)
    model = Denoiser(words).to(device, memory_format=torch.channels_last)
    ema = copy.deepcopy(model).requires_grad_(False)
    opt = Muon(model)
    state = {"step": 0, "minutes": 0.0, "samples": 0}
    if CHECKPOINT.exists():
        saved = torch.load(CHECKPOINT, map_location=device)
        model.load_state_dict(saved["model"]) if "model" in saved else fill(model, saved["ema"])
        fill(ema, saved["ema"])
        state = {k: saved[k] for k in state}
        opt.load_state_dicts([torch.load(f, map_location=device) for f in sorted(WORK.glob("denoiser-momenta-*.pt"))])
    if state["minutes"] >= minutes:
        return
    torch.manual_seed(int(time.time()) * count + rank)
    fused = compiled(model)  # twice as fast; minutes at first, seconds once cached
    loss_fn(fused, *samples.draw()).backward()
    model.zero_grad()
    together()  # the clock starts when all are ready
    clock = Clock(device, minutes, state["minutes"])
    calls, every = CALLS[device] // count, EVERY[device]
    begun, logged, total, part = state["step"], time.time(), 0.0, clock.tick()
    while part < 1:
        for _ in range(calls):
            loss = loss_fn(fused, *samples.draw()) / calls
            loss.backward()
            total = total + loss.detach()
        rate = PEAK[device] * min(1, (state["step"] - begun + 1) / 100) * min(1, 2 * (1 - part) + 0.01)
        part = opt.step(rate, clock.tick())  # rank 0's clock rules, so that all stop at the same step
        state["step"] += 1
        state["samples"] += samples.n * calls * count
        decay = min(EMA, (1 + state["step"]) / (10 + state["step"]))
        torch._foreach_lerp_(list(ema.parameters()), [p.data for p in model.parameters()], 1 - decay)
        if part >= 1:
            # the rate has fallen to nothing: the weights are still, and fresher than their average
            ema.load_state_dict(model.state_dict())
        if state["step"] % every == 0 or part >= 1:
            state["minutes"] = minutes if part >= 1 else clock.minutes()
            save(opt.state_dict(), WORK / f"denoiser-momenta-{rank}.pt")
            if count == 1:
                (WORK / "denoiser-momenta-1.pt").unlink(missing_ok=True)  # all of it is in the other
            if rank == 0:
                save({"model": model.state_dict(), "ema": weights(ema), **state}, CHECKPOINT)
                done, now = (state["step"] - begun - 1) % every + 1, time.time()
                log("teacher", f"step {state['step']} {state['minutes']:.1f} min samples {state['samples']} loss {float(total) / done:.4f} "
                    f"{done * samples.n * calls * count / (now - logged):.0f} samples/s")
                logged, total = now, 0.0


def arguments(parser):
    parser.add_argument("--minutes", type=float, default=600, help="in all its runs: of the core on a processor")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--ranks", type=int, default=1, choices=(1, 2), help="processes, on processors")
    return parser.parse_args()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", action="store_true", help="only make and keep the prompts' ids")
    args = arguments(parser)
    if args.prompts:
        print(len(prompts(tokenizer.load())), "pictures' prompts")
        return
    spawn(train, 1 if args.device == "cuda" else args.ranks, args.minutes, args.device)


if __name__ == "__main__":
    main()
