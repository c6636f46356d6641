"""Paths and constants shared by the training scripts."""

import os
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ.get("WISP_TRAIN_DIR", "~/wisp-train")).expanduser()
PAUSE = Path(os.environ.get("WISP_TRAIN_PAUSE", WORK / "PAUSE"))

SIZE = 128  # pixels of a picture's side
LATENT = 16  # cells of a latent's side

# style key -> (words of the caption, how often it is drawn)
STYLES = {
    "noto": ("noto style", 1.0),
    "twemoji": ("twemoji style", 1.0),
    "flat": ("flat style", 1.0),
    "3d": ("3d style", 1.0),
    "blob": ("blob style", 0.5),
    "emojione": ("emojione style", 0.5),
    "gradient": ("gradient style", 0.4),
    "firefox": ("firefox style", 0.25),
    "outline": ("outline style", 0.25),
}


# what networks compute in: bfloat16 is ten times slower than float32 where the processor has no arithmetic for it
HALF = torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else torch.float32


def mixed():
    """Autocast to HALF; nothing where that is float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=HALF is torch.bfloat16)


def save(obj, path):
    """Writes a checkpoint so that a kill at any moment leaves the old or the new one whole."""
    tmp = path.with_suffix(".tmp")
    torch.save(obj, tmp)
    os.replace(tmp, path)
