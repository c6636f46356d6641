"""Makes pictures that no package has: things in other colours, two together, several, on coloured grounds.

  python compose.py    after data.py; writes composed.u8 and composed.json

Each row is {caption, style, kind}. No prompt of compositional.txt is made, in
either order of its things, and nothing is made from a held-out picture.
"""

import json
import random
import subprocess
from collections import Counter

import numpy as np
from PIL import Image

from autoencoder import images
from colours import PALETTE, dominant, paint
from common import HERE, SIZE, WORK

MAIN = ("noto", "twemoji", "flat", "3d")  # the styles with every concept
PAIRS, STACKS, GROUNDS = 900, 500, 800

# plain name -> emoji label of the things that are combined
THINGS = {
    "apple": "red apple", "car": "automobile", "cat": "cat face", "dog": "dog face", "fish": "tropical fish",
    "bird": "bird", "umbrella": "umbrella", "mushroom": "mushroom", "rocket": "rocket", "guitar": "guitar",
    "robot": "robot", "rose": "rose", "book": "closed book", "house": "house", "butterfly": "butterfly",
    "frog": "frog", "whale": "whale", "donut": "doughnut", "crown": "crown", "heart": "red heart",
    "balloon": "balloon", "star": "star", "tulip": "tulip", "tree": "deciduous tree", "bus": "bus",
    "bicycle": "bicycle", "truck": "pickup truck", "tractor": "tractor", "airplane": "airplane",
    "sailboat": "sailboat", "shoe": "running shoe", "t-shirt": "t-shirt", "dress": "dress", "gift": "wrapped gift",
    "bell": "bell", "key": "key", "octopus": "octopus", "rabbit": "rabbit face", "bear": "bear", "fox": "fox",
    "panda": "panda", "dinosaur": "sauropod", "turtle": "turtle", "snail": "snail", "crab": "crab",
    "cupcake": "cupcake", "candy": "candy", "lollipop": "lollipop", "strawberry": "strawberry", "pear": "pear",
    "banana": "banana", "lemon": "lemon", "pepper": "bell pepper", "flower": "blossom", "leaf": "maple leaf",
    "ghost": "ghost", "alien": "alien", "skull": "skull", "gem": "gem stone", "teddy bear": "teddy bear",
    "backpack": "backpack", "chair": "chair", "moon": "crescent moon", "sun": "sun", "cloud": "cloud",
    "socks": "socks", "top hat": "top hat", "ufo": "flying saucer", "elephant": "elephant", "pig": "pig face",
    "owl": "owl", "bat": "bat", "penguin": "penguin", "unicorn": "unicorn", "handbag": "handbag", "drum": "drum",
    "pizza": "pizza", "cactus": "cactus", "pumpkin": "jack-o-lantern", "rainbow": "rainbow", "cake": "birthday cake",
    "hamburger": "hamburger", "sunflower": "sunflower", "christmas tree": "christmas tree", "snowman": "snowman",
    "trophy": "trophy", "camera": "camera", "lion": "lion", "snake": "snake",
}
NOT_PAINTED = {"rainbow", "pizza", "christmas tree", "pumpkin", "trophy", "camera", "hamburger", "snowman", "sun", "sunflower", "cake"}


def several(name):
    """The plural of a thing's name, '' where there is none to speak of."""
    if name in ("socks", "fish", "pizza", "rainbow"):
        return ""
    if name == "leaf":
        return "leaves"
    if name[-2:] in ("ry", "ly", "hy", "dy"):
        return name[:-1] + "ies"
    return name + ("es" if name[-1] in "shx" else "s")


def small(picture, side):
    return np.array(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS))


def place(*parts):
    """Pictures (side, side, 3) on one white ground at (y, x)."""
    out = np.full((SIZE, SIZE, 3), 255, np.uint8)
    for part, y, x in parts:
        h, w = part.shape[:2]
        out[y : y + h, x : x + w] = np.minimum(out[y : y + h, x : x + w], part)
    return out


def ground(word):
    """A background's colour: the palette's, a third of the way to white."""
    return tuple(round(c + (255 - c) * 0.3) for c in PALETTE[word])


def main():
    rng = random.Random(0)
    art, rows = images()
    jobs = json.loads((WORK / "jobs.json").read_text())
    never = set((HERE / "compositional.txt").read_text().split("\n"))
    of = {v: k for k, v in THINGS.items()}
    index = {(of[r["label"]], r["style"]): i for i, r in enumerate(rows)
             if r["label"] in of and r["style"] in MAIN and not r["heldout"]}
    missing = {n for n in THINGS if not any((n, s) in index for s in MAIN)}
    assert not missing, missing
    out, made = [], []

    def add(picture, caption, style, kind):
        out.append(picture)
        made.append({"caption": caption, "style": style, "kind": kind})

    for (name, style), i in index.items():
        own = dominant(art[i])
        for word in PALETTE:
            if name in NOT_PAINTED or word == own or f"{word} {name}" in never:
                continue
            if (picture := paint(art[i], word)) is not None:
                add(picture, f"{word} {name}", style, "colour")
        if plural := several(name):
            half = small(art[i], 64)
            if f"two {plural}" not in never:
                add(place((half, 32, 0), (half, 32, 64)), f"two {plural}", style, "count")
            if f"three {plural}" not in never:
                add(place((half, 4, 32), (half, 62, 0), (half, 62, 64)), f"three {plural}", style, "count")
    names = list(THINGS)

    def two(joined):
        """A random style and two things in it, neither order of which is held out."""
        while True:
            style, (a, b) = rng.choice(MAIN), rng.sample(names, 2)
            if (a, style) in index and (b, style) in index and not {joined.format(a, b), joined.format(b, a)} & never:
                return style, a, b, small(art[index[a, style]], 64), small(art[index[b, style]], 64)

    for _ in range(PAIRS):
        style, a, b, left, right = two("{} and {}")
        add(place((left, 32, 0), (right, 32, 64)), f"{a} and {b}", style, "pair")
    for _ in range(STACKS):
        style, a, b, top, bottom = two("{} above {}")
        add(place((top, 0, 32), (bottom, 64, 32)), f"{a} above {b}", style, "pair")
    todo = []
    while len(todo) < GROUNDS:
        (name, style), word = rng.choice(list(index)), rng.choice(list(PALETTE))
        caption = f"{name} on {'an' if word[0] in 'aeiou' else 'a'} {word} background"
        if caption not in never:
            todo.append({**jobs[index[name, style]], "background": "#%02x%02x%02x" % ground(word)})
            made.append({"caption": caption, "style": style, "kind": "ground"})
    (WORK / "grounds.json").write_text(json.dumps(todo))
    subprocess.run(["node", HERE / "render.mjs", WORK / "grounds.json", WORK / "grounds.u8"], cwd=WORK / "npm", check=True)
    grounds = np.fromfile(WORK / "grounds.u8", np.uint8).reshape(-1, SIZE, SIZE, 3)
    np.concatenate([np.stack(out), grounds]).tofile(WORK / "composed.u8")
    (WORK / "composed.json").write_text(json.dumps(made))
    print(len(made), "composed pictures:", dict(Counter(m["kind"] for m in made)))


if __name__ == "__main__":
    main()
