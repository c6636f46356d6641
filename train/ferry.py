"""Carries checkpoints between machines in files of at most 15 MB.

  python ferry.py pack DIR [KIND ...]   of codec, teacher, student, judge (all, if none is named) what there is, to DIR/ferry.00, .01, ...
  python ferry.py unpack DIR               what is there becomes the checkpoints here, if they have got further than those that are here

What travels are the averaged weights, the tokenizer, the latents' scale and how far each has got; momenta,
the critic and the adversary are made anew. Codec and judge are f16; the teacher
is 8 bits a weight with a scale a row, and of a student its distance from the teacher is.
"""

import argparse
import io
import zlib
from pathlib import Path

import numpy as np
import torch

from common import WORK, save

PART = 15_000_000
CHECKPOINTS = {"codec": "autoencoder.pt", "teacher": "denoiser.pt", "student": "student-match.pt", "judge": "classifier.pt"}
SCALARS = ("step", "minutes", "samples", "labels")


def planes(tensor):
    """A tensor's bytes, the first of each value together, then the second: they shrink better so; as a tensor, since torch.save doubles bytes."""
    raw = tensor.reshape(-1).clone().view(torch.uint8).numpy().reshape(-1, tensor.element_size())
    return torch.frombuffer(bytearray(zlib.compress(raw.T.tobytes(), 6)), dtype=torch.uint8), str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)


def whole(data, dtype, shape):
    """planes back, in f32."""
    kind = getattr(torch, dtype)
    width = torch.empty((), dtype=kind).element_size()
    raw = np.frombuffer(zlib.decompress(data.numpy()), np.uint8).reshape(width, -1).T.copy()
    return torch.from_numpy(raw).reshape(-1).view(kind).reshape(shape).float()


def flat(tree, prefix=""):
    """Dotted names -> tensors of nested state dicts."""
    out = {}
    for name, value in tree.items():
        out |= flat(value, f"{prefix}{name}/") if isinstance(value, dict) else {prefix + name: value.cpu()}
    return out


def nested(names):
    out = {}
    for name, value in names.items():
        *path, last = name.split("/")
        at = out
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return out


def averaged(kind, state):
    """The weights of a checkpoint that are of use elsewhere."""
    return flat({"codec": lambda s: s["vae"], "judge": lambda s: s["net"]}.get(kind, lambda s: s["ema"])(state))


def eighths(tensor):
    """8 bits a weight with a scale a row: (bytes, scales)."""
    rows = tensor.reshape(len(tensor), -1)
    scale = rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
    return planes((rows / scale).round().to(torch.int8).reshape(tensor.shape)), scale


def packed(kind, names, base):
    """Names -> what travels: vectors as they are, planes, or (planes, scales) of the distance from base."""
    out = {}
    for name, value in names.items():
        if value.ndim < 2 or not value.is_floating_point():
            out[name] = value
        elif kind in ("codec", "judge"):
            out[name] = planes(value.half())
        else:
            out[name] = eighths(value - base[name] if base else value)
    return out


def arrived(names, base):
    """packed back, in f32."""
    out = {}
    for name, value in names.items():
        if isinstance(value, torch.Tensor):
            out[name] = value
        elif isinstance(value[0], tuple):
            part = whole(*value[0])
            part = part * value[1].view(-1, *[1] * (part.ndim - 1))
            out[name] = base[name] + part if base else part
        else:
            out[name] = whole(*value)
    return out


def pack(out, kinds):
    freight, teacher = {}, None
    for kind in CHECKPOINTS:
        path = WORK / CHECKPOINTS[kind]
        if kind not in kinds or not path.exists():
            continue
        if kind == "student" and not teacher:
            raise SystemExit("a student travels with its teacher: name that too")
        state = torch.load(path, map_location="cpu")
        entry = {k: state[k] for k in SCALARS if k in state}
        entry["weights"] = packed(kind, averaged(kind, state), teacher if kind == "student" else None)
        if kind == "teacher":  # as it arrives, so that what its rounding lost is in the student's distance
            teacher = arrived(entry["weights"], None)
        freight[kind] = entry
    files = [*(WORK / "tokenizer").glob("*.*"), *WORK.glob("scale.txt")]
    freight["files"] = {str(f.relative_to(WORK)): f.read_bytes() for f in files}
    buffer = io.BytesIO()
    torch.save(freight, buffer)
    data = buffer.getvalue()
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("ferry.[0-9][0-9]"):
        old.unlink()
    for i in range(0, len(data), PART):
        (out / f"ferry.{i // PART:02d}").write_bytes(data[i : i + PART])
    print(f"{', '.join(k for k in freight if k in CHECKPOINTS) or 'nothing'}: {len(data) / 1e6:.1f} MB in {-(-len(data) // PART)} files")


def unpack(source):
    parts = sorted(source.glob("ferry.[0-9][0-9]"))
    if not parts:
        raise SystemExit(f"{source} has no ferry.00")
    freight = torch.load(io.BytesIO(b"".join(p.read_bytes() for p in parts)), weights_only=True)
    for kind, name in CHECKPOINTS.items():
        entry, path = freight.get(kind), WORK / name
        if entry is None:
            continue
        if path.exists() and torch.load(path, map_location="cpu", mmap=True)["minutes"] >= entry["minutes"]:
            print(f"{kind}: what is here has got as far")
            continue
        base = arrived(freight["teacher"]["weights"], None) if kind == "student" else None
        names = nested(arrived(entry["weights"], base))
        key = {"codec": "vae", "judge": "net"}.get(kind, "ema")
        save({key: names, **{k: entry[k] for k in SCALARS if k in entry}}, path)
        print(f"{kind}: taken up at {entry['minutes']:.1f} minutes")
    for name, data in freight["files"].items():
        (WORK / name).parent.mkdir(exist_ok=True)
        (WORK / name).write_bytes(data)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=("pack", "unpack"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="to pack; all, if none is named")
    args = parser.parse_args()
    pack(args.folder, args.kinds or CHECKPOINTS) if args.verb == "pack" else unpack(args.folder)


if __name__ == "__main__":
    main()
