"""Pictures that no package has: things in other colours, several, beside, above, on, in and held by others, on coloured grounds.

  python compose.py    after render.py; writes composed.json and sheets/composed.png

A row of composed.json is a recipe, {caption, style, kind, rows, word, seed}; batches() draws
them where they are needed, always alike. No prompt of compositional.txt is made, in
either order of its things, and nothing is made from a held-out picture.
"""

import json
import multiprocessing
import os
import random
import re
from collections import Counter

import numpy as np
from PIL import Image

from colours import PALETTE, dominant, paint
from common import HERE, SIZE, WORK
from render import images, on_ground

RECIPES = WORK / "composed.json"
MAIN = ("noto", "twemoji", "flat", "3d")  # the styles with every concept
HOW_MANY = {"and": 1400, "above": 900, "on": 1100, "in": 800, "holding": 1100, "ground": 1200}
WORDS = {"two": 2, "three": 3, "four": 4}

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


# what a thing may stand on, be in, and who may hold what
SUPPORTS = ("chair", "car", "bus", "truck", "tractor", "book", "drum", "house", "tree", "cake", "elephant", "whale", "turtle",
            "rocket", "sailboat", "mushroom", "moon", "cloud", "star", "bicycle", "pizza", "top hat", "teddy bear")
CONTAINERS = ("gift", "bell", "umbrella", "car", "bus", "sailboat", "house", "donut", "flower", "heart", "cloud", "top hat",
              "handbag", "backpack", "shoe", "crown", "truck", "pumpkin", "cupcake")
HOLDERS = ("cat", "dog", "bear", "rabbit", "panda", "penguin", "robot", "alien", "ghost", "octopus", "frog", "unicorn", "fox",
           "owl", "pig", "lion", "teddy bear", "snowman", "dinosaur")
HELD = ("balloon", "flower", "heart", "star", "apple", "key", "book", "umbrella", "gift", "guitar", "candy", "banana", "crown", "rose",
        "cupcake", "lemon", "lollipop", "strawberry", "tulip", "bell", "pear", "gem", "donut", "mushroom", "trophy", "leaf")
def several(name):
    """The plural of a thing's name, '' where there is none to speak of."""
    if name in ("socks", "fish", "pizza", "rainbow"):
        return ""
    if name == "leaf":
        return "leaves"
    if name[-2:] in ("ry", "ly", "hy", "dy"):
        return name[:-1] + "ies"
    return name + ("es" if name[-1] in "shx" else "s")


def bare(text):
    """A prompt without its articles, as prompts that must never be made are compared."""
    return re.sub(r"\b(a|an) ", "", text)


def never():
    """The prompts of compositional.txt without articles, and what says the same with the things exchanged."""
    out = set()
    for line in filter(None, (HERE / "compositional.txt").read_text().split("\n")):
        line = bare(line)
        out.add(line)
        for word, back in (("and", "and"), ("above", "below"), ("below", "above")):
            if f" {word} " in line:
                out.add(f" {back} ".join(reversed(line.split(f" {word} "))))
    return out


def recipes(art, rows):
    """All of them, the same each time."""
    rng, left_out = random.Random(0), never()
    of = {v: k for k, v in THINGS.items()}
    index = {(of[r["label"]], r["style"]): i for i, r in enumerate(rows)
             if r["label"] in of and r["style"] in MAIN and not r["heldout"]}
    out = []

    def add(caption, style, kind, *parts, word=None):
        if bare(caption) not in left_out:
            out.append({"caption": caption, "style": style, "kind": kind, "rows": parts, "word": word, "seed": len(out)})
            return 1
        return 0

    for (name, style), i in index.items():
        own = dominant(on_ground(art[i, ::2, ::2]))
        for word in PALETTE:
            if name not in NOT_PAINTED and word != own:
                add(f"{word} {name}", style, "colour", i, word=word)
        for word in WORDS if several(name) else ():
            add(f"{word} {several(name)}", style, "count", i, word=word)
    names = list(THINGS)
    sides = {"and": (names, names), "above": (names, names), "on": (names, SUPPORTS), "in": (names, CONTAINERS), "holding": (HOLDERS, HELD)}
    for kind, (first, second) in sides.items():
        made = tried = 0
        most = min(HOW_MANY[kind], 4 * len(index))  # few pictures make fewer
        while made < most and (tried := tried + 1) < 100 * most:
            style, a, b = rng.choice(MAIN), rng.choice(first), rng.choice(second)
            if a != b and (a, style) in index and (b, style) in index:
                caption = f"{b} below {a}" if kind == "above" and rng.random() < 0.4 else f"{a} {kind} {b}"
                made += add(caption, style, kind, index[a, style], index[b, style])
    for _ in range(min(HOW_MANY["ground"], 4 * len(index))):
        (name, style), word = rng.choice(list(index)), rng.choice(list(PALETTE))
        add(f"{name} on {'an' if word[0] in 'aeiou' else 'a'} {word} background", style, "ground", index[name, style], word=word)
    return out


def trimmed(picture, height, width):
    """What is drawn of an RGBA picture, as large as the box allows."""
    ys, xs = (np.flatnonzero((picture[..., 3] > 20).any(axis)) for axis in (1, 0))
    part = Image.fromarray(picture[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1])
    scale = min(height / part.height, width / part.width)
    return np.array(part.resize((max(1, round(part.width * scale)), max(1, round(part.height * scale))), Image.Resampling.LANCZOS))


def lay(canvas, part, y, x):
    """Draws an RGBA part over the canvas with its upper left at (y, x), kept inside."""
    h, w = part.shape[:2]
    y, x = int(np.clip(y, 0, SIZE - h)), int(np.clip(x, 0, SIZE - w))
    ground = canvas[y : y + h, x : x + w]
    a, b = part[..., 3:] / 255, ground[..., 3:] / 255
    alpha = a + b * (1 - a)
    colour = (part[..., :3] * a + ground[..., :3] * b * (1 - a)) / np.maximum(alpha, 1e-6)
    canvas[y : y + h, x : x + w] = np.concatenate([colour, alpha * 255], -1).round().astype(np.uint8)


def drawn(recipe, art):
    """The recipe's picture, (256, 256, 4) bytes."""
    rng = random.Random(recipe["seed"])
    pictures = [np.array(art[i]) for i in recipe["rows"]]
    kind, word, first = recipe["kind"], recipe["word"], pictures[0]
    canvas = np.zeros((SIZE, SIZE, 4), np.uint8)
    size = lambda low, high: rng.randint(low, high)
    if kind == "colour":
        whole = np.where(first[..., 3:] == 0, 255, first[..., :3]).astype(np.uint8)
        painted = paint(whole, word)
        return first if painted is None else np.concatenate([painted, first[..., 3:]], -1)
    if kind == "ground":
        canvas[:] = (*(round(c + (255 - c) * 0.3) for c in PALETTE[word]), 255)
        lay(canvas, trimmed(first, size(190, 240), 230), 128 - 110, 14)
        return canvas
    if kind == "count":
        part = trimmed(first, 120, 120)
        places = {"two": ((64, 0), (64, 136)), "three": ((8, 68), (128, 0), (128, 136)), "four": ((0, 0), (0, 136), (136, 0), (136, 136))}
        for y, x in places[word]:
            lay(canvas, part, y + (120 - part.shape[0]) // 2, x + (120 - part.shape[1]) // 2)
        return canvas
    second = pictures[1]
    middle = lambda part: (SIZE - part.shape[1]) // 2
    if kind == "and":
        for part, x in ((trimmed(first, size(110, 126), 126), 0), (trimmed(second, size(110, 126), 126), 130)):
            lay(canvas, part, 192 - part.shape[0], x + (126 - part.shape[1]) // 2)
    elif kind == "above":
        top, bottom = trimmed(first, size(100, 124), 200), trimmed(second, size(100, 124), 200)
        lay(canvas, top, (124 - top.shape[0]) // 2, middle(top))
        lay(canvas, bottom, 132 + (124 - bottom.shape[0]) // 2, middle(bottom))
    elif kind == "on":
        top, under = trimmed(first, size(100, 120), 130), trimmed(second, size(130, 150), 230)
        y = SIZE - under.shape[0]
        lay(canvas, under, y, middle(under))
        lay(canvas, top, y - top.shape[0] + round(0.16 * under.shape[0]), middle(top) + size(-10, 10))
    elif kind == "in":
        inside, around = trimmed(first, size(90, 110), 120), trimmed(second, size(160, 190), 240)
        y, cut = SIZE - around.shape[0], round(around.shape[0] * 0.45)
        lay(canvas, around, y, middle(around))
        lay(canvas, inside, y + cut - round(0.7 * inside.shape[0]), middle(inside))
        lay(canvas, around[cut:], y + cut, middle(around))
    else:  # holding
        holder, held = trimmed(first, size(190, 215), 200), trimmed(second, size(90, 110), 110)
        lay(canvas, holder, SIZE - holder.shape[0], 0)
        lay(canvas, held, SIZE - held.shape[0] - size(10, 40), SIZE - held.shape[1])
    return canvas


def ready():
    """Maps the pictures in a worker of the pool."""
    global pictures
    pictures = images()[0]


def work(recipe):
    return drawn(recipe, pictures)


def load():
    return json.loads(RECIPES.read_text())


def batches(n):
    """Yields the composed pictures (n, 256, 256, 4) in composed.json's order."""
    with multiprocessing.get_context("spawn").Pool(min(16, os.cpu_count()), ready) as pool:
        batch = []
        for picture in pool.imap(work, load(), 16):
            batch.append(picture)
            if len(batch) == n:
                yield np.stack(batch)
                batch = []
        if batch:
            yield np.stack(batch)


def main():
    art, rows = images()
    made = recipes(art, rows)
    RECIPES.write_text(json.dumps(made))
    (WORK / "sheets").mkdir(exist_ok=True)
    shown = []
    for kind in ("colour", "count", *HOW_MANY):
        of = [m for m in made if m["kind"] == kind]
        shown += random.Random(0).sample(of, min(8, len(of)))
    pictures = [on_ground(drawn(r, art)[::2, ::2], 225) for r in shown]
    lines = [np.concatenate(pictures[i : i + 8], 1) for i in range(0, len(pictures) - 7, 8)]
    if lines:
        Image.fromarray(np.concatenate(lines)).save(WORK / "sheets" / "composed.png")
    print(len(made), "composed pictures:", dict(Counter(m["kind"] for m in made)))


if __name__ == "__main__":
    main()
