"""Makes the goldens of a diffusers pipeline directory: pictures by torch, step by step.

  python make.py DIR [OUT]    writes OUT/golden.json, PNGs and what each network gives on its own;
                              OUT is DIR's name, beside this script
  python make.py --tiny       makes the tiny pipelines, weights and all, and their goldens

The loop is that of diffusers' StableDiffusionPipeline, written out so that it
takes flow-matching schedulers too; where that pipeline accepts the scheduler,
the script requires its pictures to be the same.
"""

import argparse
import json
import shutil
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

import tiny

HERE = Path(__file__).parent
VERSIONS = {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}


class Pipeline:
    """The parts of a diffusers directory."""

    def __init__(self, directory):
        self.dir = Path(directory)
        self.tokenizer = CLIPTokenizer.from_pretrained(self.dir / "tokenizer")
        self.text = CLIPTextModel.from_pretrained(self.dir / "text_encoder").eval()
        self.unet = diffusers.UNet2DConditionModel.from_pretrained(self.dir / "unet").eval()
        self.vae = self.load("vae").eval()
        self.scale = 2 ** (len(self.vae.config.block_out_channels) - 1)

    def load(self, part):
        """Loads a part by the class that its own config names."""
        config = json.loads(next((self.dir / part).glob("*config.json")).read_text())
        return getattr(diffusers, config["_class_name"]).from_pretrained(self.dir / part)

    def hidden(self, prompt):
        length = self.tokenizer.model_max_length
        ids = self.tokenizer(prompt, padding="max_length", truncation=True, max_length=length, return_tensors="pt").input_ids
        return self.text(ids).last_hidden_state

    def draw(self, prompt, negative_prompt, seed, steps, guidance, width, height, schedule=""):
        """One picture, (h, w, 3) uint8. The trailing schedule is the sigmas that the Flux pipeline asks for."""
        scheduler = self.load("scheduler")
        if schedule == "trailing":
            scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps))
        else:
            scheduler.set_timesteps(steps)
        cond, uncond = self.hidden(prompt), self.hidden(negative_prompt)
        shape = (1, self.unet.config.in_channels, height // self.scale, width // self.scale)
        x = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))
        x = x * getattr(scheduler, "init_noise_sigma", 1.0)
        for t in scheduler.timesteps:
            scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
            if guidance > 1:
                out = self.unet(torch.cat([scaled] * 2), t, torch.cat([uncond, cond])).sample
                u, c = out.chunk(2)
                out = u + guidance * (c - u)
            else:
                out = self.unet(scaled, t, cond).sample
            x = scheduler.step(out, t, x).prev_sample
        shift = getattr(self.vae.config, "shift_factor", None) or 0
        image = self.vae.decode(x / self.vae.config.scaling_factor + shift).sample
        image = (image / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0).numpy()
        return (image * 255).round().astype("uint8")

    def reference(self, prompt, negative_prompt, seed, steps, guidance, width, height, schedule=""):
        """The same by StableDiffusionPipeline, or None for a scheduler that it does not take."""
        scheduler = self.load("scheduler")
        if schedule or not hasattr(scheduler, "init_noise_sigma"):
            return None
        pipe = diffusers.StableDiffusionPipeline(
            self.vae, self.text, self.tokenizer, self.unet, scheduler, None, None, requires_safety_checker=False)
        pipe.set_progress_bar_config(disable=True)
        image = pipe(prompt, negative_prompt=negative_prompt, num_inference_steps=steps, guidance_scale=guidance,
                     width=width, height=height, generator=torch.Generator("cpu").manual_seed(seed)).images[0]
        return np.asarray(image)


def psnr(a, b):
    mse = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return 99.0 if mse == 0 else 10 * np.log10(255**2 / mse)


def goldens(directory, out, settings):
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.png"):
        old.unlink()
    pipeline, cases, pictures = Pipeline(directory), [], []
    for i, s in enumerate(settings):
        files = []
        for j in range(s.pop("count", 1)):
            one = s | {"seed": s["seed"] + j}
            picture = pipeline.draw(**one)
            ref = pipeline.reference(**one)
            assert ref is None or psnr(picture, ref) > 60, "StableDiffusionPipeline draws something else"
            files.append(f"{i}.png" if j == 0 else f"{i}_{j}.png")
            Image.fromarray(picture).save(out / files[-1], optimize=True)
            pictures.append(picture)
            print(f"{out.name}/{files[-1]}: mean {picture.mean():.1f}, std {picture.std():.1f}, "
                  f"at the limits {np.mean((picture == 0) | (picture == 255)):.2f}, "
                  f"checked against StableDiffusionPipeline: {ref is not None}", flush=True)
        cases.append(s | {"files": files})
    (out / "golden.json").write_text(json.dumps({"versions": VERSIONS, "cases": cases}, indent=1) + "\n")
    same = [psnr(a, b) for i, a in enumerate(pictures) for b in pictures[:i] if a.shape == b.shape]
    print(f"{out.name}: the closest two pictures are at {max(same, default=0):.1f} dB")


def modules(directory, out):
    """Writes each network's inputs and outputs on its own: OUT/text_encoder.safetensors and so on, images channels-last."""
    p, gen = Pipeline(directory), torch.Generator().manual_seed(1)
    randn = lambda *shape: torch.randn(shape, generator=gen)
    last = lambda x: x.permute(0, 2, 3, 1)

    def save(name, inputs, outputs):
        tensors = {f"in.{k}": v for k, v in inputs.items()} | {f"out.{k}": v for k, v in outputs.items()}
        save_file({k: v.contiguous() for k, v in tensors.items()}, out / f"{name}.safetensors")

    prompts = ["red heart", "a house under a rainbow, flat style"]
    ids = p.tokenizer(prompts, padding="max_length", return_tensors="pt").input_ids
    hidden = p.text(ids).last_hidden_state
    save("text_encoder", {"ids": ids.int()}, {"hidden": hidden})
    x = randn(2, p.unet.config.in_channels, 8, 8)
    t = torch.tensor(501.0)
    save("unet", {"sample": last(x), "context": hidden, "timestep_embedding": p.unet.get_time_embed(x, t)},
         {"sample": last(p.unet(x, t, hidden).sample)})
    z = randn(1, p.unet.config.in_channels, 8, 8)
    save("vae", {"latents": last(z)}, {"image": last(p.vae.decode(z).sample)})


def settings(directory):
    """Four prompts, seeds and step counts at the model's own size and guidance."""
    read = lambda name: json.loads((Path(directory) / name).read_text())
    defaults = read("wisp.json") if (Path(directory) / "wisp.json").exists() else {"guidance": 7.5}
    unet, vae = read("unet/config.json"), read("vae/config.json")
    size = unet["sample_size"] * 2 ** (len(vae["block_out_channels"]) - 1)
    prompts = ("red heart", "pizza, 3d style", "cat face, twemoji style", "a house under a rainbow")
    return [
        dict(prompt=p, negative_prompt="", seed=seed, steps=steps, guidance=defaults["guidance"], width=size, height=size,
             schedule=defaults.get("schedule", ""))
        for p, seed, steps in zip(prompts, (1, 42, 2**32 + 7, 123456789), (2, 4, 8, 20))
    ]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dir", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    if args.tiny:
        for name, make in tiny.PIPELINES.items():
            model = HERE / name / "model"
            shutil.rmtree(model, ignore_errors=True)
            make(model)
            goldens(model, HERE / name, [dict(s) for s in tiny.SETTINGS])
    if args.dir:
        out = args.out or HERE / args.dir.name
        goldens(args.dir, out, settings(args.dir))
        modules(args.dir, out)


if __name__ == "__main__":
    with torch.no_grad():
        main()
