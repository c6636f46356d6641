"""The architecture: one place for every component's config, built untrained.

`python configs.py` prints what each costs: every layer is chosen for cheap
samples, first in training, then in the page.
"""

import torch
from diffusers import AutoencoderTiny, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

import tokenizer
from common import LATENT, SIZE

LATENT_CHANNELS = 16
TEXT_WIDTH = 192


def autoencoder():
    """256x256 RGBA <-> 16x16x16. The class has one width, and half of the decoder's work is its one layer at full size."""
    return AutoencoderTiny(
        in_channels=4,
        out_channels=4,
        latent_channels=LATENT_CHANNELS,
        encoder_block_out_channels=(64, 64, 64, 64, 64),
        num_encoder_blocks=(0, 1, 2, 3, 4),
        decoder_block_out_channels=(48, 48, 48, 48, 48),
        num_decoder_blocks=(5, 5, 4, 1, 0),
        scaling_factor=1.0,
    )


def text_encoder(words):
    """Two causal layers over 77 tokens."""
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=6,
        max_position_embeddings=words.model_max_length,
        hidden_act="quick_gelu",
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    ))


def unet():
    """Narrow at 16x16, attention at 8x8 and in the 4x4 middle; attention_head_dim counts heads."""
    return UNet2DConditionModel(
        sample_size=LATENT,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(96, 192, 256),
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
    words = tokenizer.load()
    vae, text, net = autoencoder(), text_encoder(words), unet()
    z = torch.randn(1, LATENT_CHANNELS, LATENT, LATENT)
    x = torch.randn(1, 4, SIZE, SIZE)
    ids = words("", padding="max_length", return_tensors="pt").input_ids
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
