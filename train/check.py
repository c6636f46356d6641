"""Checks the training code without data: every script, on ten made-up pictures, for a step or two.

  python check.py [--device cpu]    in a folder of its own, which it removes; minutes of a core

Ten drawings of the names and styles that the real ones have go through all.sh
to an exported model that is judged; what was packed by ferry.py is taken up in
a second folder and goes on from there; the rest is held to what it promises.
"""

import argparse
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = ("red apple", "automobile", "cat face", "rocket", "house", "red heart", "balloon", "star", "chair", "wrapped gift")
SHAPES = ('<circle cx="50" cy="50" r="{r}" fill="{c}"/>', '<rect x="20" y="30" width="{r}" height="{r}" fill="{c}" rx="9"/>',
          '<path d="M50 10 90 90 10 90Z" fill="{c}" stroke="#333" stroke-width="4"/>')


def art(folder):
    """Writes ten drawings as data.py would."""
    styles = ("noto", "twemoji", "flat", "blob")
    concepts = {f"1f4{i:02x}": {"label": n, "emoji": chr(0x1F400 + i), "words": ["thing", "shape"], "subject": True,
                                "names": {"de": [f"Ding {i}", "Zeug"], "es": ["cosa"], "fr": ["chose"], "zh": ["东西"]}} for i, n in enumerate(NAMES)}
    rows = [{"concept": k, "label": c["label"], "common": i % 2 == 0, "style": styles[i // 4], "heldout": i == 9} for i, (k, c) in enumerate(concepts.items())]
    rows[8] = {"concept": None, "label": "office chair", "words": ["seat"], "common": False, "style": "clip art", "heldout": False}
    files = [("manifest.json", json.dumps({"concepts": concepts, "rows": rows}))]
    for i in range(len(rows)):
        body = SHAPES[i % 3].format(r=20 + 3 * i, c="#%02x%02x%02x" % (250 - 20 * i, 25 * i, 90))
        files.append((f"{i}.svg", f'<svg xmlns="http://www.w3.org/2000/svg" width="30mm" height="30mm" viewBox="0 0 100 100">{body}</svg>'))
    with tarfile.open(folder / "art.tar.xz", "w:xz") as tar:
        for name, text in files:
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))


def everything(folder, device, *args):
    """all.sh in the folder; its output."""
    env = {**os.environ, "WISP_TRAIN_DIR": str(folder), "PYTHON": sys.executable}
    done = subprocess.run([HERE / "all.sh", "--trial", "--device", device, *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def pieces():
    """What can be held to its word alone."""
    import torch

    import art as sources
    import captions
    import compose
    import tokenizer
    import words
    from autoencoder import chequer, decibels, over
    from muon import orthogonal

    torch.manual_seed(0)
    for shape in ((3, 8, 20), (2, 20, 8)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert 0.5 < values.min() and values.max() < 1.3, values
    x = torch.rand(2, 4, 16, 16)
    assert torch.equal(over(x, 1.0).amax(1) <= 1, torch.ones(2, 16, 16, dtype=torch.bool))
    x[:, 3] = 0
    ground = chequer(2, 16, "cpu")
    assert torch.equal(over(x, ground), ground), "nothing drawn is the ground"
    assert decibels(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.1)).item() - 20 < 1e-3
    assert {"moon and rocket", "rocket and moon", "cat below heart", "heart above cat"} <= compose.never()
    row = {"label": "red apple", "concept": "1f34e", "words": ["fruit"], "emoji": "\U0001f34e", "style": "noto", "subject": True, "colour": "purple",
           "names": {"de": ["roter apfel"]}, "common": True, "heldout": False}
    rng = random.Random(0)
    said = {captions.caption(row, rng, {"purple apple"}) for _ in range(3000)}
    assert {"\U0001f34e", "roter apfel", "red apple", "apple, noto style"} <= said and not {s for s in said if s.startswith("purple apple")}
    chair = {"label": "chair", "concept": None}
    assert words.concepts([row, row, chair, chair]) == [
        {"name": "red apple", "emoji": "\U0001f34e", "words": ["apple", "fruit"], "de": "roter apfel"}, {"name": "chair", "words": []}]
    assert tokenizer.learn({"aab": 3, "ab": 2}, 3) == [("a", "b</w>"), ("a", "ab</w>")]
    assert sources.light(b'<svg><metadata>x</metadata><path d="M1.23456.5 1.99999.5"/></svg>') == b'<svg><path d="M1.23456.5 1.99999.5"/></svg>'
    assert sources.light(b'<path d="M1.23456,-5 2.00001 7"/>') == b'<path d="M1.235,-5 2.0 7"/>'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    device = parser.parse_args().device
    with tempfile.TemporaryDirectory() as tmp:
        first, second = Path(tmp, "first"), Path(tmp, "second")
        for folder in (first, second):
            folder.mkdir()
            art(folder)
        os.environ["WISP_TRAIN_DIR"] = str(first)
        pieces()
        everything(first, device, "--out", str(first / "ferry"))
        model = first / "out" / "student"
        config, said = (json.loads((model / f).read_text()) for f in ("vae/config.json", "wisp.json"))
        assert config["out_channels"] == 4 and said["concepts"][0]["name"] == "red apple", said
        figures = [json.loads(line) for line in (first / "eval.jsonl").read_text().splitlines()]
        assert [f["steps"] for f in figures] == [0, 0, 1, 0, 0, 2] and all(f["fd"] == f["fd"] for f in figures), figures
        again = everything(first, device)
        assert "starts" not in again and "samples/s" not in again, f"what is done is done again: {again}"
        shutil.copytree(first / "ferry", second / "ferry")
        taken = everything(second, device, "--from", str(second / "ferry"))
        assert "teacher: taken up" in taken and "samples/s" not in taken and "starts" not in taken, taken
        near = [json.loads(line) for line in (second / "eval.jsonl").read_text().splitlines()]
        for a, b in zip(figures, near):
            assert abs(a["fl"] - b["fl"]) < 0.2 * abs(a["fl"]) + 1, f"carried, it draws otherwise: {a} {b}"
    print("all well")


if __name__ == "__main__":
    main()
