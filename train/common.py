"""Paths, constants and the clock, devices and checkpoints that the training scripts share."""

import os
import time
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ.get("WISP_TRAIN_DIR", "~/wisp-train")).expanduser()
PAUSE = Path(os.environ.get("WISP_TRAIN_PAUSE", WORK / "PAUSE"))

torch.backends.cudnn.benchmark = True  # all batches are of one size

TRIAL = bool(os.environ.get("WISP_TRAIN_TRIAL"))  # tiny batches, nothing compiled: to see that all runs

SIZE = 256  # pixels of a picture's side
LATENT = 16  # cells of a latent's side

# style key -> (words of the caption, how often a picture of it is drawn). The first nine are emoji.
STYLES = {
    "noto": ("noto style", 1.0),
    "twemoji": ("twemoji style", 1.0),
    "flat": ("flat style", 1.0),
    "3d": ("3d style", 1.0),
    "blob": ("blob style", 0.5),
    "emojione": ("emojione style", 0.5),
    "gradient": ("gradient style", 0.5),
    "firefox": ("firefox style", 0.25),
    "outline": ("outline style", 0.25),
    "clip art": ("clip art style", 0.3),
    "icon-park": ("line icon style", 0.12),
    "fluent-color": ("gradient icon style", 0.12),
    "meteocons": ("weather icon style", 0.12),
    "flat-color-icons": ("flat icon style", 0.12),
    "streamline-color": ("duotone icon style", 0.08),
    "streamline-plump-color": ("plump icon style", 0.08),
    "streamline-sharp-color": ("sharp icon style", 0.08),
    "streamline-flex-color": ("soft icon style", 0.08),
    "streamline-ultimate-color": ("detailed icon style", 0.08),
    "streamline-freehand-color": ("freehand style", 0.12),
    "streamline-kameleon-color": ("badge style", 0.12),
    "streamline-stickies-color": ("sticker style", 0.12),
    "streamline-cyber-color": ("cyber style", 0.08),
}
# What a seed may choose where nobody chose a style: those that keep a colour that was asked for.
ANY_STYLE = ("noto", "twemoji", "flat", "3d", "blob", "emojione", "gradient", "firefox")
EMOJI = tuple(STYLES)[:9]


def bfloat16(device):
    """Whether the device computes in bfloat16: a processor without it is ten times slower in it than in float32."""
    if device == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return True


def mixed(device="cpu"):
    """Autocast to bfloat16; nothing where that is slow."""
    return torch.autocast(device, torch.bfloat16, enabled=bfloat16(device))


def compiled(module):
    """torch.compile: minutes the first time, twice the samples from then on."""
    return module if TRIAL else torch.compile(module)


def save(obj, path):
    """Writes a checkpoint so that a kill at any moment leaves the old or the new one whole."""
    tmp = path.with_suffix(".tmp")
    torch.save(obj, tmp)
    os.replace(tmp, path)


class Clock:
    """Counts a training's minutes over all its runs: of the core on a processor, of the wall elsewhere.

    tick() waits while PAUSE is there and tells the part of `total` minutes that is done.
    """

    def __init__(self, device, total, before=0.0):
        self.now = time.process_time if device == "cpu" else time.monotonic
        self.total, self.before, self.start = total, before, self.now()

    def minutes(self):
        return self.before + (self.now() - self.start) / 60

    def tick(self):
        waited = self.now()
        while PAUSE.exists():
            time.sleep(0.5)
        self.start += self.now() - waited
        return min(1.0, self.minutes() / self.total)


def log(name, text):
    """Prints a line with the time, and appends it to log/NAME.log."""
    line = f"{time.strftime('%m-%d %H:%M:%S')} {text}"
    print(line, flush=True)
    (WORK / "log").mkdir(parents=True, exist_ok=True)
    with open(WORK / "log" / f"{name}.log", "a") as out:
        out.write(line + "\n")
