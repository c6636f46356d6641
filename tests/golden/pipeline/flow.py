"""Tiny untrained pipelines of flow-matching transformers, for kinds.py."""

import json
import shutil
import tempfile
from pathlib import Path

import diffusers
import sentencepiece
import torch
import transformers
from diffusers import AutoencoderKLFlux2, FlowMatchEulerDiscreteScheduler, SCMScheduler
from transformers import BertConfig, BertModel, BertTokenizer, Gemma2Config, Gemma2Model, GemmaConfig, GemmaModel, Qwen2Tokenizer, Qwen3Config, Qwen3ForCausalLM, T5Config, T5EncoderModel, T5Tokenizer, UMT5Config, UMT5EncoderModel
from transformers.convert_slow_tokenizer import bytes_to_unicode

from seeded import fill, make, remember, scale

# What Qwen3's own template makes of one message.
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}")
QWEN_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
QWEN_MERGES = ["r e", "re d", "Ġ c", "Ġc a", "Ġca t", "h o", "u s"]


def qwen_tokenizer(path):
    """All bytes, a few merges, Qwen's special tokens."""
    path.mkdir(parents=True)
    tokens = sorted(bytes_to_unicode().values()) + [m.replace(" ", "") for m in QWEN_MERGES] + QWEN_TOKENS
    (path / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}, ensure_ascii=False, separators=(",", ":")))
    (path / "merges.txt").write_text("\n".join(QWEN_MERGES) + "\n")
    (path / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "Qwen2Tokenizer", "pad_token": QWEN_TOKENS[0], "eos_token": QWEN_TOKENS[2], "chat_template": CHAT,
        "added_tokens_decoder": {str(tokens.index(t)): dict(
            content=t, lstrip=False, normalized=False, rstrip=False, single_word=False, special=i < 3) for i, t in enumerate(QWEN_TOKENS)}}))
    return Qwen2Tokenizer.from_pretrained(path)


def qwen(path, seed, layers, dim=8):
    tok = qwen_tokenizer(path / "tokenizer")
    text = fill(Qwen3ForCausalLM(Qwen3Config(
        vocab_size=len(tok) + 3, hidden_size=dim, intermediate_size=dim, num_hidden_layers=layers, num_attention_heads=2, num_key_value_heads=1, head_dim=4,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}, tie_word_embeddings=True)), seed)
    scale(text.model.embed_tokens.weight, 4)
    return tok, text


def flux2_klein(path, seed=200):
    """The one that is not distilled, which has guidance."""
    tok, text = qwen(path, seed, 28)
    net = fill(diffusers.Flux2Transformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2, joint_attention_dim=24,
        guidance_embeds=False, axes_dims_rope=(4, 4, 4, 4), mlp_ratio=2.0), seed + 1)
    vae = fill(AutoencoderKLFlux2(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, block_out_channels=(4, 8), layers_per_block=1,
        norm_num_groups=4, latent_channels=4), seed + 2, 0.7)
    for i, (name, mean) in enumerate([("running_mean", 0.0), ("running_var", 1.0)]):
        values = make(vae.bn.running_mean.shape, seed + i, 0.2, mean)
        remember(values, seed + i, 0.2, mean)
        getattr(vae.bn, name).copy_(torch.from_numpy(values))
    return diffusers.Flux2KleinPipeline(
        FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0), vae, text, tok, net, is_distilled=False)


def z_image(path):
    tok, text = qwen(path, 220, 3)
    net = fill(diffusers.ZImageTransformer2DModel(
        in_channels=4, dim=24, n_layers=1, n_refiner_layers=1, n_heads=3, n_kv_heads=3, cap_feat_dim=8, axes_dims=[4, 2, 2], axes_lens=[128, 64, 64]), 221)
    vae = fill(diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3, block_out_channels=(4, 8, 8), layers_per_block=1,
        norm_num_groups=4, latent_channels=4, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False), 222, 0.7)
    return diffusers.ZImagePipeline(FlowMatchEulerDiscreteScheduler(shift=3.0), vae, text, tok, net)


def pieces(path, config, pad=True):
    """A byte-pair model of SentencePiece's in the pipeline's folder, as Gemma and Llama have it."""
    path.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as d:
        corpus = Path(d) / "corpus.txt"
        corpus.write_text("\n".join(["red cat on the house", "the HOUSE on fire", "a blue dog in the rain", "green trees and a river"] * 30))
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=f"{d}/tokenizer", vocab_size=340, model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
            add_dummy_prefix=False, remove_extra_whitespaces=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>",
            bos_piece="<bos>", minloglevel=2)
        shutil.copy(f"{d}/tokenizer.model", path / "tokenizer.model")
    names = {f"{role}_token": f"<{role}>" for role in ("bos", "eos", "unk", "pad")}
    (path / "tokenizer_config.json").write_text(json.dumps(names | config))
    return getattr(transformers, config["tokenizer_class"]).from_pretrained(path)


LLAMA = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": False, "add_eos_token": True, "padding_side": "right"}


def auraflow(path):
    tok = pieces(path / "tokenizer", LLAMA)
    text = fill(UMT5EncoderModel(UMT5Config(
        vocab_size=len(tok) + 4, d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=2, feed_forward_proj="gated-gelu")), 230)
    scale(text.shared.weight, 4)
    net = fill(diffusers.AuraFlowTransformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_mmdit_layers=1, num_single_dit_layers=1, attention_head_dim=8, num_attention_heads=3,
        joint_attention_dim=16, caption_projection_dim=24, pos_embed_max_size=256), 231)
    vae = fill(diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3, block_out_channels=(4, 8, 8), layers_per_block=1,
        norm_num_groups=4, latent_channels=4, scaling_factor=0.7), 232, 0.7)
    return diffusers.AuraFlowPipeline(tok, text, vae, net, FlowMatchEulerDiscreteScheduler(shift=1.73))


def t5(path, folder, seed, dim=16):
    """A T5 tokenizer of our own, written into the pipeline's folder, and an encoder for it."""
    with tempfile.TemporaryDirectory() as d:
        corpus = Path(d) / "corpus.txt"
        corpus.write_text("\n".join(["red cat on the house", "the HOUSE on fire", "a blue dog in the rain", "green trees and a river"] * 30))
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=f"{d}/spiece", vocab_size=60, model_type="unigram", normalization_rule_name="identity",
            pad_id=0, eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False, minloglevel=2)
        tok = T5Tokenizer.from_pretrained(d, extra_ids=4)
    tok.save_pretrained(path / folder)
    text = fill(T5EncoderModel(T5Config(
        vocab_size=len(tok) + 4, d_model=dim, d_kv=4, d_ff=32, num_layers=2, num_heads=2, feed_forward_proj="gated-gelu")), seed)
    scale(text.shared.weight, 4)
    return T5Tokenizer.from_pretrained(path / folder), text


def hunyuan(path):
    """BERT and mT5; the noise is predicted, with a variance that the pipeline leaves aside."""
    folder = path / "tokenizer"
    folder.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "house", "on", "fire", "re", "##d", "cat", "火", *"abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("\n".join(words + ["##" + c for c in "abcdefghijklmnopqrstuvwxyz" if c != "d"]) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True}))
    tok = BertTokenizer.from_pretrained(folder)
    text = fill(BertModel(BertConfig(
        vocab_size=len(tok) + 2, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=16, max_position_embeddings=77),
        add_pooling_layer=False), 250)
    scale(text.embeddings.word_embeddings.weight, 4)
    tok2, text2 = t5(path, "tokenizer_2", 251)
    net = fill(diffusers.HunyuanDiT2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_layers=2, num_attention_heads=3, attention_head_dim=8, hidden_size=24, mlp_ratio=2.0,
        cross_attention_dim=12, cross_attention_dim_t5=16, pooled_projection_dim=12, text_len=77, text_len_t5=256), 252)
    vae = fill(diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, block_out_channels=(4, 4, 8, 8), layers_per_block=1,
        norm_num_groups=4, latent_channels=4, scaling_factor=0.7), 253, 0.7)
    return diffusers.HunyuanDiTPipeline(
        vae, text, tok, net, diffusers.DDPMScheduler(beta_start=0.00085, beta_end=0.02, beta_schedule="scaled_linear", prediction_type="v_prediction", steps_offset=1),
        None, None, False, text2, tok2)


GEMMA = {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True}


def lumina(path):
    tok = pieces(path / "tokenizer", GEMMA)
    text = fill(GemmaModel(GemmaConfig(
        vocab_size=len(tok) + 4, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, head_dim=8)), 240)
    scale(text.embed_tokens.weight, 4)
    net = fill(diffusers.LuminaNextDiT2DModel(
        sample_size=8, in_channels=4, hidden_size=32, num_layers=1, num_attention_heads=4, num_kv_heads=2, multiple_of=8, cross_attention_dim=16), 241)
    vae = fill(diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, block_out_channels=(4, 4, 8, 8), layers_per_block=1,
        norm_num_groups=4, latent_channels=4, scaling_factor=0.7), 242, 0.7)
    return diffusers.LuminaPipeline(net, FlowMatchEulerDiscreteScheduler(shift=4.0), vae, text, tok)


def sana_sprint(path):
    tok = pieces(path / "tokenizer", GEMMA)
    text = fill(Gemma2Model(Gemma2Config(
        vocab_size=len(tok) + 4, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
        query_pre_attn_scalar=8)), 270)
    scale(text.embed_tokens.weight, 4)
    net = fill(diffusers.SanaTransformer2DModel(
        in_channels=4, out_channels=4, num_attention_heads=3, attention_head_dim=8, num_layers=2, num_cross_attention_heads=2, cross_attention_head_dim=10,
        cross_attention_dim=24, caption_channels=16, sample_size=8, guidance_embeds=True, qk_norm="rms_norm_across_heads"), 271)
    blocks = ("ResBlock", "EfficientViTBlock")
    vae = fill(diffusers.AutoencoderDC(
        latent_channels=4, attention_head_dim=4, encoder_block_types=blocks, decoder_block_types=blocks, encoder_block_out_channels=(8, 16),
        decoder_block_out_channels=(8, 16), encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1), encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)), upsample_block_type="interpolate", downsample_block_type="Conv", scaling_factor=0.41407), 272, 0.7)
    return diffusers.SanaSprintPipeline(tok, text, vae, net, SCMScheduler())


def tidy(name, model):
    """Tokenizers as publishers have them: Qwen's in the files of transformers 4 and in one of 5's, SentencePiece's own models."""
    if name == "auraflow":
        shutil.rmtree(model / "tokenizer")
        pieces(model / "tokenizer", LLAMA)
    if name in ("lumina", "sana_sprint"):
        shutil.rmtree(model / "tokenizer")
        pieces(model / "tokenizer", GEMMA)
    if name == "flux2_klein":
        shutil.rmtree(model / "tokenizer")
        qwen_tokenizer(model / "tokenizer")
    if name == "z_image":
        shutil.rmtree(model / "tokenizer")
        qwen_tokenizer(model / "tokenizer").save_pretrained(model / "tokenizer")
        (model / "tokenizer/vocab.json").unlink()
        (model / "tokenizer/merges.txt").unlink()


KINDS = {
    "hunyuan": (hunyuan, [
        dict(width=64, height=64), dict(prompt="the HOUSE on fire 火", negative_prompt="red", seed=9, width=96, height=64, guidance=2.0, steps=3)]),
    "lumina": (lumina, [
        dict(guidance=4.0, width=64, height=64), dict(prompt="the HOUSE on fire", negative_prompt="red", seed=9, width=96, height=64, guidance=2.0, steps=3)]),
    "sana_sprint": (sana_sprint, [
        dict(guidance=4.5, steps=2), dict(prompt="the HOUSE on fire", seed=9, width=64, guidance=3.0, steps=3)]),
    "auraflow": (auraflow, [dict(guidance=3.5), dict(prompt="the HOUSE", negative_prompt="red", seed=9, width=48, guidance=2.0, steps=3)]),
    "flux2_klein": (flux2_klein, [
        dict(guidance=1.0, steps=3, schedule="trailing"), dict(prompt="the HOUSE", seed=9, width=24, guidance=2.5, steps=2, schedule="trailing")]),
    "z_image": (z_image, [
        dict(guidance=0.0, schedule="trailing"), dict(prompt="the HOUSE", negative_prompt="red", seed=9, width=48, guidance=1.5, schedule="trailing")]),
}
