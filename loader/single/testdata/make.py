"""Makes small checkpoints as model sites offer them, seeded, one of each kind, and beside each what diffusers makes of it:
    python loader/single/testdata/make.py [everything] [flux2] [zimage]   # diffusers 0.42.1, transformers 5.24.0
KIND.full.gz has the names and shapes at the size that the publishers gave it: of the file, then in diffusers.
KIND.safetensors is the file, KIND.txt a line of the configs that the networks were made with, then a line a tensor: its name
in diffusers, its shape, the beginning of the SHA-256 of its bytes in f16. diffusers' own converters are the judge.
"""
import gzip
import hashlib
import inspect
import json
import pathlib
import sys

import torch
from diffusers import (AutoencoderKL, AutoencoderKLFlux2, Flux2Transformer2DModel, FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel,
                       ZImageTransformer2DModel)
from diffusers.loaders import single_file_utils as u
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, Qwen3Config, Qwen3ForCausalLM, T5Config, T5EncoderModel

from names import openclip, text, unet_ldm, vae_ldm

HERE = pathlib.Path(__file__).parent
FULL = False  # networks have the sizes that their publishers gave them, and no values


def fill(m):
    if FULL:
        return m
    with torch.no_grad():
        for p in m.parameters():
            p.normal_()
    return m


def same(a, b, what):
    assert set(a) == set(b), (what, set(a) ^ set(b))
    for k in a:
        assert a[k].numel() == b[k].numel(), (what, k)
        if FULL:
            continue
        assert torch.equal(a[k].reshape(b[k].shape), b[k]), (what, k)


def headers(kind, file, parts, configs):
    """For networks of full size: names and shapes only."""
    rows = [json.dumps(configs, sort_keys=True)]
    rows += [f"{k} {'x'.join(map(str, v.shape))}" for k, v in sorted(file.items())]
    rows += ["="] + [f"{c}/{k} {'x'.join(map(str, v.shape))}" for c, sd in sorted(parts.items()) for k, v in sorted(sd.items())]
    (HERE / f"{kind}.full.gz").write_bytes(gzip.compress(("\n".join(rows) + "\n").encode(), 9, mtime=0))
    print(kind, "full", len(file))


def save(kind, file, parts, configs):
    if FULL:
        return headers(kind, file, parts, configs)
    save_file({k: v.half().contiguous() for k, v in file.items()}, HERE / f"{kind}.safetensors")
    rows = [json.dumps(configs, sort_keys=True)]
    for c, sd in sorted(parts.items()):
        for k, v in sorted(sd.items()):
            rows.append(f"{c}/{k} {'x'.join(map(str, v.shape))} {hashlib.sha256(v.half().contiguous().numpy().tobytes()).hexdigest()[:12]}")
    (HERE / f"{kind}.txt").write_text("\n".join(rows) + "\n")
    print(kind, len(rows) - 1, (HERE / f"{kind}.safetensors").stat().st_size)


SD1 = dict(sample_size=64, block_out_channels=[320, 640, 1280, 1280], layers_per_block=2, cross_attention_dim=768, attention_head_dim=8, norm_num_groups=32,
           down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"], up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3)
SD2 = SD1 | dict(cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20])
XL = SD1 | dict(sample_size=128, block_out_channels=[320, 640, 1280], cross_attention_dim=2048, attention_head_dim=[5, 10, 20], transformer_layers_per_block=[1, 2, 10],
                down_block_types=["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 2, up_block_types=["CrossAttnUpBlock2D"] * 2 + ["UpBlock2D"],
                addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816)
REFINER = XL | dict(block_out_channels=[384, 768, 1536, 1536], cross_attention_dim=1280, attention_head_dim=[6, 12, 24, 24], transformer_layers_per_block=4,
                    down_block_types=["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 2 + ["DownBlock2D"], projection_class_embeddings_input_dim=2560,
                    up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 2 + ["UpBlock2D"])


def unet(full=None, **given):
    given |= full if FULL else {}
    c = dict(sample_size=8, in_channels=4, out_channels=4, block_out_channels=[4, 8], layers_per_block=1, cross_attention_dim=8, attention_head_dim=2,
             norm_num_groups=2, down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"], up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"]) | given
    sd = fill(UNet2DConditionModel(**c)).state_dict()
    ldm = unet_ldm(sd, c["layers_per_block"], len(c["block_out_channels"]))
    same(u.convert_ldm_unet_checkpoint(dict(ldm), dict(c, class_embed_type=None)), sd, "unet")
    keep = ["in_channels", "out_channels", "block_out_channels", "layers_per_block", "cross_attention_dim", "down_block_types", "up_block_types"]
    keep += [k for k in ("use_linear_projection", "transformer_layers_per_block", "addition_embed_type", "projection_class_embeddings_input_dim") if k in given]
    keep += ["attention_head_dim", "norm_num_groups", "sample_size"] * FULL
    return ldm, sd, {k: c[k] for k in keep}


def vae(latent=4, quant=True, prefix="first_stage_model."):
    n = 4 if FULL else 2
    c = dict(block_out_channels=[4, 8], down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2, layers_per_block=1,
             norm_num_groups=2, latent_channels=latent, use_quant_conv=quant, use_post_quant_conv=quant)
    if FULL:
        c |= dict(block_out_channels=[128, 256, 512, 512], layers_per_block=2, norm_num_groups=32, down_block_types=["DownEncoderBlock2D"] * 4,
                  up_block_types=["UpDecoderBlock2D"] * 4)
    sd = fill(AutoencoderKL(**c)).state_dict()
    ldm = {prefix + k.removeprefix("first_stage_model."): v for k, v in vae_ldm(sd, n).items()}
    same(u.convert_ldm_vae_checkpoint(dict(ldm), c), sd, "vae")
    del c["norm_num_groups"]
    return ldm, sd, c


def clip(cls, layers=1, full="l"):
    """CLIP's ViT-L, OpenCLIP's H without its last layer, or its bigG."""
    small = dict(vocab_size=9, hidden_size=4, intermediate_size=6, num_hidden_layers=layers, num_attention_heads=1)
    if FULL:
        width, deep, act = {"l": (768, 12, "quick_gelu"), "h": (1024, 23, "gelu"), "g": (1280, 32, "gelu")}[full]
        small = dict(vocab_size=49408, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=deep, num_attention_heads=width // 64, hidden_act=act)
    m = fill(cls(CLIPTextConfig(projection_dim=small["hidden_size"], **small)))
    return m, text(m.state_dict()), small | dict(architectures=[cls.__name__])


def open_clip(m, sd, prefix):
    """OpenCLIP's names; the judge gives sd back."""
    ldm = openclip(sd, prefix)
    if prefix + "text_projection" not in ldm:
        ldm[prefix + "text_projection"] = torch.ones(m.config.hidden_size, m.config.hidden_size)
    back = u.convert_open_clip_checkpoint(m, dict(ldm), prefix=prefix)
    back = {k if k.startswith(("text_model", "text_projection")) else "text_model." + k: v for k, v in back.items()}
    if "text_projection.weight" not in sd:
        back.pop("text_projection.weight", None)
    same(back, sd, "open_clip")
    return ldm | {prefix + "logit_scale": torch.tensor(1.0)}


def t5():
    small = dict(vocab_size=7, d_model=4, d_ff=6, d_kv=2, num_heads=2, num_layers=2)
    if FULL:
        small = dict(vocab_size=32128, d_model=4096, d_ff=10240, d_kv=64, num_heads=64, num_layers=24)
    c = T5Config(feed_forward_proj="gated-gelu", **small)
    sd = {k: v for k, v in fill(T5EncoderModel(c)).state_dict().items() if k != "encoder.embed_tokens.weight"}
    return sd, small


def prefixed(sd, prefix):
    return {prefix + k: v for k, v in sd.items()}


def stable_diffusion_1(kind, **given):
    ldm, usd, uc = unet(SD1, **given)
    v, vsd, vc = vae()
    _, csd, cc = clip(CLIPTextModel)
    rest = {"model_ema.decay": torch.tensor(1.0), "alphas_cumprod": torch.zeros(10), "betas": torch.zeros(10)}
    save(kind, ldm | v | prefixed(csd, "cond_stage_model.transformer.") | rest, dict(unet=usd, vae=vsd, text_encoder=csd),
         dict(unet=uc, vae=vc, text_encoder=cc))


def stable_diffusion_2():
    ldm, usd, uc = unet(SD2, use_linear_projection=True)
    v, vsd, vc = vae()
    m, csd, cc = clip(CLIPTextModel, 23, "h")
    last = {k.replace("layers.22", "layers.23"): v for k, v in csd.items() if "layers.22" in k}
    both = open_clip(m, csd, "cond_stage_model.model.") | {k: v for k, v in openclip(csd | last, "cond_stage_model.model.").items() if ".23." in k}
    save("sd2", ldm | v | both, dict(unet=usd, vae=vsd, text_encoder=csd), dict(unet=uc, vae=vc, text_encoder=cc))


def stable_diffusion_xl():
    ldm, usd, uc = unet(XL, block_out_channels=[4, 8, 8], down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
                        up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], layers_per_block=2, transformer_layers_per_block=[1, 1, 2],
                        addition_embed_type="text_time", addition_time_embed_dim=2, projection_class_embeddings_input_dim=20, use_linear_projection=True)
    v, vsd, vc = vae()
    _, lsd, lc = clip(CLIPTextModel)
    m, gsd, gc = clip(CLIPTextModelWithProjection, 2, "g")
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    save("sdxl", ldm | v | prefixed(lsd, "conditioner.embedders.0.transformer.") | open_clip(m, gsd, "conditioner.embedders.1.model.") | marks,
         dict(unet=usd, vae=vsd, text_encoder=lsd, text_encoder_2=gsd), dict(unet=uc, vae=vc, text_encoder=lc, text_encoder_2=gc))


def refiner():
    ldm, usd, uc = unet(REFINER, block_out_channels=[4, 8, 8], down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
                        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], transformer_layers_per_block=2,
                        addition_embed_type="text_time", addition_time_embed_dim=2, projection_class_embeddings_input_dim=16, use_linear_projection=True)
    v, vsd, vc = vae()
    m, gsd, gc = clip(CLIPTextModelWithProjection, 2, "g")
    save("refiner", ldm | v | open_clip(m, gsd, "conditioner.embedders.0.model."), dict(unet=usd, vae=vsd, text_encoder_2=gsd),
         dict(unet=uc, vae=vc, text_encoder_2=gc))


def original(shapes):
    return {k: torch.empty(s) if FULL else torch.randn(s) for k, s in shapes.items()}


def linear(shapes, name, rows, columns):
    shapes[name + ".weight"], shapes[name + ".bias"] = (rows, columns), (rows,)


def stable_diffusion_3():
    d, n, dual, pos, text_width, pooled, head = (1536, 24, 13, 384, 4096, 2048, 64) if FULL else (16, 2, 1, 4, 8, 8, 16)  # 3.5 medium
    s = {"pos_embed": (1, pos * pos, d), "x_embedder.proj.weight": (d, 16, 2, 2), "x_embedder.proj.bias": (d,)}
    for name, rows, columns in (("t_embedder.mlp.0", d, 256), ("t_embedder.mlp.2", d, d), ("y_embedder.mlp.0", d, pooled), ("y_embedder.mlp.2", d, d),
                                ("context_embedder", d, text_width), ("final_layer.linear", 64, d), ("final_layer.adaLN_modulation.1", 2 * d, d)):
        linear(s, name, rows, columns)
    for i in range(n):
        x, c = f"joint_blocks.{i}.x_block.", f"joint_blocks.{i}.context_block."
        linear(s, x + "adaLN_modulation.1", (9 if i < dual else 6) * d, d)
        linear(s, c + "adaLN_modulation.1", (6 if i < n - 1 else 2) * d, d)
        for b in [x + "attn."] + [x + "attn2."] * (i < dual) + [c + "attn."]:
            linear(s, b + "qkv", 3 * d, d)
            s[b + "ln_q.weight"] = s[b + "ln_k.weight"] = (head,)
            if not (b.startswith(c) and i == n - 1):
                linear(s, b + "proj", d, d)
        for b in [x] + [c] * (i < n - 1):
            linear(s, b + "mlp.fc1", 4 * d, d)
            linear(s, b + "mlp.fc2", d, 4 * d)
    mmdit = original(s)
    config = dict(num_layers=n, num_attention_heads=d // head, attention_head_dim=head, joint_attention_dim=text_width, caption_projection_dim=d, pooled_projection_dim=pooled,
                  in_channels=16, out_channels=16, patch_size=2, pos_embed_max_size=pos, qk_norm="rms_norm", dual_attention_layers=list(range(dual)))
    sd = u.convert_sd3_transformer_checkpoint_to_diffusers(dict(mmdit))
    model = SD3Transformer2DModel(sample_size=8, **config | {"dual_attention_layers": tuple(range(dual))})
    same({k: torch.empty_like(v) for k, v in sd.items()} if FULL else sd, model.state_dict() if FULL else sd, "sd3")
    model.load_state_dict(sd, assign=True)
    v, vsd, vc = vae(16, False)
    _, lsd, lc = clip(CLIPTextModelWithProjection)
    _, gsd, gc = clip(CLIPTextModelWithProjection, 2, "g")
    tsd, tc = t5()
    file = prefixed(mmdit, "model.diffusion_model.") | v | prefixed(lsd, "text_encoders.clip_l.transformer.") | prefixed(gsd, "text_encoders.clip_g.transformer.")
    file |= prefixed(tsd, "text_encoders.t5xxl.transformer.")
    same(u.convert_sd3_t5_checkpoint_to_diffusers(file), tsd, "t5")
    lsd["text_projection.weight"] = torch.eye(lsd["text_projection.weight"].shape[0])  # as diffusers has it, whatever the file says
    save("sd3", file, dict(transformer=sd, vae=vsd, text_encoder=lsd, text_encoder_2=gsd, text_encoder_3=tsd),
         dict(transformer=config, vae=vc, text_encoder=lc, text_encoder_2=gc, text_encoder_3=tc))


def flux():
    d, head, double, single, text_width, pooled = (3072, 128, 19, 38, 4096, 768) if FULL else (16, 16, 2, 2, 8, 8)
    s = {}
    for name, rows, columns in (("time_in.in_layer", d, 256), ("time_in.out_layer", d, d), ("vector_in.in_layer", d, pooled), ("vector_in.out_layer", d, d),
                                ("guidance_in.in_layer", d, 256), ("guidance_in.out_layer", d, d), ("txt_in", d, text_width), ("img_in", d, 64),
                                ("final_layer.linear", 64, d), ("final_layer.adaLN_modulation.1", 2 * d, d)):
        linear(s, name, rows, columns)
    for i in range(double):
        for b in (f"double_blocks.{i}.img_", f"double_blocks.{i}.txt_"):
            linear(s, b + "mod.lin", 6 * d, d)
            linear(s, b + "attn.qkv", 3 * d, d)
            linear(s, b + "attn.proj", d, d)
            s[b + "attn.norm.query_norm.scale"] = s[b + "attn.norm.key_norm.scale"] = (head,)
            linear(s, b + "mlp.0", 4 * d, d)
            linear(s, b + "mlp.2", d, 4 * d)
    for i in range(single):
        b = f"single_blocks.{i}."
        linear(s, b + "modulation.lin", 3 * d, d)
        linear(s, b + "linear1", 7 * d, d)
        linear(s, b + "linear2", d, 5 * d)
        s[b + "norm.query_norm.scale"] = s[b + "norm.key_norm.scale"] = (head,)
    transformer = original(s)
    # The converter knows one width only; this is the same code with ours.
    source = inspect.getsource(u.convert_flux_transformer_checkpoint_to_diffusers).replace("inner_dim = 3072", f"inner_dim = {d}")
    scope = dict(vars(u))
    exec(source, scope)
    sd = scope["convert_flux_transformer_checkpoint_to_diffusers"](dict(transformer))
    config = dict(num_layers=double, num_single_layers=single, num_attention_heads=d // head, attention_head_dim=head, joint_attention_dim=text_width, pooled_projection_dim=pooled,
                  in_channels=64, guidance_embeds=True, axes_dims_rope=[16, 56, 56] if FULL else [2, 7, 7])
    FluxTransformer2DModel(**config | {"axes_dims_rope": (16, 56, 56) if FULL else (2, 6, 8)}).load_state_dict(sd, assign=True)
    v, vsd, vc = vae(16, False, "vae.")
    _, lsd, lc = clip(CLIPTextModel)
    tsd, tc = t5()
    file = prefixed(transformer, "model.diffusion_model.") | v | prefixed(lsd, "text_encoders.clip_l.transformer.")
    file |= prefixed(tsd, "text_encoders.t5xxl.transformer.")
    save("flux", file, dict(transformer=sd, vae=vsd, text_encoder=lsd, text_encoder_2=tsd), dict(transformer=config, vae=vc, text_encoder=lc, text_encoder_2=tc))


def qwen():
    c = dict(vocab_size=9, hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8)
    if FULL:
        c = dict(vocab_size=151936, hidden_size=2560, intermediate_size=9728, num_hidden_layers=36, num_attention_heads=32, num_key_value_heads=8, head_dim=128)
    sd = fill(Qwen3ForCausalLM(Qwen3Config(tie_word_embeddings=True, **c))).state_dict()
    return {k: v for k, v in sd.items() if k != "lm_head.weight"}, c


def flux2():
    d, head, double, single, text_width = (3072, 128, 5, 20, 7680) if FULL else (16, 8, 1, 2, 24)
    s = {"time_in.in_layer.weight": (d, 256), "time_in.out_layer.weight": (d, d), "txt_in.weight": (d, text_width), "img_in.weight": (d, 128),
         "double_stream_modulation_img.lin.weight": (6 * d, d), "double_stream_modulation_txt.lin.weight": (6 * d, d),
         "single_stream_modulation.lin.weight": (3 * d, d), "final_layer.linear.weight": (128, d), "final_layer.adaLN_modulation.1.weight": (2 * d, d)}
    for i in range(double):
        for b in (f"double_blocks.{i}.img_", f"double_blocks.{i}.txt_"):
            s |= {b + "attn.qkv.weight": (3 * d, d), b + "attn.proj.weight": (d, d), b + "mlp.0.weight": (6 * d, d), b + "mlp.2.weight": (d, 3 * d)}
            s[b + "attn.norm.query_norm.scale"] = s[b + "attn.norm.key_norm.scale"] = (head,)
    for i in range(single):
        b = f"single_blocks.{i}."
        s |= {b + "linear1.weight": (9 * d, d), b + "linear2.weight": (d, 4 * d)}
        s[b + "norm.query_norm.scale"] = s[b + "norm.key_norm.scale"] = (head,)
    transformer = original(s)
    sd = u.convert_flux2_transformer_checkpoint_to_diffusers(dict(transformer))
    config = dict(num_layers=double, num_single_layers=single, num_attention_heads=d // head, attention_head_dim=head, joint_attention_dim=text_width,
                  in_channels=128, guidance_embeds=False, axes_dims_rope=[head // 4] * 4, mlp_ratio=3.0, timestep_guidance_channels=256)
    Flux2Transformer2DModel(**config).load_state_dict(sd, assign=True)
    n = 4 if FULL else 2
    vc = dict(block_out_channels=[128, 256, 512, 512] if FULL else [4, 8], down_block_types=["DownEncoderBlock2D"] * n, up_block_types=["UpDecoderBlock2D"] * n,
              layers_per_block=2 if FULL else 1, latent_channels=32)
    vsd = fill(AutoencoderKLFlux2(norm_num_groups=32 if FULL else 2, **vc)).state_dict()
    v = {k.removeprefix("first_stage_model."): x for k, x in vae_ldm({k: x for k, x in vsd.items() if not k.startswith("bn.")}, n).items()}
    v = {k.replace("post_quant_conv", "decoder.post_quant_conv") if k.startswith("post") else "encoder." + k if k.startswith("quant") else k: x for k, x in v.items()}
    bn = {k: x.float() for k, x in vsd.items() if k.startswith("bn.running")}
    vsd = {k: x for k, x in vsd.items() if k != "bn.num_batches_tracked"}
    tsd, tc = qwen()
    save("flux2", prefixed(transformer, "model.diffusion_model.") | prefixed(v | bn, "vae.") | prefixed(tsd, "text_encoders.qwen3_4b.transformer."),
         dict(transformer=sd, vae=vsd, text_encoder=tsd), dict(transformer=config, vae=vc, text_encoder=tc))


def z_image():
    d, head, layers, refiners, text_width = (3840, 128, 30, 2, 2560) if FULL else (16, 8, 2, 1, 8)
    s = {"x_pad_token": (1, d), "cap_pad_token": (1, d), "cap_embedder.0.weight": (text_width,), "norm_final.weight": (d,)}
    for name, rows, columns in (("x_embedder", d, 64), ("cap_embedder.1", d, text_width), ("t_embedder.mlp.0", 1024, 256), ("t_embedder.mlp.2", min(d, 256), 1024),
                                ("final_layer.linear", 64, d), ("final_layer.adaLN_modulation.1", d, min(d, 256))):
        linear(s, name, rows, columns)
    inner, t = int(d / 3 * 8), min(d, 256)
    for b in [f"layers.{i}." for i in range(layers)] + [f"{k}_refiner.{i}." for k in ("noise", "context") for i in range(refiners)]:
        s |= {b + "attention.qkv.weight": (3 * d, d), b + "attention.out.weight": (d, d), b + "attention.q_norm.weight": (head,), b + "attention.k_norm.weight": (head,),
              b + "feed_forward.w1.weight": (inner, d), b + "feed_forward.w2.weight": (d, inner), b + "feed_forward.w3.weight": (inner, d)}
        s |= {b + n + ".weight": (d,) for n in ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2")}
        if not b.startswith("context"):
            linear(s, b + "adaLN_modulation.0", 4 * d, t)
    if not FULL:
        del s["t_embedder.mlp.0.weight"]  # it is large whatever the width
    transformer = original(s)
    sd = u.convert_z_image_transformer_checkpoint_to_diffusers(dict(transformer))
    config = dict(dim=d, n_layers=layers, n_refiner_layers=refiners, n_heads=d // head, n_kv_heads=d // head, cap_feat_dim=text_width, in_channels=16, qk_norm=True,
                  axes_dims=[32, 48, 48] if FULL else [2, 3, 3])
    ZImageTransformer2DModel(**config | {"axes_dims": config["axes_dims"] if FULL else [4, 2, 2]}).load_state_dict(sd, assign=True, strict=FULL)
    v, vsd, vc = vae(16, False, "vae.")
    tsd, tc = qwen()
    save("zimage", prefixed(transformer, "model.diffusion_model.") | v | prefixed(tsd, "text_encoders.qwen3_4b.transformer."),
         dict(transformer=sd, vae=vsd, text_encoder=tsd), dict(transformer=config, vae=vc, text_encoder=tc))


def everything():
    stable_diffusion_1("sd1")
    stable_diffusion_1("inpainting", in_channels=9)
    stable_diffusion_2()
    stable_diffusion_xl()
    refiner()
    stable_diffusion_3()
    flux()


# Each has a seed of its own, but for the first seven.
KINDS = dict(everything=everything, flux2=flux2, zimage=z_image)
for kind in sys.argv[1:] or KINDS:
    FULL = False
    torch.manual_seed(0)
    KINDS[kind]()
    FULL = True
    with torch.device("meta"):
        KINDS[kind]()
