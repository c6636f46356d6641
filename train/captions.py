"""Turns a manifest row into the many prompts a visitor may type for it: names, synonyms, slips, an emoji, five languages."""

import re

from colours import PALETTE
from common import STYLES

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
    "man": ["guy", "dude"],
    "woman": ["lady"],
    "boy": ["kid"],
    "child": ["kid"],
    "old man": ["grandfather", "grandpa"],
    "old woman": ["grandmother", "grandma", "old lady"],
    "person: beard": ["bearded man", "bearded guy", "beard"],
    "health worker": ["doctor", "nurse"],
    "man health worker": ["doctor"],
    "woman health worker": ["doctor", "nurse"],
    "police officer": ["policeman", "cop"],
    "firefighter": ["fireman"],
    "cook": ["chef"],
    "mage": ["wizard", "magician"],
    "santa claus": ["santa", "father christmas"],
    "person shrugging": ["shrug", "shrugging"],
    "flexed biceps": ["muscle", "strong arm"],
    "television": ["tv"],
    "laptop": ["notebook computer", "computer"],
    "couch and lamp": ["couch", "sofa"],
    "pickup truck": ["pick-up", "truck"],
    "motorcycle": ["motorbike"],
    "locomotive": ["steam train", "train"],
    "high-speed train": ["train"],
    "french fries": ["fries", "chips"],
    "beer mug": ["beer"],
    "wine glass": ["red wine", "wine"],
    "birthday cake": ["cake"],
    "artist palette": ["paint palette", "palette"],
    "game die": ["dice", "die"],
    "world map": ["map", "treasure map"],
    "beach with umbrella": ["beach"],
    "spouse": ["bride"],
    "police car": ["cop car"],
    "clutch bag": ["purse"],
    "t-shirt": ["shirt"],
    "cat": ["kitten", "kitty"],
    "cat face": ["kitten", "kitty"],
    "dog": ["puppy"],
    "dog face": ["puppy"],
    "rocket": ["spaceship"],
    "thumbs up": ["like"],
    "grinning face": ["happy face", "smiley"],
    "face with tears of joy": ["laughing face", "lol"],
}


SLIP = 0.03  # names with one slip of the fingers in them


def names(row):
    """What the picture may be called: its label first, then the plain names, 'cat' for 'cat face'."""
    label = row["label"]
    out = [label]
    if row["concept"]:
        out += SHORT.get(label, [])
        if re.fullmatch(r"(?!.*(with|of|smiling|open)).* face", label) and row["subject"]:
            out.append(label.removesuffix(" face"))
    return out


def slipped(text, rng):
    """The text with two letters exchanged, one lost or one doubled; the first and the last stay."""
    if len(text) < 5:
        return text
    i = rng.randrange(1, len(text) - 2)
    return text[:i] + rng.choice((text[i + 1] + text[i], text[i + 1], 2 * text[i] + text[i + 1])) + text[i + 2:]


def styled(text, style, bare, rng):
    """The prompt with its style's words, unless it stays bare (that part of the time)."""
    words = STYLES[style][0]
    roll = rng.random()
    if roll < bare:
        return text
    return f"{words} {text}" if roll > 0.95 else f"{text}, {words}"


def article(text):
    return ("an " if text[0] in "aeiou" else "a ") + text


def caption(row, rng, never=frozenset()):
    """A random prompt for the picture: mostly a name, about half the time with its style.

    Words from the tag lists come in so that a synonym steers the picture too, its
    emoji, its name in another language, and the picture's main colour, unless that
    makes a prompt that must never be seen.
    """
    return styled(said(row, rng, never), row["style"], BARE.get(row["style"], 0.1), rng)


def said(row, rng, never):
    """caption without the style."""
    choice, words, roll = names(row), row["words"], rng.random()
    text = choice[0] if rng.random() < 0.65 else rng.choice(choice)
    if row["emoji"] and roll < 0.06:
        return row["emoji"] if rng.random() < 0.5 else row["emoji"].replace("\ufe0f", "")
    if row["names"] and roll < 0.2:
        named = row["names"][rng.choice(sorted(row["names"]))]
        return named[0] if rng.random() < 0.7 else rng.choice(named)
    if words and roll < 0.29:
        text += ", " + ", ".join(rng.sample(words, min(len(words), rng.randint(1, 2))))
    elif words and roll < 0.37:
        text = ", ".join(rng.sample(words, min(len(words), rng.randint(1, 3))))
    elif row["colour"] and roll < 0.45 and not set(text.split()) & set(PALETTE) and f"{row['colour']} {text}" not in never:
        text = f"{row['colour']} {text}"
    elif roll > 1 - SLIP:
        return slipped(text, rng)
    return article(text) if rng.random() < 0.12 else text


def composed(row, rng):
    """A random prompt for a composed picture: as it was made, articles half the time, with its style half the time."""
    text = row["caption"]
    if row["kind"] in ("and", "above", "on", "in", "holding") and rng.random() < 0.5:
        first, word, second = re.fullmatch(r"(.*?) (and|above|below|on|in|holding) (.*)", text).groups()
        text = f"{article(first)} {word} {article(second)}"
    elif row["kind"] in ("colour", "ground") and rng.random() < 0.2:
        text = article(text)
    return styled(text, row["style"], 0.5, rng)
