"""Writes a small unigram model of our own and what transformers' T5Tokenizer makes of 10,000 strings.

    python unigram.py       # transformers 5.24.0, tokenizers 0.23.3, sentencepiece

unigram/spiece.model.gz is trained here with SentencePiece's own normaliser (nmt_nfkc), unigram/tokenizer.json.gz is what
transformers saves of it. random.json has the pieces that strings are made of, and for each tokenizer the hashes of the
ids of 500 strings each; engine/token makes the same strings by the same generator.
"""
import gzip
import hashlib
import json
import pathlib
import struct
import tempfile

import sentencepiece
import transformers

from make import STRINGS, WORDS

HERE = pathlib.Path(__file__).parent
COUNT, BLOCK = 10_000, 500

POOLS = [
    WORDS, list("abcdefXYZ"), list("0123456789"), list(" \t\n  ▁"), list("'!?.,<|>/-()[]{}:\\"), ["'s", "</s>", "<pad>", "<unk>", "<extra_id_0>", "(a:1.2)"],
    [chr(c) for c in range(0xA0, 0x250)], [chr(c) for c in range(0x300, 0x370)], [chr(c) for c in range(0x374, 0x400) if c not in range(0x378, 0x37A)],
    [chr(c) for c in range(0x400, 0x52F)], [chr(c) for c in range(0x591, 0x5F4)], [chr(c) for c in range(0x600, 0x6FF)], [chr(c) for c in range(0x900, 0x980)],
    [chr(c) for c in range(0xE01, 0xE5C)], [chr(c) for c in range(0x1E00, 0x1F00)], [chr(c) for c in range(0xAC00, 0xAC80)],
    [chr(c) for c in range(0x1100, 0x1200)], [chr(c) for c in range(0x4E00, 0x4E80)], [chr(c) for c in range(0x3040, 0x3100)],
    [chr(c) for c in range(0xFF01, 0xFFEE)], [chr(c) for c in range(0x1F600, 0x1F650)], [chr(c) for c in range(0x2000, 0x2070)],
    ["\u200d", "\ufe0f", "\u00ad", "\ufeff", "\ufffd", "\r\n", "\r", "\x00", "\x01", "\x7f", "\x85", "\u3000", "ﬁ", "Å", "①", "㍿", "½"],
    [chr(c) for c in range(0x2460, 0x2500)], [chr(c) for c in range(0x1D400, 0x1D456) if c not in (0x1D455,)],
]


def strings():
    """The strings: a linear congruential generator picks pool, piece and space."""
    state = 1

    def below(n):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % n

    for _ in range(COUNT):
        s = ""
        for _ in range(1 + below(24)):
            pool = POOLS[below(len(POOLS))]
            s += pool[below(len(pool))]
            if below(4) == 0:
                s += " "
        yield s


def hashes(encode):
    """SHA-256 of the ids, little-endian, an id of -1 after each string, for each block."""
    out, h = [], hashlib.sha256()
    for i, s in enumerate(strings()):
        ids = encode(s)
        h.update(struct.pack(f"<{len(ids) + 1}i", *ids, -1))
        if i % BLOCK == BLOCK - 1:
            out.append(h.hexdigest())
            h = hashlib.sha256()
    return out


def train(path):
    corpus = path / "corpus.txt"
    lines = [s.replace("\n", " ") for s in STRINGS if "\x00" not in s and len(s) < 300]
    corpus.write_text("\n".join([" ".join(WORDS)] * 20 + [w for w in WORDS] * 5 + lines))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(path / "spiece"), vocab_size=700, model_type="unigram", character_coverage=0.98,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False, minloglevel=2)


def main():
    out = HERE / "unigram"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as d:
        d = pathlib.Path(d)
        if (out / "spiece.model.gz").exists():
            (d / "spiece.model").write_bytes(gzip.decompress((out / "spiece.model.gz").read_bytes()))
        else:
            train(d)
            (out / "spiece.model.gz").write_bytes(gzip.compress((d / "spiece.model").read_bytes(), 9, mtime=0))
        slow = transformers.T5Tokenizer.from_pretrained(d)
        slow.save_pretrained(d / "saved")
        (out / "tokenizer.json.gz").write_bytes(gzip.compress((d / "saved" / "tokenizer.json").read_bytes(), 9, mtime=0))
        saved = transformers.T5Tokenizer.from_pretrained(d / "saved")
    result = {"pools": POOLS, "count": COUNT, "block": BLOCK, "hashes": {
        "spiece.model": hashes(lambda s: slow(s).input_ids), "tokenizer.json": hashes(lambda s: saved(s).input_ids)},
        "first": [slow(s).input_ids for s, _ in zip(strings(), range(20))]}
    (HERE / "random.json").write_text(json.dumps(result, ensure_ascii=True) + "\n")
    print({k: v[0][:8] for k, v in result["hashes"].items()})


if __name__ == "__main__":
    main()
