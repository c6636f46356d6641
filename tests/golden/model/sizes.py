"""Makes sizes.json: the parameters that published models have, by name and shape.

The networks are built on torch's meta device from the configurations that
stand in their repositories, so nothing is downloaded. Of each the file keeps
the config, the number of parameters and a digest of the sorted lines "name shape".
"""

import hashlib
import json
import sys
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import (
    AuraFlowTransformer2DModel, AutoencoderDC, AutoencoderKL, AutoencoderKLFlux2, AutoencoderTiny, ControlNetModel, DiTTransformer2DModel,
    Flux2Transformer2DModel, FluxTransformer2DModel, HunyuanDiT2DModel, LuminaNextDiT2DModel, PixArtTransformer2DModel,
    SanaTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel, UNet2DModel, VQModel, ZImageTransformer2DModel,
)
from transformers import (
    BertConfig, BertModel, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, Gemma2Config, Gemma2Model, GemmaConfig, GemmaModel, MT5Config, MT5EncoderModel, Qwen3Config, Qwen3Model, T5Config,
    T5EncoderModel, UMT5Config, UMT5EncoderModel,
)

sys.path.insert(0, str(Path(__file__).parent))
import vit  # noqa: E402

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
DDPM = dict(attention_head_dim=None, norm_eps=1e-6, downsample_padding=0, flip_sin_to_cos=False, freq_shift=1)
ADM = dict(
    attention_head_dim=64, resnet_time_scale_shift="scale_shift", attn_norm_num_groups=32, downsample_type="resnet",
    upsample_type="resnet")
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
    "sd15_instruct_pix2pix_unet": (UNet2DConditionModel, SD1 | dict(in_channels=8)),
    "sd2_inpainting_unet": (UNet2DConditionModel, SD2 | dict(in_channels=9)),
    "sd_x4_upscaler_unet": (UNet2DConditionModel, dict(
        sample_size=128, cross_attention_dim=1024, attention_head_dim=8, use_linear_projection=True, in_channels=7,
        block_out_channels=[256, 512, 512, 1024], down_block_types=[DOWN, CROSS, CROSS, CROSS],
        up_block_types=[CROSS_UP, CROSS_UP, CROSS_UP, UP], only_cross_attention=[True, True, True, False], num_class_embeds=1000)),
    "sdxs_unet": (UNet2DConditionModel, SD2 | dict(
        sample_size=64, layers_per_block=1, mid_block_type=None, block_out_channels=[320, 640, 1280], attention_head_dim=[5, 10, 20],
        down_block_types=[DOWN, CROSS, CROSS], up_block_types=[CROSS_UP, CROSS_UP, UP])),
    "sdxl_inpainting_unet": (UNet2DConditionModel, SDXL | dict(in_channels=9)),
    "lcm_sdxl_unet": (UNet2DConditionModel, SDXL | dict(time_cond_proj_dim=256)),
    "ssd_1b_unet": (UNet2DConditionModel, SDXL | dict(
        mid_block_type="UNetMidBlock2D", transformer_layers_per_block=[1, [2, 2], [4, 4]],
        reverse_transformer_layers_per_block=[[4, 4, 10], [2, 1, 1], 1])),
    "vega_unet": (UNet2DConditionModel, SDXL | dict(
        mid_block_type="UNetMidBlock2D", transformer_layers_per_block=[1, [1, 1], [2, 2]],
        reverse_transformer_layers_per_block=[[2, 2, 2], [1, 1, 1], 1])),
    "ddpm_cifar10": (UNet2DModel, DDPM | dict(
        sample_size=32, block_out_channels=[128, 256, 256, 256], down_block_types=[DOWN, "AttnDownBlock2D", DOWN, DOWN],
        up_block_types=[UP, UP, "AttnUpBlock2D", UP])),
    "ddpm_celebahq_256": (UNet2DModel, DDPM | dict(
        sample_size=256, block_out_channels=[128, 128, 256, 256, 512, 512],
        down_block_types=[DOWN] * 4 + ["AttnDownBlock2D", DOWN], up_block_types=[UP, "AttnUpBlock2D"] + [UP] * 4)),
    "ncsnpp_celebahq_256": (UNet2DModel, dict(
        sample_size=256, block_out_channels=[128, 128, 256, 256, 256, 256, 256], norm_num_groups=None, attention_head_dim=None,
        norm_eps=1e-6, time_embedding_type="fourier", mid_block_scale_factor=2**0.5,
        down_block_types=["SkipDownBlock2D"] * 4 + ["AttnSkipDownBlock2D"] + ["SkipDownBlock2D"] * 2,
        up_block_types=["SkipUpBlock2D"] * 2 + ["AttnSkipUpBlock2D"] + ["SkipUpBlock2D"] * 4)),
    "consistency_imagenet64": (UNet2DModel, ADM | dict(
        sample_size=64, layers_per_block=3, num_class_embeds=1000, block_out_channels=[192, 384, 576, 768],
        down_block_types=["ResnetDownsampleBlock2D"] + ["AttnDownBlock2D"] * 3,
        up_block_types=["AttnUpBlock2D"] * 3 + ["ResnetUpsampleBlock2D"])),
    "consistency_lsun_256": (UNet2DModel, ADM | dict(
        sample_size=256, layers_per_block=2, block_out_channels=[256, 256, 512, 512, 1024, 1024],
        down_block_types=["ResnetDownsampleBlock2D"] * 3 + ["AttnDownBlock2D"] * 3,
        up_block_types=["AttnUpBlock2D"] * 3 + ["ResnetUpsampleBlock2D"] * 3)),
    "ldm_celebahq_unet": (UNet2DModel, dict(sample_size=64, attention_head_dim=32)),
    "ldm_celebahq_vqvae": (VQModel, dict(
        sample_size=256, block_out_channels=[128, 256, 512], layers_per_block=2, num_vq_embeddings=8192,
        down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3)),
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
    "t5_large_flan": (T5EncoderModel, dict(
        d_model=1024, d_kv=64, d_ff=2816, num_layers=24, num_heads=16, feed_forward_proj="gated-gelu")),
    "mt5_xl": (MT5EncoderModel, dict(
        model_type="mt5", vocab_size=250112, d_model=2048, d_kv=64, d_ff=5120, num_layers=24, num_heads=32, feed_forward_proj="gated-gelu")),
    "pile_t5_xl": (UMT5EncoderModel, dict(
        model_type="umt5", vocab_size=32128, d_model=2048, d_kv=64, d_ff=5120, num_layers=24, num_heads=32, feed_forward_proj="gated-gelu")),
    "pixart_sigma_1024": (PixArtTransformer2DModel, dict(
        sample_size=128, caption_channels=4096, use_additional_conditions=False, interpolation_scale=2)),
    "sd35_large": (SD3Transformer2DModel, dict(
        num_layers=38, num_attention_heads=38, caption_projection_dim=2432, pos_embed_max_size=192, qk_norm="rms_norm")),
    "pixart_alpha_512": (PixArtTransformer2DModel, dict(sample_size=64, caption_channels=4096)),
    "pixart_alpha_1024": (PixArtTransformer2DModel, dict(sample_size=128, caption_channels=4096)),
    "sd3_medium": (SD3Transformer2DModel, dict(num_layers=24, num_attention_heads=24, caption_projection_dim=1536, pos_embed_max_size=192)),
    "sd35_medium": (SD3Transformer2DModel, dict(
        num_layers=24, num_attention_heads=24, caption_projection_dim=1536, pos_embed_max_size=384,
        dual_attention_layers=list(range(13)), qk_norm="rms_norm")),
    "dit_xl_2_256": (DiTTransformer2DModel, dict(out_channels=8)),
    "sit_xl_2_256": (vit.SiTTransformer2DModel, {}),
    "u_vit_small_cifar10": (vit.UViT, dict(img_size=32, patch_size=2, embed_dim=512, depth=12, num_heads=8)),
    "u_vit_mid_imagenet64": (vit.UViT, dict(img_size=64, patch_size=4, embed_dim=768, depth=16, num_heads=12, num_classes=1000)),
    "u_vit_small_mscoco": (vit.UViT, dict(img_size=32, patch_size=2, in_chans=4, embed_dim=512, depth=12, num_heads=8, clip_dim=768)),
    "u_vit_huge_2_256": (vit.UViT, dict(img_size=32, patch_size=2, in_chans=4, embed_dim=1152, depth=28, num_heads=16, num_classes=1001, conv=False)),
    "sana_sprint_600m": (SanaTransformer2DModel, dict(
        num_attention_heads=36, num_layers=28, num_cross_attention_heads=16, cross_attention_head_dim=72, cross_attention_dim=1152, guidance_embeds=True,
        qk_norm="rms_norm_across_heads")),
    "sana_sprint_1600m": (SanaTransformer2DModel, dict(guidance_embeds=True, qk_norm="rms_norm_across_heads")),
    "dc_ae_f32c32_sana": (AutoencoderDC, dict(
        encoder_block_types=["ResBlock"] * 3 + ["EfficientViTBlock"] * 3, decoder_block_types=["ResBlock"] * 3 + ["EfficientViTBlock"] * 3,
        upsample_block_type="interpolate", downsample_block_type="Conv", scaling_factor=0.41407)),
    "auraflow": (AuraFlowTransformer2DModel, dict(num_mmdit_layers=4, num_single_dit_layers=32, pos_embed_max_size=9216)),
    "lumina_next": (LuminaNextDiT2DModel, dict(
        hidden_size=2304, num_layers=24, num_attention_heads=32, num_kv_heads=8, cross_attention_dim=2048)),
    "hunyuan_dit_1_2": (HunyuanDiT2DModel, dict(
        sample_size=128, in_channels=4, patch_size=2, hidden_size=1408, num_layers=40, mlp_ratio=4.3637,
        use_style_cond_and_image_meta_size=False)),
    "flux2_klein_4b": (Flux2Transformer2DModel, dict(
        num_layers=5, num_single_layers=20, num_attention_heads=24, joint_attention_dim=7680, guidance_embeds=False)),
    "flux2_dev": (Flux2Transformer2DModel, {}),
    "flux2_vae": (AutoencoderKLFlux2, {}),
    "z_image_turbo": (ZImageTransformer2DModel, {}),
    "hunyuan_bert": (BertModel, dict(
        vocab_size=47020, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)),
    "qwen3_4b": (Qwen3Model, dict(
        hidden_size=2560, intermediate_size=9728, num_hidden_layers=36, num_attention_heads=32, num_key_value_heads=8, head_dim=128,
        rope_parameters=dict(rope_type="default", rope_theta=1e6))),
    "gemma_2b": (GemmaModel, dict(
        model_type="gemma", hidden_size=2048, intermediate_size=16384, num_hidden_layers=18, num_attention_heads=8, num_key_value_heads=1)),
    "gemma2_2b": (Gemma2Model, dict(model_type="gemma2")),
    "flux1_schnell": (FluxTransformer2DModel, {}),
    "flux1_dev": (FluxTransformer2DModel, dict(guidance_embeds=True)),
}
CONFIGS = {CLIPTextModel: CLIPTextConfig, CLIPTextModelWithProjection: CLIPTextConfig, T5EncoderModel: T5Config,
           MT5EncoderModel: MT5Config, Qwen3Model: Qwen3Config, GemmaModel: GemmaConfig, Gemma2Model: Gemma2Config, BertModel: BertConfig, UMT5EncoderModel: UMT5Config}


def entry(cls, config):
    with torch.device("meta"):
        m = cls(CONFIGS[cls](**{k: v for k, v in config.items() if k != "model_type"})) if cls in CONFIGS else cls(**config)
    saved = m.state_dict()
    stored = list(m.named_parameters()) + [(k, v) for k, v in m.named_buffers() if k in saved and v.ndim]
    shapes = {k: list(v.shape) for k, v in stored}
    lines = "".join(f"{k} {'x'.join(map(str, s))}\n" for k, s in sorted(shapes.items()))
    host = {"host": {k: list(v.shape) for k, v in stored if k == "time_proj.weight" and v.ndim == 1 or k in ("pad_token", "pooler.dense.bias", "pooler.dense.weight") or k.startswith("bn.")}}
    return {k: v for k, v in host.items() if v} | {"class": cls.__name__, "config": config, "parameters": sum(v.numel() for _, v in stored),
            "tensors": len(shapes), "sha256": hashlib.sha256(lines.encode()).hexdigest()}


if __name__ == "__main__":
    out = {"versions": {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}}
    out["models"] = {name: entry(*m) for name, m in MODELS.items()}
    for name, m in out["models"].items():
        print(f"{name}: {m['parameters'] / 1e6:.1f} M in {m['tensors']} tensors")
    Path(__file__).with_name("sizes.json").write_text(json.dumps(out, indent=1) + "\n")
