"""Fetches the pinned art and captions, and packs them into one file.

  python data.py    writes art.tar.xz to $WISP_TRAIN_DIR (default ~/wisp-train)

art.tar.xz holds manifest.json and then a drawing a row, N.svg or N.webp, in the
rows' order. It is all that render.py and everything after it need, so a machine
without a network can be handed it. The manifest:
  concepts  key -> {label, emoji, words, subject, names: language -> [label, words...]}, of the emoji
  rows      {concept or null, style, label, words, common, heldout}, a row a picture; words of what is no emoji
"""

import io
import json
import re
import shutil
import subprocess
import tarfile

import art
from common import HERE, WORK

NPM = WORK / "npm"
ART = WORK / "art.tar.xz"

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
LANGUAGES = ("de", "es", "fr", "zh")
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


def tidy(words):
    """Words of at most 30 letters, each once."""
    return list(dict.fromkeys(w for w in (w.replace("’", "'").strip() for w in words) if 0 < len(w) <= 30))


def concepts():
    """Key -> what is said of it, of every emoji that is neither flag nor component."""
    keywords = {
        "-".join(f"{ord(c):x}" for c in emoji if ord(c) != 0xFE0F): words
        for emoji, words in package("emojilib/dist/emoji-en-US.json").items()
    }
    others = {lang: {plain(r["hexcode"]): r for r in package(f"emojibase-data/{lang}/data.json")} for lang in LANGUAGES}
    out = {}
    for row in package("emojibase-data/en/data.json"):
        if row.get("group") in (None, COMPONENTS, FLAGS):
            continue
        key, label = plain(row["hexcode"]), row["label"].lower().replace("’", "'")
        words = row.get("tags", []) + [w.replace("_", " ") for w in keywords.get(key, [])]
        words = [w for w in tidy(w.lower() for w in words) if re.fullmatch(r"[a-z0-9' -]{2,30}", w) and w != label]
        names = {lang: list(dict.fromkeys([table[key]["label"].replace("’", "'"), *tidy(table[key].get("tags", []))]))
                 for lang, table in others.items() if key in table}
        out[key] = {"label": label, "emoji": row["emoji"], "words": words, "subject": row["group"] != SMILEYS, "names": names}
    return out


def bare(name):
    """An icon's name without hyphens or the number of its first variant: packages disagree about both."""
    return re.sub(r"-1$", "", name).replace("-", "")


def svg(pack, name):
    """A whole SVG: Iconify keeps bodies without the outer element."""
    icon = pack["icons"][name]
    w, h = (icon.get(k, pack.get(k, 16)) for k in ("width", "height"))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{w}" height="{h}" '
            f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {w} {h}">{icon["body"]}</svg>').encode()


def emoji(table):
    """Joins concepts and packages: yields a row, its drawing's bytes and their kind."""
    common = set((HERE / "concepts.txt").read_text().split("\n"))
    held = set((HERE / "heldout.txt").read_text().split("\n"))
    packs = {style: package(f"{p}/icons.json") for style, p in PACKS.items()}
    bares = {style: {bare(icon): icon for icon in sorted(pack["icons"])} for style, pack in packs.items()}
    names, own = {}, {}  # names: key -> bare name, for the packages that have no table of their own
    for style in ("noto", "twemoji", "flat"):
        own[style] = {plain(h): n for h, n in package(f"{PACKS[style]}/chars.json").items()}
        for key, name in own[style].items():
            names.setdefault(key, bare(name))
    art3d = {plain(f.stem): f for f in sorted((NPM / "node_modules" / ART_3D).glob("*.webp"))}
    for key, concept in table.items():
        label = concept["label"]
        row = {"concept": key, "label": label, "common": label in common}
        for style, pack in packs.items():
            icon = own[style].get(key) if style in own else bares[style].get(names.get(key))
            if icon in pack["icons"]:
                yield {**row, "style": style, "heldout": f"{label}, {style}" in held}, svg(pack, icon), "svg"
        if key in art3d:
            yield {**row, "style": "3d", "heldout": f"{label}, 3d" in held}, art3d[key].read_bytes(), "webp"


def others():
    """Yields the same of clip art and icons."""
    packs = {}
    for row, source in art.rows(package):
        if isinstance(source, tuple):
            pack, name = source
            packs[pack] = packs.get(pack) or package(f"{pack}/icons.json")
            yield row, svg(packs[pack], name), "svg"
        else:
            yield row, art.light(source.read_bytes()), "svg"


def main():
    install()
    table = concepts()
    found = [*emoji(table), *others()]
    missing = set((HERE / "heldout.txt").read_text().split("\n")) - {f"{r['label']}, {r['style']}" for r, _, _ in found} - {""}
    assert not missing, f"heldout.txt names no picture: {missing}"
    manifest = {"concepts": table, "rows": [row for row, _, _ in found]}
    tmp = ART.with_suffix(".tmp")
    with tarfile.open(tmp, "w:xz", preset=6) as tar:
        files = [("manifest.json", json.dumps(manifest, ensure_ascii=False).encode())]
        files += [(f"{i}.{kind}", data) for i, (_, data, kind) in enumerate(found)]
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    tmp.rename(ART)
    print(len(table), "concepts;", sum(r["concept"] is not None for r in manifest["rows"]), "emoji and", len(found), "pictures in all,",
          sum(r["heldout"] for r in manifest["rows"]), "held out;", f"{ART.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
