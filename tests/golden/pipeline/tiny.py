"""Tiny untrained pipelines for make.py --tiny: every part real, weights under 1 MB."""

import json
import math

import diffusers
import torch
from diffusers import (
    AutoencoderKL, AutoencoderTiny, DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel
from transformers.convert_slow_tokenizer import bytes_to_unicode

MERGES = ["r e", "re d</w>", "c a", "ca t</w>", "h o", "u s", "us e</w>", "ho use</w>", "o n</w>", "t h", "th e</w>"]
BOS, EOS = "<|startoftext|>", "<|endoftext|>"

SETTINGS = [
    dict(prompt="red cat", negative_prompt="", seed=1, steps=2, guidance=7.5, width=32, height=32),
    dict(prompt="the HOUSE on  fire!", negative_prompt="red", seed=2**32 + 5, steps=4, guidance=3.0, width=48, height=24),
    dict(prompt="cat", negative_prompt="", seed=42, steps=8, guidance=1.0, width=24, height=40),
    dict(prompt="héllo 🍕 wörld " * 30, negative_prompt="cat", seed=7, steps=20, guidance=4.5, width=32, height=32, count=2),
]


def seeded(model, seed, gain=1.0):
    gen = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=gen)
        if p.ndim > 1:
            p.data = gain * noise / math.sqrt(p[0].numel())
        else:
            p.data = 0.1 * noise + (1 if "norm" in name and name.endswith("weight") else 0)
    return model.eval()


def tokenizer(path):
    """All bytes, a few merges, CLIP's order of ids."""
    path.mkdir(parents=True)
    alphabet = list(bytes_to_unicode().values())
    tokens = alphabet + [c + "</w>" for c in alphabet] + [m.replace(" ", "") for m in MERGES] + [BOS, EOS]
    (path / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}, ensure_ascii=False))
    (path / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES]) + "\n")
    (path / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True,
        "bos_token": BOS, "eos_token": EOS, "unk_token": EOS, "pad_token": EOS}))
    return len(tokens)


def write(path, seed, scheduler, vae, latent, hidden_act="quick_gelu", **unet):
    words = tokenizer(path / "tokenizer")
    text = seeded(CLIPTextModel(CLIPTextConfig(
        vocab_size=words, hidden_size=24, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=77, hidden_act=hidden_act, projection_dim=24,
        bos_token_id=words - 2, eos_token_id=words - 1, pad_token_id=words - 1)), seed)
    text.get_input_embeddings().weight.data *= 4
    net = seeded(UNet2DConditionModel(**dict(
        sample_size=8, in_channels=latent, out_channels=latent, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=24, attention_head_dim=2, norm_num_groups=4) | unet), seed + 1)
    vae = seeded(vae, seed + 2, 0.7)
    if isinstance(vae, AutoencoderTiny):  # its values are 0 to 1: around the middle, few at the limits
        vae.decoder.layers[-1].weight.data *= 1.5
        vae.decoder.layers[-1].bias.data[:] = 0.5
    for name, part in ("text_encoder", text), ("unet", net), ("vae", vae), ("scheduler", scheduler):
        part.save_pretrained(path / name)
    (path / "model_index.json").write_text(json.dumps({
        "_class_name": "StableDiffusionPipeline", "_diffusers_version": diffusers.__version__,
        "feature_extractor": [None, None], "image_encoder": [None, None],
        "requires_safety_checker": False, "safety_checker": [None, None],
        "scheduler": ["diffusers", type(scheduler).__name__], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", type(vae).__name__]}, indent=2) + "\n")


def taesd(latent):
    return AutoencoderTiny(
        latent_channels=latent, encoder_block_out_channels=(8,) * 3, decoder_block_out_channels=(8,) * 3,
        num_encoder_blocks=(0, 1, 1), num_decoder_blocks=(2, 1, 1))


def euler_v(path):
    """Stable Diffusion 2's way: v prediction, linear projections."""
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
        timestep_spacing="trailing", rescale_betas_zero_snr=True)
    write(path, 100, scheduler, taesd(4), 4, hidden_act="gelu", use_linear_projection=True)


def ddim_kl(path):
    """Stable Diffusion 1's way: epsilon prediction, AutoencoderKL."""
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(4, 8, 8), layers_per_block=1, norm_num_groups=4, latent_channels=4, scaling_factor=0.7)
    write(path, 200, scheduler, vae, 4)


def flow(path):
    """Flow matching with a shift, more latent channels, a shifted autoencoder."""
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(4, 8, 8), layers_per_block=1, norm_num_groups=4, latent_channels=8, scaling_factor=1.5305,
        shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False)
    write(path, 300, FlowMatchEulerDiscreteScheduler(shift=3.0), vae, 8)


PIPELINES = {"tiny_euler_v": euler_v, "tiny_ddim_kl": ddim_kl, "tiny_flow": flow}
