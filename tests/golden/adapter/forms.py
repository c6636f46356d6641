"""What LyCORIS (and PEFT) make of a layer by each form of change: the merged weight, of seeded parts.

  PYTHONPATH=… python forms.py    writes forms.json; needs lycoris-lora 4.1

Each case: the layer's weight and its change's tensors as [shape, key, deviation, mean] of seeded.py, strength, and the merged
weight's values.
"""

import json
import sys
from pathlib import Path

import lycoris
import numpy as np
import torch
from lycoris.modules import get_module, make_module

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import seeded  # noqa: E402

LINEAR, CONV, POINT = (12, 8), (4, 6, 3, 3), (6, 8, 1, 1)


def layer(shape):
    m = torch.nn.Linear(shape[1], shape[0]) if len(shape) == 2 else torch.nn.Conv2d(shape[1], shape[0], shape[2], padding=shape[2] // 2)
    m.weight.data = torch.from_numpy(seeded.make(shape, 1, 0.5))
    return m


def parts(seed, shapes):
    made = {name: [list(shape), 100 * seed + i, d, mean] for i, (name, shape, d, mean) in enumerate(shapes)}
    return made, {name: torch.from_numpy(seeded.make(*v)) for name, v in made.items()}


def lyco(seed, shape, strength, *shapes):
    made, tensors = parts(seed, shapes)
    m = layer(shape)
    kind, params = get_module({f"layer.{k}": v for k, v in tensors.items()}, "layer")
    module = make_module(kind, params, "layer", m)
    if "hada_w1_a" in tensors:  # its get_merged_weight takes alpha/rank twice, what it trains with (as AUTOMATIC1111 and ComfyUI) once
        return shape, made, strength, m.weight.data + strength * module.get_weight(m.weight.shape)
    return shape, made, strength, module.get_merged_weight(multiplier=strength, shape=m.weight.shape)[0]


def by_hand(seed, shape, strength, merge, *shapes):
    made, tensors = parts(seed, shapes)
    return shape, made, strength, merge(layer(shape).weight.data, *tensors.values())


def n(name, *shape, d=0.7, mean=0.0):
    return name, shape, d, mean


def alpha(v):
    return "alpha", (), 0.0, v


def dora_wd_out(w, down, up, alpha, m):
    """DoRA as LyCORIS has it since 2.0 (wd_on_out): a magnitude for each row."""
    w = w + (alpha / up.shape[1]) * (up.flatten(1) @ down.flatten(1)).reshape(w.shape)
    return w * (m.reshape(-1, *[1] * (w.ndim - 1)) / w.flatten(1).norm(dim=1).reshape(-1, *[1] * (w.ndim - 1)))


def dora_half(w, down, up, alpha, m):
    return w + 0.5 * (dora_wd_out(w, down, up, alpha, m) - w)  # as AUTOMATIC1111 and ComfyUI have a strength


def dora_in(w, down, up, alpha, m):
    w = w + (alpha / up.shape[1]) * (up.flatten(1) @ down.flatten(1)).reshape(w.shape)
    norm = w.transpose(0, 1).flatten(1).norm(dim=1).reshape(1, -1, *[1] * (w.ndim - 2))
    return w * (m.reshape(norm.shape) / norm)


CASES = {
    "lora": lambda: lyco(1, LINEAR, 0.7, n("lora_down.weight", 3, 8), n("lora_up.weight", 12, 3), alpha(2.0)),
    "locon": lambda: lyco(2, CONV, -0.6, n("lora_down.weight", 2, 6, 3, 3), n("lora_up.weight", 4, 2, 1, 1), alpha(1.0)),
    "locon_point": lambda: lyco(3, POINT, 1.5, n("lora_down.weight", 2, 8, 1, 1), n("lora_up.weight", 6, 2, 1, 1), alpha(1.0)),
    "locon_tucker": lambda: lyco(4, CONV, 0.9, n("lora_down.weight", 2, 6, 1, 1), n("lora_mid.weight", 2, 2, 3, 3), n("lora_up.weight", 4, 2, 1, 1), alpha(1.0)),
    "loha": lambda: lyco(5, LINEAR, 0.8, n("hada_w1_a", 12, 2), n("hada_w1_b", 2, 8), n("hada_w2_a", 12, 2), n("hada_w2_b", 2, 8), alpha(1.0)),
    "loha_conv": lambda: lyco(6, CONV, 0.8, n("hada_w1_a", 4, 2), n("hada_w1_b", 2, 54), n("hada_w2_a", 4, 2), n("hada_w2_b", 2, 54), alpha(1.0)),
    "loha_tucker": lambda: lyco(7, CONV, 0.8, n("hada_w1_a", 2, 4), n("hada_w1_b", 2, 6), n("hada_w2_a", 2, 4), n("hada_w2_b", 2, 6),
                                n("hada_t1", 2, 2, 3, 3), n("hada_t2", 2, 2, 3, 3), alpha(1.0)),
    "lokr": lambda: by_hand(8, LINEAR, 0.8, lambda w, a, b: w + 0.8 * torch.kron(a, b), n("lokr_w1", 3, 2), n("lokr_w2", 4, 4)),
    "lokr_low": lambda: by_hand(9, LINEAR, 0.8, lambda w, a, b, c, s: w + 0.8 * s / 2 * torch.kron(a, b @ c), n("lokr_w1", 3, 2), n("lokr_w2_a", 4, 2), n("lokr_w2_b", 2, 4), alpha(1.0)),
    "lokr_both": lambda: by_hand(10, LINEAR, 0.8, lambda w, a, b, c, d, s: w + 0.8 * s / 2 * torch.kron(a @ b, c @ d),
                                 n("lokr_w1_a", 3, 2), n("lokr_w1_b", 2, 2), n("lokr_w2_a", 4, 2), n("lokr_w2_b", 2, 4), alpha(1.0)),
    "lokr_conv": lambda: by_hand(11, CONV, 0.8, lambda w, a, b: w + 0.8 * torch.kron(a.reshape(2, 2, 1, 1), b), n("lokr_w1", 2, 2), n("lokr_w2", 2, 3, 3, 3)),
    "lokr_tucker": lambda: by_hand(12, CONV, 0.8, lambda w, a, x, y, t, s: w + 0.8 * s / 2 * torch.kron(a.reshape(2, 2, 1, 1), torch.einsum("ijkl,ip,jr->prkl", t, x, y).contiguous()),
                                   n("lokr_w1", 2, 2), n("lokr_w2_a", 2, 2), n("lokr_w2_b", 2, 3), n("lokr_t2", 2, 2, 3, 3), alpha(1.0)),
    "lokr_point": lambda: by_hand(13, POINT, 0.8, lambda w, a, b: w + 0.8 * torch.kron(a.reshape(3, 2, 1, 1), b), n("lokr_w1", 3, 2), n("lokr_w2", 2, 4, 1, 1)),
    "dora": lambda: by_hand(14, LINEAR, 1.0, dora_wd_out, n("lora_down.weight", 3, 8), n("lora_up.weight", 12, 3), alpha(2.0), n("dora_scale", 12, 1, d=0.2, mean=1.5)),
    "dora_half": lambda: by_hand(15, LINEAR, 0.5, dora_half, n("lora_down.weight", 3, 8), n("lora_up.weight", 12, 3), alpha(2.0), n("dora_scale", 12, 1, d=0.2, mean=1.5)),
    "dora_conv": lambda: by_hand(16, CONV, 1.0, dora_wd_out, n("lora_down.weight", 2, 6, 3, 3), n("lora_up.weight", 4, 2, 1, 1), alpha(1.0), n("dora_scale", 4, 1, 1, 1, d=0.2, mean=1.5)),
    "dora_in": lambda: by_hand(17, LINEAR, 1.0, dora_in, n("lora_down.weight", 3, 8), n("lora_up.weight", 12, 3), alpha(2.0), n("dora_scale", 1, 8, d=0.2, mean=1.5)),
    "dora_in_conv": lambda: by_hand(18, CONV, 1.0, dora_in, n("lora_down.weight", 2, 6, 3, 3), n("lora_up.weight", 4, 2, 1, 1), alpha(1.0), n("dora_scale", 1, 6, 1, 1, d=0.2, mean=1.5)),
    "dora_loha": lambda: by_hand(19, LINEAR, 1.0, lambda w, a, b, c, d, m: dora_wd_out(w + (a @ b) * (c @ d), torch.zeros(1, 8), torch.zeros(12, 1), 1, m),
                                 n("hada_w1_a", 12, 2), n("hada_w1_b", 2, 8), n("hada_w2_a", 12, 2), n("hada_w2_b", 2, 8), n("dora_scale", 12, 1, d=0.2, mean=1.5)),
    "dora_lokr": lambda: by_hand(20, LINEAR, 1.0, lambda w, a, b, m: dora_wd_out(w + torch.kron(a, b), torch.zeros(1, 8), torch.zeros(12, 1), 1, m),
                                 n("lokr_w1", 3, 2), n("lokr_w2", 4, 4), n("dora_scale", 12, 1, d=0.2, mean=1.5)),
    "dora_peft": lambda: by_hand(21, LINEAR, 1.0, lambda w, a, b, m: dora_wd_out(w, a, b, 3, m), n("lora_A.weight", 3, 8), n("lora_B.weight", 12, 3), n("lora_magnitude_vector.weight", 12, d=0.2, mean=1.5)),
    "ia3": lambda: by_hand(22, LINEAR, 0.7, lambda w, l, on: w * (1 + 0.7 * l[:, None]), n("weight", 12), ("on_input", (), 0.0, 0.0)),
    "ia3_in": lambda: by_hand(23, LINEAR, 0.7, lambda w, l, on: w * (1 + 0.7 * l[None]), n("weight", 8), ("on_input", (), 0.0, 1.0)),
    "ia3_peft": lambda: by_hand(24, LINEAR, 1.0, lambda w, l: w * l, n("ia3_l", 12, 1, mean=1.0)),
    "ia3_peft_in": lambda: by_hand(25, LINEAR, 1.0, lambda w, l: w * l, n("ia3_l", 1, 8, mean=1.0)),
    "full": lambda: lyco(26, LINEAR, 0.7, n("diff", 12, 8)),
    "full_conv": lambda: lyco(27, CONV, 0.7, n("diff", 4, 6, 3, 3)),
    "custom_diffusion": lambda: by_hand(28, LINEAR, 0.6, lambda w, r: w + 0.6 * (r - w), n("custom", 12, 8)),
}


def main():
    torch.set_num_threads(1)
    cases = []
    for name, make in CASES.items():
        shape, made, strength, merged = make()
        if name == "custom_diffusion":
            made = {"_custom_diffusion.weight": made["custom"]}
        assert merged.shape == torch.Size(shape) and torch.isfinite(merged).all()
        cases.append(json.dumps(dict(name=name, shape=shape, parts=made, strength=strength, merged=[float(f"{v:.7g}") for v in merged.flatten().tolist()])))
        print(name, float((merged - layer(shape).weight.data).detach().std()))
    (HERE / "forms.json").write_text('{"lycoris": "4.1", "cases": [\n' + ",\n".join(cases) + "\n]}\n")


if __name__ == "__main__":
    with torch.no_grad():
        main()
