"""What the page tells of the model's words: the `concepts` of wisp.json.

  python words.py                          the list, as JSON, of what the manifest has
  python words.py --first --into MODEL     the first edition's 512, into a packed model's manifest, whose weights stay

A concept is {name, emoji, words: what else it is called, de, es, fr, zh: its name there}.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from captions import names
from common import WORK

MOST = 8  # other words a concept


def concepts(rows):
    """The emoji in their order; then, by name alone, of what is no emoji the short names that several pictures have."""
    emoji, others = {}, Counter()
    for row in rows:
        if row["concept"]:
            also = list(dict.fromkeys([*names(row)[1:], *row["words"]]))
            emoji[row["concept"]] = {"name": row["label"], "emoji": row["emoji"], "words": also[:MOST],
                                     **{language: named[0] for language, named in row["names"].items()}}
        elif len(row["label"].split()) <= 2:
            others[row["label"]] += 1
    known = {c["name"] for c in emoji.values()}
    return [*emoji.values(), *({"name": name, "words": []} for name, n in others.items() if n > 1 and name not in known)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", action="store_true")
    parser.add_argument("--into", type=Path, metavar="MODEL")
    args = parser.parse_args()
    found = concepts([r for r in json.loads((WORK / "manifest.json").read_text()) if r["common"] or not args.first])
    if not args.into:
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return
    path = args.into / "manifest.json"
    text = path.read_text()
    manifest = json.loads(text)
    old = json.dumps(manifest["defaults"], ensure_ascii=False, separators=(",", ":"))
    assert text.count('"defaults":' + old) == 1
    manifest["defaults"]["concepts"] = found
    path.write_text(text.replace('"defaults":' + old, '"defaults":' + json.dumps(manifest["defaults"], ensure_ascii=False, separators=(",", ":"))))


if __name__ == "__main__":
    main()
