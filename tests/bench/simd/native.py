"""Time a case of the benchmark on native PyTorch:

  native.py ADDRESS INDEX THREADS

ADDRESS is that of the benchmark's server, which has the graph and the values.
Prints {"ms": the shortest of the runs of three seconds, two at least}. Pictures are (n, c, h, w)
in memory order (n, h, w, c), PyTorch's fastest.
"""
import json
import sys
import time
import urllib.parse
import urllib.request

import torch
import torch.nn.functional as F

address, index, threads = sys.argv[1:]
torch.set_num_threads(int(threads))


def get(path):
    return urllib.request.urlopen(address + path).read()


def value(node):
    data = get(f"value/{index}?name={urllib.parse.quote(node['Name'])}")
    x = torch.frombuffer(bytearray(data), dtype=torch.int32 if node["Integers"] else torch.float32).reshape(node["Shape"])
    if x.dim() == 4:
        x = x.permute(0, 3, 1, 2) if node["Op"] == "input" else x.contiguous(memory_format=torch.channels_last)
    return x


def reshape(n, x):
    if x.dim() == 4:
        x = x.permute(0, 2, 3, 1)
    x = x.reshape(n["Shape"])
    return x.permute(0, 3, 1, 2) if x.dim() == 4 else x


def attention(n, q, k, v):
    split = lambda x: x.reshape(x.shape[0], x.shape[1], n["Attrs"]["Heads"], -1).transpose(1, 2)
    y = F.scaled_dot_product_attention(split(q), split(k), split(v), scale=n["Attrs"]["Scale"], is_causal=n["Attrs"]["Causal"])
    return y.transpose(1, 2).reshape(n["Shape"])


def geglu(n, x):
    a, b = x.chunk(2, -1)
    return a * F.gelu(b)


ops = {
    "conv2d": lambda n, x, w, b=None: F.conv2d(F.pad(x, [n["Attrs"]["Pad"][i] for i in (1, 3, 0, 2)]), w, b, n["Attrs"]["Stride"])
    if n["Attrs"]["Pad"][0] != n["Attrs"]["Pad"][2] else F.conv2d(x, w, b, n["Attrs"]["Stride"], n["Attrs"]["Pad"][:2]),
    "linear": lambda n, *a: F.linear(*a),
    "attention": attention,
    "group_norm": lambda n, x, g, b: F.group_norm(x, n["Attrs"]["Groups"], g, b, n["Attrs"]["Eps"]),
    "layer_norm": lambda n, x, g, b: F.layer_norm(x, g.shape, g, b, n["Attrs"]["Eps"]),
    "silu": lambda n, x: F.silu(x),
    "relu": lambda n, x: F.relu(x),
    "tanh": lambda n, x: torch.tanh(x),
    "quick_gelu": lambda n, x: x * torch.sigmoid(1.702 * x),
    "affine": lambda n, x: x * n["Attrs"]["Mul"] + n["Attrs"]["Add"],
    "embedding": lambda n, table, ids: F.embedding(ids, table),
    "geglu": geglu,
    "add": lambda n, a, b: a + b,
    "upsample2d": lambda n, x: F.interpolate(x, n["Shape"][1:3]),
    "concat": lambda n, *x: torch.cat(x, 1 if x[0].dim() == 4 else n["Attrs"]["Axis"]),
    "reshape": reshape,
}

graph = json.loads(get(f"graph/{index}"))
sources = {i: value(n) for i, n in enumerate(graph["nodes"]) if n["Op"] in ("input", "weight")}


def run():
    v = dict(sources)
    for i, n in enumerate(graph["nodes"]):
        if i not in v:
            v[i] = ops[n["Op"]](n, *(v[j] for j in n["Inputs"]))
    return v[graph["output"]]


with torch.inference_mode():
    run()
    best, runs, begin = float("inf"), 0, time.perf_counter()
    while runs < 2 or time.perf_counter() < begin + 3:
        start = time.perf_counter()
        run()
        best, runs = min(best, time.perf_counter() - start), runs + 1
print(json.dumps({"ms": best * 1e3}))
