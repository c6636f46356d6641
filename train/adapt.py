"""Trains additions to the model that is shipped: a LoRA, a word of textual inversion, a ControlNet of edges.

  python adapt.py lora blueprint.safetensors --minutes 20      white lines on blue: a style of its own
  python adapt.py word my-fruit.safetensors --minutes 5        a word for what a few pictures show
  python adapt.py control edges --minutes 20                   a ControlNet that keeps to edges
  python adapt.py sheet OUT.png FILE...                        pictures with each of them

Minutes are of the core. No pictures are needed: those that the model itself draws of its concepts are changed, and each is learned
with the noise that it was drawn of, so a walk of four steps stays as straight as the model's own (Liu et al. 2022, "Flow straight
and fast", reflow). The ControlNet gets other noise than the picture's, so that the edges are what tells it where things are.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, ControlNetModel, UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import packed

MODEL = Path(__file__).resolve().parent.parent / "site/models/default"
SIGMAS = (1.0, 0.75, 0.5, 0.25, 0.0)
LAYERS = r".*(to_q|to_k|to_v|to_out\.0|net\.0\.proj|net\.2|conv1|conv2|proj_in|proj_out)"


class Shipped:
    """The packed model in torch."""

    def __init__(self, path=MODEL):
        manifest = json.loads((path / "manifest.json").read_text())
        chunks = [packed.chunk(path, c) for c in manifest["chunks"]]
        folder = Path("/tmp") / f"wisp-tokenizer-{manifest['digest'][:8]}"
        folder.mkdir(exist_ok=True)
        for f in manifest["files"]:
            if f["name"].startswith("tokenizer/"):
                (folder / Path(f["name"]).name).write_bytes(b"".join(packed.pieces(chunks, f)))
        config = {name: c["config"] for name, c in manifest["components"].items()}
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)
        self.text = CLIPTextModel(CLIPTextConfig(**config["text_encoder"]))
        self.unet = UNet2DConditionModel.from_config(config["unet"])
        self.vae = AutoencoderTiny.from_config(config["vae"])
        weights = packed.weights(path)
        for name, net in ("text_encoder", self.text), ("unet", self.unet), ("vae", self.vae):
            net.load_state_dict(weights[name])
            net.eval().requires_grad_(False)
        self.words = [f"{c['name']}, {s}" for c in manifest["defaults"]["concepts"] for s in manifest["defaults"]["styles"]]
        self.shape = (config["unet"]["in_channels"], *[config["unet"]["sample_size"]] * 2)

    def states(self, prompts):
        ids = self.tokenizer(list(prompts), padding="max_length", max_length=self.text.config.max_position_embeddings, truncation=True, return_tensors="pt").input_ids
        return self.text(ids).last_hidden_state

    def noise(self, seeds):
        return torch.stack([torch.randn(self.shape, generator=torch.Generator().manual_seed(s)) for s in seeds])

    def latents(self, x, states, residuals=lambda x, t: {}):
        for sigma, after in zip(SIGMAS, SIGMAS[1:]):
            t = torch.full((len(x),), 1000 * sigma)
            x = x + (after - sigma) * self.unet(x, t, states, **residuals(x, t)).sample
        return x

    def pictures(self, x):
        """From 0 to 1."""
        return (self.vae.decode(x).sample / 2 + 0.5).clamp(0, 1)[:, :3]

    def encode(self, pictures):
        return self.vae.encode(pictures * 2 - 1).latents


def edges(pictures):
    """Sobel's, (n, 1, h, w) from 0 to 1."""
    grey = pictures.mean(1, keepdim=True)
    k = torch.tensor([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]])
    slopes = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), torch.stack([k, k.T])[:, None])
    return (slopes.square().sum(1, keepdim=True).sqrt() * 1.2).clamp(0, 1)


def blueprint(pictures):
    lines, paper = edges(pictures), torch.tensor([0.06, 0.24, 0.55])[None, :, None, None]
    shade = 0.18 * (1 - pictures.mean(1, keepdim=True))
    return (paper + shade) * (1 - lines) + lines


@torch.no_grad()
def drawn(model, prompts, seeds, change=lambda x: x):
    """Noise, latents of the changed pictures, states, and the pictures as they were."""
    parts = []
    for i in range(0, len(prompts), 32):
        noise, states = model.noise(seeds[i : i + 32]), model.states(prompts[i : i + 32])
        pictures = model.pictures(model.latents(noise, states))
        parts.append((noise, model.encode(change(pictures)), states, pictures))
    return [torch.cat(p) for p in zip(*parts)]


def walk(parameters, loss, minutes, rate, n, size=16):
    """Minimises loss(places of a batch, sigmas) for so many minutes of the core."""
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0)
    start, step, mean = time.process_time(), 0, 0.0
    while (done := (time.process_time() - start) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 20) * (1 - done)
        value = loss(torch.randint(n, (size,)), torch.tensor(SIGMAS[:-1])[torch.randint(4, (size,))])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        mean = 0.95 * mean + 0.05 * value.item() if step else value.item()
        if step % 50 == 0:
            print(f"{100 * done:3.0f} %  step {step}  loss {mean:.4f}", flush=True)
        step += 1


def flow(unet, noise, picture, states, sigma, **more):
    """How far the network is from the straight way."""
    s = sigma[:, None, None, None]
    return F.mse_loss(unet(s * noise + (1 - s) * picture, 1000 * sigma, states, **more).sample, noise - picture)


def some(model, n, seed=1):
    picked = np.random.default_rng(seed).choice(len(model.words), min(n, len(model.words)), replace=False)
    return [model.words[i] for i in picked], [int(i) for i in picked]


def lora(model, out, minutes):
    from peft import LoraConfig, get_peft_model_state_dict
    noise, target, states, _ = drawn(model, *some(model, 512), blueprint)
    model.unet.add_adapter(LoraConfig(r=8, lora_alpha=8, target_modules=LAYERS))
    own = [p for p in model.unet.parameters() if p.requires_grad]
    print(f"{sum(p.numel() for p in own):,} numbers")
    walk(own, lambda at, sigma: flow(model.unet, noise[at], target[at], states[at], sigma), minutes, 2e-3, len(noise))
    save_file({f"unet.{k}": v.half().contiguous() for k, v in get_peft_model_state_dict(model.unet).items()}, out)


def word(model, out, minutes, concept="strawberry"):
    """The word begins as the mean of all and learns from pictures in a few styles."""
    prompts = [w for w in model.words if w.startswith(concept + ",")]
    assert prompts, concept
    noise, target, _, _ = drawn(model, prompts * 4, list(range(4 * len(prompts))))
    table = model.text.get_input_embeddings()
    own = torch.nn.Parameter(table.weight.mean(0))
    place = model.tokenizer(concept, add_special_tokens=False).input_ids
    ids = model.tokenizer([p for p in prompts * 4], padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    # the concept's own tokens give way to the word
    rows = [[-1] + r[1 + len(place) :] + [model.tokenizer.pad_token_id] * (len(place) - 1) for r in ids.tolist()]
    ids = torch.tensor([[r0[0]] + r for r0, r in zip(ids.tolist(), rows)])

    def loss(at, sigma):
        x = torch.where((ids[at] == -1)[..., None], own, table.weight[ids[at].clamp(min=0)])
        hook = table.register_forward_hook(lambda *_: x)
        states = model.text(ids[at].clamp(min=0)).last_hidden_state
        hook.remove()
        return flow(model.unet, noise[at], target[at], states, sigma)

    walk([own], loss, minutes, 5e-3, len(noise))
    save_file({f"<{Path(out).stem}>": own.detach()}, out)


def control(model, out, minutes):
    noise, target, states, pictures = drawn(model, *some(model, 512))
    lines = edges(pictures).expand(-1, 3, -1, -1)
    net = ControlNetModel.from_unet(model.unet, conditioning_embedding_out_channels=(8, 16, 24, 32, 48)).train().requires_grad_(True)

    def loss(at, sigma):
        other = torch.randn_like(noise[at])
        s = sigma[:, None, None, None]
        down, mid = net(s * other + (1 - s) * target[at], 1000 * sigma, states[at], lines[at], return_dict=False)
        return flow(model.unet, other, target[at], states[at], sigma, down_block_additional_residuals=down, mid_block_additional_residual=mid)

    walk(net.parameters(), loss, minutes, 1e-3, len(noise))
    net.half().save_pretrained(out)


@torch.no_grad()
def sheet(model, out, files):
    """A row of the model's own pictures, and one for each file."""
    prompts = [f"{c}, twemoji style" for c in ("red heart", "cat face", "pizza", "rocket", "tree", "crying face")]
    seeds = [7 + i for i in range(len(prompts))]
    noise, states = model.noise(seeds), model.states(prompts)
    plain = model.pictures(model.latents(noise, states))
    rows = [plain]
    for file in map(Path, files):
        if file.is_dir():
            net = ControlNetModel.from_pretrained(file).eval()
            lines = edges(plain).expand(-1, 3, -1, -1)
            residuals = lambda x, t: dict(zip(("down_block_additional_residuals", "mid_block_additional_residual"), net(x, t, states, lines, return_dict=False)))
            other = model.noise([100 + s for s in seeds])
            rows += [lines, model.pictures(model.latents(other, states)), model.pictures(model.latents(other, states, residuals))]
        elif any(".lora_A" in k for k in load_file(file)):
            from peft import LoraConfig, set_peft_model_state_dict
            model.unet.add_adapter(LoraConfig(r=8, lora_alpha=8, target_modules=LAYERS))
            set_peft_model_state_dict(model.unet, {k.removeprefix("unet."): v.float() for k, v in load_file(file).items()})
            rows.append(model.pictures(model.latents(noise, states)))
            model.unet.disable_adapters()
    grid = torch.cat([torch.cat(list(r), -1) for r in rows], -2)
    Image.fromarray((grid.permute(1, 2, 0) * 255).round().byte().numpy()).save(out)


if __name__ == "__main__":
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("what", choices=("lora", "word", "control", "sheet"))
    a.add_argument("out")
    a.add_argument("files", nargs="*")
    a.add_argument("--minutes", type=float, default=20)
    a = a.parse_args()
    torch.manual_seed(0)
    if a.what == "sheet":
        sheet(Shipped(), a.out, a.files)
    else:
        globals()[a.what](Shipped(), a.out, a.minutes)
