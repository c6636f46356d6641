"""Draws with torch the pictures of package full's models, from the very weights that were packed.

  go run ./tests/golden/full/unpack lcm sdxl_turbo && python tests/golden/full/draw.py lcm sdxl_turbo

Writes NAME/golden.json and NAME/0.png, every fourth pixel of every fourth row of the picture.
"""
import json
import sys
import time
from pathlib import Path

import diffusers
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
EVERY = 4
CASES = {
    "lcm": dict(prompt="red cat on the house", negative_prompt="", seed=3, steps=4, guidance=8.5, width=512, height=512),
    "sdxl_turbo": dict(prompt="red cat on the house", negative_prompt="", seed=5, steps=1, guidance=0.0, width=512, height=512),
}


def network(name, component):
    """A network over the file's own pages; the half of an autoencoder that encodes stays without weights."""
    folder = ROOT / "build/full" / f"{name}-torch" / component
    config = json.loads((folder / "config.json").read_text())
    with torch.device("meta"):
        if "architectures" in config:
            net = getattr(transformers, config["architectures"][0])(transformers.CLIPTextConfig(**config))
        else:
            net = getattr(diffusers, config["_class_name"]).from_config(config)
    missing, unexpected = net.load_state_dict(load_file(folder / "weights.safetensors"), strict=False, assign=True)
    assert not unexpected and all(k.startswith(("encoder.", "quant_conv.")) for k in missing), (missing[:5], unexpected[:5])
    for part in net.modules():  # of the half that is not used
        for key, p in part.named_parameters(recurse=False):
            if p.is_meta:
                setattr(part, key, torch.nn.Parameter(torch.zeros(p.shape)))
    for part in net.modules():  # buffers that no file has
        if getattr(part, "position_ids", None) is not None:
            part.position_ids = torch.arange(77)[None]
    return net.eval()


def draw(name):
    case = CASES[name]
    small = HERE.parent / "pipeline" / name / "model"
    index = json.loads((small / "model_index.json").read_text())
    parts = {}
    for component, of in index.items():
        if not isinstance(of, list) or of[0] is None:
            continue
        if component.startswith("tokenizer"):
            parts[component] = transformers.CLIPTokenizer.from_pretrained(small / component)
        elif component == "scheduler":
            parts[component] = getattr(diffusers, of[1]).from_pretrained(small / component)
        else:
            parts[component] = network(name, component)
    kind = getattr(diffusers, index["_class_name"])
    more = dict(safety_checker=None, feature_extractor=None, requires_safety_checker=False) if name == "lcm" else dict(
        force_zeros_for_empty_prompt=True, add_watermarker=False)
    pipe = kind(**parts, **more)
    pipe.upcast_vae = lambda: None
    start = time.time()
    picture = pipe(
        case["prompt"], num_inference_steps=case["steps"], guidance_scale=case["guidance"], width=case["width"], height=case["height"],
        generator=torch.Generator("cpu").manual_seed(case["seed"]), output_type="np").images[0]
    picture = (picture * 255).round().astype("uint8")
    print(f"{name}: {time.time() - start:.1f} s, mean {picture.mean():.1f}, std {picture.std():.1f}, "
          f"at the limits {((picture == 0) | (picture == 255)).mean():.2f}, colours {picture.std((0, 1))}")
    out = HERE / name
    out.mkdir(exist_ok=True)
    Image.fromarray(picture).save(ROOT / "build/full" / f"{name}.png")
    Image.fromarray(picture[::EVERY, ::EVERY].copy()).save(out / "0.png", optimize=True)
    versions = {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}
    (out / "golden.json").write_text(json.dumps({"versions": versions, "every": EVERY, "cases": [case | {"files": ["0.png"]}]}, indent=1) + "\n")


if __name__ == "__main__":
    with torch.no_grad():
        for name in sys.argv[1:]:
            draw(name)
