"""Samples a pipeline directory into a contact sheet, one row a prompt, one column a seed.

  python sample.py DIR OUT.png [--prompts FILE] [--seeds 4] [--steps 6] [--guidance 3]
  python sample.py DIR OUT.webp --gallery [--guidance 1]    gallery.txt's 96 prompts, seed 0, at 1, 2 and 4 steps

The loop is written out: Euler over trailing sigmas, linspace(1, 1/steps), since
the scheduler's own end with a step that changes nothing; classifier-free
guidance against the empty prompt, torch's CPU generator. It is the reference
that the engine's pictures are compared with.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from PIL import Image, ImageDraw
from transformers import CLIPTextModel, CLIPTokenizer

PROMPTS = ["red heart", "cat face", "pizza", "rocket", "tree", "house", "crying face", "rainbow"]


class Pipeline:
    def __init__(self, path, device="cpu"):
        self.device = device
        self.tokenizer = CLIPTokenizer.from_pretrained(path / "tokenizer")
        self.text = CLIPTextModel.from_pretrained(path / "text_encoder").to(device)
        self.unet = UNet2DConditionModel.from_pretrained(path / "unet").to(device)
        self.vae = AutoencoderTiny.from_pretrained(path / "vae").to(device)
        self.scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(path / "scheduler")

    def fill(self, weights):
        """Takes other weights: component -> name -> tensor, all of them."""
        for name, part in ("text_encoder", self.text), ("unet", self.unet), ("vae", self.vae):
            part.load_state_dict(weights[name])

    def states(self, prompts):
        """Text states (n, 77, width), padded with <|endoftext|> as in training."""
        ids = self.tokenizer(list(prompts), padding="max_length", truncation=True, return_tensors="pt").input_ids
        return self.text(ids.to(self.device)).last_hidden_state

    @torch.no_grad()
    def __call__(self, prompts, seeds, steps, guidance):
        """Pictures (n, 256, 256, 4), RGBA in bytes, one for each prompt and seed; guidance 1 asks the network once a step."""
        c, size = self.unet.config.in_channels, self.unet.config.sample_size
        x = torch.stack([torch.randn(c, size, size, generator=torch.Generator().manual_seed(s)) for s in seeds]).to(self.device)
        states = self.states(prompts)
        if guidance != 1:
            states = torch.cat([self.states([""] * len(prompts)), states])
        self.scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps))
        sigmas = self.scheduler.sigmas.tolist()
        for sigma, after in zip(sigmas, sigmas[1:]):
            t = torch.full((len(states),), 1000 * sigma, device=self.device)
            v = self.unet(x if guidance == 1 else torch.cat([x, x]), t, states).sample
            if guidance != 1:
                empty, named = v.chunk(2)
                v = empty + guidance * (named - empty)
            x = x + (after - sigma) * v
        out = self.vae.decode(x / self.vae.config.scaling_factor).sample
        return ((out.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def chequered(pictures):
    """RGBA bytes (n, h, w, 4) over light chequers, RGB."""
    line = np.arange(pictures.shape[1]) // 16 % 2
    ground = np.where(line[:, None] == line, 255, 226)[None, :, :, None]
    alpha = pictures[..., 3:] / 255
    return (pictures[..., :3] * alpha + ground * (1 - alpha)).round().astype(np.uint8)


def sheet(rows, labels):
    """Glues rows of RGB pictures (n, h, w, 3), each under its label."""
    height, width = rows[0].shape[1:3]
    out = Image.new("RGB", (width * len(rows[0]), (height + 14) * len(rows)), "white")
    draw = ImageDraw.Draw(out)
    for y, (row, label) in enumerate(zip(rows, labels)):
        draw.text((2, y * (height + 14) + 1), label, fill="black")
        out.paste(Image.fromarray(np.concatenate(row, 1)), (0, y * (height + 14) + 14))
    return out


def gallery(pipeline, steps, guidance, name="gallery.txt", across=8, most=None):
    """Pictures of a file's prompts in its order, so many a row, all of seed 0, over chequers; most: of the first so many prompts."""
    prompts = [p for p in (Path(__file__).parent / name).read_text().split("\n") if p][:most]
    rows = [chequered(pipeline(part, [0] * len(part), steps, guidance)) for part in
            (prompts[i : i + across] for i in range(0, len(prompts) - len(prompts) % across, across))]
    return np.concatenate([np.concatenate(row, 1) for row in rows])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--gallery", action="store_true")
    parser.add_argument("--prompts", type=Path, help="one prompt a line; default: the eight of the README")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--guidance", type=float, default=3.0)
    args = parser.parse_args()
    if args.gallery:
        sheets = [gallery(Pipeline(args.path), steps, args.guidance) for steps in (1, 2, 4)]
        gap = np.full((len(sheets[0]), 32, 3), 255, np.uint8)
        whole = Image.fromarray(np.concatenate([sheets[0], gap, sheets[1], gap, sheets[2]], 1))
        whole.resize((whole.width // 4, whole.height // 4), Image.Resampling.LANCZOS).save(args.out, quality=80)
        return
    prompts = args.prompts.read_text().splitlines() if args.prompts else PROMPTS
    pipeline = Pipeline(args.path)
    seeds = range(args.seeds)
    rows = [chequered(pipeline([p] * args.seeds, seeds, args.steps, args.guidance)) for p in prompts]
    sheet(rows, prompts).save(args.out)


if __name__ == "__main__":
    main()
