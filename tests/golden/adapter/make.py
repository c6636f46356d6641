"""Draws what LoRAs make of the tiny pipelines of ../pipeline, merged into their weights, and writes them as others' tools do.

  python make.py [NAME...]    writes golden.json, the pictures and the adapters' seeds

Where diffusers' pipeline loads a file itself (by PEFT), its picture must be that of the merged weights.
"""

import json
import re
import sys
from pathlib import Path

import diffusers
import numpy as np
import peft
import torch
from PIL import Image
from safetensors.numpy import save_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import seeded  # noqa: E402

VERSIONS = {"torch": torch.__version__, "diffusers": diffusers.__version__, "peft": peft.__version__}


def load(model):
    with seeded.laid(HERE.parent / "pipeline" / model / "model") as d:
        pipe = diffusers.DiffusionPipeline.from_pretrained(d, torch_dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


class Lora:
    """Random changes of the layers of a pipeline, and the files that say so."""

    def __init__(self, pipe, seed, patterns, rank=2, gain=0.5, alpha=None, fused=()):
        """patterns are of the layers' names, by component; fused ones share what is read of their input."""
        self.pipe, self.layers, shared = pipe, {}, {}
        for component, pattern in patterns.items():
            for name, m in getattr(pipe, component).named_modules():
                if not isinstance(m, (torch.nn.Linear, torch.nn.Conv2d)) or not re.search(pattern, name):
                    continue
                r = rank + len(self.layers) % 2
                w = m.weight
                group = next((re.sub(f, "", name) for f in fused if re.search(f, name)), name)
                if group not in shared:
                    r = max(1, r)
                    a = None if alpha is None else np.float32(alpha + len(shared) % 3)
                    shared[group] = r, self.made((r, *w.shape[1:]), seed * 1000 + 2 * len(self.layers), w[0].numel() ** -0.5), a
                r, down, a = shared[group]
                up = self.made((w.shape[0], r), seed * 1000 + 2 * len(self.layers) + 1, gain / r ** 0.5)
                self.layers[component, name] = down, up, a

    @staticmethod
    def made(shape, key, deviation):
        values = seeded.make(shape, key, deviation)
        seeded.remember(values, key, deviation, 0.0)
        return values

    def merge(self, weight):
        for (component, name), (down, up, alpha) in self.layers.items():
            w = getattr(self.pipe, component).get_submodule(name).weight
            scale = weight * (1 if alpha is None else float(alpha) / down.shape[0])
            delta = up.astype(np.float64) @ down.reshape(down.shape[0], -1).astype(np.float64)
            w.data += torch.from_numpy((scale * delta).astype(np.float32)).reshape(w.shape)

    def tensors(self, name, down=".lora_down.weight", up=".lora_up.weight", alpha=".alpha"):
        """name(component, module) begins each key."""
        out = {}
        for (component, module), (d, u, a) in self.layers.items():
            stem = name(component, module)
            u = u.reshape(*u.shape, *(1,) * (d.ndim - 2))
            out[stem + down], out[stem + up] = d, u
            seeded_up = seeded.MADE["float32", seeded.hashlib.sha1(u.tobytes()).digest()]
            seeded.remember(u, *seeded_up)
            if a is not None:
                out[stem + alpha] = np.full((), a, np.float32)
        return out


def peft_names(component, module):
    return f"{component}.{module}"


def kohya(texts={"text_encoder": "te"}, rename=lambda s: s):
    def name(component, module):
        if component in texts:
            return f"lora_{texts[component]}_text_model_" + module.removeprefix("text_model.").replace(".", "_")
        return "lora_unet_" + rename(module).replace(".", "_")
    return name


def sgm(layers, attended=(0,)):
    """diffusers' names of a UNet as Stability's generative models have them; attended are its blocks on the way up with attention."""
    def rename(module):
        resnet = dict(conv1="in_layers.2", time_emb_proj="emb_layers.1", conv2="out_layers.3", conv_shortcut="skip_connection")
        m = re.match(r"(down|up)_blocks\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(.*)", module)
        if m:
            way, block, kind, layer, rest = m[1], int(m[2]), m[3], int(m[4]), m[5]
            step = layers + 1
            rest = resnet[rest] if kind == "resnets" else rest
            if way == "down":
                at = 1 + block * step + (layers if kind == "downsamplers" else layer)
                return f"input_blocks.{at}.0.op" if kind == "downsamplers" else f"input_blocks.{at}.{int(kind == 'attentions')}.{rest}"
            at = block * step + (layers if kind == "upsamplers" else layer)
            has_attention = kind == "upsamplers" and attention(block)
            place = 1 + has_attention if kind == "upsamplers" else int(kind == "attentions")
            return f"output_blocks.{at}.{place}.{rest}"
        m = re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", module)
        if m:
            return f"middle_block.1.{m[3]}" if m[1] == "attentions" else f"middle_block.{2 * int(m[2])}.{resnet[m[3]]}"
        for a, b in {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
                     "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2", "conv_out": "out.2"}.items():
            if module == a:
                return b
        raise KeyError(module)

    def attention(block):
        return block in attended
    return rename


def concat(tensors, groups):
    """Writes the ups of layers that share their down as one, as the original programs' fused projections have it."""
    out = dict(tensors)
    for new, olds in groups.items():
        ups = [out.pop(o + ".lora_up.weight") for o in olds]
        downs = [out.pop(o + ".lora_down.weight") for o in olds]
        alphas = [out.pop(o + ".alpha", None) for o in olds]
        assert all((d == downs[0]).all() for d in downs)
        out[new + ".lora_down.weight"], out[new + ".lora_up.weight"] = downs[0], np.concatenate(ups)
        if alphas[0] is not None:
            out[new + ".alpha"] = alphas[0]
    return out


def kohya_flux(pipe, lora):
    """As kohya's scripts name the layers of FLUX."""
    plain, groups = {}, {}
    double = {"attn.to_out.0": "img_attn_proj", "attn.to_add_out": "txt_attn_proj", "ff.net.0.proj": "img_mlp_0", "ff.net.2": "img_mlp_2",
              "ff_context.net.0.proj": "txt_mlp_0", "ff_context.net.2": "txt_mlp_2", "norm1.linear": "img_mod_lin", "norm1_context.linear": "txt_mod_lin"}

    def name(component, module):
        m = re.match(r"(single_)?transformer_blocks\.(\d+)\.(.*)", module)
        stem = f"lora_unet_{'single' if m[1] else 'double'}_blocks_{m[2]}_"
        if m[1]:
            rest = {"proj_out": "linear2", "norm.linear": "modulation_lin"}.get(m[3])
            into, order = "linear1", ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
        else:
            rest = double.get(m[3])
            text = m[3].startswith("attn.add_")
            into = "txt_attn_qkv" if text else "img_attn_qkv"
            order = ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj") if text else ("attn.to_q", "attn.to_k", "attn.to_v")
        if rest is None:
            groups.setdefault(stem + into, [None] * len(order))[order.index(m[3])] = stem + m[3]
            return stem + m[3]
        return stem + rest
    tensors = lora.tensors(name)
    return concat(tensors, groups)


def kohya_sd3(pipe, lora):
    groups = {}
    names = {"attn.to_out.0": "x_block_attn_proj", "attn.to_add_out": "context_block_attn_proj", "ff.net.0.proj": "x_block_mlp_fc1", "ff.net.2": "x_block_mlp_fc2",
             "ff_context.net.0.proj": "context_block_mlp_fc1", "ff_context.net.2": "context_block_mlp_fc2",
             "norm1.linear": "x_block_adaLN_modulation_1", "norm1_context.linear": "context_block_adaLN_modulation_1"}

    def name(component, module):
        m = re.match(r"transformer_blocks\.(\d+)\.(.*)", module)
        stem = f"lora_unet_joint_blocks_{m[1]}_"
        if m[2] in names:
            return stem + names[m[2]]
        text = m[2].startswith("attn.add_")
        order = ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj") if text else ("attn.to_q", "attn.to_k", "attn.to_v")
        groups.setdefault(stem + ("context_block" if text else "x_block") + "_attn_qkv", [None] * 3)[order.index(m[2])] = stem + m[2]
        return stem + m[2]
    tensors = lora.tensors(name)
    last = f"lora_unet_joint_blocks_{len(pipe.transformer.transformer_blocks) - 1}_context_block_adaLN_modulation_1.lora_up.weight"
    tensors[last] = np.roll(tensors[last], len(tensors[last]) // 2, 0)  # shift before scale, which diffusers exchanges
    return concat(tensors, groups)


def draw(pipe, request):
    given = dict(num_inference_steps=request["steps"], guidance_scale=request["guidance"], width=request["width"], height=request["height"],
                 output_type="np", generator=torch.Generator("cpu").manual_seed(request["seed"]))
    if "PixArt" in type(pipe).__name__:
        given["use_resolution_binning"] = False
    return (pipe(request["prompt"], **given).images[0] * 255).round().astype("uint8")


ALL = r"."
ATTENTION = r"\.to_(q|k|v|out\.0)$"
TEXT = r"(self_attn\.|mlp\.)"
QKV = (r"(?<=attn\.)to_[qkv]$", r"(?<=attn\.)add_[qkv]_proj$")
SINGLE = (r"(?<=single_transformer_blocks\.\d\.)(attn\.to_[qkv]|proj_mlp)$",)


def case(name, model, loras, **fields):
    """loras make (file, weight, Lora, tensors) of a pipeline; the picture is of them all."""
    pipe = load(model)
    request = dict(prompt="red cat", seed=5, steps=3, guidance=3.0, width=40, height=32) | fields
    bare = draw(pipe, request)
    files, made = [], loras(pipe)
    for file, weight, lora, tensors in made:
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, HERE / f"{file}.safetensors", {"format": "pt"})
        seeded.freeze(HERE / f"{file}.safetensors")
        files.append([file, weight])
    for file, weight, lora, tensors in made:
        lora.merge(weight)
    picture = draw(pipe, request)
    assert np.isfinite(picture).all()
    change = np.abs(picture.astype(int) - bare).mean()
    loads = "-"
    if hasattr(pipe, "load_lora_weights") and all(c in ("unet", "transformer") for _, _, l, _ in made for c, _ in l.layers):
        again = load(model)
        for file, weight, lora, tensors in made:  # the diffusers' form of each
            state = lora.tensors(peft_names, ".lora_A.weight", ".lora_B.weight")
            for key in [k for k in state if k.endswith(".alpha")]:  # which it does not take here
                up = key.replace(".alpha", ".lora_B.weight")
                state[up] = state[up] * (float(state.pop(key)) / state[up].shape[1])
            again.load_lora_weights({k: torch.from_numpy(np.array(v)) for k, v in state.items()}, adapter_name=file, low_cpu_mem_usage=False)
        again.set_adapters([m[0] for m in made], adapter_weights=[m[1] for m in made])
        other = draw(again, request)
        loads = np.abs(other.astype(int) - picture).max()
        assert loads <= 1, loads
    print(f"{name}: {sum(len(m[2].layers) for m in made)} layers, std {picture.std():.1f}, changes {change:.1f}, diffusers' own differs by {loads}", flush=True)
    Image.fromarray(picture).save(HERE / f"{name}.png", optimize=True)
    return dict(name=name, model=model, loras=files, request=request)


def sd_kohya(pipe):
    lora = Lora(pipe, 1, {"unet": ALL, "text_encoder": TEXT}, alpha=1)
    return [("sd_kohya", 0.7, lora, lora.tensors(kohya()))]


def sd_two(pipe):
    a = Lora(pipe, 2, {"unet": ATTENTION}, rank=1, gain=1)
    b = Lora(pipe, 3, {"unet": r"ff|proj_in|conv"}, rank=3, alpha=2)
    old = a.tensors(peft_names, ".lora.down.weight", ".lora.up.weight")
    return [("sd_old", -0.6, a, old), ("sd_peft", 0.5, b, b.tensors(peft_names, ".lora_A.weight", ".lora_B.weight"))]


def sdxl_kohya(pipe):
    lora = Lora(pipe, 4, {"unet": ALL, "text_encoder": TEXT, "text_encoder_2": TEXT}, alpha=2, gain=0.3)
    return [("sdxl_kohya", 0.9, lora, lora.tensors(kohya({"text_encoder": "te1", "text_encoder_2": "te2"}, sgm(1))))]


def sd3_kohya(pipe):
    lora = Lora(pipe, 5, {"transformer": r"transformer_blocks"}, fused=QKV, alpha=1)
    return [("sd3_kohya", 0.8, lora, kohya_sd3(pipe, lora))]


def flux_kohya(pipe):
    lora = Lora(pipe, 6, {"transformer": r"transformer_blocks"}, fused=SINGLE + QKV, alpha=1)
    return [("flux_kohya", 0.8, lora, kohya_flux(pipe, lora))]


def flux_peft(pipe):
    lora = Lora(pipe, 6, {"transformer": ALL}, gain=0.4)
    return [("flux_peft", 0.8, lora, lora.tensors(peft_names, ".lora_A.weight", ".lora_B.weight"))]


def pixart_peft(pipe):
    lora = Lora(pipe, 7, {"transformer": r"attn|ff|proj|linear"}, gain=0.4)
    return [("pixart_peft", 1.0, lora, lora.tensors(lambda component, module: "base_model.model." + module, ".lora_A.weight", ".lora_B.weight"))]


def inversion():
    """Textual inversion: a word of two vectors, in diffusers' own layout."""
    pipe, name = load("tiny_ddim_kl"), "inversion"
    request = dict(prompt="red <toy>, cat", seed=5, steps=3, guidance=3.0, width=40, height=32)
    vectors = Lora.made((2, pipe.text_encoder.config.hidden_size), 9000, 0.5)
    save_file({"<toy>": vectors}, HERE / f"{name}.safetensors", {"format": "pt"})
    seeded.freeze(HERE / f"{name}.safetensors")
    pipe.load_textual_inversion({"<toy>": torch.from_numpy(vectors)})
    picture = draw(pipe, request)
    print(f"{name}: std {picture.std():.1f}", flush=True)
    Image.fromarray(picture).save(HERE / f"{name}.png", optimize=True)
    return dict(name=name, model="tiny_ddim_kl", embedding=name, request=request)


CASES = {
    "inversion": inversion,
    "sd_kohya": lambda: case("sd_kohya", "tiny_ddim_kl", sd_kohya),
    "sd_two": lambda: case("sd_two", "tiny_ddim_kl", sd_two),
    "sdxl_kohya": lambda: case("sdxl_kohya", "sdxl", sdxl_kohya),
    "sd3_kohya": lambda: case("sd3_kohya", "sd3", sd3_kohya, width=32),
    "flux_kohya": lambda: case("flux_kohya", "flux_dev", flux_kohya, width=32),
    "flux_peft": lambda: case("flux_peft", "flux_dev", flux_peft, width=32),
    "pixart_peft": lambda: case("pixart_peft", "pixart_sigma", pixart_peft, width=32),
}


def main(names):
    torch.set_num_threads(1)
    file = HERE / "golden.json"
    cases = {c["name"]: c for c in json.loads(file.read_text())["cases"]} if names and file.exists() else {}
    for name in names or CASES:
        cases[name] = CASES[name]()
    text = ",\n".join(json.dumps(cases[name]) for name in CASES if name in cases)
    file.write_text('{"versions": ' + json.dumps(VERSIONS) + ', "cases": [\n' + text + "\n]}\n")


if __name__ == "__main__":
    with torch.no_grad():
        main(sys.argv[1:])
