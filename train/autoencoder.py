"""Trains the autoencoder, then caches the latent of every image.

  python autoencoder.py train MINUTES    resumes from autoencoder.pt
  python autoencoder.py decoder MINUTES  goes on with the decoder alone, after encode: latents stay as they are
  python autoencoder.py encode           writes latents.pt and vae/ (after compose.py)
  python autoencoder.py encoder MINUTES  goes on with the encoder alone: finer latents, near the old, for the decoder as it is
  python autoencoder.py measure          the held-out PSNR, with noise in the latents, and with latents sought for each picture

Two thirds of the arithmetic is at full resolution, so training sees 64x64
crops: four times the steps in the same time.
"""

import argparse
import copy
import json
import time

import numpy as np
import torch
import torch.nn.functional as F

from common import PAUSE, SIZE, WORK, mixed, save
from configs import autoencoder

CROP = 64
BATCH = 16
HOLD = 3.0  # the encoder alone: weight of its latents' mean squared distance from where they were
NOISE = 0.1  # latent noise: makes the decoder forgive the denoiser's errors; half for the decoder alone
CHECKPOINT = WORK / "autoencoder.pt"
LATENTS = WORK / "latents.pt"


def images():
    """The rendered art as a (N, 128, 128, 3) byte array, mapped, and its manifest."""
    rows = json.loads((WORK / "manifest.json").read_text())
    return np.memmap(WORK / "images.u8", np.uint8, "r", shape=(len(rows), SIZE, SIZE, 3)), rows


def to_tensor(pixels):
    """Bytes (n, h, w, 3) to floats (n, 3, h, w) in [-1, 1], channels last in memory."""
    x = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2)
    return x.to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1


def crops(art, index, rng, side):
    """A batch of random crops, half of them mirrored; of larger ones fewer."""
    out = np.empty((BATCH * CROP**2 // side**2, side, side, 3), np.uint8)
    for i, n in enumerate(rng.choice(index, len(out))):
        y, x = rng.integers(0, SIZE - side + 1, 2)
        out[i] = art[n, y : y + side, x : x + side][:, :: rng.choice((-1, 1))]
    return to_tensor(out)


def gradient(x):
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def loss_fn(out, x):
    """L1 and L2, and L1 on the picture's gradients, which keeps edges sharp."""
    edges = sum((a - b).abs().mean() for a, b in zip(gradient(out), gradient(x)))
    return F.l1_loss(out, x) + F.mse_loss(out, x) + edges


def decibels(out, x):
    """PSNR in dB of each picture, peak-to-peak range 2."""
    return 10 * torch.log10(4 / (out.clamp(-1, 1) - x).square().mean((1, 2, 3)))


@torch.no_grad()
def psnr(vae, x, noise=0.0):
    """Mean over pictures, with noise of that deviation in the latents."""
    with mixed():
        latents = [vae.encoder(b) for b in x.split(32)]
        out = torch.cat([vae.decoder(z + noise * torch.randn_like(z)).float() for z in latents])
    return decibels(out, x).mean().item()


def measure():
    """Tells what limits the codec: noise hardly, the encoder most, for better latents lie near its own."""
    torch.manual_seed(0)
    art, rows = images()
    x = to_tensor(art[[i for i, r in enumerate(rows) if r["heldout"]]])
    vae = autoencoder().requires_grad_(False)
    vae.load_state_dict(torch.load(CHECKPOINT)["vae"])
    for noise in (0, 0.02, 0.05, 0.1, 0.2):
        print(f"latent noise {noise}: {psnr(vae, x, noise):.2f} dB", flush=True)
    x = x[::17]
    first = vae.encoder(x)
    z = first.clone().requires_grad_()
    opt = torch.optim.Adam([z], 0.02)
    for step in range(41):
        out = vae.decoder(z)
        if step % 10 == 0:
            print(f"{len(x)} pictures' latents sought for {step} steps: {decibels(out, x).mean():.2f} dB, "
                  f"{(z - first).square().mean().sqrt():.3f} from the encoder's", flush=True)
        opt.zero_grad()
        (out - x).square().mean((1, 2, 3)).log().sum().backward()
        opt.step()


def train(minutes, verb):
    torch.manual_seed(int(time.time()))
    rng = np.random.default_rng()
    art, rows = images()
    held = np.array([r["heldout"] for r in rows])
    test = to_tensor(art[np.flatnonzero(held)])
    # the model draws common concepts, so those are seen three times as often
    index = np.concatenate([np.flatnonzero(~held)] + 2 * [np.flatnonzero([r["common"] and not r["heldout"] for r in rows])])
    vae = autoencoder().to(memory_format=torch.channels_last)
    state = {"step": 0, "minutes": 0.0}
    if CHECKPOINT.exists():
        state = torch.load(CHECKPOINT)
        vae.load_state_dict(state["vae"])
    ema = copy.deepcopy(vae)
    learned = {"train": vae, "decoder": vae.decoder, "encoder": vae.encoder}[verb]
    vae.requires_grad_(False)
    learned.requires_grad_(True)
    first = copy.deepcopy(vae.encoder).requires_grad_(False)
    if verb == "encoder":
        first.load_state_dict(state.setdefault("first", first.state_dict()))
    opt = torch.optim.AdamW(learned.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    peak, noise, side, average = {
        "train": (1.5e-3, NOISE, CROP, 0.998), "decoder": (7e-4, NOISE / 2, CROP, 0.998), "encoder": (2e-4, 0, SIZE, 0.96),
    }[verb]
    print(f"step {state['step']} held out PSNR {psnr(vae, test):.2f} dB", flush=True)
    start = saved = time.process_time()  # the core's minutes, not the clock's
    while (part := (time.process_time() - start) / 60 / minutes) < 1:
        while PAUSE.exists():
            time.sleep(0.5)
        warm = min(1, (time.process_time() - start) / 20)
        opt.param_groups[0]["lr"] = peak * warm * max(0.02, 1 - part**2)
        x = crops(art, index, rng, side)
        with mixed():
            z = vae.encoder(x)
            out = vae.decoder(z + noise * torch.randn_like(z)).float()
            old = first(x).float() if verb == "encoder" else None
        z = z.float()
        if verb == "encoder":
            loss = (out - x).square().mean((1, 2, 3)).add(1e-5).log().mean() + HOLD * (z - old).square().mean()
        else:  # unit variance, and inside the decoder's tanh clamp at 3
            loss = loss_fn(out, x) + 0.02 * (z.square().mean() - 1).square() + 0.1 * F.relu(z.abs() - 2.5).square().mean()
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned.parameters(), 1.0)
        opt.step()
        state["step"] += 1
        decay = min(average, state["step"] / (state["step"] + 20))
        for e, p in zip(ema.parameters(), vae.parameters()):
            e.data.lerp_(p.data, 1 - decay)
        if state["step"] % 100 == 0:
            print(f"step {state['step']} {time.process_time() - start:.0f} s loss {loss.item():.4f} z {z.std():.2f} max {z.abs().max():.1f}", flush=True)
        if time.process_time() - saved > 90:
            saved = time.process_time()
            print(f"step {state['step']} held out PSNR {psnr(ema, test):.2f} dB", flush=True)
            save({**state, "vae": ema.state_dict(), "minutes": state["minutes"] + (saved - start) / 60}, CHECKPOINT)
    state["minutes"] += minutes
    save({**state, "vae": ema.state_dict()}, CHECKPOINT)
    print(f"done: step {state['step']}, {state['minutes']:.0f} minutes, held out PSNR {psnr(ema, test):.2f} dB")
    if verb != "train":
        finish(ema, torch.load(LATENTS)["scale"])


def finish(vae, scale):
    """Writes vae/, whose latents times scale are what the denoiser sees."""
    vae.register_to_config(scaling_factor=scale)
    vae.save_pretrained(WORK / "vae")


@torch.no_grad()
def encode():
    """Latents scaled to unit deviation, and the finished vae/.

    latents.pt: index, the manifest's common rows; latents (len(index), 8, 16, 16);
    composed, those of composed.json's rows; scale.
    """
    art, rows = images()
    index = np.flatnonzero([r["common"] for r in rows])
    vae = autoencoder().to(memory_format=torch.channels_last)
    vae.load_state_dict(torch.load(CHECKPOINT)["vae"])

    def latents(pictures):
        with mixed():
            parts = [vae.encoder(to_tensor(pictures[i : i + 64])) for i in range(0, len(pictures), 64)]
        return torch.cat(parts).float().contiguous()

    z = latents(art[index])
    # once a denoiser has been trained on a scale, that stays
    scale = torch.load(LATENTS)["scale"] if LATENTS.exists() else 1 / z.std().item()
    finish(vae, scale)
    made = latents(np.fromfile(WORK / "composed.u8", np.uint8).reshape(-1, SIZE, SIZE, 3))
    save({"index": torch.from_numpy(index), "latents": z * scale, "composed": made * scale, "scale": scale}, LATENTS)
    print(f"scaling_factor {scale:.4f}; channel means {[round(v, 2) for v in (z * scale).mean((0, 2, 3)).tolist()]}; "
          f"deviations {[round(v, 2) for v in (z * scale).std((0, 2, 3)).tolist()]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=("train", "decoder", "encode", "encoder", "measure"))
    parser.add_argument("minutes", type=float, nargs="?", default=20)
    args = parser.parse_args()
    if args.verb == "encode":
        encode()
    elif args.verb == "measure":
        measure()
    else:
        train(args.minutes, args.verb)


if __name__ == "__main__":
    main()
