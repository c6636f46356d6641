"""Names of the layers that a LoRA of a published model may change, as the libraries write them.

  python keys.py    writes keys.json.gz: {"MODEL CONVENTION": ["KEY ROWS", ...]}

diffusers' and PEFT's names are those that the libraries give; kohya's of Stable Diffusion 1 are by diffusers' own
convert_state_dict_to_kohya. Those of the original programs follow their modules: what they fuse is one.
"""

import gzip
import json
import re
import sys
from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_kohya
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import CLIPTextConfig, CLIPTextModel

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "model")]
import make  # noqa: E402
import sizes  # noqa: E402


def modules(model):
    return {n: m.weight.shape[0] for n, m in model.named_modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d))}


def stems(state):
    """Layers of a state dict, with the rows of their second matrix."""
    return sorted(f"{k} {v.shape[0]}" for k, v in state.items() if re.search(r"lora_(B|up)", k))


def fused(groups, model, name):
    """Names by the original program: groups of a fused layer's parts by pattern."""
    rows = {}
    for module, n in modules(model).items():
        new = name(module)
        if new:
            rows[new] = rows.get(new, 0) + n
    return sorted(f"{k}.lora_up.weight {n}" for k, n in rows.items())


def flux(prefix, flat):
    double = {"attn.to_q": "img_attn.qkv", "attn.to_k": "img_attn.qkv", "attn.to_v": "img_attn.qkv", "attn.add_q_proj": "txt_attn.qkv", "attn.add_k_proj": "txt_attn.qkv",
              "attn.add_v_proj": "txt_attn.qkv", "attn.to_out.0": "img_attn.proj", "attn.to_add_out": "txt_attn.proj", "ff.net.0.proj": "img_mlp.0", "ff.net.2": "img_mlp.2",
              "ff_context.net.0.proj": "txt_mlp.0", "ff_context.net.2": "txt_mlp.2", "norm1.linear": "img_mod.lin", "norm1_context.linear": "txt_mod.lin"}
    single = {"attn.to_q": "linear1", "attn.to_k": "linear1", "attn.to_v": "linear1", "proj_mlp": "linear1", "proj_out": "linear2", "norm.linear": "modulation.lin"}
    rest = {"x_embedder": "img_in", "context_embedder": "txt_in", "proj_out": "final_layer.linear", "norm_out.linear": "final_layer.adaLN_modulation.1",
            "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer", "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
            "time_text_embed.text_embedder.linear_1": "vector_in.in_layer", "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
            "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer", "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer"}

    def name(module):
        m = re.match(r"(single_)?transformer_blocks\.(\d+)\.(.*)", module)
        new = rest[module] if not m else f"single_blocks.{m[2]}.{single[m[3]]}" if m[1] else f"double_blocks.{m[2]}.{double[m[3]]}"
        return prefix + (new.replace(".", "_") if flat else new)
    return name


def sd3(module):
    names = {"attn.to_q": "x_block.attn.qkv", "attn.to_k": "x_block.attn.qkv", "attn.to_v": "x_block.attn.qkv", "attn.add_q_proj": "context_block.attn.qkv",
             "attn.add_k_proj": "context_block.attn.qkv", "attn.add_v_proj": "context_block.attn.qkv", "attn.to_out.0": "x_block.attn.proj", "attn.to_add_out": "context_block.attn.proj",
             "ff.net.0.proj": "x_block.mlp.fc1", "ff.net.2": "x_block.mlp.fc2", "ff_context.net.0.proj": "context_block.mlp.fc1", "ff_context.net.2": "context_block.mlp.fc2",
             "norm1.linear": "x_block.adaLN_modulation.1", "norm1_context.linear": "context_block.adaLN_modulation.1"}
    rest = {"pos_embed.proj": "x_embedder.proj", "context_embedder": "context_embedder", "norm_out.linear": "final_layer.adaLN_modulation.1", "proj_out": "final_layer.linear",
            "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0", "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
            "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0", "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2"}
    m = re.match(r"transformer_blocks\.(\d+)\.(.*)", module)
    return "lora_unet_" + (f"joint_blocks.{m[1]}.{names[m[2]]}" if m else rest[module]).replace(".", "_")


def main():
    lists = {}
    with torch.device("meta"):
        nets = {"sd15_unet": UNet2DConditionModel(**sizes.SD1), "sdxl_unet": UNet2DConditionModel(**sizes.SDXL),
                "sd3_medium": SD3Transformer2DModel(**sizes.MODELS["sd3_medium"][1]), "flux1_dev": FluxTransformer2DModel(**sizes.MODELS["flux1_dev"][1])}
        clip = CLIPTextModel(CLIPTextConfig(**sizes.CLIP_L))
        for name, net in nets.items():
            part = "unet" if "unet" in name else "transformer"
            targets = list(modules(net))
            lists[f"{name} diffusers"] = sorted(f"{part}.{m}.lora.up.weight {n}" for m, n in modules(net).items())
            if name == "sd15_unet":
                lists[f"{name} kohya"] = None
            if name == "sdxl_unet":
                rename = make.sgm(2, (0, 1))
                lists[f"{name} kohya"] = sorted(f"lora_unet_{rename(m).replace('.', '_')}.lora_up.weight {n}" for m, n in modules(net).items())
            if name == "sd3_medium":
                lists[f"{name} kohya"] = fused(None, net, sd3)
            if name == "flux1_dev":
                lists[f"{name} kohya"] = fused(None, net, flux("lora_unet_", True))
                lists[f"{name} comfyui"] = fused(None, net, flux("diffusion_model.", False))
            wrapped = get_peft_model(net, LoraConfig(r=4, target_modules=targets))
            state = get_peft_model_state_dict(wrapped)
            lists[f"{name} peft"] = stems({f"{k}" if k.startswith("base_model") else f"base_model.model.{k}": v for k, v in state.items()})
            if name == "sd15_unet":
                plain = {k.replace("base_model.model.", "unet."): torch.empty(v.shape, device="cpu") for k, v in state.items()}
                lists[f"{name} kohya"] = stems(convert_state_dict_to_kohya({k: v for k, v in plain.items() if v.ndim == 2}))
        text = [f"text_model.{m}" if not m.startswith("text_model.") else m for m in modules(clip)]
        rows = {f"text_model.{m.removeprefix('text_model.')}": n for m, n in modules(clip).items()}
        lists["clip_l kohya"] = sorted(f"lora_te_{m.replace('.', '_')}.lora_up.weight {rows[m]}" for m in text)
        lists["clip_l diffusers"] = sorted(f"text_encoder.{m}.lora_linear_layer.up.weight {rows[m]}" for m in text)
    for name, keys in lists.items():
        print(name, len(keys), keys[0])
    (HERE / "keys.json.gz").write_bytes(gzip.compress(json.dumps(lists).encode(), 9, mtime=0))


main()
