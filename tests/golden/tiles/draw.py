"""Makes the golden of tiled decoding and encoding: a small Stable Diffusion drawn by diffusers after enable_vae_tiling.

  python draw.py       writes here: model, golden.json, a picture from words and one from ../modes/photo.png, and says how far they
                       are from those without tiles
"""
import json
import shutil
import sys
from pathlib import Path

import diffusers
import numpy as np
import torch
from PIL import Image

OUT = Path(__file__).parent
sys.path[:0] = [str(OUT.parent), str(OUT.parent / "pipeline")]
import kinds  # noqa: E402
from seeded import freeze  # noqa: E402

CASE = dict(prompt="red cat", negative_prompt="", seed=1, steps=3, guidance=4.0, width=40, height=56)


def main():
    model = OUT / "model"
    shutil.rmtree(model, ignore_errors=True)
    model.mkdir()
    tok, text = kinds.clip(model, "tokenizer", 300)
    vae = kinds.kl(301, sample_size=16)
    unet, scheduler = kinds.unet(302), diffusers.DDIMScheduler(**kinds.SD_BETAS, set_alpha_to_one=False, steps_offset=1, clip_sample=False)
    parts = vae, text, tok, unet, scheduler, None, None
    words = diffusers.StableDiffusionPipeline(*parts, requires_safety_checker=False)
    words.save_pretrained(model)
    freeze(model)
    (model / "tokenizer/tokenizer.json").unlink(missing_ok=True)
    photo = diffusers.StableDiffusionImg2ImgPipeline(*parts, requires_safety_checker=False)
    image = Image.open(OUT.parent / "modes/photo.png").convert("RGB").resize((CASE["width"], CASE["height"]), Image.LANCZOS)
    pictures = {}
    for tiled in False, True:
        (vae.enable_tiling if tiled else vae.disable_tiling)()
        for pipe, more in (words, dict(width=CASE["width"], height=CASE["height"])), (photo, dict(image=image, strength=0.7)):
            pipe.set_progress_bar_config(disable=True)
            picture = pipe(CASE["prompt"], num_inference_steps=CASE["steps"], guidance_scale=CASE["guidance"], output_type="np",
                           generator=torch.Generator().manual_seed(CASE["seed"]), **more).images[0]
            pictures[tiled, more.get("strength", 1)] = (picture * 255).round().astype("uint8")
    image.save(OUT / "image.png", optimize=True)
    cases = []
    for i, strength in enumerate((1, 0.7)):
        Image.fromarray(pictures[True, strength]).save(OUT / f"{i}.png", optimize=True)
        cases.append(CASE | {"files": [f"{i}.png"]})
        difference = (pictures[True, strength].astype(float) - pictures[False, strength]) ** 2
        print(f"{i}.png: std {pictures[True, strength].std():.1f}, without tiles {10 * np.log10(255**2 / difference.mean()):.1f} dB")
    (OUT / "golden.json").write_text(json.dumps({"versions": kinds.VERSIONS, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    with torch.no_grad():
        main()
