"""Writes contact.png: for each source its counts and 24 of its pictures.

  python contact.py    after data.py and compose.py
"""

import json
import random

import numpy as np

from autoencoder import images
from common import SIZE, WORK
from sample import sheet

SHOWN = 24


def main():
    art, rows = images()
    made = json.loads((WORK / "composed.json").read_text())
    composed = np.memmap(WORK / "composed.u8", np.uint8, "r", shape=(len(made), SIZE, SIZE, 3))
    counts = json.loads((WORK / "counts.json").read_text())
    groups = {
        f"{style}: {n['pictures']} pictures, {n['denoiser']} for the denoiser, {n['held out']} held out":
        art[shown([i for i, r in enumerate(rows) if r["style"] == style])] for style, n in counts.items()
    }
    for kind in sorted({m["kind"] for m in made}):
        index = [i for i, m in enumerate(made) if m["kind"] == kind]
        groups[f"composed, {kind}: {len(index)} pictures for the denoiser"] = composed[shown(index)]
    sheet(list(groups.values()), groups).save(WORK / "contact.png")
    print("wrote", WORK / "contact.png")


def shown(index):
    """SHOWN of the index, at random but the same each time."""
    return random.Random(0).sample(index, SHOWN)


if __name__ == "__main__":
    main()
