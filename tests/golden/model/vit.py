"""SiT and U-ViT, which diffusers does not have, from their papers' formulas and under the names of their published weights; their pipelines."""

import math

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, DiffusionPipeline, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn


def sines(t, dim):
    """Cosines, then sines, of frequencies from 1 to nearly 1/10000."""
    angles = t.float()[:, None] * torch.exp(-math.log(10000) * torch.arange(dim // 2) / (dim // 2))
    return torch.cat([angles.cos(), angles.sin()], 1)


def unpatch(x, patch, channels):
    n, tokens, _ = x.shape
    side = math.isqrt(tokens)
    x = x.view(n, side, side, patch, patch, channels).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(n, channels, side * patch, side * patch)


class Patches(nn.Module):
    def __init__(self, channels, dim, patch):
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, patch, patch)

    def forward(self, x):
        return self.proj(x).flatten(2).mT


class Attention(nn.Module):
    def __init__(self, dim, heads, bias):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(dim, 3 * dim, bias=bias), nn.Linear(dim, dim)

    def forward(self, x):
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, 2))
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, dim, ratio, approximate):
        super().__init__()
        self.fc1, self.fc2, self.approximate = nn.Linear(dim, int(dim * ratio)), nn.Linear(int(dim * ratio), dim), approximate

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate=self.approximate))


class Tree(nn.Module):
    """Modules under names."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def modulated(x, shift, scale):
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale[:, None]) + shift[:, None]


class SiTTransformer2DModel(ModelMixin, ConfigMixin):
    @register_to_config
    def __init__(self, input_size=32, patch_size=2, in_channels=4, hidden_size=1152, depth=28, num_heads=16, mlp_ratio=4.0, class_dropout_prob=0.1,
                 num_classes=1000, learn_sigma=True, norm_type="ln"):
        super().__init__()
        d, side = hidden_size, input_size // patch_size
        self.channels = in_channels * (2 if learn_sigma else 1)
        self.x_embedder = Patches(in_channels, d, patch_size)
        self.t_embedder = Tree(mlp=nn.Sequential(nn.Linear(256, d), nn.SiLU(), nn.Linear(d, d)))
        self.y_embedder = Tree(embedding_table=nn.Embedding(num_classes + 1, d))
        self.pos_embed = nn.Parameter(torch.zeros(1, side * side, d))
        self.blocks = nn.ModuleList(Tree(
            attn=Attention(d, num_heads, True), mlp=MLP(d, mlp_ratio, "tanh"), adaLN_modulation=nn.Sequential(nn.SiLU(), nn.Linear(d, 6 * d)),
        ) for _ in range(depth))
        self.final_layer = Tree(
            linear=nn.Linear(d, patch_size**2 * self.channels), adaLN_modulation=nn.Sequential(nn.SiLU(), nn.Linear(d, 2 * d)))

    def forward(self, hidden_states, timestep, class_labels):
        x = self.x_embedder(hidden_states) + self.pos_embed
        c = self.t_embedder.mlp(sines(timestep, 256)) + self.y_embedder.embedding_table(class_labels)
        for b in self.blocks:
            shift, scale, gate, shift2, scale2, gate2 = b.adaLN_modulation(c).chunk(6, 1)
            x = x + gate[:, None] * b.attn(modulated(x, shift, scale))
            x = x + gate2[:, None] * b.mlp(modulated(x, shift2, scale2))
        x = self.final_layer.linear(modulated(x, *self.final_layer.adaLN_modulation(c).chunk(2, 1)))
        return unpatch(x, self.config.patch_size, self.channels)[:, :self.config.in_channels]


class Block(nn.Module):
    def __init__(self, dim, heads, ratio, bias, skip):
        super().__init__()
        self.norm1, self.attn, self.norm2, self.mlp = nn.LayerNorm(dim), Attention(dim, heads, bias), nn.LayerNorm(dim), MLP(dim, ratio, "none")
        if skip:
            self.skip_linear = nn.Linear(2 * dim, dim)

    def forward(self, x, skip=None):
        if skip is not None:
            x = self.skip_linear(torch.cat([x, skip], 2))
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class UViT(ModelMixin, ConfigMixin):
    @register_to_config
    def __init__(self, img_size=224, patch_size=16, in_chans=3, embed_dim=768, depth=12, num_heads=12, mlp_ratio=4.0, qkv_bias=False, qk_scale=None,
                 mlp_time_embed=False, num_classes=-1, use_checkpoint=False, conv=True, skip=True, clip_dim=None, num_clip_token=77):
        super().__init__()
        d = embed_dim
        block = lambda skips: Block(d, num_heads, mlp_ratio, qkv_bias, skips)
        self.patch_embed = Patches(in_chans, d, patch_size)
        self.time_embed = nn.Sequential(nn.Linear(d, 4 * d), nn.SiLU(), nn.Linear(4 * d, d)) if mlp_time_embed else nn.Identity()
        self.before = self.condition(d)
        self.pos_embed = nn.Parameter(torch.zeros(1, self.before + (img_size // patch_size) ** 2, d))
        self.in_blocks = nn.ModuleList(block(False) for _ in range(depth // 2))
        self.mid_block = block(False)
        self.out_blocks = nn.ModuleList(block(skip) for _ in range(depth // 2))
        self.norm = nn.LayerNorm(d)
        self.decoder_pred = nn.Linear(d, patch_size**2 * in_chans)
        self.final_layer = nn.Conv2d(in_chans, in_chans, 3, padding=1) if conv else nn.Identity()

    def condition(self, d):
        """Makes what reads the condition, and returns how many tokens come before the patches."""
        if self.config.clip_dim:
            self.context_embed = nn.Linear(self.config.clip_dim, d)
            return 1 + self.config.num_clip_token
        if self.config.num_classes < 0:
            return 1
        self.label_emb = nn.Embedding(self.config.num_classes, d)
        return 2

    def tokens(self, time, y):
        if self.config.clip_dim:
            return [time, self.context_embed(y)]
        return [time] if y is None else [self.label_emb(y)[:, None], time]

    def forward(self, x, t, y=None):
        time = self.time_embed(sines(t, self.config.embed_dim))
        x = torch.cat([*self.tokens(time[:, None], y), self.patch_embed(x)], 1) + self.pos_embed
        skips = []
        for b in self.in_blocks:
            skips.append(x := b(x))
        x = self.mid_block(x)
        for b in self.out_blocks:
            x = b(x, skips.pop() if self.config.skip else None)
        return self.final_layer(unpatch(self.decoder_pred(self.norm(x)[:, self.before:]), self.config.patch_size, self.config.in_chans))


class Drawn:
    def __init__(self, picture):
        self.images = [picture]


class SiTPipeline(DiffusionPipeline):
    """Walks a flow whose time runs from noise, 0, to a picture."""

    size = "input_size"

    def __init__(self, transformer, scheduler, vae, id2label=None):
        super().__init__()
        self.register_modules(transformer=transformer, scheduler=scheduler, vae=vae)
        self.register_to_config(id2label=id2label)

    def predict(self, x, t, labels):
        return -self.transformer(x, torch.full((len(x),), 1.0 - float(t) / self.scheduler.config.num_train_timesteps), labels)

    def none(self):
        return self.transformer.config.num_classes

    def __call__(self, class_labels, num_inference_steps, guidance_scale, generator, output_type):
        return self.draw(torch.tensor(class_labels), torch.tensor([self.none()]), num_inference_steps, guidance_scale, generator)

    def draw(self, condition, none, steps, guidance, generator):
        c, vae = self.transformer.config, getattr(self, "vae", None)
        x = torch.randn(1, vae.config.latent_channels if vae else c.in_chans, c[self.size], c[self.size], generator=generator)
        self.scheduler.set_timesteps(steps)
        for t in self.scheduler.timesteps:
            if guidance > 1:
                y, n = self.predict(x.repeat(2, 1, 1, 1), t, torch.cat([condition, none])).chunk(2)
                y = n + guidance * (y - n)
            else:
                y = self.predict(x, t, condition)
            x = self.scheduler.step(y, t, x, return_dict=False)[0]
        picture = (vae.decode(x / vae.config.scaling_factor).sample if vae else x) / 2 + 0.5
        return Drawn(picture.clamp(0, 1)[0].permute(1, 2, 0).numpy())


class UViTPipeline(SiTPipeline):
    """Walks a diffusion, as DiT's pipeline does."""

    size = "img_size"

    def predict(self, x, t, labels):
        return self.transformer(x, t.repeat(len(x)), labels)

    def none(self):
        return self.transformer.config.num_classes - 1


class UViTTextPipeline(UViTPipeline):
    """Reads a text as FrozenCLIPEmbedder does: CLIP's last states, all 77."""

    def __init__(self, transformer, scheduler, vae, text_encoder, tokenizer):
        DiffusionPipeline.__init__(self)
        self.register_modules(transformer=transformer, scheduler=scheduler, vae=vae, text_encoder=text_encoder, tokenizer=tokenizer)

    def __call__(self, prompt, num_inference_steps, guidance_scale, generator, output_type, width, height, negative_prompt=""):
        states = lambda text: self.text_encoder(self.tokenizer(
            text, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids).last_hidden_state
        return self.draw(states(prompt), states(negative_prompt), num_inference_steps, guidance_scale, generator)


class UViTPixelPipeline(UViTPipeline):
    """Draws pixels, of a class or of none."""

    def __init__(self, transformer, scheduler):
        DiffusionPipeline.__init__(self)
        self.register_modules(transformer=transformer, scheduler=scheduler)

    def __call__(self, num_inference_steps, generator, output_type, class_labels=None):
        return self.draw(None if class_labels is None else torch.tensor(class_labels), None, num_inference_steps, 1.0, generator)
