"""Draws with torch the pictures of package full's models, from the very weights that were packed.

  python tests/golden/full/draw.py lcm sdxl_turbo klein

Writes NAME/golden.json and NAME/0.png, every fourth pixel of every fourth row of the picture; of klein also blocks.bin,
some of the numbers that three of its denoiser's blocks make of inputs from seeds.
"""
import json
import subprocess
import sys
import time
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE.parent))
import seeded
EVERY = 4
CASES = {
    "lcm": dict(small="lcm", prompt="red cat on the house", negative_prompt="", seed=3, steps=4, guidance=8.5, width=512, height=512),
    "sdxl_turbo": dict(small="sdxl_turbo", prompt="red cat on the house", negative_prompt="", seed=5, steps=1, guidance=0.0, width=512, height=512),
    "klein": dict(small="flux2_klein", prompt="red cat on the house", seed=7, steps=1, guidance=1.0, width=256, height=256),
}


class Weights:
    """The packed weights of a model, asked of ./unpack a tensor at a time."""

    def __init__(self, name):
        self.process = subprocess.Popen(["go", "run", "./tests/golden/full/unpack", name], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def tensor(self, component, name, shape):
        self.process.stdin.write(f"{component} {name}\n".encode())
        self.process.stdin.flush()
        values = np.empty(shape, "<f4")
        read = self.process.stdout.readinto(memoryview(values.reshape(-1)).cast("B"))
        assert read == values.nbytes, f"{component}: {name} of {shape} has {read} bytes"
        return torch.from_numpy(values)


def network(name, component, weights):
    """A network each of whose modules has its weights while it computes, and no longer."""
    config = json.loads((ROOT / "build/full" / name / "manifest.json").read_text())["components"][component]["config"]
    with torch.device("meta"):
        if "architectures" in config:
            kind = config["architectures"][0]
            if kind == "Qwen3Model":  # what is above the last state that is taken
                config["num_hidden_layers"] = 28
            net = getattr(transformers, kind)(getattr(transformers, "Qwen3Config" if kind == "Qwen3Model" else "CLIPTextConfig")(**config))
        else:
            net = getattr(diffusers, config["_class_name"]).from_config(config)
    nothing = torch.zeros(())
    for path, module in net.named_modules():
        own = {key: (f"{path}.{key}".lstrip("."), p.shape) for key, p in module.named_parameters(recurse=False)}
        for key, (_, shape) in own.items():
            setattr(module, key, torch.nn.Parameter(nothing.expand(shape), requires_grad=False))
        if component == "text_encoder" and name == "klein" and (path == "norm" or path.startswith("layers.27")):  # computed, and not read
            continue

        def bring(module, *_, own=own):
            for key, (full, shape) in own.items():
                getattr(module, key).data = weights.tensor(component, full, shape)

        def drop(module, *_, own=own):
            for key, (_, shape) in own.items():
                getattr(module, key).data = nothing.expand(shape)

        if own:
            module.register_forward_pre_hook(bring)
            module.register_forward_hook(drop)
    for path, module in net.named_modules():  # buffers
        if getattr(module, "position_ids", None) is not None:
            module.position_ids = torch.arange(77)[None]
        if hasattr(module, "inv_freq"):
            setattr(net, path, type(module)(module.config))
        if isinstance(module, torch.nn.BatchNorm2d):
            for key in "running_mean", "running_var":
                setattr(module, key, weights.tensor(component, f"{path}.{key}", getattr(module, key).shape))
            module.num_batches_tracked = torch.zeros((), dtype=torch.long)
    return net.eval()


def blocks(net, out):
    """What the first, the tenth and the last block make at 256 × 256, the text's rows first: every 577th number."""
    made = []

    def see(module, args, output):
        made.append(torch.cat(output, 1) if isinstance(output, tuple) else output)

    for block in net.transformer_blocks[0], net.single_transformer_blocks[4], net.single_transformer_blocks[19]:
        block.register_forward_hook(see)
    pixels, words = (torch.from_numpy(seeded.make(shape, key, 1.0)) for shape, key in (((1, 256, 128), 229001), ((1, 512, 7680), 229002)))
    ids = torch.tensor([[0, i // 16, i % 16, 0] for i in range(256)]), torch.tensor([[0, 0, 0, i] for i in range(512)])
    net(pixels, words, torch.ones(1), ids[0][None], ids[1][None])
    print("blocks' deviations", [x.std().item() for x in made])
    np.concatenate([x.numpy().reshape(-1)[::577] for x in made]).astype("<f2").tofile(out / "blocks.bin")


def draw(name):
    case, weights = dict(CASES[name]), Weights(name)
    small = HERE.parent / "pipeline" / case.pop("small") / "model"
    index = json.loads((small / "model_index.json").read_text())
    parts = {}
    for component, of in index.items():
        if not isinstance(of, list) or of[0] is None:
            continue
        if component.startswith("tokenizer"):
            parts[component] = getattr(transformers, of[1]).from_pretrained(small / component)
        elif component == "scheduler":
            parts[component] = getattr(diffusers, of[1]).from_pretrained(small / component)
        else:
            parts[component] = network(name, component, weights)
    kind = getattr(diffusers, index["_class_name"])
    more = {
        "lcm": dict(safety_checker=None, feature_extractor=None, requires_safety_checker=False),
        "sdxl_turbo": dict(force_zeros_for_empty_prompt=True, add_watermarker=False),
    }.get(name, {})
    pipe = kind(**parts, **more)
    pipe.upcast_vae = lambda: None
    out = HERE / name
    out.mkdir(exist_ok=True)
    start = time.time()
    if name == "klein":
        blocks(parts["transformer"], out)
        print(f"blocks: {time.time() - start:.1f} s", flush=True)
    picture = pipe(
        prompt=case["prompt"], num_inference_steps=case["steps"], guidance_scale=case["guidance"], width=case["width"], height=case["height"],
        generator=torch.Generator("cpu").manual_seed(case["seed"]), output_type="np").images[0]
    picture = (picture * 255).round().astype("uint8")
    print(f"{name}: {time.time() - start:.1f} s, mean {picture.mean():.1f}, std {picture.std():.1f}, "
          f"at the limits {((picture == 0) | (picture == 255)).mean():.2f}, colours {picture.std((0, 1))}")
    Image.fromarray(picture).save(ROOT / "build/full" / f"{name}.png")
    Image.fromarray(picture[::EVERY, ::EVERY].copy()).save(out / "0.png", optimize=True)
    versions = {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}
    (out / "golden.json").write_text(json.dumps({"versions": versions, "every": EVERY, "cases": [case | {"files": ["0.png"]}]}, indent=1) + "\n")


if __name__ == "__main__":
    with torch.no_grad():
        for name in sys.argv[1:]:
            draw(name)
