"""Fetches the pinned art, renders it and writes the manifest.

Writes to $WISP_TRAIN_DIR (default ~/wisp-train):
  images.u8      (N, 128, 128, 3) bytes, RGB on white
  manifest.json  one row an image: concept, style, label, words, subject, colour, common, heldout
  counts.json    source -> how many pictures, and how many of them the denoiser learns
  words.txt      every emoji's caption words, for the tokenizer

The emoji come first. `common` marks what the denoiser and the judge learn;
the codec learns every picture that is not held out.
"""

import json
import re
import shutil
import subprocess

import numpy as np

import art
from colours import dominant
from common import HERE, SIZE, STYLES, WORK

NPM = WORK / "npm"

# style -> Iconify package; fluent 3D comes as WebP files instead
PACKS = {
    "noto": "@iconify-json/noto",
    "twemoji": "@iconify-json/twemoji",
    "flat": "@iconify-json/fluent-emoji-flat",
    "blob": "@iconify-json/noto-v1",
    "emojione": "@iconify-json/emojione",
    "gradient": "@iconify-json/fluent-emoji",
    "firefox": "@iconify-json/fxemoji",
    "outline": "@iconify-json/streamline-emojis",
}
ART_3D = "@lobehub/fluent-emoji-3d/assets"
SMILEYS, COMPONENTS, FLAGS = 0, 2, 9  # emojibase groups; the last two are left out


def package(path):
    """Parses a JSON file of an installed npm package."""
    return json.loads((NPM / "node_modules" / path).read_text())


def install():
    """Installs the pinned packages; a no-op when they are there."""
    NPM.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, NPM / name)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=NPM, check=True)


def plain(hexcode):
    """A hexcode without variation selectors, lower case: the key all sources share."""
    return "-".join(p for p in hexcode.lower().split("-") if p != "fe0f")


def concepts():
    """Yields (key, label, words, group) of every emoji that is neither flag nor component."""
    keywords = {
        "-".join(f"{ord(c):x}" for c in emoji if ord(c) != 0xFE0F): words
        for emoji, words in package("emojilib/dist/emoji-en-US.json").items()
    }
    for row in package("emojibase-data/en/data.json"):
        if row.get("group") in (None, COMPONENTS, FLAGS):
            continue
        key = plain(row["hexcode"])
        words = row.get("tags", []) + [w.replace("_", " ") for w in keywords.get(key, [])]
        words = dict.fromkeys(w.lower() for w in words if re.fullmatch(r"[A-Za-z0-9' -]{2,30}", w))
        label = row["label"].lower().replace("’", "'")
        yield key, label, [w for w in words if w != label], row["group"]


def bare(name):
    """An icon's name without hyphens or the number of its first variant: packages disagree about both."""
    return re.sub(r"-1$", "", name).replace("-", "")


def jobs():
    """Joins concepts and packages: one render job and one manifest row an image."""
    common = set((HERE / "concepts.txt").read_text().split("\n"))
    held = set((HERE / "heldout.txt").read_text().split("\n"))
    packs = {style: package(f"{p}/icons.json") for style, p in PACKS.items()}
    bares = {style: {bare(icon): icon for icon in sorted(pack["icons"])} for style, pack in packs.items()}
    names = {}  # key -> bare name, for the packages that have no table of their own
    own = {}
    for style in ("noto", "twemoji", "flat"):
        chars = package(f"{PACKS[style]}/chars.json")
        own[style] = {plain(h): n for h, n in chars.items()}
        for key, name in own[style].items():
            names.setdefault(key, bare(name))
    art3d = {plain(f.stem): f for f in sorted((NPM / "node_modules" / ART_3D).glob("*.webp"))}
    for key, label, words, group in concepts():
        sources = {}
        for style, name in PACKS.items():
            icon = own[style].get(key) if style in own else bares[style].get(names.get(key))
            if icon in packs[style]["icons"]:
                sources[style] = {"pack": name, "icon": icon}
        if key in art3d:
            sources["3d"] = {"file": str(art3d[key])}
        for style, source in sources.items():
            row = {
                "concept": key, "style": style, "label": label, "words": words,
                "subject": group != SMILEYS,
                "common": label in common, "heldout": f"{label}, {style}" in held,
            }
            yield source, row


def kept(pictures, rows):
    """Indices of all emoji, and of the other pictures that have some ink and are not the same as an earlier one."""
    seen, out = set(), []
    for i, (picture, row) in enumerate(zip(pictures, rows)):
        key = picture.tobytes()
        if row["style"] in STYLES:
            assert picture.min() < 255, f"{row} is blank"
        elif (picture.min(-1) < 224).mean() < 0.01 or key in seen:
            continue
        seen.add(key)
        out.append(i)
    return out


def counts(rows):
    """Source -> pictures, and those among them that the denoiser learns."""
    out = {}
    for row in rows:
        n = out.setdefault(row["style"], {"pictures": 0, "denoiser": 0, "held out": 0})
        n["pictures"] += 1
        n["denoiser"] += row["common"] and not row["heldout"]
        n["held out"] += row["heldout"]
    return out


def main():
    install()
    todo, rows = zip(*jobs(), *art.jobs(package))
    (WORK / "jobs.json").write_text(json.dumps(todo))
    subprocess.run(["node", HERE / "render.mjs", WORK / "jobs.json", WORK / "images.u8"], cwd=NPM, check=True)
    pictures = np.fromfile(WORK / "images.u8", np.uint8).reshape(-1, SIZE, SIZE, 3)
    index = kept(pictures, rows)
    pictures, rows = pictures[index], [rows[i] for i in index]
    pictures.tofile(WORK / "images.u8")
    for row, picture in zip(rows, pictures):
        row["colour"] = dominant(picture, 0.45) if row["common"] and row["subject"] else None
    (WORK / "manifest.json").write_text(json.dumps(rows))
    (WORK / "counts.json").write_text(json.dumps(counts(rows), indent=1))
    emoji = [r for r in rows if r["style"] in STYLES]
    words = sorted({w for r in emoji for w in [r["label"], *r["words"]]})
    (WORK / "words.txt").write_text("\n".join(words))
    common = [r for r in rows if r["common"]]
    print(len(emoji), "emoji,", len({r["concept"] for r in emoji}), "concepts;",
          len(common), "common emoji,", len({r["concept"] for r in common}), "common concepts,",
          sum(r["heldout"] for r in rows), "held out;", len(rows) - len(emoji), "pictures for the codec alone")


if __name__ == "__main__":
    main()
