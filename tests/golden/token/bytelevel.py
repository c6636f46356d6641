"""Writes a small byte-level vocabulary of our own and what transformers' Qwen2Tokenizer makes of 10,000 strings.

    python bytelevel.py       # transformers 5.24.0, tokenizers 0.23.3; after unigram.py, whose strings it takes

bytelevel/vocab.json and merges.txt are trained here; bytelevel/hashes.json has the hashes as random.json has them.
"""
import json
import pathlib
import tempfile

import tokenizers
import transformers

from make import STRINGS, WORDS
from unigram import hashes

HERE = pathlib.Path(__file__).parent
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def train(path):
    qwen = transformers.Qwen2Tokenizer().backend_tokenizer
    t = tokenizers.Tokenizer(tokenizers.models.BPE())
    t.normalizer, t.pre_tokenizer = qwen.normalizer, qwen.pre_tokenizer
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=900, initial_alphabet=sorted(alphabet), show_progress=False)
    t.train_from_iterator([" ".join(WORDS)] * 3 + STRINGS[:200], trainer)
    model = json.loads(t.to_str())["model"]
    vocab = model["vocab"] | {s: len(model["vocab"]) + i for i, s in enumerate(SPECIAL)}
    (path / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False, separators=(",", ":")) + "\n")
    (path / "merges.txt").write_text("\n".join(" ".join(m) for m in model["merges"]) + "\n")


def main():
    out = HERE / "bytelevel"
    out.mkdir(exist_ok=True)
    if not (out / "vocab.json").exists():
        train(out)
    vocab = json.loads((out / "vocab.json").read_text())
    config = {"tokenizer_class": "Qwen2Tokenizer", "pad_token": SPECIAL[0], "eos_token": SPECIAL[2], "added_tokens_decoder": {
        str(vocab[s]): dict(content=s, lstrip=False, normalized=False, rstrip=False, single_word=False, special=True) for s in SPECIAL}}
    with tempfile.TemporaryDirectory() as d:
        d = pathlib.Path(d)
        for name in "vocab.json", "merges.txt":
            (d / name).write_text((out / name).read_text())
        (d / "tokenizer_config.json").write_text(json.dumps(config))
        t = transformers.Qwen2Tokenizer.from_pretrained(d)
    odd = [s for s in STRINGS if len(s) < 300] + ["<|im_start|>user\nred cat<|im_end|>\n<|im_start|>assistant\n", "it'ſ 'LLx  y\n\n z  \n", "a  \t\n"]
    (out / "hashes.json").write_text(json.dumps({
        "config": config, "hashes": hashes(lambda s: t(s).input_ids), "odd": [[s, t(s).input_ids] for s in odd]}) + "\n")


if __name__ == "__main__":
    main()
