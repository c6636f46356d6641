"""The art that is no emoji: public-domain clip art and coloured icons, each a style of its own.

The clip art comes from Debian's package, by apt-get and dpkg; the icons are npm
packages like the emoji.
"""

import hashlib
import re
import subprocess
from collections import Counter

from common import WORK

CLIP_ART = "openclipart-svg=1:0.18+dfsg-19"
SHA256 = "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5"
LARGEST = 60_000  # bytes of a drawing: what is larger are mostly traced photographs, and half of all bytes

# folders of signs, playing cards, gradients and series of the like
LEFT_OUT = re.compile(
    r"(shapes/(stars|callouts|flowchart|arrows)|computer/(icons|folders|buttons)|special|logos"
    r"|signs_and_symbols/(flags|led)|unsorted/duplicates|recreation/games/cards|transportation/roadsigns)/"
)
PUBLIC_DOMAIN = re.compile(r'<cc:license\s+rdf:resource="[^"]*public-?domain/?"', re.I)

ICONS = [f"@iconify-json/{name}" for name in (
    "icon-park", "fluent-color", "meteocons", "flat-color-icons",
    "streamline-color", "streamline-plump-color", "streamline-sharp-color", "streamline-flex-color",
    "streamline-ultimate-color", "streamline-freehand-color", "streamline-kameleon-color",
    "streamline-stickies-color", "streamline-cyber-color",
)]
BRANDS = ("Brand", "Logos")  # Iconify's categories of trade marks


def clip_art():
    """The folder of drawings, fetched and unpacked once."""
    out = WORK / "clip-art"
    if not out.exists():
        subprocess.run(["apt-get", "download", CLIP_ART], cwd=WORK, check=True)
        deb, = WORK.glob("openclipart-svg_*.deb")
        assert hashlib.sha256(deb.read_bytes()).hexdigest() == SHA256, f"{deb} is not the pinned package"
        subprocess.run(["dpkg", "-x", deb, out], check=True)
    return out / "usr/share/openclipart/svg"


def light(svg):
    """A drawing's bytes without its editor's notes, numbers to four digits: a third less to carry, the same to the eye."""
    svg = re.sub(rb"<(metadata|sodipodi:namedview)\b([^>]*/>|.*?</\1>)|<!--.*?-->", b"", svg, flags=re.S)
    return re.sub(rb"(?<![#.\d])\d*\.\d{3,}(?![\w.])", short, svg)


def short(number):
    """A decimal to four digits, its point kept: in paths the next number may begin with one."""
    text = b"%.4g" % float(number[0])
    return text if b"." in text or b"e" in text else text + b".0"


def words_of(text):
    """Lower-case words of a title, a file's or an icon's name, without numbers and the like."""
    return " ".join(w for w in re.findall(r"[a-z]+", text.lower()) if w not in ("svg", "openclipart"))


def drawings():
    """Yields (path, title, keywords) of the clip art that is used; a title that several share gives way to the file's name."""
    root, found = clip_art(), []
    for path in sorted(root.rglob("*.svg")):
        if LEFT_OUT.match(f"{path.relative_to(root)}") or path.is_symlink() or path.stat().st_size > LARGEST:
            continue
        text = path.read_text("utf-8", "replace")
        if "<image" not in text and PUBLIC_DOMAIN.search(text):
            title = re.search(r"<dc:title>([^<]*)", text)
            bag = re.search(r"<dc:subject>(.*?)</dc:subject>", text, re.S)
            keywords = re.findall(r"<rdf:li>([^<]*)", bag[1]) if bag else []
            found.append((path, words_of(title[1]) if title else "", keywords))
    count = Counter(title for _, title, _ in found)
    for path, title, keywords in found:
        label = title if title and count[title] <= 3 else words_of(path.stem)
        yield path, label or words_of(path.parent.name), list(dict.fromkeys(filter(None, map(words_of, keywords))))


def icons(package):
    """Yields (pack, icon) of each package: no trade marks, of several sizes the largest."""
    for pack in ICONS:
        names = package(f"{pack}/icons.json")["icons"]
        kinds = package(f"{pack}/metadata.json").get("categories", {})
        brands = {name for kind in BRANDS for name in kinds.get(kind, [])}
        largest = {}
        for name in names:
            stem, size = re.fullmatch(r"(.*?)(?:-(16|20|24|28|32|48))?", name).groups()
            key = stem if pack.endswith("fluent-color") else name
            if int(size or 0) >= largest.get(key, (-1,))[0] and name not in brands and "-logo" not in name:
                largest[key] = int(size or 0), name
        for _, name in largest.values():
            yield pack, name


def rows(package):
    """A manifest row and a file, or (pack, icon), for each picture; package reads an npm package's JSON."""
    row = {"concept": None, "common": False, "heldout": False}
    for path, label, keywords in drawings():
        yield {**row, "style": "clip art", "label": label, "words": keywords}, path
    for pack, name in icons(package):
        label = words_of(re.sub(r"-(flat|duo|fill)$", "", name))
        yield {**row, "style": pack.split("/")[1], "label": label, "words": []}, (pack, name)
