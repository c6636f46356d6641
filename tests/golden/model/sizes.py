"""Makes sizes.json: the parameters that published models have, by name and shape.

The networks are built on torch's meta device from the configurations that
stand in their repositories, so nothing is downloaded. Of each the file keeps
the config, the number of parameters and a digest of the sorted lines "name shape".
"""

import hashlib
import json
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import (
    AutoencoderKL, AutoencoderTiny, ControlNetModel, FluxTransformer2DModel, PixArtTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

CROSS, DOWN = "CrossAttnDownBlock2D", "DownBlock2D"
UP, CROSS_UP = "UpBlock2D", "CrossAttnUpBlock2D"
SD1 = dict(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
SD2 = dict(sample_size=96, cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True)
SDXL = dict(
    sample_size=128, cross_attention_dim=2048, attention_head_dim=[5, 10, 20], use_linear_projection=True,
    block_out_channels=[320, 640, 1280], down_block_types=[DOWN, CROSS, CROSS], up_block_types=[CROSS_UP, CROSS_UP, UP],
    transformer_layers_per_block=[1, 2, 10], addition_embed_type="text_time", addition_time_embed_dim=256,
    projection_class_embeddings_input_dim=2816)
KL = dict(
    block_out_channels=[128, 256, 512, 512], layers_per_block=2, down_block_types=["DownEncoderBlock2D"] * 4,
    up_block_types=["UpDecoderBlock2D"] * 4)
CLIP_L = dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=12, projection_dim=768)

MODELS = {
    "sd15_unet": (UNet2DConditionModel, SD1),
    "sd15_inpainting_unet": (UNet2DConditionModel, SD1 | dict(in_channels=9)),
    "sd21_unet": (UNet2DConditionModel, SD2),
    "sdxl_unet": (UNet2DConditionModel, SDXL),
    "lcm_unet": (UNet2DConditionModel, SD1 | dict(time_cond_proj_dim=256)),
    "bk_sdm_small_unet": (UNet2DConditionModel, SD1 | dict(layers_per_block=1)),
    "bk_sdm_tiny_unet": (UNet2DConditionModel, SD1 | dict(
        layers_per_block=1, mid_block_type=None, block_out_channels=[320, 640, 1280], down_block_types=[CROSS] * 3,
        up_block_types=[CROSS_UP] * 3)),
    "sdxl_refiner_unet": (UNet2DConditionModel, dict(
        sample_size=128, cross_attention_dim=1280, attention_head_dim=[6, 12, 24, 24], use_linear_projection=True,
        block_out_channels=[384, 768, 1536, 1536], down_block_types=[DOWN, CROSS, CROSS, DOWN],
        up_block_types=[UP, CROSS_UP, CROSS_UP, UP], transformer_layers_per_block=4, addition_embed_type="text_time",
        addition_time_embed_dim=256, projection_class_embeddings_input_dim=2560)),
    "sd15_controlnet": (ControlNetModel, dict(cross_attention_dim=768)),
    "sdxl_controlnet": (ControlNetModel, {k: v for k, v in SDXL.items() if k not in ("sample_size", "up_block_types")}),
    "sd_vae": (AutoencoderKL, KL),
    "flux_vae": (AutoencoderKL, KL | dict(latent_channels=16, use_quant_conv=False, use_post_quant_conv=False)),
    "taesd": (AutoencoderTiny, {}),
    "taesd3": (AutoencoderTiny, dict(latent_channels=16)),
    "clip_l": (CLIPTextModel, CLIP_L),
    "open_clip_h": (CLIPTextModel, dict(
        hidden_size=1024, intermediate_size=4096, num_attention_heads=16, num_hidden_layers=23, hidden_act="gelu",
        projection_dim=512)),
    "open_clip_bigg": (CLIPTextModelWithProjection, dict(
        hidden_size=1280, intermediate_size=5120, num_attention_heads=20, num_hidden_layers=32, hidden_act="gelu",
        projection_dim=1280)),
    "t5_xxl": (T5EncoderModel, dict(
        d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu")),
    "pixart_alpha_512": (PixArtTransformer2DModel, dict(sample_size=64, caption_channels=4096)),
    "pixart_alpha_1024": (PixArtTransformer2DModel, dict(sample_size=128, caption_channels=4096)),
    "sd3_medium": (SD3Transformer2DModel, dict(num_layers=24, num_attention_heads=24, caption_projection_dim=1536, pos_embed_max_size=192)),
    "sd35_medium": (SD3Transformer2DModel, dict(
        num_layers=24, num_attention_heads=24, caption_projection_dim=1536, pos_embed_max_size=384,
        dual_attention_layers=list(range(13)), qk_norm="rms_norm")),
    "flux1_schnell": (FluxTransformer2DModel, {}),
    "flux1_dev": (FluxTransformer2DModel, dict(guidance_embeds=True)),
}
CONFIGS = {CLIPTextModel: CLIPTextConfig, CLIPTextModelWithProjection: CLIPTextConfig, T5EncoderModel: T5Config}


def entry(cls, config):
    with torch.device("meta"):
        m = cls(CONFIGS[cls](**config)) if cls in CONFIGS else cls(**config)
    saved = m.state_dict()
    stored = list(m.named_parameters()) + [(k, v) for k, v in m.named_buffers() if k in saved]
    shapes = {k: list(v.shape) for k, v in stored}
    lines = "".join(f"{k} {'x'.join(map(str, s))}\n" for k, s in sorted(shapes.items()))
    return {"class": cls.__name__, "config": config, "parameters": sum(v.numel() for _, v in stored),
            "tensors": len(shapes), "sha256": hashlib.sha256(lines.encode()).hexdigest()}


if __name__ == "__main__":
    out = {"versions": {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}}
    out["models"] = {name: entry(*m) for name, m in MODELS.items()}
    for name, m in out["models"].items():
        print(f"{name}: {m['parameters'] / 1e6:.1f} M in {m['tensors']} tensors")
    Path(__file__).with_name("sizes.json").write_text(json.dumps(out, indent=1) + "\n")
