"""Turns a manifest row into the many prompts a visitor may type for it."""

import json
import re
from collections import Counter

from colours import PALETTE
from common import STYLES, WORK

# How often a style goes unnamed: a bare "pizza" should mean one of few styles.
BARE = {"noto": 0.65, "3d": 0.5, "flat": 0.45, "twemoji": 0.45}

# Names a visitor would use that the emoji's own label hides.
SHORT = {
    "evergreen tree": ["tree", "pine tree"],
    "deciduous tree": ["tree", "green tree"],
    "palm tree": ["tree"],
    "house with garden": ["house", "garden"],
    "automobile": ["car", "red car"],
    "hamburger": ["burger"],
    "doughnut": ["donut"],
    "jack-o-lantern": ["pumpkin"],
    "t-rex": ["dinosaur"],
    "sauropod": ["dinosaur"],
    "honeybee": ["bee"],
    "lady beetle": ["ladybug"],
    "ewe": ["sheep"],
    "soft ice cream": ["ice cream"],
    "cheese wedge": ["cheese"],
    "poultry leg": ["chicken leg"],
    "high voltage": ["lightning", "lightning bolt"],
    "hot beverage": ["coffee", "cup of coffee"],
    "wrapped gift": ["gift", "present"],
    "pile of poo": ["poop"],
    "spouting whale": ["whale"],
    "snow-capped mountain": ["mountain"],
    "globe showing americas": ["earth", "globe"],
    "flying saucer": ["ufo"],
    "fire engine": ["fire truck"],
    "ringed planet": ["planet", "saturn"],
    "potted plant": ["plant"],
    "ear of corn": ["corn"],
    "gem stone": ["diamond", "gem"],
    "magnifying glass tilted left": ["magnifying glass"],
    "closed book": ["book", "red book"],
    "high-heeled shoe": ["high heel", "red shoe"],
    "running shoe": ["shoe", "sneaker"],
    "vertical traffic light": ["traffic light"],
    "glass of milk": ["milk"],
    "cherry blossom": ["pink flower"],
    "blossom": ["flower", "yellow flower"],
    "hibiscus": ["red flower"],
    "pool 8 ball": ["billiard ball"],
    "face with medical mask": ["sick face", "mask face"],
    "enraged face": ["red angry face"],
    "slightly smiling face": ["smile"],
    "baby chick": ["chick"],
    "red apple": ["apple"],
    "cooking": ["fried egg"],
    "sun behind cloud": ["partly cloudy"],
    "cloud with rain": ["rain cloud", "rain"],
    "cloud with snow": ["snow cloud", "snow"],
    "water wave": ["wave"],
    "honey pot": ["honey"],
    "hourglass done": ["hourglass"],
    "locked": ["padlock", "lock"],
    "mobile phone": ["phone"],
    "desktop computer": ["computer"],
    "red heart": ["heart"],
    "loudly crying face": ["crying face"],
}


def names(row):
    """What the picture may be called: its label first, then the plain names, 'cat' for 'cat face'."""
    label = row["label"]
    out = [label, *SHORT.get(label, [])]
    if re.fullmatch(r"(?!.*(with|of|smiling|open)).* face", label) and row["subject"]:
        out.append(label.removesuffix(" face"))
    return out


def styled(text, style, bare, rng):
    """The prompt with its style's words, unless it stays bare (that part of the time)."""
    words = STYLES[style][0]
    roll = rng.random()
    if roll < bare:
        return text
    return f"{words} {text}" if roll > 0.95 else f"{text}, {words}"


def caption(row, rng, never=frozenset()):
    """A random prompt for the picture: mostly a name, about half the time with its style.

    Words from the tag lists come in so that a synonym steers the picture too, and
    the picture's main colour, unless that makes a prompt that must never be seen.
    """
    choice = names(row)
    text = choice[0] if rng.random() < 0.65 else rng.choice(choice)
    words = row["words"]
    roll = rng.random()
    if words and roll < 0.12:
        text += ", " + ", ".join(rng.sample(words, min(len(words), rng.randint(1, 2))))
    elif len(words) > 1 and roll < 0.17:
        text = ", ".join(rng.sample(words, min(len(words), rng.randint(2, 3))))
    elif row["colour"] and roll < 0.3 and not set(text.split()) & set(PALETTE) and f"{row['colour']} {text}" not in never:
        text = f"{row['colour']} {text}"
    if rng.random() < 0.12:
        text = ("an " if text[0] in "aeiou" else "a ") + text
    return styled(text, row["style"], BARE.get(row["style"], 0.1), rng)


def composed(row, rng):
    """A random prompt for a composed picture: as it was made, with its style half the time."""
    return styled(row["caption"], row["style"], 0.5, rng)


def vocabulary():
    """Word -> count over every caption source, common concepts counted twelvefold."""
    counts = Counter()
    seen = set()
    for row in json.loads((WORK / "manifest.json").read_text()):
        if row["concept"] in seen or row["style"] not in STYLES:
            continue
        seen.add(row["concept"])
        weight = 12 if row["common"] else 1
        for text in 3 * names(row) + row["words"]:
            for word in re.findall(r"[a-z]+|[0-9]", text.lower()):
                counts[word] += weight
    for text, _ in list(STYLES.values())[:6]:  # the vocabulary is older than the last three styles, and stays as it is
        for word in re.findall(r"[a-z]+|[0-9]", text):
            counts[word] += 500
    return counts
