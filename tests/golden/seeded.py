"""Weights of goldens as numbers that a seed gives, the same bits in numpy and in Go (seeded/seeded.go), so that none are kept.

  python seeded.py DIR OUT    copies a golden's model DIR to OUT with its weights as .safetensors

fill() gives a module such weights, freeze() writes X.seeds.json for each X.safetensors that a script saved, and laid() gives
a directory with the files made again:

  {"tensors": {NAME: [DTYPE, SHAPE, KEY, DEVIATION, MEAN], ...}}

Element i of a tensor is MEAN + DEVIATION * normal(KEY, i), in double precision, rounded to f32 and, where DTYPE is F16, to
f16. What was not made so stays in X.safetensors beside it.
"""

import contextlib
import hashlib
import json
import math
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

UNIT = 2.64290085e-05  # one over the deviation of a sum of four 16-bit numbers
MADE = {}  # (dtype, SHA-1 of the elements) to (key, deviation, mean)


def mix(z):
    """The finaliser of splitmix64."""
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return z ^ z >> np.uint64(31)


def normal(key, n):
    """n numbers, nearly normal: sums of the four 16-bit parts of splitmix64's sequence."""
    with np.errstate(over="ignore"):
        z = mix(mix(np.full(1, key, np.uint64)) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    total = sum(z >> np.uint64(shift) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48))
    return (total.astype(np.int64) - 131070) * UNIT


def make(shape, key, deviation, mean=0.0):
    """A tensor as an array of f32."""
    return (normal(key, math.prod(shape)) * deviation + mean).astype(np.float32).reshape(shape)


def remember(values, *made):
    for dtype in np.float32, np.float16:
        MADE[np.dtype(dtype).name, hashlib.sha1(values.astype(dtype).tobytes()).digest()] = made


def give(p, key, deviation, mean=0.0, half=False):
    """Gives a torch parameter values of its own, rounded to f16 where half is said."""
    import torch
    values = make(tuple(p.shape), key, deviation, mean)
    remember(values, key, deviation, mean)
    p.data = torch.from_numpy(values.astype(np.float16).astype(np.float32) if half else values)


def fill(model, seed, gain=1.0, spread=0.1, half=False):
    """Gives every parameter a value that shows in the result, no zeros and no ones: matrices of a deviation of gain over the root
    of their inputs, vectors of spread, around 1 in norms. Seeds of one golden differ."""
    for i, (name, p) in enumerate(model.named_parameters()):
        if p.ndim > 1:
            give(p, 10000 * seed + i, gain / math.sqrt(p[0].numel()), 0.0, half)
        else:
            give(p, 10000 * seed + i, spread, 1.0 if "norm" in name and name.endswith("weight") else 0.0, half)
    return model.eval()


def scale(p, factor):
    """Multiplies a parameter that fill() made."""
    key, deviation, mean = MADE["float32", hashlib.sha1(p.detach().numpy().tobytes()).digest()]
    give(p, key, deviation * factor, mean * factor)


def entry(values):
    """What gives an array's values, or None."""
    made = MADE.get((values.dtype.name, hashlib.sha1(values.tobytes()).digest()))
    if made is None and values.dtype.kind == "f" and values.size and (values == values.flat[0]).all():
        made = 0, 0.0, float(values.flat[0])
    if made is not None:
        assert (make(values.shape, *made).astype(values.dtype) == values).all()
    return made


def freeze(path):
    """Replaces each .safetensors, the file or those under a directory, by its seeds."""
    from safetensors.numpy import load_file, save_file
    for file in sorted(path.rglob("*.safetensors")) if path.is_dir() else [path]:
        tensors, rest = {}, {}
        for name, values in load_file(file).items():
            made = entry(np.ascontiguousarray(values))
            if made is None:
                rest[name] = values
            else:
                tensors[name] = [{"float32": "F32", "float16": "F16"}[values.dtype.name], list(values.shape), *made]
        file.unlink()
        if rest:
            save_file(rest, file, {"format": "pt"})
            print(f"{file}: kept as they are: {', '.join(rest)}")
        lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(tensors.items()))
        if tensors:
            file.with_suffix(".seeds.json").write_text('{"tensors": {\n' + lines + "\n}}\n")


def thaw(file):
    """The tensors of X.safetensors, from its seeds and what is kept beside them, as arrays."""
    from safetensors.numpy import load_file
    tensors = load_file(file) if file.exists() else {}
    seeds = file.with_suffix(".seeds.json")
    if seeds.exists():
        for name, (dtype, shape, *made) in json.loads(seeds.read_text())["tensors"].items():
            tensors[name] = make(shape, *made).astype({"F32": np.float32, "F16": np.float16}[dtype])
            remember(tensors[name].astype(np.float32), *made)
    return tensors


def lay(source, target):
    """Copies a directory with its weights as .safetensors."""
    from safetensors.numpy import save_file
    shutil.copytree(source, target, dirs_exist_ok=True)
    for seeds in sorted(Path(target).rglob("*.seeds.json")):
        file = seeds.with_name(seeds.name.removesuffix(".seeds.json") + ".safetensors")
        save_file(thaw(file), file, {"format": "pt"})
        seeds.unlink()


@contextlib.contextmanager
def laid(source):
    """A temporary copy of a directory with its weights as .safetensors."""
    with tempfile.TemporaryDirectory() as d:
        lay(source, d)
        yield Path(d)


if __name__ == "__main__":
    lay(*sys.argv[1:])
