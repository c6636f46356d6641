"""Draws the goldens of modes with diffusers' own pipelines, on the tiny models of ../pipeline.

  python make.py    writes golden.json, a picture for each of its cases, and the resized pictures

golden.json names a request's fields as site/wisp.d.ts does.
"""

import json
import sys
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from PIL import Image

HERE = Path(__file__).parent
VERSIONS = {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
ANCESTRAL = diffusers.EulerAncestralDiscreteScheduler(**BETAS, steps_offset=1)
HEUN = diffusers.HeunDiscreteScheduler(**BETAS)


def sketch():
    """photo.png: waves of colour around a disc."""
    y, x = np.mgrid[0:34, 0:45]
    waves = np.stack([np.sin(x / 5 + y / 9), np.cos(x / 11 - y / 4), np.sin((x + y) / 7)], -1) * 90 + 128
    waves[(x - 25) ** 2 + (y - 15) ** 2 < 90] = (230, 40, 60)
    Image.fromarray(waves.round().astype("uint8")).save(HERE / "photo.png", optimize=True)


def photo(width, height):
    return Image.open(HERE / "photo.png").convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def request(**fields):
    return dict(prompt="red cat", negativePrompt="", seed=3, steps=4, guidance=3.0, width=40, height=32) | fields


def load(model, cls, scheduler=None):
    pipe = cls.from_pretrained(HERE.parent / "pipeline" / model / "model", torch_dtype=torch.float32, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    if scheduler is not None:
        pipe.scheduler = scheduler
    return pipe


def call(pipe, r, **more):
    given = dict(prompt=r["prompt"], num_inference_steps=r["steps"], guidance_scale=r["guidance"], output_type="np",
                 generator=torch.Generator("cpu").manual_seed(r["seed"]))
    if r["negativePrompt"]:
        given["negative_prompt"] = r["negativePrompt"]
    return pipe(**given, **more).images[0]


def img2img(model, cls=diffusers.StableDiffusionImg2ImgPipeline, scheduler=None, **fields):
    r = request(image="photo.png", **fields)
    picture = call(load(model, cls, scheduler), r, image=photo(r["width"], r["height"]), strength=r["strength"])
    return model, scheduler, r, picture


CASES = {
    "img2img": lambda: img2img("tiny_ddim_kl", strength=0.6),
    "img2img_half": lambda: img2img("tiny_ddim_kl", strength=0.3, steps=10, width=24, height=36, guidance=1.0),
    "img2img_taesd": lambda: img2img("tiny_euler_v", strength=0.75, seed=2**32 + 9),
    "img2img_ancestral": lambda: img2img("tiny_ddim_kl", strength=0.7, steps=10, scheduler=ANCESTRAL),
    "img2img_second_order": lambda: img2img("tiny_ddim_kl", strength=0.5, steps=6, scheduler=HEUN),
}


def main(names):
    torch.set_num_threads(1)
    sketch()
    for w, h in (45, 20), (17, 34), (90, 51), (8, 8):
        photo(w, h).save(HERE / f"resized_{w}x{h}.png", optimize=True)
    file = HERE / "golden.json"
    cases = {c["name"]: c for c in json.loads(file.read_text())["cases"]} if names else {}
    for name in names or CASES:
        model, scheduler, fields, picture = CASES[name]()
        assert np.isfinite(picture).all()
        picture = (picture * 255).round().astype("uint8")
        Image.fromarray(picture).save(HERE / f"{name}.png", optimize=True)
        print(f"{name}: {picture.shape}, mean {picture.mean():.1f}, std {picture.std():.1f}, "
              f"at the limits {np.mean((picture == 0) | (picture == 255)):.2f}", flush=True)
        cases[name] = dict(name=name, model=model, request=fields)
        if scheduler is not None:
            cases[name]["scheduler"] = json.loads(scheduler.to_json_string().replace("-Infinity", "null"))
    text = ",\n".join(json.dumps(cases[name]) for name in CASES if name in cases)
    file.write_text('{"versions": ' + json.dumps(VERSIONS) + ', "cases": [\n' + text + "\n]}\n")


if __name__ == "__main__":
    with torch.no_grad():
        main(sys.argv[1:])
