"""The architecture: one place for every component's config, built untrained.

`python configs.py` prints what each costs: every layer is chosen for cheap
samples, first in training, then in the page.
"""

import torch
from diffusers import AutoencoderTiny, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from common import LATENT, SIZE
from tokenizer import load as load_tokenizer

LATENT_CHANNELS = 8
TEXT_WIDTH = 192


def autoencoder():
    """128x128x3 <-> 16x16x8. The full-resolution layers are the dear ones, so few and narrow."""
    return AutoencoderTiny(
        latent_channels=LATENT_CHANNELS,
        encoder_block_out_channels=(48, 48, 48, 48),
        num_encoder_blocks=(0, 2, 3, 3),
        decoder_block_out_channels=(48, 48, 48, 48),
        num_decoder_blocks=(4, 4, 1, 1),
        scaling_factor=1.0,
    )


def text_encoder(tokenizer):
    """Two causal layers over 77 tokens."""
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=6,
        max_position_embeddings=tokenizer.model_max_length,
        hidden_act="quick_gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    ))


def unet():
    """Narrow at 16x16, attention at 8x8 and in the 4x4 middle; attention_head_dim counts heads."""
    return UNet2DConditionModel(
        sample_size=LATENT,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 128, 192),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=32,
    )


def scheduler():
    """Flow matching, x_t = (1 - sigma) x_0 + sigma noise, the network predicts noise - x_0."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0)


def flops(module, *args, **kwargs):
    """Counts 2*MACs of the convolutions and linear layers of one call."""
    total = 0

    def hook(m, inputs, out):
        nonlocal total
        total += 2 * out.numel() * m.weight[0].numel()

    layers = [m for m in module.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    handles = [m.register_forward_hook(hook) for m in layers]
    with torch.no_grad():
        module(*args, **kwargs)
    for h in handles:
        h.remove()
    return total


def params(module):
    return sum(p.numel() for p in module.parameters())


def main():
    tokenizer = load_tokenizer()
    vae, text, net = autoencoder(), text_encoder(tokenizer), unet()
    z = torch.randn(1, LATENT_CHANNELS, LATENT, LATENT)
    x = torch.randn(1, 3, SIZE, SIZE)
    ids = tokenizer("", padding="max_length", return_tensors="pt").input_ids
    states = text(ids).last_hidden_state
    for name, m, *args in (
        ("text encoder", text, ids),
        ("UNet", net, z, torch.tensor([500.0]), states),
        ("decoder", vae.decoder, z),
        ("encoder", vae.encoder, x),
    ):
        print(f"{name}: {params(m) / 1e6:.2f} M parameters, {flops(m, *args) / 1e9:.2f} GFLOP")


if __name__ == "__main__":
    main()
