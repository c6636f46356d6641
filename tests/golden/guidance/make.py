"""Writes guidance.json: what guidance makes of made-up predictions, and guided.png: pictures of the tiny pipelines.

    python make.py      # diffusers 0.42.1, torch 2.15.0, numpy 1.26.4, DeepCache 0.1.1

Predictions have four pixels in a row of two channels: p[pixel, channel] = a sin(f (2 pixel + channel) + step). Rescaling,
CFG-Zero* and adaptive projected guidance are diffusers' own guiders; perpendicular negative (ComfyUI's
comfy_extras/nodes_perpneg.py) and dynamic thresholding (the sd-dynamic-thresholding extension) are written out in float64.
"""
import json
import pathlib
import re
import sys

import diffusers
import numpy as np
import torch
from DeepCache import DeepCacheSDHelper
from diffusers.guiders import AdaptiveProjectedGuidance, ClassifierFreeGuidance, ClassifierFreeZeroStarGuidance
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import seeded  # noqa: E402

HERE = pathlib.Path(__file__).parent
STEPS = 5


def wave(a, f, step):
    return (a * np.sin(f * np.arange(8) + step)).reshape(1, 4, 2)


def rows(step):
    return dict(cond=wave(1.0, 1.1, step), uncond=wave(0.8, 0.7, step), empty=wave(0.9, 0.4, step))


def by_guider(make, **more):
    g = make()
    out = []
    for step in range(STEPS):
        g._step, g._num_inference_steps = step, STEPS
        if step == 0 and isinstance(g, AdaptiveProjectedGuidance):
            g.prepare_inputs({})
        r = {k: torch.from_numpy(v) for k, v in rows(step).items()}
        out.append(np.nan_to_num(g.forward(r["cond"], r["uncond"]).pred.numpy()).ravel().tolist())
    return more | {"out": out}


def by_formula(formula, **more):
    return more | {"out": [formula(**rows(step)).ravel().tolist() for step in range(STEPS)]}


def perp_neg(g, scale):
    def formula(cond, uncond, empty):
        pos, neg = cond - empty, uncond - empty
        perp = neg - (neg * pos).sum() / (pos * pos).sum() * pos
        return empty + g * (pos - scale * perp)
    return formula


def dynamic(g, mimic, percentile):
    def formula(cond, uncond, empty):
        weak, strong = uncond + mimic * (cond - uncond), uncond + g * (cond - uncond)
        weak, mean = weak - weak.mean(1, keepdims=True), strong.mean(1, keepdims=True)
        strong = strong - mean
        reach = np.abs(weak).max(1, keepdims=True)
        most = np.maximum(reach, np.quantile(np.abs(strong), percentile, axis=1, keepdims=True))
        return np.clip(strong, -most, most) / most * reach + mean
    return formula


cases = [
    by_guider(lambda: ClassifierFreeGuidance(5.0, guidance_rescale=0.7), guidance=5, rescale=0.7),
    by_guider(lambda: ClassifierFreeGuidance(3.0, start=0.2, stop=0.7), guidance=3, start=0.2, end=0.7),
    by_guider(lambda: ClassifierFreeZeroStarGuidance(4.0), guidance=4, method="cfg_zero"),
    by_guider(lambda: ClassifierFreeZeroStarGuidance(4.0, zero_init_steps=0, stop=0.6, guidance_rescale=0.5), guidance=4, method="cfg_zero zero_steps=0", end=0.6, rescale=0.5),
    by_guider(lambda: AdaptiveProjectedGuidance(6.0, -0.5, 15.0, eta=0.0), guidance=6, method="apg"),
    by_guider(lambda: AdaptiveProjectedGuidance(6.0, 0.3, 0.5, eta=0.7), guidance=6, method="apg momentum=0.3 threshold=0.5 eta=0.7"),
    by_formula(perp_neg(5, 1), guidance=5, method="perp_neg"),
    by_formula(perp_neg(3, 0.4), guidance=3, method="perp_neg scale=0.4"),
    by_formula(dynamic(12, 7, 1), guidance=12, method="dynamic"),
    by_formula(dynamic(12, 4, 0.8), guidance=12, method="dynamic mimic=4, percentile=0.8"),
]
text = ",\n".join(json.dumps(c) for c in cases)
pictures, sheet = [], Image.new("RGB", (32 * 6, 32))
for model, given, asked in [
    ("sd35", dict(skip_guidance_layers=[0], skip_layer_guidance_start=0.1, skip_layer_guidance_stop=0.7, guidance_scale=5.0), dict(skip="0 start=0.1 stop=0.7", guidance=5)),
    ("sdxl", dict(guidance_rescale=0.6, guidance_scale=7.5), dict(rescale=0.6, guidance=7.5)),
    ("tiny_ddim_kl", dict(eta=0.6, guidance_scale=3.0), dict(eta=0.6, guidance=3)),
    ("tiny_ddim_kl", dict(guidance_scale=3.0), dict(guidance=3, reuse="deepcache interval=2")),
    ("sdxl", dict(guidance_scale=5.0), dict(guidance=5, reuse="deepcache interval=3 branch=1")),
    ("lcm", dict(guidance_scale=5.0), dict(guidance=5, reuse="deepcache interval=4 branch=2")),
]:
    parts = dict(text_encoder_3=None, tokenizer_3=None) if model == "sd35" else {}
    with seeded.laid(HERE.parent / "pipeline" / model / "model") as path:
        pipe = diffusers.DiffusionPipeline.from_pretrained(path, torch_dtype=torch.float32, low_cpu_mem_usage=False, **parts)
    pipe.set_progress_bar_config(disable=True)
    if reuse := dict(re.findall(r"(\w+)=(\d+)", asked.get("reuse", ""))) if "reuse" in asked else None:
        helper, branch, layers = DeepCacheSDHelper(pipe=pipe), int(reuse.get("branch", 0)), pipe.unet.config.layers_per_block
        helper.set_params(cache_interval=int(reuse["interval"]))
        helper.params |= dict(cache_block_id=branch // (layers + 1), cache_layer_id=branch % (layers + 1))  # which counts three to a block
        helper.enable()
    out = pipe("red cat", num_inference_steps=6, width=32, height=32, generator=torch.Generator("cpu").manual_seed(4), output_type="np", **given).images[0]
    sheet.paste(Image.fromarray((out * 255).round().astype("uint8")), (32 * len(pictures), 0))
    pictures.append({"model": model} | asked)
sheet.save(HERE / "guided.png", optimize=True)
(HERE / "guidance.json").write_text('{"cases": [\n' + text + '\n], "pictures": [\n' + ",\n".join(json.dumps(p) for p in pictures) + "\n]}\n")
