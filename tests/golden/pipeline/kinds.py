"""Tiny untrained pipelines of every kind, drawn by diffusers' own pipeline class.

  python kinds.py [NAME...]   makes NAME/model, NAME/golden.json and the pictures; all of them without a name
"""

import json
import shutil
import sys
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from diffusers import (
    AutoencoderKL, CMStochasticIterativeScheduler, DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler, LCMScheduler, ScoreSdeVeScheduler, UNet2DConditionModel, UNet2DModel, VQModel,
)
from PIL import Image
from transformers import (
    CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer,
)

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeded import fill, freeze, give, scale  # noqa: E402
sys.path.insert(0, str(Path(__file__).parents[1] / "model"))
import flow  # noqa: E402
import vit  # noqa: E402
from flow import t5  # noqa: E402
from tiny import taesd, tokenizer  # noqa: E402

HERE = Path(__file__).parent
VERSIONS = {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}
SD_BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def clip(path, folder, seed, cls=CLIPTextModel, hidden=24, act="quick_gelu", pad=None):
    """A CLIP tokenizer, written into the pipeline's folder, and a text encoder for it."""
    words = tokenizer(path / folder)
    if pad:  # OpenCLIP's way: other tokens than the end of text fill up
        file = path / folder / "tokenizer_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"pad_token": pad}))
    text = fill(cls(CLIPTextConfig(
        vocab_size=words, hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=77, hidden_act=act, projection_dim=hidden,
        bos_token_id=words - 2, eos_token_id=words - 1, pad_token_id=words - 1)), seed)
    scale(text.get_input_embeddings().weight, 4)
    if cls is CLIPTextModel:  # diffusers' clip_skip looks for the name that transformers before 5 had
        text.__dict__["text_model"] = text
    return CLIPTokenizer.from_pretrained(path / folder), text


def unet(seed, latent=4, **options):
    return fill(UNet2DConditionModel(**dict(
        sample_size=8, in_channels=latent, out_channels=latent, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=24, attention_head_dim=2, norm_num_groups=4) | options), seed)


def kl(seed, latent=4, **options):
    return fill(AutoencoderKL(**dict(
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(4, 8, 8), layers_per_block=1, norm_num_groups=4, latent_channels=latent, scaling_factor=0.7) | options), seed, 0.7)


def tiny_vae(seed, latent=4):
    vae = fill(taesd(latent), seed, 0.7)
    scale(vae.decoder.layers[-1].weight, 1.5)
    vae.decoder.layers[-1].bias.data[:] = 0.5
    return vae


def lcm(path):
    tok, text = clip(path, "tokenizer", 1)
    return diffusers.LatentConsistencyModelPipeline(
        tiny_vae(3), text, tok, unet(2, time_cond_proj_dim=16), LCMScheduler(**SD_BETAS, timestep_scaling=10), None, None,
        requires_safety_checker=False)


def sdxl_parts(path, seed, act="gelu"):
    tok, text = clip(path, "tokenizer", seed)
    tok2, text2 = clip(path, "tokenizer_2", seed + 1, CLIPTextModelWithProjection, hidden=16, act=act, pad="!")
    return text, text2, tok, tok2


XL = dict(
    cross_attention_dim=40, addition_embed_type="text_time", addition_time_embed_dim=8,
    projection_class_embeddings_input_dim=16 + 6 * 8, transformer_layers_per_block=(1, 2), use_linear_projection=True,
    attention_head_dim=(2, 4), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"))


def sdxl(path):
    return diffusers.StableDiffusionXLPipeline(
        kl(12), *sdxl_parts(path, 10), unet(11, **XL), EulerDiscreteScheduler(**SD_BETAS, steps_offset=1, timestep_spacing="leading"),
        force_zeros_for_empty_prompt=True, add_watermarker=False)


def sdxl_turbo(path):
    return diffusers.StableDiffusionXLPipeline(
        tiny_vae(22), *sdxl_parts(path, 20), unet(21, **XL),
        EulerAncestralDiscreteScheduler(**SD_BETAS, timestep_spacing="trailing"), force_zeros_for_empty_prompt=True, add_watermarker=False)


def sdxl_means(path):
    """Playground v2.5's way: latents with a mean and a deviation of their own; the empty prompt is encoded."""
    vae = kl(32, latents_mean=[-1.6, 1.1, 0.3, -0.2], latents_std=[1.4, 0.6, 1.1, 0.9])
    return diffusers.StableDiffusionXLPipeline(
        vae, *sdxl_parts(path, 30), unet(31, **XL), DDIMScheduler(**SD_BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        force_zeros_for_empty_prompt=False, add_watermarker=False)


def pixart(path, cls, seed, sample):
    tok, text = t5(path, "tokenizer", seed)
    net = fill(diffusers.PixArtTransformer2DModel(
        sample_size=sample, num_layers=2, num_attention_heads=3, attention_head_dim=8, in_channels=4, out_channels=8, patch_size=2,
        cross_attention_dim=24, caption_channels=16, norm_type="ada_norm_single", use_additional_conditions=sample == 128), seed + 1)
    return cls(tok, text, kl(seed + 2), net, DPMSolverMultistepScheduler(beta_schedule="linear", beta_start=0.0001, beta_end=0.02))


def pixart_alpha(path):
    return pixart(path, diffusers.PixArtAlphaPipeline, 40, 128)


def pixart_sigma(path):
    return pixart(path, diffusers.PixArtSigmaPipeline, 50, 8)


def sd3_parts(path, seed, with_t5):
    tok, text = clip(path, "tokenizer", seed, CLIPTextModelWithProjection, hidden=8)
    tok2, text2 = clip(path, "tokenizer_2", seed + 1, CLIPTextModelWithProjection, hidden=6, act="gelu", pad="!")
    tok3, text3 = t5(path, "tokenizer_3", seed + 2) if with_t5 else (None, None)
    return text, tok, text2, tok2, text3, tok3


def sd3(path):
    net = fill(diffusers.SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=8, num_layers=2, attention_head_dim=8, num_attention_heads=3, joint_attention_dim=16,
        caption_projection_dim=24, pooled_projection_dim=14, out_channels=8, pos_embed_max_size=12), 60)
    vae = kl(61, latent=8, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False)
    return diffusers.StableDiffusion3Pipeline(net, FlowMatchEulerDiscreteScheduler(shift=3.0), vae, *sd3_parts(path, 62, True))


def sd35(path):
    """3.5 medium's way: norms of queries and keys, a second attention in the first layer; T5 left out."""
    net = fill(diffusers.SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=8, num_layers=2, attention_head_dim=8, num_attention_heads=3, joint_attention_dim=16,
        caption_projection_dim=24, pooled_projection_dim=14, out_channels=8, pos_embed_max_size=12, qk_norm="rms_norm",
        dual_attention_layers=(0,)), 70)
    vae = kl(71, latent=8, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False)
    return diffusers.StableDiffusion3Pipeline(net, FlowMatchEulerDiscreteScheduler(shift=3.0), vae, *sd3_parts(path, 72, False))


def flux(path, seed, guidance, scheduler):
    tok, text = clip(path, "tokenizer", seed, hidden=8)
    tok2, text2 = t5(path, "tokenizer_2", seed + 1)
    net = fill(diffusers.FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=16, num_attention_heads=2, joint_attention_dim=16,
        pooled_projection_dim=8, guidance_embeds=guidance, axes_dims_rope=(4, 4, 8)), seed + 2)
    vae = kl(seed + 3, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False)
    return diffusers.FluxPipeline(scheduler, vae, text, tok, text2, tok2, net)


def flux_schnell(path):
    return flux(path, 80, False, FlowMatchEulerDiscreteScheduler(shift=1.0))


def flux_dev(path):
    """Guidance embedded, a schedule that shifts with the picture's size."""
    return flux(path, 84, True, FlowMatchEulerDiscreteScheduler(
        shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, base_image_seq_len=256, max_image_seq_len=4096))


def unet2d(seed, channels=3, sample=16, **options):
    return fill(UNet2DModel(**dict(
        sample_size=sample, in_channels=channels, out_channels=channels, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"), attention_head_dim=4) | options), seed)


def sd(path):
    tok, text = clip(path, "tokenizer", 100)
    return diffusers.StableDiffusionPipeline(
        tiny_vae(101), text, tok, unet(102), EulerDiscreteScheduler(**SD_BETAS, steps_offset=1), None, None, requires_safety_checker=False)


def sd_insists(path):
    """A scheduler whose file says what StableDiffusionPipeline overrules."""
    tok, text = clip(path, "tokenizer", 110)
    pipe = diffusers.StableDiffusionPipeline(
        tiny_vae(111), text, tok, unet(112), DDIMScheduler(**SD_BETAS, set_alpha_to_one=False), None, None, requires_safety_checker=False)
    assert pipe.scheduler.config.steps_offset == 1 and not pipe.scheduler.config.clip_sample
    return pipe


def weighted(pipe, chunks, syntax, skip):
    """The states of a prompt whose chunks are given as lists of (text, weight): what AUTOMATIC1111 (emphasis "Original") and ComfyUI make
    of them, written out."""
    tok, text = pipe.tokenizer, pipe.text_encoder

    def encode(ids):
        ids = [tok.bos_token_id, *ids, tok.eos_token_id]
        ids += [tok.pad_token_id] * (77 - len(ids))
        out = text(torch.tensor([ids]), output_hidden_states=True)
        return text.final_layer_norm(out.hidden_states[-1 - skip])[0]

    out = []
    for chunk in chunks:
        pairs = [(i, w) for words, w in chunk for i in tok(words, add_special_tokens=False).input_ids]
        z, weights = encode([i for i, _ in pairs]), torch.ones(77, 1)
        weights[1:1 + len(pairs), 0] = torch.tensor([w for _, w in pairs], dtype=torch.float32)
        if syntax == "a1111":
            mean = z.mean()
            z = z * weights
            z = z * (mean / z.mean())
        else:
            empty = encode([])
            z = torch.where(weights != 1, (z - empty) * weights + empty, z)
        out.append(z)
    return torch.cat(out)[None]


def ddpm(path):
    return diffusers.DDPMPipeline(unet2d(90), DDPMScheduler())


def ddpm_learned(path):
    """Improved DDPM's way: a variance that is learned, scaled and shifted norms."""
    net = unet2d(91, out_channels=6, resnet_time_scale_shift="scale_shift")
    return diffusers.DDPMPipeline(net, DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="learned_range"))


def consistency(path):
    net = unet2d(94, resnet_time_scale_shift="scale_shift", num_class_embeds=10)
    return diffusers.ConsistencyModelPipeline(net, CMStochasticIterativeScheduler())


def score_sde(path):
    """NCSN++'s way: random frequencies of the noise level's logarithm, blocks that carry the picture along."""
    net = unet2d(99, time_embedding_type="fourier", down_block_types=("SkipDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "SkipUpBlock2D"))
    give(net.time_proj.weight, 990, 4.0)
    scale(net.conv_out.weight, 0.3)
    return diffusers.ScoreSdeVePipeline(net, ScoreSdeVeScheduler(sigma_min=0.1, sigma_max=0.7))


def ddim(path):
    return diffusers.DDIMPipeline(unet2d(92, sample=24, flip_sin_to_cos=False, freq_shift=1), DDIMScheduler(clip_sample=True))


def ldm(path):
    vae = fill(VQModel(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, block_out_channels=(4, 8), layers_per_block=1,
        norm_num_groups=4, latent_channels=3, num_vq_embeddings=32, scaling_factor=0.7), 95, 0.7)
    scale(vae.quantize.embedding.weight, 2)
    return diffusers.LDMPipeline(vae, unet2d(96, sample=8), DDIMScheduler(**SD_BETAS, clip_sample=False))


def dit(path):
    net = fill(diffusers.DiTTransformer2DModel(
        num_attention_heads=3, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2, sample_size=8, patch_size=2, num_embeds_ada_norm=1000), 97)
    return diffusers.DiTPipeline(net, kl(98), DDIMScheduler(clip_sample=False), id2label={i: f"thing {i}, object {i}" for i in range(10)})


def sit(path):
    net = fill(vit.SiTTransformer2DModel(input_size=8, hidden_size=24, depth=2, num_heads=3, num_classes=12), 260)
    return vit.SiTPipeline(net, FlowMatchEulerDiscreteScheduler(), kl(261), id2label={i: f"thing {i}, object {i}" for i in range(10)})


def u_vit(path):
    net = fill(vit.UViT(img_size=8, patch_size=2, in_chans=4, embed_dim=24, depth=3, num_heads=3, num_classes=12), 262)
    return vit.UViTPipeline(net, DPMSolverMultistepScheduler(**SD_BETAS), kl(263))


def u_vit_text(path):
    tok, text = clip(path, "tokenizer", 264)
    net = fill(vit.UViT(img_size=8, patch_size=2, in_chans=4, embed_dim=24, depth=3, num_heads=3, clip_dim=24), 265)
    return vit.UViTTextPipeline(net, DPMSolverMultistepScheduler(**SD_BETAS), kl(266), text_encoder=text, tokenizer=tok)


def u_vit_pixels(path):
    net = fill(vit.UViT(img_size=16, patch_size=2, embed_dim=24, depth=3, num_heads=3, num_classes=10), 267)
    return vit.UViTPixelPipeline(net, DDIMScheduler(**SD_BETAS, clip_sample=True))


BASE = dict(prompt="red cat", negative_prompt="", seed=1, steps=4, guidance=5.0, width=32, height=32)

# A kind's pipeline, and what is asked of it beside BASE. The keys are those of golden.json.
KINDS = {
    "consistency": (consistency, [
        dict(width=16, height=16, steps=1, class_=3), dict(width=16, height=16, steps=3, seed=5, class_=7)]),
    "flux_dev": (flux_dev, [dict(guidance=3.5, schedule="trailing"), dict(guidance=1.5, seed=9, width=48, schedule="trailing", steps=3)]),
    "sd_insists": (sd_insists, [dict(steps=5)]),
    "sd_weights": (sd, [
        dict(prompt="the (red:1.5) [cat]", negative_prompt="((house))", prompt_syntax="a1111", clip_skip=2,
             parts=[[("the ", 1), ("red", 1.5), (" ", 1), ("cat", 1 / 1.1)]], negative_parts=[[("house", 1.1 * 1.1)]]),
        dict(prompt="red cat BREAK (the house:0.5) on", negative_prompt="cat BREAK red", prompt_syntax="a1111",
             parts=[[("red cat", 1)], [("the house", 0.5), (" on", 1)]], negative_parts=[[("cat", 1)], [("red", 1)]]),
        dict(prompt="the (red (cat:0.7)) house", negative_prompt="", prompt_syntax="comfyui",
             parts=[[("the", 1), ("red", 1.1), ("cat", 0.7), ("house", 1)]], negative_parts=[[]]),
        dict(prompt="[red] cat BREAK", guidance=1.0, prompt_syntax="comfyui", parts=[[("[red]", 1), ("cat", 1), ("BREAK", 1)]])]),
    "ddpm": (ddpm, [dict(width=16, height=16), dict(width=16, height=16, seed=5, steps=11)]),
    "ddpm_learned": (ddpm_learned, [dict(width=16, height=16, steps=9)]),
    "score_sde": (score_sde, [dict(width=16, height=16, steps=7)]),
    "ddim": (ddim, [dict(width=24, height=24, steps=9)]),
    "ldm": (ldm, [dict(width=16, height=16, steps=5)]),
    "dit": (dit, [dict(class_=7, guidance=4.0), dict(class_=3, seed=9, guidance=1.0, steps=7)]),
    "sit": (sit, [dict(class_=7, guidance=4.0), dict(class_=3, seed=9, guidance=1.0, steps=7)]),
    "u_vit": (u_vit, [dict(class_=7, guidance=2.0), dict(class_=3, seed=9, guidance=1.0, steps=7)]),
    "u_vit_text": (u_vit_text, [dict(guidance=2.0), dict(prompt="the HOUSE", negative_prompt="red", seed=9, guidance=3.0, steps=6)]),
    "u_vit_pixels": (u_vit_pixels, [dict(class_=7, width=16, height=16, steps=6), dict(class_=3, width=16, height=16, seed=9, steps=9)]),
    "pixart_alpha": (pixart_alpha, [dict(), dict(prompt="the HOUSE", negative_prompt="red", seed=9, width=48, guidance=1.0)]),
    "pixart_sigma": (pixart_sigma, [dict(), dict(prompt="blue dog in the rain", negative_prompt="red", seed=9, height=48)]),
    "sd3": (sd3, [dict(), dict(prompt="the HOUSE", negative_prompt="red", seed=9, width=48, second_prompt="cat", clip_skip=3), dict(clip_skip=1, seed=2)]),
    "sd35": (sd35, [dict(), dict(prompt="cat", seed=3, guidance=1.0, height=48)]),
    "flux_schnell": (flux_schnell, [
        dict(guidance=0.0, schedule="trailing"),
        dict(prompt="the HOUSE", seed=9, width=48, second_prompt="blue dog", guidance=0.0, steps=2, schedule="trailing")]),
    "lcm": (lcm, [dict(guidance=8.5), dict(prompt="the house on the cat", seed=2**32 + 5, steps=2, guidance=1.5, width=48, height=24, clip_skip=2)]),
    "sdxl": (sdxl, [
        dict(), dict(prompt="the HOUSE", negative_prompt="red", seed=9, width=48, height=24, second_prompt="cat"),
        dict(clip_skip=3, seed=4, guidance=1.0), dict(clip_skip=1, seed=6, negative_prompt="house")]),
    "sdxl_turbo": (sdxl_turbo, [dict(steps=1, guidance=0.0), dict(steps=3, guidance=0.0, seed=3, height=40)]),
    "sdxl_means": (sdxl_means, [dict(guidance=3.0), dict(prompt="cat", negative_prompt="red", seed=7)]),
} | flow.KINDS


def call(pipe, case):
    """The arguments of the pipeline's call for a case."""
    unconditional = dict(num_inference_steps=case["steps"], generator=torch.Generator("cpu").manual_seed(case["seed"]), output_type="np")
    if isinstance(pipe, vit.UViTPixelPipeline):
        return unconditional | dict(class_labels=[case["class"]])
    if isinstance(pipe, (diffusers.DiTPipeline, vit.SiTPipeline)) and not hasattr(pipe, "text_encoder"):
        return unconditional | dict(class_labels=[case["class"]], guidance_scale=case["guidance"])
    if isinstance(pipe, diffusers.ConsistencyModelPipeline):
        return unconditional | dict(class_labels=[case["class"]])
    if not hasattr(pipe, "text_encoder"):
        return unconditional
    if "parts" in case:
        skip = case.get("clip_skip", 1) - 1
        states = lambda name: weighted(pipe, case[name], case["prompt_syntax"], skip)
        given = unconditional | dict(prompt_embeds=states("parts"), guidance_scale=case["guidance"], width=case["width"], height=case["height"])
        return given | (dict(negative_prompt_embeds=states("negative_parts")) if "negative_parts" in case else {})
    given = dict(prompt=case["prompt"], num_inference_steps=case["steps"], guidance_scale=case["guidance"], width=case["width"],
                 height=case["height"], generator=torch.Generator("cpu").manual_seed(case["seed"]), output_type="np")
    if case["negative_prompt"]:
        given["negative_prompt"] = case["negative_prompt"]
    if "second_prompt" in case:
        given["prompt_2"] = case["second_prompt"]
    if "clip_skip" in case:  # as people count: 1 is the last layer; what Stable Diffusion XL and 3 read anyway is 2
        given["clip_skip"] = case["clip_skip"] - (2 if "XL" in type(pipe).__name__ or "3" in type(pipe).__name__ else 1)
    if isinstance(pipe, diffusers.ZImagePipeline):
        given["negative_prompt"] = case["negative_prompt"]
    if isinstance(pipe, diffusers.HunyuanDiTPipeline):
        given["use_resolution_binning"] = False
    if isinstance(pipe, diffusers.LuminaPipeline):
        given["clean_caption"] = False
    if isinstance(pipe, diffusers.SanaSprintPipeline):
        given |= dict(use_resolution_binning=False, **({} if case["steps"] == 2 else dict(intermediate_timesteps=None)))
    if "PixArt" in type(pipe).__name__:
        given |= dict(use_resolution_binning=False, clean_caption=False)
    return given


def golden(name):
    make, cases = KINDS[name]
    out = HERE / name
    shutil.rmtree(out, ignore_errors=True)
    (out / "model").mkdir(parents=True)
    pipe = make(out / "model")
    pipe.set_progress_bar_config(disable=True)
    computed = [(m, k, b) for part in pipe.components.values() if isinstance(part, torch.nn.Module)
                for m in part.modules() for k, b in m._buffers.items() if k in m._non_persistent_buffers_set]
    pipe.to(torch.float16).save_pretrained(out / "model")  # half the size
    pipe.to(torch.float32)
    for module, key, value in computed:  # frequencies, which no file has and f16 is too coarse for
        module._buffers[key] = value
    freeze(out / "model")
    if name == "sd_insists":  # as the file was before the pipeline saw it
        file = out / "model" / "scheduler" / "scheduler_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"steps_offset": 0, "clip_sample": True}, indent=2) + "\n")
    if name.startswith("u_vit"):
        file = out / "model" / "model_index.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"_class_name": "UViTPipeline"}, indent=2) + "\n")
    if name == "sit":  # as a pipeline is published that brings its code
        file = out / "model" / "model_index.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"_class_name": ["pipeline", "SiTPipeline"]}, indent=2) + "\n")
    for tokens in (out / "model").glob("tokenizer*/vocab.json"):  # CLIP's, with merges.txt
        (tokens.parent / "tokenizer.json").unlink(missing_ok=True)
    flow.tidy(name, out / "model")
    written = []
    for i, case in enumerate(cases):
        case = BASE | case
        if "class_" in case:
            case["class"] = case.pop("class_")
        if not hasattr(pipe, "text_encoder"):
            case["prompt"] = ""
        picture = pipe(**call(pipe, case)).images[0]
        assert np.isfinite(picture).all()
        picture = (picture * 255).round().astype("uint8")
        Image.fromarray(picture).save(out / f"{i}.png", optimize=True)
        print(f"{name}/{i}.png: mean {picture.mean():.1f}, std {picture.std():.1f}, "
              f"at the limits {np.mean((picture == 0) | (picture == 255)):.2f}", flush=True)
        case = {k: v for k, v in case.items() if "parts" not in k}
        written.append(case | {"files": [f"{i}.png"]})
    (out / "golden.json").write_text(json.dumps({"versions": VERSIONS, "cases": written}, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        for name in sys.argv[1:] or KINDS:
            golden(name)
