"""Trains the CLIP-format byte-pair vocabulary on the caption words.

  python tokenizer.py    writes tokenizer/ (vocab.json, merges.txt, tokenizer_config.json)

All 256 bytes are in it, alone and as a word's end, so any text has ids.
"""

import heapq
import json
import re
from collections import Counter, defaultdict

from transformers import CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

import compose
from colours import PALETTE
from common import STYLES, WORK

MERGES = 6000
BOS, EOS = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77


def split(counts):
    """Word -> count of what CLIP's tokenizer takes apart first: runs of letters, single digits, runs of other signs."""
    out = Counter()
    for text, n in counts.items():
        for word in re.findall(r"[^\W\d_]+|\d|(?:[^\w\s]|_)+", text.lower()):
            out[word] += n
    return out


def learn(counts, merges):
    """Byte-pair merges of a word -> count table, most frequent pair first, ties in the pairs' order."""
    byte = bytes_to_unicode()
    words, weights, pairs, where = [], [], Counter(), defaultdict(set)
    queue = []  # (-count, pair), of which those that are not of now are passed over

    def count(i, sign):
        for pair in zip(words[i], words[i][1:]):
            pairs[pair] += sign * weights[i]
            where[pair].add(i)
            heapq.heappush(queue, (-pairs[pair], pair))

    for word, n in sorted(counts.items()):
        symbols = [byte[b] for b in word.encode()]
        words.append([*symbols[:-1], symbols[-1] + "</w>"])
        weights.append(n)
        count(len(words) - 1, 1)
    out = []
    while len(out) < merges and queue:
        n, best = heapq.heappop(queue)
        if n >= 0 or pairs[best] != -n:
            continue
        out.append(best)
        for i in where.pop(best):
            count(i, -1)
            symbols, at = words[i], 0
            while at < len(symbols) - 1:
                if (symbols[at], symbols[at + 1]) == best:
                    symbols[at : at + 2] = ["".join(best)]
                at += 1
            count(i, 1)
        pairs[best] = 0
    return out


def write(merges, path):
    """Writes the three files in CLIP's order of ids: bytes, bytes that end a word, merges, BOS, EOS."""
    path.mkdir(exist_ok=True)
    alphabet = list(bytes_to_unicode().values())
    tokens = alphabet + [c + "</w>" for c in alphabet] + ["".join(m) for m in merges] + [BOS, EOS]
    (path / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}, ensure_ascii=False))
    (path / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(m) for m in merges)]) + "\n")
    config = {
        "tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "do_lower_case": True,
        "add_prefix_space": False, "errors": "replace",
        "bos_token": BOS, "eos_token": EOS, "unk_token": EOS, "pad_token": EOS,
    }
    (path / "tokenizer_config.json").write_text(json.dumps(config, indent=2))


def load():
    return CLIPTokenizer.from_pretrained(WORK / "tokenizer")


def main():
    counts = Counter(json.loads((WORK / "words.json").read_text()))
    for text, _ in STYLES.values():
        counts[text] += 3000
    for text in (*PALETTE, *compose.WORDS, "a and above below on in holding background", *compose.THINGS):
        counts[text] += 300
    write(learn(split(counts), MERGES), WORK / "tokenizer")
    tokenizer = load()
    print(len(tokenizer), "tokens")
    for text in ("red heart", "Pizza, 3d style", "", "rotes Herz", "红心", "❤️", "zxqv w0rd \U0001f600 żółw 你好\n\t!!", "x" * 500):
        ids = tokenizer(text, padding="max_length", truncation=True, max_length=LENGTH).input_ids
        assert len(ids) == LENGTH and ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id
        print(repr(text[:40]), tokenizer.convert_ids_to_tokens(ids)[:12])


if __name__ == "__main__":
    main()
