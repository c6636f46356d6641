"""Makes ops.json and ops.safetensors: torch's results for every engine op.

A case's tensors are named CASE.INPUT and CASE.y; images are channels-last.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = Path(__file__).parent
GEN = torch.Generator().manual_seed(0)
cases, tensors = [], {}


def randn(*shape):
    return torch.randn(shape, generator=GEN)


def case(name, y, inputs, **attrs):
    cases.append({"name": name, "op": name.split("/")[0], "inputs": list(inputs), **attrs})
    for k, v in (inputs | {"y": y}).items():
        tensors[f"{name}.{k}"] = v.clone().contiguous()


def first(x):
    return x.permute(0, 3, 1, 2)


def last(x):
    return x.permute(0, 2, 3, 1)


def conv(name, n, h, w, cin, cout, k, stride=1, pad=(0, 0, 0, 0), bias=True, kw=None):
    x, weight, b = randn(n, h, w, cin), randn(cout, cin, k, kw or k), randn(cout)
    t, l, bottom, r = pad
    y = last(F.conv2d(F.pad(first(x), (l, r, t, bottom)), weight, b if bias else None, stride))
    case(f"conv2d/{name}", y, {"x": x, "w": weight} | ({"b": b} if bias else {}), stride=stride, pad=pad)


def convs():
    same = (1, 1, 1, 1)
    conv("3x3", 2, 5, 7, 4, 6, 3, pad=same)
    conv("3x3_no_bias", 1, 4, 4, 3, 5, 3, pad=same, bias=False)
    conv("3x3_valid", 1, 6, 5, 2, 3, 3)
    conv("3x3_s2", 1, 8, 8, 4, 4, 3, stride=2, pad=same)
    conv("3x3_s2_odd", 2, 7, 9, 3, 4, 3, stride=2, pad=same)
    conv("3x3_s2_bottom_right", 1, 8, 6, 3, 4, 3, stride=2, pad=(0, 0, 1, 1))
    conv("3x3_uneven_pad", 1, 4, 5, 2, 2, 3, pad=(2, 0, 1, 3))
    conv("1x1", 2, 3, 4, 5, 7, 1)
    conv("1x1_s2", 1, 5, 5, 4, 3, 1, stride=2)
    conv("5x5", 1, 6, 6, 2, 3, 5, pad=(2, 2, 2, 2))
    conv("1x3", 1, 4, 6, 3, 2, 1, pad=(0, 1, 0, 1), kw=3)
    conv("4x4_patch", 1, 8, 12, 3, 6, 4, stride=4)
    conv("one_pixel", 1, 1, 1, 2, 2, 3, pad=same)


def matmuls():
    for rows, k, n in ((1, 8, 3), (5, 7, 9), (33, 16, 4)):
        x, w, b = randn(rows, k), randn(n, k), randn(n)
        case(f"linear/{rows}x{k}x{n}", F.linear(x, w, b), {"x": x, "w": w, "b": b})
    x, w = randn(2, 3, 6), randn(5, 6)
    case("linear/no_bias", F.linear(x, w), {"x": x, "w": w})
    a, b = randn(2, 3, 4, 5), randn(2, 3, 5, 6)
    case("matmul/plain", a @ b, {"x": a, "b": b}, trans=False)
    a, b = randn(3, 7, 5), randn(3, 2, 5)
    case("matmul/trans", a @ b.mT, {"x": a, "b": b}, trans=True)
    table, ids = randn(9, 6), torch.tensor([[0, 8, 3, 3], [1, 0, 7, 2]])
    case("embedding/ids", F.embedding(ids, table), {"w": table, "ids": ids.int()})


def attentions():
    for name, b, tq, tk, heads, hd, scale, causal in (
        ("self", 1, 9, 9, 2, 8, None, False), ("cross", 2, 6, 11, 3, 4, None, False), ("one_key", 1, 5, 1, 2, 4, None, False),
        ("causal", 2, 7, 7, 2, 5, None, True), ("scaled", 1, 8, 8, 1, 16, 1.5, False), ("causal_one", 1, 1, 1, 1, 4, None, True),
    ):
        q, k, v = randn(b, tq, heads * hd), randn(b, tk, heads * hd), randn(b, tk, heads * hd)
        split = lambda x: x.reshape(b, -1, heads, hd).transpose(1, 2)
        y = F.scaled_dot_product_attention(split(q), split(k), split(v), scale=scale, is_causal=causal)
        case(f"attention/{name}", y.transpose(1, 2).reshape(b, tq, -1), {"q": q, "k": k, "v": v},
             heads=heads, scale=scale or hd**-0.5, causal=causal)


def norms():
    for name, groups, eps, shape in (
        ("image", 4, 1e-5, (2, 3, 5, 8)), ("one", 1, 1e-6, (1, 4, 4, 6)), ("each", 6, 1e-3, (1, 3, 3, 6)), ("tokens", 2, 1e-5, (2, 7, 4)),
    ):
        x, w, b = 2 * randn(*shape) + 1, randn(shape[-1]), randn(shape[-1])
        y = F.group_norm(x.movedim(-1, 1), groups, w, b, eps).movedim(1, -1)
        case(f"group_norm/{name}", y, {"x": x, "w": w, "b": b}, groups=groups, eps=eps)
        case(f"group_norm/{name}_silu", F.silu(y), {"x": x, "w": w, "b": b}, groups=groups, eps=eps, act="silu")
    x = 0.1 * randn(1, 6, 6, 8) + 50  # a mean that would cancel a careless variance
    case("group_norm/offset", F.group_norm(first(x.double()), 2).permute(0, 2, 3, 1).float(),
         {"x": x, "w": torch.ones(8), "b": torch.zeros(8)}, groups=2, eps=1e-5, tolerance=1e-4)
    for d in (1, 5, 16, 33):
        x, w, b = 3 * randn(2, 4, d) - 1, randn(d), randn(d)
        case(f"layer_norm/{d}", F.layer_norm(x, (d,), w, b, 1e-5), {"x": x, "w": w, "b": b}, eps=1e-5)
        case(f"softmax/{d}", x.softmax(-1), {"x": x})
    x = torch.tensor([[1e4, -1e4, 0.0], [-1e30, -1e30, -1e30], [88.0, 89.0, -200.0]])
    case("softmax/extreme", x.softmax(-1), {"x": x})


def elementwise():
    negative, positive = torch.tensor([-1e30, -1e4, -200.0, -90.0, -1e-30, 0.0, 1.0]), torch.tensor([80.0, 90.0, 200.0, 1e4])
    for name, f in {
        "silu": F.silu, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x), "relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    }.items():
        for part, x in (("range", torch.linspace(-12, 12, 97)), ("negative", negative), ("positive", positive)):
            case(f"{name}/{part}", f(x), {"x": x})
    for name, a, b in (
        ("same", (3, 4), (3, 4)), ("row", (2, 3, 4), (4,)), ("per_image", (2, 3, 3, 4), (2, 1, 1, 4)), ("scalar", (5,), (1,)),
        ("outer", (4, 1), (1, 3)), ("left", (3, 1), (2, 3, 2)),
    ):
        a, b = randn(*a), randn(*b)
        for op, y in (("add", a + b), ("sub", a - b), ("mul", a * b)):
            case(f"{op}/{name}", y, {"x": a, "b": b})
    x = randn(4, 5)
    case("affine/scale_shift", x * -2.5 + 0.75, {"x": x}, mul=-2.5, add=0.75)
    case("clamp/range", x.clamp(-0.5, 0.8), {"x": x}, min=-0.5, max=0.8)
    x = 2 * randn(3, 5, 14)
    a, gate = x.chunk(2, -1)
    case("geglu/tokens", a * F.gelu(gate), {"x": x})


def moves():
    x = randn(2, 4, 5, 3)
    for h, w in ((8, 10), (7, 9), (4, 5), (12, 15), (3, 2)):
        case(f"upsample2d/{h}x{w}", last(F.interpolate(first(x), size=(h, w), mode="nearest")), {"x": x}, h=h, w=w)
    for axis in range(4):
        y = randn(*[2 if i == axis else n for i, n in enumerate(x.shape)])
        case(f"concat/axis{axis}", torch.cat([x, y, x], axis), {"x": x, "b": y, "c": x}, axis=axis)
        if x.shape[axis] > 2:
            case(f"slice/axis{axis}", x.narrow(axis, 1, 2), {"x": x}, axis=axis, start=1, stop=3)
    case("reshape/image", x.reshape(2, 20, 3), {"x": x}, shape=[2, 20, 3])
    for axes in ((0, 3, 1, 2), (0, 2, 1, 3), (3, 2, 1, 0)):
        case("permute/" + "".join(map(str, axes)), x.permute(axes), {"x": x}, axes=axes)


def depthwise(name, n, h, w, c, k, stride=1, pad=(0, 0, 0, 0), bias=True):
    x, weight, b = randn(n, h, w, c), randn(c, 1, k, k), randn(c)
    t, l, bottom, r = pad
    y = last(F.conv2d(F.pad(first(x), (l, r, t, bottom)), weight, b if bias else None, stride, groups=c))
    case(f"depthwise_conv2d/{name}", y, {"x": x, "w": weight} | ({"b": b} if bias else {}), stride=stride, pad=pad)


def transposed(name, n, h, w, cin, cout, k, stride=1, pad=0, out_pad=0, bias=True, kw=None):
    x, weight, b = randn(n, h, w, cin), randn(cin, cout, k, kw or k), randn(cout)
    y = last(F.conv_transpose2d(first(x), weight, b if bias else None, stride, pad, out_pad))
    case(f"conv_transpose2d/{name}", y, {"x": x, "w": weight} | ({"b": b} if bias else {}),
         stride=stride, pad=(pad,) * 4, out_pad=out_pad)


def fold(name, n, h, w, c, kh, kw, stride, pad, size):
    x = randn(n, h, w, kh, kw, c)
    y = last(F.fold(x.permute(0, 5, 3, 4, 1, 2).reshape(n, c * kh * kw, h * w), size, (kh, kw), padding=pad, stride=stride))
    case(f"fold2d/{name}", y, {"x": x.reshape(n, h, w, -1)}, stride=stride, pad=(pad,) * 4, shape=[kh, kw], h=size[0], w=size[1])


def more_convs():
    same = (1, 1, 1, 1)
    depthwise("3x3", 2, 5, 7, 6, 3, pad=same)
    depthwise("3x3_no_bias", 1, 4, 4, 3, 3, pad=same, bias=False)
    depthwise("3x3_s2", 1, 7, 8, 5, 3, stride=2, pad=same)
    depthwise("3x3_uneven_pad", 1, 4, 5, 2, 3, pad=(2, 0, 1, 3))
    depthwise("5x5", 1, 6, 6, 4, 5, pad=(2, 2, 2, 2))
    transposed("2x2_s2", 1, 3, 4, 5, 6, 2, stride=2)
    transposed("4x4_s2", 2, 4, 3, 4, 3, 4, stride=2, pad=1)
    transposed("3x3_s2_output_padding", 1, 4, 5, 3, 4, 3, stride=2, pad=1, out_pad=1)
    transposed("3x3_no_bias", 1, 4, 4, 2, 3, 3, bias=False)
    transposed("1x3_s3", 1, 3, 2, 3, 2, 1, stride=3, kw=3, out_pad=2)
    fold("3x3", 2, 4, 5, 3, 3, 3, 1, 1, (4, 5))
    fold("4x2_s2", 1, 3, 4, 2, 4, 2, 2, 1, (6, 6))


def composites():
    for name, heads, kv, tq, hd, causal, masked in (
        ("grouped", 4, 2, 6, 8, False, False), ("grouped_causal", 6, 2, 7, 4, True, False), ("causal_mask", 2, 2, 7, 6, True, True),
        ("grouped_causal_mask", 4, 1, 8, 4, True, True), ("mask", 2, 2, 5, 4, False, True),
    ):
        q, k, v = randn(2, tq, heads * hd), randn(2, tq, kv * hd), randn(2, tq, kv * hd)
        split = lambda x, n: x.reshape(2, -1, n, hd).transpose(1, 2)
        bias = torch.zeros(2, tq)
        if masked:
            bias[0, tq - 2:], bias[1, :1] = -30000, -30000
        mask = bias[:, None, None].expand(-1, 1, tq, -1).clone()
        if causal:
            mask += torch.full((tq, tq), -1e30).triu(1)
        y = F.scaled_dot_product_attention(split(q, heads), split(k, kv), split(v, kv), mask, enable_gqa=True)
        case(f"attention/{name}", y.transpose(1, 2).reshape(2, tq, -1), {"q": q, "k": k, "v": v} | ({"bias": bias} if masked else {}),
             heads=heads, kv_heads=kv, scale=hd**-0.5, causal=causal)
    for d in (1, 6, 17):
        x, w = 3 * randn(2, 4, d) + 1, randn(d)
        case(f"rms_norm/{d}", F.rms_norm(x, (d,), w, 1e-6), {"x": x, "w": w}, eps=1e-6)
    x = 1e-4 * randn(3, 8)  # where eps counts
    case("rms_norm/small", F.rms_norm(x, (8,), torch.ones(8), 1e-6), {"x": x, "w": torch.ones(8)}, eps=1e-6)
    for name, shape in (("tokens", (2, 5, 6)), ("image", (2, 3, 4, 5))):
        x = randn(*shape)
        shift, scale = (randn(shape[0], *[1] * (len(shape) - 2), shape[-1]) for _ in range(2))
        case(f"modulate/{name}", x * (1 + scale) + shift, {"x": x, "shift": shift, "scale": scale})
    for name, b, t, heads, hd, each in (("one", 2, 5, 3, 8, 1), ("each", 2, 4, 2, 6, 2)):
        x, angle = randn(b, t, heads, hd), 3 * randn(each, t, hd // 2)
        cos, sin = angle.cos(), angle.sin()
        for kind, repeat in (("pairs", lambda a: a.repeat_interleave(2, -1)), ("halves", lambda a: torch.cat([a, a], -1))):
            if kind == "pairs":
                p, q = x.reshape(b, t, heads, -1, 2).unbind(-1)
                turned = torch.stack([-q, p], -1).flatten(3)
            else:
                p, q = x.chunk(2, -1)
                turned = torch.cat([-q, p], -1)
            y = x * repeat(cos)[:, :, None] + turned * repeat(sin)[:, :, None]
            case(f"rotary_embedding/{kind}_{name}", y.reshape(b, t, -1), {"x": x.reshape(b, t, -1), "cos": cos, "sin": sin},
                 heads=heads, interleaved=kind == "pairs")


if __name__ == "__main__":
    for make in (convs, matmuls, attentions, norms, elementwise, moves, more_convs, composites):
        make()
    save_file(tensors, HERE / "ops.safetensors")
    text = ",\n".join(json.dumps(c) for c in cases)
    (HERE / "ops.json").write_text(f'{{"versions": {{"torch": "{torch.__version__}"}}, "cases": [\n{text}\n]}}\n')
    print(len(cases), "cases")
