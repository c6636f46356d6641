"""Reads a packed model's weights back, as loader/FORMAT.md has them, for eval.py to judge what visitors get."""

import hashlib
import json
import math

import numpy as np
import torch

BLOCK = 32  # weights of a row that share a scale
WIDTH = {"f32": 4, "f16": 2, "bf16": 2}


def chunk(path, entry):
    """A chunk's raw bytes, once its hash is right."""
    stored = (path / f"{entry['sha256']}.bin").read_bytes()
    assert hashlib.sha256(stored).hexdigest() == entry["sha256"], f"{entry['sha256']}.bin is damaged"
    if entry["encoding"] != "zstd":
        return stored
    import zstandard  # a machine that only trains may lack it

    return zstandard.decompress(stored, max_output_size=entry["raw"])


def pieces(chunks, entry):
    """The parts of a tensor's bytes, chunk by chunk."""
    n, offset, left = entry["chunk"], entry["offset"], entry["length"]
    while left:
        part = chunks[n][offset : offset + left]
        yield part
        n, offset, left = n + 1, 0, left - len(part)


def decoded(chunks, entry):
    """A tensor in f32."""
    dtype, shape = entry["dtype"], entry["shape"]
    parts = list(pieces(chunks, entry))
    if entry.get("encoding") == "planes":
        parts = [np.frombuffer(p, np.uint8).reshape(WIDTH[dtype], -1).T.tobytes() for p in parts]
    data = bytearray(b"".join(parts))
    if dtype == "q8":
        rows, k = shape[0], math.prod(shape[1:])
        blocks = -(-k // BLOCK)
        scales = torch.frombuffer(data[: 2 * rows * blocks], dtype=torch.float16).float().view(rows, blocks)
        q = torch.frombuffer(data[2 * rows * blocks :], dtype=torch.int8).float().view(rows, k)
        return (q * scales.repeat_interleave(BLOCK, 1)[:, :k]).view(shape)
    kind = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[dtype]
    return torch.frombuffer(data, dtype=kind).float().view(shape)


def weights(path):
    """Component -> name -> tensor."""
    manifest = json.loads((path / "manifest.json").read_text())
    chunks = [chunk(path, c) for c in manifest["chunks"]]
    out = {}
    for entry in manifest["tensors"]:
        out.setdefault(entry["component"], {})[entry["name"]] = decoded(chunks, entry)
    return out
