"""Makes taef2.safetensors: what TAEF2, FLUX.2's tiny autoencoder, makes of a picture.

  python taef2.py DIR    DIR holds taef2_encoder.safetensors and taef2_decoder.safetensors

diffusers does not have its blocks, so they are written out here from the
description of github.com/madebyollin/taesd. Pictures are channels-last, -1 to 1.
"""

import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file


def block(w, p, x):
    if f"{p}.pool.0.weight" in w:
        h = F.conv2d(x, w[f"{p}.pool.0.weight"])
        h = F.relu(F.group_norm(h, 4, w[f"{p}.pool.1.weight"], w[f"{p}.pool.1.bias"]))
        x = x + F.conv2d(h, w[f"{p}.pool.3.weight"])
    h = x
    for i in (0, 2, 4):
        h = F.conv2d(F.relu(h) if i else h, w[f"{p}.conv.{i}.weight"], w[f"{p}.conv.{i}.bias"], padding=1)
    return F.relu(h + x)


def run(w, x, upsample=()):
    for i in range(1 + max(int(k.split(".")[0]) for k in w)):
        if f"{i}.conv.0.weight" in w:
            x = block(w, i, x)
        elif f"{i}.weight" in w:
            stride = 2 if not upsample and f"{i}.bias" not in w else 1
            x = F.conv2d(x, w[f"{i}.weight"], w.get(f"{i}.bias"), stride, 1)
        elif i in upsample:
            x = F.interpolate(x, scale_factor=2)
        elif i == 2:  # after the decoder's first convolution
            x = F.relu(x)
    return x


if __name__ == "__main__":
    encoder, decoder = ({k: v.float() for k, v in load_file(f"{sys.argv[1]}/taef2_{n}.safetensors").items()} for n in ("encoder", "decoder"))
    y, x = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 64), indexing="ij")
    disc = ((x - 0.6) ** 2 + (y - 0.45) ** 2 < 0.08).float()
    picture = torch.stack([x, 0.5 + 0.5 * torch.sin(5 * math.pi * y), disc])[None]
    picture[:, :, 30:40, 6:24] = torch.tensor([0.9, 0.2, 0.1])[None, :, None, None]
    with torch.no_grad():
        latents = run(encoder, picture)
        again = run(decoder, 3 * torch.tanh(latents / 3), (6, 11, 16))
    print("round trip", -10 * math.log10(F.mse_loss(again.clamp(0, 1), picture).item()), "dB; latents' std", latents.std().item())
    last = lambda v: v.permute(0, 2, 3, 1).contiguous()
    save_file({"image": last(2 * picture - 1), "latents": last(latents), "decoded": last(2 * again - 1)},
              Path(__file__).with_name("taef2.safetensors"))
