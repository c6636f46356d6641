"""Renders art.tar.xz to 256x256 RGBA.

  python render.py [--processes 2] [--limit N]    needs only art.tar.xz; 40 ms of a core a picture

Writes to $WISP_TRAIN_DIR:
  images.u8      (N, 256, 256, 4) bytes, RGB not multiplied by alpha; where alpha is 0 the colour says nothing
  manifest.json  one row a picture: art.tar.xz's rows with their concept's words, and its main colour
  counts.json    source -> pictures, and how many of them are held out
  words.json     caption word -> in how many captions it stands, for the tokenizer

Of what is no emoji, doubles and near-blank pictures are left out.
"""

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import re
import tarfile
from collections import Counter

import numpy as np

from common import EMOJI, SIZE, WORK

ART = WORK / "art.tar.xz"
PICTURES = WORK / "images.u8"


def images():
    """The rendered art as a (N, 256, 256, 4) byte array, mapped, and its manifest."""
    rows = json.loads((WORK / "manifest.json").read_text())
    return np.memmap(PICTURES, np.uint8, "r", shape=(len(rows), SIZE, SIZE, 4)), rows


def on_ground(pictures, ground=255):
    """RGBA bytes (..., 4) over one grey, or one colour (3,): RGB bytes."""
    alpha = pictures[..., 3:].astype(np.float32) / 255
    return (pictures[..., :3] * alpha + np.asarray(ground, np.float32) * (1 - alpha)).round().astype(np.uint8)


def drawn(kind, data):
    """A drawing as (256, 256, 4) bytes, contained in the square; None where it cannot be read."""
    import resvg_py
    from PIL import Image

    try:
        if kind == "svg":
            text = data.decode("utf-8", "replace")
            longer = "width" if width_over_height(text[:20_000]) >= 1 else "height"
            data = bytes(resvg_py.svg_to_bytes(svg_string=text, skip_system_fonts=True, dpi=96, **{longer: SIZE}))
        picture = Image.open(io.BytesIO(data)).convert("RGBA")
    except BaseException as error:  # resvg's panics are no Exceptions
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return None
    if max(picture.size) != SIZE:
        scale = SIZE / max(picture.size)
        picture = picture.resize([max(1, round(s * scale)) for s in picture.size], Image.Resampling.LANCZOS)
    out = np.zeros((SIZE, SIZE, 4), np.uint8)
    y, x = (SIZE - picture.height) // 2, (SIZE - picture.width) // 2
    out[y : y + picture.height, x : x + picture.width] = picture
    return out


def width_over_height(head):
    """Of an SVG's first element, by its viewBox or its sizes; 1 where it says neither."""
    tag = re.search(r"<svg\b[^>]*>", head)
    if not tag:
        return 1.0
    number = r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)"
    size = [re.search(rf'\b{k}="{number}', tag[0]) for k in ("width", "height")]
    box = re.search(rf'viewBox="\s*\S+[\s,]+\S+[\s,]+{number}[\s,]+{number}', tag[0])
    w, h = (float(m[1]) for m in size) if all(size) else map(float, box.groups()) if box else (1, 1)
    return w / h if w > 0 and h > 0 else 1.0


def job(task):
    """A worker's whole part: pixels, their hash, the part of ink and the main colour of one row."""
    from colours import dominant

    row, kind, data = task
    picture = drawn(kind, data)
    if picture is None:
        return row, None, None, 0, None
    small = on_ground(picture[::2, ::2])
    ink = ((picture[::2, ::2, 3] > 25) & (small.min(-1) < 250)).mean()
    colour = dominant(small, 0.45) if row.get("subject") else None
    return row, picture.tobytes(), hashlib.sha256(picture).digest(), ink, colour


def tasks(tar, limit):
    """Yields (row, kind, bytes) in the archive's order, the concept's words put into the row; limit: about so many, of all styles."""
    manifest = json.load(tar.extractfile(tar.next()))
    rows, table = manifest["rows"], manifest["concepts"]
    every = max(1, len(rows) // limit) if limit else 1
    while (info := tar.next()) is not None:
        number, kind = info.name.split(".")
        number = int(number)
        if number % every == 0:
            row = rows[number]
            yield {**row, **table.get(row["concept"], {"subject": False, "emoji": None, "names": {}})}, kind, tar.extractfile(info).read()


def words(rows):
    """Caption word -> in how many captions it stands; an emoji's words once, however many styles it has."""
    counts, seen = Counter(), set()
    for row in rows:
        key = row["concept"] or row["label"]
        if key in seen:
            continue
        seen.add(key)
        weight = 8 if row["common"] else 4 if row["concept"] else 1
        for text in [row["label"]] * 3 + row["words"] + ([row["emoji"]] if row["emoji"] else []):
            counts[text] += weight
        for named in row["names"].values():
            for text in named[:1] * 2 + named:
                counts[text] += weight / 4
    return counts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=min(16, os.cpu_count()))
    parser.add_argument("--limit", type=int, help="only about so many pictures, for a trial")
    args = parser.parse_args()
    rows, seen, unread = [], set(), 0
    tmp = PICTURES.with_suffix(".tmp")
    with multiprocessing.Pool(args.processes) as pool, tarfile.open(ART, "r|xz") as tar, open(tmp, "wb") as out:
        for row, pixels, key, ink, colour in pool.imap(job, tasks(tar, args.limit), 8):
            unread += pixels is None
            if pixels is None or (row["style"] not in EMOJI and (ink < 0.01 or key in seen)):
                continue
            assert ink > 0, f"{row} is blank"
            seen.add(key)
            out.write(pixels)
            rows.append({**row, "colour": colour})
    tmp.rename(PICTURES)
    (WORK / "manifest.json").write_text(json.dumps(rows, ensure_ascii=False))
    counts = {}
    for row in rows:
        n = counts.setdefault(row["style"], {"pictures": 0, "held out": 0})
        n["pictures"] += 1
        n["held out"] += row["heldout"]
    (WORK / "counts.json").write_text(json.dumps(counts, indent=1))
    (WORK / "words.json").write_text(json.dumps(words(rows), ensure_ascii=False))
    print(len(rows), "pictures,", unread, "unreadable;", counts)


if __name__ == "__main__":
    main()
