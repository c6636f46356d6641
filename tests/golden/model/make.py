"""Makes the network goldens: tiny seeded networks run by diffusers and transformers.

  python make.py [CASE...]    writes <case>/config.json, weights.seeds.json, io.safetensors and case.json here

io.safetensors holds the graph's inputs as "in.NAME" and its results as
"out.NAME", images channels-last as the engine has them.
"""

import json
import math
import shutil
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
from diffusers.models.embeddings import get_2d_rotary_pos_embed, get_2d_rotary_pos_embed_lumina, get_timestep_embedding
from diffusers.pipelines.hunyuandit.pipeline_hunyuandit import get_resize_crop_region_for_grid
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig, BertModel, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, Gemma2Config, Gemma2Model, GemmaConfig, GemmaModel, MT5Config, MT5EncoderModel, Qwen3Config, Qwen3ForCausalLM, Qwen3Model,
    T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel,
)

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeded import fill, freeze, scale  # noqa: E402
import vit  # noqa: E402

HERE = Path(__file__).parent
WANTED = sys.argv[1:]  # all where empty
VERSIONS = {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}


def seeded(model, seed):
    return fill(model, seed, spread=0.2)


def last(x):
    """(n,c,h,w) to (n,h,w,c)."""
    return x.permute(0, 2, 3, 1)


def save(name, network, model, inputs, outputs, half="", **options):
    """Writes a case; half ("encoder" or "decoder") keeps only that half's weights."""
    if WANTED and name not in WANTED:
        return
    out = HERE / name
    shutil.rmtree(out, ignore_errors=True)
    model.save_pretrained(out)
    file = next(out.glob("*.safetensors"))
    other = {"encoder": ("decoder.", "post_quant_conv.", "quantize.", "bn."), "decoder": ("encoder.", "quant_conv.", "bn."), "": ()}[half]
    weights = {k: v for k, v in load_file(file).items() if not k.startswith(other)}
    file.unlink()
    save_file(weights, out / "weights.safetensors")
    freeze(out)
    (out / "generation_config.json").unlink(missing_ok=True)
    tensors = {f"in.{k}": v for k, v in inputs.items()} | {f"out.{k}": v for k, v in outputs.items()}
    save_file({k: v.detach().contiguous() for k, v in tensors.items()}, out / "io.safetensors")
    case = {"network": network, "versions": VERSIONS} | options
    (out / "case.json").write_text(json.dumps(case, indent=2) + "\n")
    size = sum(f.stat().st_size for f in out.iterdir())
    print(f"{name}: {size / 1e3:.0f} kB, output std {[round(v.std().item(), 3) for v in outputs.values()]}")


def clip():
    torch.manual_seed(1)
    common = dict(vocab_size=40, bos_token_id=38, eos_token_id=39, pad_token_id=39)
    ids = torch.randint(0, 38, (2, 10))
    ids[:, 0], ids[0, 6:], ids[1, 9] = 38, 39, 39

    m = seeded(CLIPTextModel(CLIPTextConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=10, hidden_act="quick_gelu", projection_dim=32, **common)), 1)
    save("clip_quick_gelu", "clip", m, {"ids": ids.int()}, {"hidden": m(ids).last_hidden_state})

    m = seeded(CLIPTextModel(CLIPTextConfig(
        hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=16, hidden_act="gelu", layer_norm_eps=1e-3, projection_dim=24, **common)), 2)
    states = m(ids, output_hidden_states=True).hidden_states
    save("clip_gelu", "clip", m, {"ids": ids.int()}, {"hidden": m(ids).last_hidden_state})
    save("clip_skip", "clip", m, {"ids": ids.int()}, {"hidden": m.final_layer_norm(states[-3])}, skip=2)

    states = m(ids, output_hidden_states=True)
    end = torch.zeros(2, 10)
    end[torch.arange(2), (ids == 39).int().argmax(-1)] = 1
    save("clip_pooled", "clip", m, {"ids": ids.int(), "end": end},
         {"hidden": states.hidden_states[-3], "pooled": states.pooler_output}, skip=2, unnormed=True, state=True)

    m = seeded(CLIPTextModelWithProjection(CLIPTextConfig(
        hidden_size=24, intermediate_size=32, num_hidden_layers=3, num_attention_heads=3,
        max_position_embeddings=10, hidden_act="gelu", projection_dim=20, **common)), 3)
    r = m(ids, output_hidden_states=True)
    end = torch.zeros(2, 10)
    end[torch.arange(2), (ids == 39).int().argmax(-1)] = 1
    save("clip_projection", "clip", m, {"ids": ids.int(), "end": end},
         {"hidden": r.hidden_states[-2], "pooled": r.text_embeds}, prefix="text_model", penultimate=True, pooled=True)


def unet(name, seed, t, h, w, batch=2, tokens=5, **config):
    torch.manual_seed(seed)
    m = seeded(UNet2DConditionModel(**config), seed)
    c = m.config
    x = torch.randn(batch, c.in_channels, h, w)
    dim = c.encoder_hid_dim or (c.cross_attention_dim if isinstance(c.cross_attention_dim, int) else c.cross_attention_dim[0])
    context = torch.randn(batch, tokens, dim)
    t = torch.tensor(t)
    inputs = {"sample": last(x), "context": context, "timestep_embedding": m.get_time_embed(x, t)}
    extra = {}
    if c.time_cond_proj_dim:
        extra["timestep_cond"] = inputs["timestep_cond"] = torch.randn(batch, c.time_cond_proj_dim)
    if c.addition_embed_type == "text_time":
        ids = torch.tensor([[64.0, 48, 0, 8, 64, 48]]).expand(batch, -1)
        sines = m.add_time_proj(ids.flatten()).reshape(batch, -1)
        pooled = torch.randn(batch, c.projection_class_embeddings_input_dim - sines.shape[1])
        inputs["added_embedding"] = torch.cat([pooled, sines], -1)
        extra["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": ids}
    if c.class_embed_type == "timestep":
        extra["class_labels"] = torch.tensor([3.0, 1.0])
        inputs["class_embedding"] = m.time_proj(extra["class_labels"])
    elif c.class_embed_type:
        extra["class_labels"] = inputs["class_embedding"] = torch.randn(batch, 6 if "projection" in c.class_embed_type else 16)
    elif c.num_class_embeds:
        extra["class_labels"] = torch.tensor([5, 0])
        inputs["class_labels"] = extra["class_labels"].int()
    y = m(x, t, context, **extra).sample
    save(name, "unet", m, inputs, {"sample": last(y)})


def unets():
    cross, plain = ("CrossAttnDownBlock2D", "DownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D")
    small = dict(sample_size=8, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=12,
                 down_block_types=cross, up_block_types=plain, norm_num_groups=4)
    # Stable Diffusion 1: attention_head_dim is the number of heads, 1x1 convolutions around the transformer.
    unet("unet_sd1", 10, 981, 8, 8, **(small | dict(attention_head_dim=4, layers_per_block=2, block_out_channels=(8, 12))))
    # Stable Diffusion 2: heads by block, linear projections.
    unet("unet_sd2", 11, 501.25, 8, 12, **small, attention_head_dim=(2, 8), use_linear_projection=True)
    # Sizes that do not halve evenly, three levels, lists for every per-block option. Tokens of four channels would be too
    # ill-conditioned for f16.
    unet("unet_odd", 12, 7, 9, 11, **(small | dict(
        block_out_channels=(8, 8, 16), layers_per_block=[2, 1, 1], transformer_layers_per_block=[1, 2, 1],
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=[1, 2, 4], only_cross_attention=[True, False, False])))
    # The rarer options at once.
    unet("unet_options", 13, 333, 10, 7, batch=1, **small, attention_head_dim=2, downsample_padding=0, act_fn="gelu",
         in_channels=9, out_channels=3, center_input_sample=True, mid_block_scale_factor=math.sqrt(2), norm_eps=1e-3,
         flip_sin_to_cos=False, freq_shift=1, resnet_time_scale_shift="scale_shift", time_embedding_dim=20,
         encoder_hid_dim=6, conv_in_kernel=5, conv_out_kernel=1)
    unet("unet_mid_plain", 14, 1, 4, 4, batch=1, **small, attention_head_dim=2, mid_block_type="UNetMidBlock2D")
    unet("unet_mid_none", 15, 999, 4, 4, batch=1, **small, attention_head_dim=2, mid_block_type=None)
    # Latent consistency models: the guidance scale is embedded too.
    unet("unet_lcm", 16, 759, 8, 8, batch=1, **small, attention_head_dim=2, time_cond_proj_dim=14)
    # Stable Diffusion XL: no attention at the top, deeper transformers below, pooled text and time ids.
    unet("unet_sdxl", 17, 801, 8, 8, **(small | dict(
        block_out_channels=(8, 12),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=[1, 2], attention_head_dim=[2, 4], use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=58)))
    # Classes, in the three ways that add weights, and as they are.
    unet("unet_class", 19, 40, 4, 4, batch=2, **small, attention_head_dim=2, num_class_embeds=7)
    for i, kind in enumerate(("timestep", "projection", "simple_projection", "identity")):
        unet(f"unet_class_{kind}", 20 + i, 40, 4, 4, batch=2, **(small | dict(block_out_channels=(4, 8))), attention_head_dim=2,
             class_embed_type=kind, projection_class_embeddings_input_dim=6)
    # Asymmetric transformer depths, as in SSD-1B.
    unet("unet_asymmetric", 18, 40, 4, 6, batch=1, **(small | dict(
        layers_per_block=2, transformer_layers_per_block=[[1, 2], [1, 1]],
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        reverse_transformer_layers_per_block=[[2, 1, 1], [1, 0, 2]])), attention_head_dim=2)


def controlnets():
    """A ControlNet, and a UNet that takes its residuals."""
    torch.manual_seed(40)
    shared = dict(block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=12, norm_num_groups=4,
                  down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"))
    net = seeded(ControlNetModel(**shared, num_attention_heads=4, attention_head_dim=2,
                                 conditioning_embedding_out_channels=(4, 6, 8)), 40)
    x, context, condition = torch.randn(2, 4, 7, 6), torch.randn(2, 5, 12), torch.rand(2, 3, 28, 24)
    t = torch.tensor(441)
    down, mid = net(x, t, context, condition, conditioning_scale=0.75, return_dict=False)
    control = {f"control.{i}": last(d) for i, d in enumerate(down)} | {"control.mid": last(mid)}
    emb = net.time_proj(t.expand(2))
    inputs = {"sample": last(x), "context": context, "timestep_embedding": emb}
    save("controlnet", "controlnet", net, inputs | {"condition": last(condition), "strength": torch.tensor([0.75])}, control)

    m = seeded(UNet2DConditionModel(**shared, up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), attention_head_dim=2), 41)
    y = m(x, t, context, down_block_additional_residuals=down, mid_block_additional_residual=mid).sample
    save("unet_control", "unet", m, inputs | control, {"sample": last(y)}, control=True)


def sinusoidal(t):
    """The 256 sines that diffusion transformers take a timestep as."""
    return get_timestep_embedding(torch.as_tensor(t, dtype=torch.float32).flatten(), 256, flip_sin_to_cos=True, downscale_freq_shift=0)


def t5s():
    torch.manual_seed(50)
    ids = torch.randint(2, 30, (2, 21))
    mask = torch.ones(2, 21)
    mask[0, 15:] = 0
    for name, forward, seed in ("t5_gated", "gated-gelu", 50), ("t5_relu", "relu", 51):
        m = seeded(T5EncoderModel(T5Config(
            vocab_size=30, d_model=24, d_kv=10, d_ff=40, num_layers=2, num_heads=3, feed_forward_proj=forward,
            relative_attention_num_buckets=8, relative_attention_max_distance=12)), seed)
        hidden = m(ids, attention_mask=mask).last_hidden_state
        save(name, "t5", m, {"ids": ids.int(), "mask": mask}, {"hidden": hidden})


    for name, cls, config, forward, seed in (
        ("t5_gated_silu", T5EncoderModel, T5Config, "gated-silu", 52), ("mt5", MT5EncoderModel, MT5Config, "gated-gelu", 53),
        ("umt5", UMT5EncoderModel, UMT5Config, "gated-gelu", 54),
    ):
        m = seeded(cls(config(
            vocab_size=30, d_model=12, d_kv=6, d_ff=16, num_layers=2, num_heads=2, feed_forward_proj=forward,
            relative_attention_num_buckets=8, relative_attention_max_distance=12)), seed)
        save(name, "t5", m, {"ids": ids.int(), "mask": mask}, {"hidden": m(ids, attention_mask=mask).last_hidden_state})


def pixarts():
    for name, seed, config, sized, h, w in (
        ("pixart_sigma", 60, dict(sample_size=8, caption_channels=10, use_additional_conditions=False), False, 6, 8),
        ("pixart_alpha", 61, dict(sample_size=8, caption_channels=None, use_additional_conditions=True, attention_bias=False,
                                  interpolation_scale=2, activation_fn="geglu", patch_size=1, out_channels=4), True, 4, 4),
    ):
        torch.manual_seed(seed)
        m = seeded(PixArtTransformer2DModel(**dict(
            num_attention_heads=3, attention_head_dim=8, num_layers=2, cross_attention_dim=24) | config), seed)
        x, context, t = torch.randn(2, 4, h, w), torch.randn(2, 6, config["caption_channels"] or 24), torch.tensor([999, 13])
        mask = torch.ones(2, 6)
        mask[0, 4:] = 0
        inputs = {"sample": last(x), "context": context, "mask": mask, "timestep_embedding": sinusoidal(t)}
        added = {"resolution": None, "aspect_ratio": None}
        if sized:
            added = {"resolution": torch.tensor([[512.0, 768.0], [1024.0, 256.0]]), "aspect_ratio": torch.tensor([[0.67], [4.0]])}
            inputs["resolution_embedding"] = sinusoidal(added["resolution"]).reshape(2, 2, 256)
            inputs["aspect_ratio_embedding"] = sinusoidal(added["aspect_ratio"])
        y = m(x, context, t, added, encoder_attention_mask=mask).sample
        save(name, "pixart", m, inputs, {"sample": last(y)})


def sd3():
    for name, seed, config in (
        ("sd3", 70, dict(num_layers=2)),
        ("sd35", 71, dict(num_layers=2, dual_attention_layers=(0,), qk_norm="rms_norm")),
    ):
        torch.manual_seed(seed)
        m = seeded(SD3Transformer2DModel(**dict(
            sample_size=8, in_channels=4, out_channels=4, attention_head_dim=8, num_attention_heads=2, joint_attention_dim=10,
            caption_projection_dim=16, pooled_projection_dim=12, pos_embed_max_size=7) | config), seed)
        x, context, pooled, t = torch.randn(2, 4, 6, 10), torch.randn(2, 5, 10), torch.randn(2, 12), torch.tensor([700.5, 3.0])
        if name == "sd35":
            y = m(x, context, pooled, t, skip_layers=[0]).sample
            save("sd35_skip_layers", "sd3", m, {"sample": last(x), "context": context, "pooled": pooled, "timestep_embedding": sinusoidal(t)},
                 {"sample": last(y)}, skip_layers=[0])
        y = m(x, context, pooled, t).sample
        save(name, "sd3", m, {"sample": last(x), "context": context, "pooled": pooled, "timestep_embedding": sinusoidal(t)},
             {"sample": last(y)})


def unet2ds():
    small = dict(sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, attention_head_dim=4,
                 down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"))
    for name, seed, config, t in (
        # DDPM: positional time, attention below; padding 0 and the shift of frequencies as those checkpoints have them.
        ("unet2d_ddpm", 90, small | dict(downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, attention_head_dim=None), 601),
        # Improved DDPM, ADM and consistency models: residual blocks that resize, scale and shift, class labels.
        ("unet2d_adm", 91, small | dict(
            down_block_types=("ResnetDownsampleBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
            resnet_time_scale_shift="scale_shift", downsample_type="resnet", upsample_type="resnet", num_class_embeds=6, out_channels=6), 250.5),
        # NCSN++: Fourier features, blocks that carry the picture along through a filter.
        ("unet2d_ncsnpp", 92, dict(
            sample_size=8, block_out_channels=(32, 32), layers_per_block=1, norm_num_groups=None, attention_head_dim=None,
            down_block_types=("SkipDownBlock2D", "AttnSkipDownBlock2D"), up_block_types=("AttnSkipUpBlock2D", "SkipUpBlock2D"),
            mid_block_scale_factor=math.sqrt(2), time_embedding_type="fourier", norm_eps=1e-6), 0.37),
        # The rest of the options.
        ("unet2d_options", 93, small | dict(
            block_out_channels=(8, 8, 16), down_block_types=("DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"),
            up_block_types=("ResnetUpsampleBlock2D", "AttnUpBlock2D", "UpBlock2D"), downsample_type="resnet", upsample_type="resnet",
            time_embedding_type="learned", num_train_timesteps=20, time_embedding_dim=12, class_embed_type="identity",
            center_input_sample=True, attn_norm_num_groups=2, act_fn="gelu", in_channels=1, out_channels=2), 13),
        ("unet2d_class_timestep", 94, small | dict(class_embed_type="timestep", add_attention=False, mid_block_scale_factor=2), 5),
        ("unet2d_mid_none", 95, small | dict(mid_block_type=None, resnet_time_scale_shift="scale_shift"), 5),
    ):
        torch.manual_seed(seed)
        m = seeded(UNet2DModel(**config), seed)
        c = m.config
        x = torch.randn(2, c.in_channels, 8, 12)
        times = torch.tensor([t, t])
        inputs, labels = {"sample": last(x)}, None
        if c.time_embedding_type == "learned":
            inputs["timestep"] = times.int()
        else:
            if c.time_embedding_type == "fourier":
                scale(m.time_proj.weight, 16)
                inputs["reciprocal"], inputs["time_proj"] = 1 / times, m.time_proj.weight
            inputs["timestep_embedding"] = m.time_proj(times)
        if c.class_embed_type == "timestep":
            labels = torch.tensor([3, 1])
            inputs["class_embedding"] = m.time_proj(labels)
        elif c.class_embed_type == "identity":
            labels = inputs["class_embedding"] = torch.randn(2, c.time_embedding_dim)
        elif c.num_class_embeds:
            labels = torch.tensor([5, 0])
            inputs["class_labels"] = labels.int()
        inputs.pop("time_proj", None)
        save(name, "unet2d", m, inputs, {"sample": last(m(x, times, labels).sample)})


def vqs():
    torch.manual_seed(100)
    m = seeded(VQModel(
        block_out_channels=(8, 12), layers_per_block=1, norm_num_groups=4, latent_channels=3, num_vq_embeddings=40, vq_embed_dim=5,
        down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D")), 100)
    z = torch.randn(2, 5, 4, 3)
    save("vq_decoder", "vq_decoder", m, {"latents": last(z)}, {"image": last(m.decode(z).sample)}, half="decoder")
    x = torch.rand(2, 3, 8, 12) * 2 - 1
    save("vq_encoder", "vq_encoder", m, {"image": last(x)}, {"latents": last(m.encode(x).latents)}, half="encoder")


def dits():
    torch.manual_seed(110)
    m = seeded(DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2, sample_size=8, patch_size=2,
        num_embeds_ada_norm=5, attention_bias=True), 110)
    x, t, labels = torch.randn(2, 4, 8, 8), torch.tensor([999, 31]), torch.tensor([3, 5])
    sines = get_timestep_embedding(t, 256, flip_sin_to_cos=True, downscale_freq_shift=1)
    save("dit", "dit", m, {"sample": last(x), "timestep_embedding": sines, "class_labels": labels.int()}, {"sample": last(m(x, t, labels).sample)})


def vits():
    torch.manual_seed(115)
    x, labels = torch.randn(2, 4, 8, 8), torch.tensor([3, 5])
    m = seeded(vit.SiTTransformer2DModel(input_size=8, hidden_size=24, depth=2, num_heads=3, mlp_ratio=3.5, num_classes=5), 115)
    t = torch.tensor([0.0, 0.75])
    save("sit", "sit", m, {"sample": last(x), "timestep_embedding": vit.sines(t, 256), "class_labels": labels.int()}, {"sample": last(-m(x, t, labels))})
    t = torch.tensor([999, 31])
    for name, options in {"u_vit": {}, "u_vit_options": dict(qkv_bias=True, mlp_time_embed=True, conv=False, skip=False, mlp_ratio=2.5)}.items():
        m = seeded(vit.UViT(**dict(img_size=8, patch_size=2, in_chans=4, embed_dim=24, depth=4, num_heads=3, num_classes=6) | options), 116)
        save(name, "u_vit", m, {"sample": last(x), "timestep_embedding": vit.sines(t, 24), "class_labels": labels.int()}, {"sample": last(m(x, t, labels))})
    form = lambda **options: seeded(vit.UViT(img_size=8, patch_size=2, embed_dim=24, depth=2, num_heads=3, **options), 117)
    m, context = form(in_chans=4, clip_dim=10, num_clip_token=5), torch.randn(2, 5, 10)
    save("u_vit_text", "u_vit", m, {"sample": last(x), "timestep_embedding": vit.sines(t, 24), "context": context}, {"sample": last(m(x, t, context))})
    m = form(in_chans=3)
    save("u_vit_pixels", "u_vit", m, {"sample": last(x[:, :3]), "timestep_embedding": vit.sines(t, 24)}, {"sample": last(m(x[:, :3], t))})


def sanas():
    """SANA-Sprint's transformer, alone and with what its pipeline does before and after it, and the deep compression autoencoder."""
    for name, seed, config, flow in (
        ("sana", 118, {}, [1, 0, 1]),
        ("sana_options", 119, dict(qk_norm="rms_norm_across_heads", attention_bias=True, patch_size=2, mlp_ratio=3.5), [0.75, -0.4, 1.25]),
    ):
        torch.manual_seed(seed)
        m = seeded(SanaTransformer2DModel(**dict(
            in_channels=4, out_channels=4, num_attention_heads=3, attention_head_dim=8, num_layers=2, num_cross_attention_heads=2, cross_attention_head_dim=10,
            cross_attention_dim=24, caption_channels=12, sample_size=8, guidance_embeds=True) | config), seed)
        x, context, t, g = torch.randn(2, 4, 4, 6), torch.randn(2, 5, 12), torch.tensor([0.9, 0.3]), torch.tensor([0.45, 0.1])
        mask = torch.ones(2, 5)
        mask[0, 3:] = 0
        y = flow[1] * x + flow[2] * m(flow[0] * x, context, t, guidance=g, encoder_attention_mask=mask).sample
        save(name, "sana", m, {
            "sample": last(x), "context": context, "mask": mask, "timestep_embedding": sinusoidal(t), "guidance_embedding": sinusoidal(g),
            "trigflow": torch.tensor([flow, flow], dtype=torch.float32)}, {"sample": last(y)})
    vit_block = ("ResBlock", "EfficientViTBlock")
    for name, seed, config in (
        ("dc", 170, dict(decoder_act_fns="relu")),
        ("dc_interpolate", 171, dict(upsample_block_type="interpolate", downsample_block_type="Conv", encoder_out_shortcut=False, decoder_in_shortcut=False)),
    ):
        torch.manual_seed(seed)
        m = seeded(AutoencoderDC(**dict(
            latent_channels=4, attention_head_dim=4, encoder_block_types=vit_block, decoder_block_types=vit_block, encoder_block_out_channels=(8, 16),
            decoder_block_out_channels=(8, 16), encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 2), encoder_qkv_multiscales=((), (5,)),
            decoder_qkv_multiscales=((), (3, 5))) | config), seed)
        z, x = torch.randn(1, 4, 3, 2), torch.rand(1, 3, 8, 12) * 2 - 1
        save(name + "_decoder", "decoder", m, {"latents": last(z)}, {"image": last(m.decode(z).sample)}, half="decoder")
        save(name + "_encoder", "encoder", m, {"image": last(x)}, {"latents": last(m.encode(x).latent)}, half="encoder")


def auraflows():
    torch.manual_seed(111)
    m = seeded(AuraFlowTransformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_mmdit_layers=1, num_single_dit_layers=1, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=10, caption_projection_dim=16, pos_embed_max_size=50), 111)
    x, context, t = torch.randn(2, 4, 6, 10), torch.randn(2, 5, 10), torch.tensor([0.7, 0.01])
    save("auraflow", "auraflow", m, {"sample": last(x), "context": context, "timestep_embedding": sinusoidal(1000 * t)},
         {"sample": last(m(x, context, t).sample)})


def luminas():
    for name, seed, config, base, linear, ntk in (
        ("lumina", 112, dict(num_kv_heads=2), 0, 1.0, 1.0),
        ("lumina_options", 113, dict(qk_norm=False, learn_sigma=False, ffn_dim_multiplier=1.5, patch_size=1), 6, 1.5, 2.0),
    ):
        torch.manual_seed(seed)
        m = seeded(LuminaNextDiT2DModel(**dict(
            sample_size=8, in_channels=4, hidden_size=32, num_layers=2, num_attention_heads=4, multiple_of=8, cross_attention_dim=12) | config), seed)
        x, context, t = torch.randn(2, 4, 4, 6), torch.randn(2, 5, 12), torch.tensor([0.3, 0.9])
        mask = torch.ones(2, 5)
        mask[0, 3:] = 0
        turn = get_2d_rotary_pos_embed_lumina(8, 12, 12, linear, ntk)
        p = m.config.patch_size
        places = turn[: 4 // p, : 6 // p].flatten(0, 1)[None]
        y = m(x, t, context, mask, turn, cross_attention_kwargs={"base_sequence_length": base} if base else {}).sample
        save(name, "lumina", m, {
            "sample": last(x), "context": context, "mask": mask, "timestep_embedding": sinusoidal(t),
            "rotary_cos": places.real, "rotary_sin": places.imag}, {"sample": last(y)}, base=base, linear=linear, ntk=ntk)


def hunyuans():
    for name, seed, config, h, w in (
        ("hunyuan", 114, dict(), 8, 6), ("hunyuan_1_2", 115, dict(use_style_cond_and_image_meta_size=False, learn_sigma=False, num_layers=2), 4, 8),
    ):
        torch.manual_seed(seed)
        m = seeded(HunyuanDiT2DModel(**dict(
            num_attention_heads=2, attention_head_dim=8, hidden_size=16, in_channels=4, patch_size=2, num_layers=4, mlp_ratio=2.5,
            cross_attention_dim=12, cross_attention_dim_t5=16, pooled_projection_dim=6, text_len=5, text_len_t5=4) | config), seed)
        x, t = torch.randn(2, 4, h, w), torch.tensor([801.0, 5.0])
        text, t5 = torch.randn(2, 5, 12), torch.randn(2, 4, 16)
        mask, mask_t5 = torch.ones(2, 5), torch.ones(2, 4)
        mask[0, 2:], mask_t5[1, 3:] = 0, 0
        size = torch.tensor([[1024.0, 768, 512, 512, 0, 16]] * 2)
        rows, cols = h // 2, w // 2
        turn = get_2d_rotary_pos_embed(8, get_resize_crop_region_for_grid((rows, cols), 512 // 8 // 2), (rows, cols))
        y = m(x, t, text, mask, t5, mask_t5, size, torch.zeros(2, dtype=torch.long), turn).sample
        inputs = {"sample": last(x), "timestep_embedding": sinusoidal(t), "context": text, "mask": mask, "context_t5": t5, "mask_t5": mask_t5}
        if m.config.use_style_cond_and_image_meta_size:
            inputs["size_embedding"] = sinusoidal(size.flatten()).reshape(2, -1)
        save(name, "hunyuan", m, inputs, {"sample": last(y)})


def flux2s():
    for name, seed, config, sizes in (
        ("flux2_klein", 120, dict(guidance_embeds=False), []), ("flux2_dev", 121, dict(num_layers=2), [(2, 2), (1, 3)]),
    ):
        torch.manual_seed(seed)
        m = seeded(Flux2Transformer2DModel(**dict(
            in_channels=8, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2, joint_attention_dim=10,
            axes_dims_rope=(4, 4, 4, 4)) | config), seed)
        h, w, tokens = 3, 4, 5
        t, g = torch.tensor([0.75, 0.02]), torch.tensor([3.5, 1.0])
        pictures = [torch.randn(2, h * w, 8)] + [torch.randn(2, a * b, 8) for a, b in sizes]
        context = torch.randn(2, tokens, 10)
        ids = torch.cat([torch.cartesian_prod(torch.tensor([10 * i]), torch.arange(a), torch.arange(b), torch.tensor([0]))
                         for i, (a, b) in enumerate([(h, w)] + sizes)])
        words = torch.cartesian_prod(torch.tensor([0]), torch.tensor([0]), torch.tensor([0]), torch.arange(tokens))
        inputs = {"sample": pictures[0].reshape(2, h, w, 8), "context": context, "timestep_embedding": sinusoidal(1000 * t)}
        inputs |= {f"reference.{i}": p.reshape(2, *sizes[i], 8) for i, p in enumerate(pictures[1:])}
        if m.config.guidance_embeds:
            inputs["guidance_embedding"] = sinusoidal(1000 * g)
        y = m(torch.cat(pictures, 1), context, t, ids, words, g if m.config.guidance_embeds else None).sample[:, : h * w]
        save(name, "flux2", m, inputs, {"sample": y.reshape(2, h, w, 8)})


def z_images():
    torch.manual_seed(122)
    m = seeded(ZImageTransformer2DModel(
        in_channels=4, dim=24, n_layers=2, n_refiner_layers=1, n_heads=3, n_kv_heads=3, cap_feat_dim=10, axes_dims=[4, 2, 2],
        axes_lens=[128, 16, 16]), 122)
    x, context, t = torch.randn(2, 4, 1, 8, 10), torch.randn(2, 35, 10), torch.tensor([0.1, 0.8])
    y = torch.stack(m(list(x), t, list(context)).sample)[:, :, 0]
    padded, mask = torch.cat([context, torch.randn(2, 29, 10)], 1), torch.cat([torch.ones(2, 35), torch.zeros(2, 29)], 1)
    save("z_image", "z_image", m, {"sample": last(x[:, :, 0]), "context": padded, "mask": mask, "timestep_embedding": sinusoidal(1000 * t)},
         {"sample": last(y)})


def qwen3s():
    torch.manual_seed(123)
    config = Qwen3Config(
        vocab_size=40, hidden_size=24, intermediate_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}, tie_word_embeddings=True, pad_token_id=0)
    ids, mask = torch.randint(1, 40, (2, 9)), torch.ones(2, 9)
    mask[0, 6:] = 0
    m = seeded(Qwen3Model(config), 123)
    states = m(ids, attention_mask=mask, output_hidden_states=True).hidden_states
    save("qwen3", "qwen3", m, {"ids": ids.int(), "mask": mask}, {"hidden": states[-1]})
    save("qwen3_states", "qwen3", m, {"ids": ids.int(), "mask": mask}, {"hidden": torch.cat([states[1], states[-2]], -1)},
         states=[1, -2], unused=["layers.2.", "norm."])
    m = seeded(Qwen3ForCausalLM(config), 124)
    states = m(ids, attention_mask=mask, output_hidden_states=True).hidden_states
    save("qwen3_causal_lm", "qwen3", m, {"ids": ids.int(), "mask": mask}, {"hidden": states[-1]}, prefix="model")


def gemmas():
    shared = dict(vocab_size=40, hidden_size=24, intermediate_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=8)
    for seed, name, config, cls in [
            (150, "gemma", GemmaConfig(**shared), GemmaModel),
            (151, "gemma2", Gemma2Config(**shared, query_pre_attn_scalar=12, attn_logit_softcapping=2.0), Gemma2Model)]:
        torch.manual_seed(seed)
        ids, mask = torch.randint(1, 40, (2, 9)), torch.ones(2, 9)
        mask[0, 6:] = 0
        m = seeded(cls(config), seed)
        states = m(ids, attention_mask=mask, output_hidden_states=True).hidden_states
        for state, unused in (-1, []), (-2, ["layers.2.", "norm."]):
            save(f"{name}_{-state}", "gemma", m, {"ids": ids.int(), "mask": mask}, {"hidden": states[state]}, states=[state], unused=unused)


def berts():
    torch.manual_seed(126)
    m = seeded(BertModel(BertConfig(
        vocab_size=30, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, max_position_embeddings=12),
        add_pooling_layer=False), 126)
    ids, mask = torch.randint(1, 30, (2, 9)), torch.ones(2, 9)
    mask[0, 6:] = 0
    save("bert", "bert", m, {"ids": ids.int(), "mask": mask}, {"hidden": m(ids, attention_mask=mask).last_hidden_state})


def kl_flux2s():
    down, up = ("DownEncoderBlock2D",) * 2, ("UpDecoderBlock2D",) * 2
    torch.manual_seed(125)
    m = seeded(AutoencoderKLFlux2(
        down_block_types=down, up_block_types=up, block_out_channels=(4, 8), decoder_block_out_channels=(6, 8), layers_per_block=1,
        norm_num_groups=2, latent_channels=4), 125)
    m.bn.running_mean.data, m.bn.running_var.data = torch.randn(16), torch.rand(16) + 0.2
    mean, std = m.bn.running_mean, (m.bn.running_var + m.config.batch_norm_eps).sqrt()
    z = torch.randn(2, 16, 3, 2)
    latents = z * std[None, :, None, None] + mean[None, :, None, None]
    latents = latents.reshape(2, 4, 2, 2, 3, 2).permute(0, 1, 4, 2, 5, 3).reshape(2, 4, 6, 4)
    save("kl_flux2_decoder", "kl_flux2_decoder", m, {"latents": last(z), "mean": mean, "std": std},
         {"image": last(m.decode(latents).sample)}, half="decoder")
    x = torch.rand(2, 3, 12, 8) * 2 - 1
    z = m.encode(x).latent_dist.mode()
    z = z.reshape(2, 4, 3, 2, 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(2, 16, 3, 2)
    z = (z - mean[None, :, None, None]) / std[None, :, None, None]
    save("kl_flux2_encoder", "kl_flux2_encoder", m, {"image": last(x), "mean": mean, "reciprocal": 1 / std}, {"latents": last(z)},
         half="encoder")


def fluxes():
    for name, seed, config in (
        ("flux_schnell", 80, dict(num_layers=2, num_single_layers=1, axes_dims_rope=(2, 4, 2))),
        ("flux_dev", 81, dict(num_layers=1, num_single_layers=2, axes_dims_rope=(4, 2, 2), guidance_embeds=True, out_channels=6)),
    ):
        torch.manual_seed(seed)
        m = seeded(FluxTransformer2DModel(**dict(
            in_channels=8, attention_head_dim=8, num_attention_heads=2, joint_attention_dim=10, pooled_projection_dim=12) | config), seed)
        h, w, tokens = 3, 5, 4
        x, context, pooled = torch.randn(2, h * w, 8), torch.randn(2, tokens, 10), torch.randn(2, 12)
        t, g = torch.tensor([0.75, 0.02]), torch.tensor([3.5, 1.0])
        ids = torch.zeros(h, w, 3)
        ids[..., 1], ids[..., 2] = torch.arange(h)[:, None], torch.arange(w)
        inputs = {"sample": x.reshape(2, h, w, 8), "context": context, "pooled": pooled, "timestep_embedding": sinusoidal(1000 * t)}
        extra = {}
        if m.config.guidance_embeds:
            extra, inputs["guidance_embedding"] = {"guidance": g}, sinusoidal(1000 * g)
        y = m(x, context, pooled, t, ids.reshape(-1, 3), torch.zeros(tokens, 3), **extra).sample
        save(name, "flux", m, inputs, {"sample": y.reshape(2, h, w, -1)})


def autoencoders():
    for name, seed, config in (
        ("taesd", 20, dict(encoder_block_out_channels=(12,) * 4, decoder_block_out_channels=(12,) * 4,
                           num_encoder_blocks=(1, 1, 2, 1), num_decoder_blocks=(2, 1, 1, 1))),
        ("taesd_wide", 21, dict(encoder_block_out_channels=(10,) * 3, decoder_block_out_channels=(10,) * 3,
                                num_encoder_blocks=(0, 1, 1), num_decoder_blocks=(1, 0, 2),
                                latent_channels=16, act_fn="silu", in_channels=1, out_channels=4)),
    ):
        torch.manual_seed(seed)
        m = seeded(AutoencoderTiny(**config), seed)
        levels = len(config["num_encoder_blocks"])
        z = 3 * torch.randn(2, m.config.latent_channels, 3, 4)
        save(name + "_decoder", "taesd_decoder", m, {"latents": last(z)}, {"image": last(m.decode(z).sample)}, half="decoder")
        x = torch.rand(2, m.config.in_channels, 3 << (levels - 1), 4 << (levels - 1)) * 2 - 1
        save(name + "_encoder", "taesd_encoder", m, {"image": last(x)}, {"latents": last(m.encode(x).latents)}, half="encoder")

    down, up = ("DownEncoderBlock2D",) * 3, ("UpDecoderBlock2D",) * 3
    for name, seed, config in (
        ("kl", 30, dict(down_block_types=down, up_block_types=up, block_out_channels=(4, 8, 8), layers_per_block=1,
                        norm_num_groups=4)),
        ("kl_16", 31, dict(down_block_types=down[:2], up_block_types=up[:2], block_out_channels=(6, 12),
                           layers_per_block=2, norm_num_groups=2, latent_channels=16, use_quant_conv=False,
                           use_post_quant_conv=False, mid_block_add_attention=False, scaling_factor=1.5305,
                           shift_factor=0.0609)),
    ):
        torch.manual_seed(seed)
        m = seeded(AutoencoderKL(**config), seed)
        z = torch.randn(1, m.config.latent_channels, 5, 4)
        save(name + "_decoder", "kl_decoder", m, {"latents": last(z)}, {"image": last(m.decode(z).sample)}, half="decoder")
        x = torch.rand(1, 3, 20, 12) * 2 - 1
        d = m.encode(x).latent_dist
        save(name + "_encoder", "kl_encoder", m, {"image": last(x)}, {"mean": last(d.mean), "logvar": last(d.logvar)}, half="encoder")


def timesteps():
    cases = []
    for dim, flip, shift, t in (
        (32, True, 0, [0, 1, 999]), (32, False, 1, [500.5, 3]), (6, True, 1, [981]), (7, False, 0, [12]),
        (320, True, 0, [761]),
    ):
        emb = get_timestep_embedding(torch.tensor(t), dim, flip_sin_to_cos=flip, downscale_freq_shift=shift)
        cases.append({"dim": dim, "flip_sin_to_cos": flip, "freq_shift": shift, "t": t, "embedding": emb.flatten().tolist()})
    (HERE / "timesteps.json").write_text(json.dumps({"versions": VERSIONS, "cases": cases}) + "\n")


if __name__ == "__main__":
    with torch.no_grad():
        clip()
        unets()
        controlnets()
        t5s()
        pixarts()
        sd3()
        fluxes()
        flux2s()
        z_images()
        qwen3s()
        gemmas()
        berts()
        kl_flux2s()
        dits()
        vits()
        sanas()
        auraflows()
        luminas()
        hunyuans()
        unet2ds()
        vqs()
        autoencoders()
        timesteps()
