"""Writes tiny.gguf, and blocks.txt: for every type the SHA-256 of the values that gguf gives
for random blocks, whose bytes are those of SHA-256 in counter mode.

    pip install gguf==0.19.0 numpy && python make.py
"""
import hashlib
import struct

import gguf
import numpy as np

TYPES = "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS TQ2_0".split()
BLOCKS = 512


def noise(n):
    return b"".join(hashlib.sha256(struct.pack("<Q", i)).digest() for i in range(n // 32 + 1))[:n]


np.seterr(all="ignore")
with open("blocks.txt", "w") as out:
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        elems, size = gguf.GGML_QUANT_SIZES[kind]
        raw = np.frombuffer(noise(BLOCKS * size), np.uint8).reshape(1, -1)
        values = gguf.quants.dequantize(raw, kind).reshape(-1).astype(np.float32)
        values = np.where(np.isnan(values), np.float32(np.nan), values).astype("<f4")  # one NaN of the many
        out.write(f"{name} {elems} {size} {hashlib.sha256(values.tobytes()).hexdigest()}\n")

w = gguf.GGUFWriter("tiny.gguf", "qwen3")
w.add_string("general.name", "a tiny file")
w.add_array("tokenizer.ggml.tokens", ["a", "b", "Ġc"])
w.add_array("tokenizer.ggml.scores", [0.5, -1.0])
w.add_array("comfy.gguf.orig_shape.conv", [2, 4, 2, 8])
w.add_int32("negative", -7)
w.add_bool("true", True)
values = np.linspace(-1, 1, 128, dtype=np.float32).reshape(2, 64)
w.add_tensor("plain", values)
w.add_tensor("half", values[:1, :5].astype(np.float16))
w.add_tensor("conv", gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
