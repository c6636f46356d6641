"""Writes an ordinary diffusers pipeline directory.

  python export.py DIR            the trained weights, float32
  python export.py DIR --weights student-match.pt --steps 4 --guidance 1
  python export.py DIR --packed MODEL --steps 4 --guidance 1    text encoder and UNet from a packed model, to pack again as they are
  python export.py DIR --random   the same architecture, untrained (seed 0)
"""

import argparse
import json
import os
import shutil
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderTiny

import configs
import packed
import tokenizer
import words
from common import ANY_STYLE, SIZE, STYLES, WORK

SCHEDULE = "trailing"
EXAMPLES = [
    "red heart", "rainbow", "crying face", "tree", "fox", "castle", "burger", "rocket",
]


GERMAN = {
    "flat style": "flach", "gradient style": "Verlauf", "outline style": "Umriss", "clip art style": "Cliparts", "line icon style": "Liniensymbol",
    "gradient icon style": "Symbol mit Verlauf", "weather icon style": "Wettersymbol", "flat icon style": "flaches Symbol",
    "duotone icon style": "zweifarbiges Symbol", "plump icon style": "rundliches Symbol", "sharp icon style": "kantiges Symbol",
    "soft icon style": "weiches Symbol", "detailed icon style": "genaues Symbol", "freehand style": "Freihand", "badge style": "Abzeichen",
    "sticker style": "Aufkleber",
}


def model_index():
    """What diffusers' pipeline loader reads first: library and class of each component."""
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
    }


def defaults(steps, guidance):
    """What the page starts with, and the model's words."""
    return {
        "steps": steps,
        "guidance": guidance,
        "schedule": SCHEDULE,
        "styles": [said for said, _ in STYLES.values()],
        "anyStyle": [STYLES[key][0] for key in ANY_STYLE],
        "examples": EXAMPLES,
        "best": {"steps": [1, steps], "guidance": [guidance, guidance], "width": [SIZE, SIZE], "height": [SIZE, SIZE]},
        "names": {"de": GERMAN},
        "concepts": words.concepts(json.loads((WORK / "manifest.json").read_text())),
    }


def write(out, random, weights, model, steps, guidance):
    """Builds the directory beside its final place, then renames: readers never see half of it."""
    torch.manual_seed(0)
    vocabulary = tokenizer.load()
    text, net = configs.text_encoder(vocabulary), configs.unet()
    vae = configs.autoencoder()
    if not random:
        trained = AutoencoderTiny.from_pretrained(WORK / "vae")
        vae.load_state_dict(trained.state_dict())
        vae.register_to_config(scaling_factor=trained.config.scaling_factor)  # and no path of this machine
        if model:
            trained = packed.weights(model)
            text.load_state_dict(trained["text_encoder"])
            net.load_state_dict(trained["unet"])
        else:
            trained = torch.load(WORK / weights, mmap=True, map_location="cpu")["ema"]
            text.load_state_dict(trained["text"])
            net.load_state_dict(trained["unet"])
    tmp = out.with_name(out.name + ".tmp")
    shutil.rmtree(tmp, ignore_errors=True)
    for name, part in ("text_encoder", text), ("unet", net), ("vae", vae), ("scheduler", configs.scheduler()):
        part.save_pretrained(tmp / name)
    shutil.copytree(WORK / "tokenizer", tmp / "tokenizer")
    (tmp / "model_index.json").write_text(json.dumps(model_index(), indent=2))
    (tmp / "wisp.json").write_text(json.dumps(defaults(steps, guidance), ensure_ascii=False, separators=(",", ":")))
    old = out.with_name(out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        os.rename(out, old)
    os.rename(tmp, out)
    shutil.rmtree(old, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--weights", default="denoiser.pt", help="a checkpoint in $WISP_TRAIN_DIR")
    parser.add_argument("--packed", type=Path, metavar="MODEL", help="instead of --weights")
    parser.add_argument("--steps", type=int, default=6, help="the page's default")
    parser.add_argument("--guidance", type=float, default=3.0, help="likewise; 1 for a student that has it folded in")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write(args.out, args.random, args.weights, args.packed, args.steps, args.guidance)
    print("wrote", args.out)


if __name__ == "__main__":
    main()
