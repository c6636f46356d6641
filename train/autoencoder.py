"""Trains the codec, 256x256 RGBA <-> 16x16x16, and caches the latent of every picture.

  python autoencoder.py train [--minutes 600] [--device cpu]    to that many minutes in all; resumes from autoencoder.pt
  python autoencoder.py encode                    writes latents.pt and vae/
  python autoencoder.py measure                   what is held out, in dB, and sheets/codec.png: original beside decoded

The encoder's input is the picture over white, and its alpha; the decoder's
output is the colour, not multiplied by alpha, and alpha, all in [-1, 1]. The
loss looks at alpha and at the picture over white and over another ground:
black, a chequer or a colour. So the colour where nothing is drawn is free.
"""

import argparse
import copy
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import compose
import configs
from common import EMOJI, SIZE, TRIAL, WORK, Clock, compiled, log, mixed, save
from muon import Muon
from render import images

CROP = {"cpu": 128, "cuda": 128}  # a quarter of the work, and four times as many pictures a step
BATCH = {"cpu": 2, "cuda": 4} if TRIAL else {"cpu": 8, "cuda": 192}
PEAK = 1.5e-3
NOISE = 0.05  # in the latents: makes the decoder forgive the denoiser's errors
SHARPEN = 0.75  # from this part on an adversary looks, and latents stay as they are
ADVERSARY = 0.15  # its gradient's size beside the others'
OPAQUE = 0.15  # crops on a coloured ground, without transparency
CHECKPOINT = WORK / "autoencoder.pt"
LATENTS = WORK / "latents.pt"
SCALE = WORK / "scale.txt"


def chequer(n, side, device):
    """Grounds (n, 3, side, side) in [0, 1]: black, chequers of two greys, and colours, a third each."""
    size = torch.randint(4, 17, (n, 1, 1), device=device)
    line = torch.arange(side, device=device)
    odd = ((line.view(1, -1, 1) // size + line.view(1, 1, -1) // size) % 2)[:, None].float()
    a, b = torch.rand(2, n, 1, 1, 1, device=device)
    grey = (a * odd + b * (1 - odd)).expand(-1, 3, -1, -1)
    kind = torch.randint(3, (n, 1, 1, 1), device=device)
    colour = torch.rand(n, 3, 1, 1, device=device).expand_as(grey)
    return torch.where(kind == 0, torch.zeros_like(grey), torch.where(kind == 1, grey, colour))


def over(rgba, ground):
    """Colour over a ground; rgba (n, 4, h, w) and ground in [0, 1]."""
    return rgba[:, :3] * rgba[:, 3:] + ground * (1 - rgba[:, 3:])


def given(rgba):
    """What the encoder is given of rgba in [0, 1]: over white, with alpha, in [-1, 1]."""
    return torch.cat([over(rgba, 1.0), rgba[:, 3:]], 1) * 2 - 1


def to_tensor(pixels, device="cpu"):
    """Bytes (n, h, w, 4) to floats (n, 4, h, w) in [0, 1], channels last in memory."""
    x = torch.from_numpy(np.ascontiguousarray(pixels)) if isinstance(pixels, np.ndarray) else pixels
    return x.to(device).permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last) / 255


def crops(art, index, n, side, device):
    """Random crops (n, 4, side, side) of the pictures, some mirrored, with colours exchanged, or on a colour of their own."""
    pick = index[torch.randint(len(index), (n,), device=index.device)]
    y, x = torch.randint(SIZE - side + 1, (2, n, 1), device=index.device)
    line = torch.arange(side, device=index.device)
    y, x = y + line, x + torch.where(torch.rand(n, 1, device=index.device) < 0.5, line, line.flip(0))
    out = to_tensor(art[pick[:, None, None], y[:, :, None], x[:, None, :]], device)
    swap = torch.stack([torch.randperm(3) if torch.rand(()) < 0.3 else torch.arange(3) for _ in range(n)]).to(device)
    colour = out[:, :3].gather(1, swap[:, :, None, None].expand(-1, -1, side, side))
    flat = (torch.rand(n, 1, 1, 1, device=device) < OPAQUE).float()
    ground = torch.rand(n, 3, 1, 1, device=device)
    alpha = out[:, 3:]
    return torch.cat([colour * (1 - flat) + flat * (colour * alpha + ground * (1 - alpha)), torch.maximum(alpha, flat)], 1).contiguous(
        memory_format=torch.channels_last)


def gradient(x):
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def distance(a, b):
    """L1 and L2, and L1 on the picture's gradients, which keeps edges sharp; of values in [0, 1]."""
    edges = sum((p - q).abs().mean() for p, q in zip(gradient(a), gradient(b)))
    return 2 * F.l1_loss(a, b) + 4 * F.mse_loss(a, b) + 2 * edges


def loss_fn(out, x, ground):
    """Of alpha, over white, and over the ground; out and x (n, 4, h, w) in [0, 1]."""
    return distance(over(out, 1.0), over(x, 1.0)) + 0.5 * distance(over(out, ground), over(x, ground)) + 0.5 * distance(out[:, 3:], x[:, 3:])


class Adversary(nn.Module):
    """Patches of a picture over a ground to how real they look; hinge loss. It sees 34 pixels at once."""

    def __init__(self):
        super().__init__()
        widths = (3, 32, 64, 128)
        layers = [m for a, b in zip(widths, widths[1:]) for m in (nn.utils.spectral_norm(nn.Conv2d(a, b, 4, 2, 1)), nn.LeakyReLU(0.2))]
        self.body = nn.Sequential(*layers, nn.Conv2d(128, 1, 3, 1, 1))

    def forward(self, x):
        return self.body(x * 2 - 1)


def decibels(out, x):
    """PSNR in dB of each picture, of values in [0, 1]."""
    return -10 * torch.log10((out.clamp(0, 1) - x).square().mean((1, 2, 3)).clamp(min=1e-7))


@torch.no_grad()
def decoded(vae, x, device):
    """Pictures (n, 4, 256, 256) in [0, 1] through the codec, without noise."""
    with mixed(device):
        return torch.cat([(vae.decoder(vae.encoder(given(b))).float() + 1) / 2 for b in x.split(16)]).clamp(0, 1)


def held_out(art, rows, device, most=100):
    index = [i for i, r in enumerate(rows) if r["heldout"]] or list(range(0, len(rows), max(1, len(rows) // 10)))
    return to_tensor(np.stack([art[i] for i in index[:most]]), device)


def figures(vae, x, device):
    """Mean dB over white and of alpha."""
    out = decoded(vae, x, device)
    return decibels(over(out, 1.0), over(x, 1.0)).mean().item(), decibels(out[:, 3:], x[:, 3:]).mean().item()


class Codec:
    """The networks and what a step does with them."""

    def __init__(self, device):
        self.device = device
        self.vae = configs.autoencoder().to(device, memory_format=torch.channels_last)
        self.adversary = Adversary().to(device, memory_format=torch.channels_last)
        self.ema = copy.deepcopy(self.vae).requires_grad_(False)
        self.opts = [Muon(half, edge=("layers.0.", f"layers.{len(half.layers) - 1}.")) for half in (self.vae.encoder, self.vae.decoder)]
        self.judge = torch.optim.AdamW(self.adversary.parameters(), 4e-4, betas=(0.5, 0.9))
        self.encode, self.decode = compiled(self.vae.encoder), compiled(self.vae.decoder)
        self.step, self.minutes = 0, 0.0

    def load(self, state):
        self.vae.load_state_dict(state["model"] if "model" in state else state["vae"])
        self.ema.load_state_dict(state["vae"])
        for opt, momenta in zip(self.opts, state.get("opts", ())):
            opt.load_state_dicts([momenta])
        if "adversary" in state:
            self.adversary.load_state_dict(state["adversary"])
        self.step, self.minutes = state["step"], state["minutes"]

    def state(self):
        return {"vae": self.ema.state_dict(), "model": self.vae.state_dict(), "opts": [opt.state_dict() for opt in self.opts],
                "adversary": self.adversary.state_dict(), "step": self.step, "minutes": self.minutes}

    def learn(self, x, rate, sharpen):
        """One step on crops x; sharpen: the adversary looks, and the encoder stays. Returns the loss."""
        ground = chequer(len(x), x.shape[-1], self.device)
        with mixed(self.device):
            z = self.encode(given(x))
            if sharpen:
                z = z.detach()
            out = self.decode(z + NOISE * torch.randn_like(z))
        out, z = (out.float() + 1) / 2, z.float()
        seen = out.detach().requires_grad_()
        loss = loss_fn(seen, x, ground)
        pull, = torch.autograd.grad(loss, seen)
        if sharpen:
            pull = pull + self.sharper(seen, x, ground, pull)
        # unit variance, and inside the decoder's tanh clamp at 3
        bound = 0.02 * (z.square().mean() - 1).square() + 0.1 * F.relu(z.abs() - 2.5).square().mean()
        ((out * pull).sum() + (bound if not sharpen else 0.0)).backward()
        for opt in self.opts[sharpen:]:
            opt.step(rate)
        self.step += 1
        decay = min(0.998, self.step / (self.step + 20))
        torch._foreach_lerp_(list(self.ema.parameters()), [p.data for p in self.vae.parameters()], 1 - decay)
        return loss.item()

    def sharper(self, out, x, ground, pull):
        """The adversary's gradient on the output, sized by that of the loss; the adversary learns first."""
        with mixed(self.device):
            real, made = self.adversary(over(x, ground)).float(), self.adversary(over(out.detach(), ground)).float()
        self.judge.zero_grad()
        (F.relu(1 - real).mean() + F.relu(1 + made).mean()).backward()
        self.judge.step()
        with mixed(self.device):
            fooled = -self.adversary(over(out, ground)).float().mean()
        push, = torch.autograd.grad(fooled, out)
        return push * (ADVERSARY * pull.norm() / (push.norm() + 1e-12))


def train(minutes, device):
    torch.manual_seed(int(time.time()))
    art, rows = images()
    test = held_out(art, rows, device)
    trained = [i for i, r in enumerate(rows) if not r["heldout"]]
    emoji = [i for i in trained if rows[i]["style"] in EMOJI]  # what the page mostly draws, twice as often
    where = device if device != "cpu" else "cpu"
    index = torch.tensor(trained + emoji, device=where)
    art = torch.from_numpy(art) if device == "cpu" else torch.from_numpy(np.asarray(art)).to(device)
    codec = Codec(device)
    if CHECKPOINT.exists():
        codec.load(torch.load(CHECKPOINT, map_location=device))
    if codec.minutes >= minutes:
        return
    codec.learn(crops(art, index, BATCH[device], CROP[device], device), 0.0, False)  # compiles before the clock starts
    clock = Clock(device, minutes, codec.minutes)
    done = lambda: (f"step {codec.step} {codec.minutes:.1f} min held out %.2f dB, alpha %.2f dB" % figures(codec.ema, test, device))
    log("autoencoder", "starts: " + done())
    saved, total, since, begun = clock.minutes(), 0.0, codec.step, codec.step
    every = 2.0 if device == "cpu" else 0.5
    while (part := clock.tick()) < 1:
        x = crops(art, index, BATCH[device], CROP[device], device)
        rate = PEAK * min(1, (codec.step - begun + 1) / 50) * min(1, 2 * (1 - part) + 0.01)
        total += codec.learn(x, rate, part > SHARPEN)
        if clock.minutes() - saved > every:
            pace = (codec.step - since) * len(x) / (clock.minutes() - saved) / 60
            saved = codec.minutes = clock.minutes()
            log("autoencoder", f"{done()} loss {total / (codec.step - since):.4f} {pace:.0f} crops/s")
            since, total = codec.step, 0.0
            save(codec.state(), CHECKPOINT)
    codec.minutes = minutes
    save(codec.state(), CHECKPOINT)
    log("autoencoder", "ends: " + done())


def load(device):
    vae = configs.autoencoder().to(device, memory_format=torch.channels_last).requires_grad_(False)
    vae.load_state_dict(torch.load(CHECKPOINT, map_location=device)["vae"])
    return vae


@torch.no_grad()
def encode(device):
    """Latents scaled to unit deviation, f16, of all pictures and of compose.py's; and the finished vae/.

    latents.pt: latents (len(manifest), 16, 16, 16); composed (recipes, 16, 16, 16), in the order of composed.json.
    """
    art, rows = images()
    vae = load(device)

    def latents(batches):
        out = []
        for pictures in batches:
            with mixed(device):
                out.append(vae.encoder(given(to_tensor(pictures, device))).float().cpu())
        return torch.cat(out)

    z = latents(art[i : i + 64] for i in range(0, len(art), 64))
    # once a denoiser has been trained on a scale, that stays
    scale = float(SCALE.read_text()) if SCALE.exists() else 1 / z.std().item()
    SCALE.write_text(str(scale))
    vae.register_to_config(scaling_factor=scale)
    vae.cpu().save_pretrained(WORK / "vae")
    vae.to(device)
    made = latents(compose.batches(64))
    save({"latents": (z * scale).half(), "composed": (made * scale).half()}, LATENTS)
    log("encode", f"{len(z)} and {len(made)} latents, scaling_factor {scale:.4f}; channel deviations {[round(v, 2) for v in (z * scale).std((0, 2, 3)).tolist()]}")


def measure(device):
    """Figures of what is held out, and a sheet of it: original and decoded over a chequer."""
    from PIL import Image

    art, rows = images()
    x, vae = held_out(art, rows, device), load(device)
    print("held out: %.2f dB over white, alpha %.2f dB" % figures(vae, x, device))
    x = x[:: max(1, len(x) // 24)][:24]
    line = torch.arange(SIZE, device=device) // 16
    ground = 0.75 + 0.15 * ((line[:, None] + line) % 2)
    pairs = [over(p, ground).cpu() for p in (x, decoded(vae, x, device))]
    rows = [torch.cat([*torch.stack([a, b], 1).flatten(0, 1)], 2) for a, b in zip(*(p.split(4) for p in pairs))]
    (WORK / "sheets").mkdir(exist_ok=True)
    Image.fromarray((torch.cat(rows, 1) * 255).round().byte().permute(1, 2, 0).numpy()).save(WORK / "sheets" / "codec.png")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=("train", "encode", "measure"))
    parser.add_argument("--minutes", type=float, default=600, help="in all its runs: of the core on a processor")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    args = parser.parse_args()
    if args.verb == "train":
        train(args.minutes, args.device)
    else:
        {"encode": encode, "measure": measure}[args.verb](args.device)


if __name__ == "__main__":
    main()
