"""What the page tells of the model's words: the `concepts` of wisp.json.

  python words.py NPM             the list, as JSON; NPM holds the packages of package.json
  python words.py NPM --into MODEL    into a packed model's manifest, whose weights stay

A concept is {name, emoji, words: what else it is called, de: its German name}.
"""

import argparse
import json
import re
from pathlib import Path

from captions import SHORT

HERE = Path(__file__).parent
MOST = 8  # other words a concept


def concepts(npm):
    """Every line of concepts.txt with what Emojibase says of it."""
    read = lambda tongue: json.loads((npm / "node_modules/emojibase-data" / tongue / "data.json").read_text())
    english = {row["label"].lower(): row for row in read("en")}
    german = {row["hexcode"]: row["label"] for row in read("de")}
    out = []
    for name in (HERE / "concepts.txt").read_text().split("\n"):
        row = english.get(name.lower())
        if row is None:
            continue
        plain = [name.removesuffix(" face")] if re.fullmatch(r"\w+ face", name) else []
        others = dict.fromkeys(SHORT.get(name, []) + plain + row.get("tags", []))
        words = [w.lower() for w in others if re.fullmatch(r"[a-z][a-z -]+", w.lower()) and w.lower() != name]
        out.append({"name": name, "emoji": row["emoji"], "words": words[:MOST], "de": german.get(row["hexcode"], "")})
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("npm", type=Path)
    parser.add_argument("--into", type=Path, metavar="MODEL")
    args = parser.parse_args()
    found = concepts(args.npm)
    if not args.into:
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return
    path = args.into / "manifest.json"
    text = path.read_text()
    manifest = json.loads(text)
    old = json.dumps(manifest["defaults"], separators=(",", ":"))
    assert text.count('"defaults":' + old) == 1
    manifest["defaults"]["concepts"] = found
    path.write_text(text.replace('"defaults":' + old, '"defaults":' + json.dumps(manifest["defaults"], ensure_ascii=False, separators=(",", ":"))))


if __name__ == "__main__":
    main()
