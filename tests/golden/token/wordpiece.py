"""Writes a small WordPiece vocabulary of our own and what transformers' BertTokenizer makes of 10,000 strings.

    python wordpiece.py       # transformers 5.24.0, tokenizers 0.23.3; after unigram.py, whose strings it takes

wordpiece/vocab.txt is trained here, wordpiece/tokenizer.json.gz is what transformers saves of it; wordpiece/hashes.json has
the configurations and the hashes as random.json has them.
"""
import gzip
import json
import pathlib
import tempfile

import tokenizers
import transformers

from make import STRINGS, WORDS
from unigram import POOLS, hashes

HERE = pathlib.Path(__file__).parent
CONFIGS = {
    "lower": {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "tokenize_chinese_chars": True, "strip_accents": None},
    "cased": {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "tokenize_chinese_chars": False, "strip_accents": False},
}


def train(path):
    t = transformers.BertTokenizer().backend_tokenizer
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=900, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    t.train_from_iterator([" ".join(WORDS)] * 3 + STRINGS[:200] + ["".join(p[:40]) for p in POOLS[6:]], trainer)
    vocab = t.get_vocab()
    path.write_text("\n".join(sorted(vocab, key=vocab.get)) + "\n")


def main():
    out = HERE / "wordpiece"
    out.mkdir(exist_ok=True)
    if not (out / "vocab.txt").exists():
        train(out / "vocab.txt")
    golden = {}
    for name, config in CONFIGS.items():
        with tempfile.TemporaryDirectory() as d:
            d = pathlib.Path(d)
            (d / "vocab.txt").write_text((out / "vocab.txt").read_text())
            (d / "tokenizer_config.json").write_text(json.dumps(config))
            t = transformers.BertTokenizer.from_pretrained(d)
            golden[name] = {"config": config, "hashes": hashes(lambda s: t(s).input_ids), "odd": [[s, t(s).input_ids] for s in [
                "", " ", "Red CAT's hat!", "[MASK]x [SEP]", "héllo İstanbul ŒUVRE", "火の鳥 fire", "a" * 101, "$5 + 3 = 8 | ~x^", "ﬁ①½ \u200b\u00ad\ufffdz"]]}
            if name == "lower":
                t.save_pretrained(d / "saved")
                text = json.dumps(json.loads((d / "saved" / "tokenizer.json").read_text()), separators=(",", ":"))
                (out / "tokenizer.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    (out / "hashes.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
