"""Makes a small single-file checkpoint of Stable Diffusion 1 with the usual configs and CLIP's vocabulary, and a picture by diffusers.

  python draw.py CLIP       CLIP: a directory with CLIP's tokenizer

tiny.safetensors has no encoder of pictures, and lacks the table of words, cond_stage_model.transformer.text_model.embeddings.token_embedding.weight: 49408 rows of
16, of which word i has ((31 i + 17 j + i j) mod 61 - 30) / 32 at j.
"""
import json
import sys
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

OUT = Path(__file__).parent
ROOT = OUT.parents[2]
sys.path[:0] = [str(ROOT / "tests/golden/pipeline"), str(ROOT / "loader/single/testdata")]
import tiny  # noqa: E402
import names  # noqa: E402

CASE = dict(prompt="a red cat, 3d style, café", negative_prompt="blurry", seed=5, steps=6, guidance=5.0, width=48, height=32)
WORDS = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"


def main():
    text = tiny.seeded(CLIPTextModel(CLIPTextConfig(
        vocab_size=49408, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=1, hidden_act="gelu",
        bos_token_id=49406, eos_token_id=49407, pad_token_id=1)), 1)
    i, j = torch.arange(49408)[:, None], torch.arange(16)[None]
    text.get_input_embeddings().weight.data = ((31 * i + 17 * j + i * j) % 61 - 30) / 32
    unet = tiny.seeded(UNet2DConditionModel(
        sample_size=64, block_out_channels=[32, 32], layers_per_block=1, cross_attention_dim=16, attention_head_dim=8,
        down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"], up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"]), 2)
    vae = tiny.seeded(AutoencoderKL(
        block_out_channels=[32, 32], down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
        layers_per_block=1, latent_channels=4, scaling_factor=0.18215), 3, 0.7)
    for part in (text, unet, vae):
        part.half().float()  # what the file holds
    scheduler = PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
    file = names.unet_ldm(unet.state_dict(), 1, 2) | names.vae_ldm(vae.state_dict(), 2)
    file |= {"cond_stage_model.transformer." + k: v for k, v in names.text(text.state_dict()).items()}
    file = {k: v for k, v in file.items() if k != WORDS and not k.startswith(("first_stage_model.encoder.", "first_stage_model.quant_conv."))}
    save_file({k: v.half().contiguous() for k, v in file.items()}, OUT / "tiny.safetensors")
    pipe = diffusers.StableDiffusionPipeline(vae, text, CLIPTokenizer.from_pretrained(sys.argv[1]), unet, scheduler, None, None, requires_safety_checker=False)
    c = dict(CASE)
    seed, steps, guidance = c.pop("seed"), c.pop("steps"), c.pop("guidance")
    pipe(**c, num_inference_steps=steps, guidance_scale=guidance, generator=torch.Generator().manual_seed(seed)).images[0].save(OUT / "0.png")
    versions = {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}
    (OUT / "golden.json").write_text(json.dumps({"versions": versions, "cases": [CASE | {"files": ["0.png"]}]}, indent=1) + "\n")


with torch.no_grad():
    main()
