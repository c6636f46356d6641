"""Writes contact.png: for each source its counts and 24 of its pictures.

  python contact.py    after render.py; compose.py has a sheet of its own
"""

import json
import random

from common import WORK
from render import images
from sample import chequered, sheet

SHOWN = 24


def main():
    art, rows = images()
    counts = json.loads((WORK / "counts.json").read_text())
    groups = {
        f"{style}: {n['pictures']} pictures, {n['held out']} held out":
        chequered(art[shown([i for i, r in enumerate(rows) if r["style"] == style])][:, ::2, ::2]) for style, n in counts.items()
    }
    sheet(list(groups.values()), groups).save(WORK / "contact.png")
    print("wrote", WORK / "contact.png")


def shown(index):
    """SHOWN of the index, at random but the same each time."""
    return random.Random(0).choices(index, k=SHOWN)


if __name__ == "__main__":
    main()
