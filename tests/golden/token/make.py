"""Writes what transformers' CLIPTokenizer makes of many odd strings, for engine/token/golden_test.go.

    python make.py PATH/clip_bpe_simple_vocab_16e6.txt.gz       # transformers 5.24.0, tokenizers 0.23.3

vocab.json and merges.txt are a small vocabulary of our own, trained here on the strings below; strings.json holds the
strings and, for each tokenizer directory in DIRS with the small and with OpenAI's vocabulary, their ids between begin
and end and whether they were truncated. OpenAI's vocabulary itself is not kept here.
"""
import gzip
import json
import pathlib
import random
import sys
import tempfile

import tokenizers
import transformers

HERE = pathlib.Path(__file__).parent
BOS, EOS = "<|startoftext|>", "<|endoftext|>"


def byte_alphabet():
    same = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in same]
    return {**{b: chr(b) for b in same}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def openai(path):
    lines = gzip.open(path).read().decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1:48895]]
    chars = [byte_alphabet()[b] for b in [*range(33, 127), *range(161, 173), *range(174, 256)]]
    chars += [c for c in byte_alphabet().values() if c not in chars]
    tokens = chars + [c + "</w>" for c in chars] + ["".join(m) for m in merges] + [BOS, EOS]
    return {t: i for i, t in enumerate(tokens)}, merges


WORDS = """a an the of in on with red green blue heart cat face pizza rocket tree house crying rainbow photo oil painting
style flat noto fluent emoji sticker pixel art astronaut riding horse beautiful landscape at sunset highly detailed
trending portrait woman man dog seven stars night sky café naïve über piñata smörgåsbord""".split()

STRINGS = [
    "", " ", "   \t\n ", "a", "A", "a photo of an astronaut riding a horse", "A PHOTO OF A CAT", "red heart", "Red  Heart",
    " leading and trailing ", "tabs\tand\nnewlines\r\nmixed", "don't", "don'T won'T I'LL they'RE we'VE he'D I'M it'S",
    "'s", "''s", "'S 's", "'sx", "'tis", "rock'n'roll", "o'clock", "'", "''", "'''", "\"'s", "!'s", "a's's", "can’t", "x'",
    "1", "12", "1234567890", "3.14", "1,000", "10%", "2nd", "x2y3", "mp3", "٣٤٥", "①②③", "²³½", "Ⅷ", "一二三", "௧௨",
    "!", "!!", "wow!!", "wow!!!???", "#hashtag @user", "a-b_c+d=e", "(masterpiece:1.2), best quality", "[[x]]", "{a|b}",
    "<lora:foo:0.8>", "a, b, c.", "...", "…", "a/b\\c", "http://example.com/?q=1&r=2", "foo@bar.com", "$100 €50 £20 ¥3",
    "<|endoftext|>", "<|startoftext|>", "a <|endoftext|> b", "a<|endoftext|>b", "<|endoftext|><|endoftext|>",
    "<|ENDOFTEXT|>", "<|EndOfText|>!", "!<|ENDOFTEXT|>", "<|STARTOFTEXT|>x", "x<|startoftext|>", "<|endoftext|", "<|", "|>",
    "<|endoftext|>  spaces  <|endoftext|>", "<|startoftext|> a cat <|endoftext|>", "< |endoftext| >", "<|endoftext |>",
    "endoftext", "<|endoftext|>'s", "don<|endoftext|>'t", "!<|endoftext|>!", "</w>", "cat</w>", "a</w> b", "<unk>", "[PAD]",
    "é", "e\u0301", "E\u0301", "ñ n\u0303", "Å A\u030a \u212b", "ﬁ ﬂ ﬃ", "ß ẞ", "İstanbul", "I\u0307", "ıIiİ", "ΑΣ ΣΑΣ ς", "Ǆ ǅ ǆ",
    "Ω \u2126", "K \u212a", "ŉ", "ΐ", "ẛ\u0323", "q\u0307\u0323 q\u0323\u0307", "a\u0327\u0301 a\u0301\u0327", "\u0344", "\u0340\u0341\u0343",
    "o\u0302\u0323", "ộ", "\u1e9b\u0323", "d\u0307\u0323", "\u0301leading mark", "a\u0300\u0301\u0302\u0303\u0304",
    "\u0958\u0959 \u0915\u093c", "\u0cc6\u0cc2\u0cd5", "\ufb1d \u05d9\u05b4", "\u2adc", "\U0001d15e", "\u0f71\u0f72\u0f74", "\ufb2a\ufb49",
    "가 각", "\u1100\u1161\u11a8", "\u1100\u1161", "\u1112\u1161\u11ab\u1100\u1173\u11af", "\uac00\u11a8", "\uac01\u11a8", "\u1100", "\u1161\u1100",
    "한국어 문장", "日本語のテキスト", "中文提示词，一只猫", "ｆｕｌｌｗｉｄｔｈ ＡＢＣ １２３", "ｶﾞ か\u3099 が", "豈 \uf900", "\u2f800",
    "Привет, мир", "ЁЛКА Й И\u0306", "שָׁלוֹם", "مرحبا بالعالم", "हिन्दी में", "ไทย", "தமிழ்", "ქართული", "Ꭰ ꭰ", "ՀԱՅ և",
    "😀", "😀😃😄", "a😀b", "👨‍👩‍👧‍👦", "👍🏽", "🇫🇷🇯🇵", "❤️", "❤", "☀☁☂", "🏳️‍🌈", "1️⃣", "🧑‍🚀 rocket 🚀", "♥ red ♥",
    "𝒜𝓑𝔸", "𐐀𐐨", "𝟙𝟚𝟛", "🄰", "ℵ ℝ ℂ", "ª º", "ʰ ˈ", "µ μ", "x̂ ŷ", "∑∫√∞≠≤", "→←↑↓", "“quotes” ‘single’ «guillemets»",
    "em—dash en–dash hyphen‐", "a\u00a0b", "a\u2003b", "a\u3000b", "a\u200bb", "a\u200db", "a\ufeffb", "\ufeffa", "a\u2028b\u2029c", "a\u0085b",
    "a\u1680b", "a\u180eb", "a\u202fb\u205fc", "a\x0bb\x0cc", "a\x1cb\x1dc\x1ed\x1fe", "a\x00b", "\x01\x02\x03", "\x7f", "\x80\x9f", "a\xadb",
    "\u202eright to left\u202c", "\ufffd", "\ufffe\uffff", "\U0010ffff", "\ue000 private", "\u0378 unassigned", "\U000e0041tag",
    "a\\n\\t", "\\u0041", "%s %d", "${x}", "`code`", "~!@#$%^&*()_+", "ab" * 40, "z" * 77, "z" * 78, "é" * 100, "!" * 200,
    "a " * 75, "a " * 76, "a " * 100, "1" * 74, "1" * 75, "1" * 76, "1" * 80, "word " * 40, "😀" * 60, "中" * 90, " ".join(WORDS * 3),
    "<|endoftext|>" * 80, "supercalifragilisticexpialidocious", "pneumonoultramicroscopicsilicovolcanoconiosis",
    "antidisestablishmentarianism llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch", "aaaaaaaaaaaaaaaaaaaaa",
    "abababababababa", "hahahahahaha", "nooooooooo", "x" * 3000, ("the quick brown fox " * 500).strip(), "\n" * 500 + "end",
]


# In these, what DIRS adds to a vocabulary.
ADDED = [
    "<my-kettle>", "a photo of <my-kettle>", "a <my-kettle>, b", "<My-Kettle> <MY-KETTLE>", "two<my-kettle><my-kettle>", "<my-kettle>_1", "<my-kettle>_11",
    "x<strip-l> y", "x   <strip-l>   y", "<strip-l>", "  <strip-r>  z", "a<strip-r>\n\t b", "<strip-r> <strip-l>", "<strip-l> <strip-r>", "é <strip-both> é",
    "kettle", "kettles kettle", "a kettle.", "_kettle kettle_ kettle\u0301 kettle1 (kettle)", "KETTLE Kettle", "kettle\u200dx ⓐkettle ¹kettle",
    "sks dog", "SKS dog", "asks sks", "sks<my-kettle>sks", "<strip-r>   <strip-r>", "[V] cat", "[V]cat", " [V] ", "\u3000<strip-both>\u3000x",
]
FLAGS = dict(lstrip=False, rstrip=False, single_word=False, normalized=False, special=False)


def flags(content, **given):
    return {**FLAGS, **given, "content": content}


def random_strings(n):
    """Strings of runs from many alphabets."""
    r = random.Random(7)
    pools = [WORDS, list("abcXYZ"), list("0123456789"), list(" \t\n  "), list("'!?.,<|>/-"), ["'s", "'ll", "'RE", "<|endoftext|>"],
             [chr(c) for c in range(0xC0, 0x250)], [chr(c) for c in range(0x300, 0x345)], [chr(c) for c in range(0x370, 0x400) if c not in (0x378, 0x379)],
             [chr(c) for c in range(0x1E00, 0x1F00)], [chr(c) for c in range(0xAC00, 0xAC80)], [chr(c) for c in range(0x1100, 0x1200)],
             [chr(c) for c in range(0x4E00, 0x4E80)], [chr(c) for c in range(0x1F600, 0x1F650)], [chr(c) for c in range(0x900, 0x980)]]
    return ["".join(p if r.random() < 0.6 else p + " " for p in (r.choice(r.choice(pools)) for _ in range(r.randint(3, 30))))
            for _ in range(n)]


def train():
    """The committed vocabulary, else a new one: all bytes and 500 merges in the form of CLIP's. Training breaks ties
    differently each time."""
    if (HERE / "vocab.json").exists():
        merges = (HERE / "merges.txt").read_text().splitlines()[1:]
        return json.loads((HERE / "vocab.json").read_text()), [tuple(m.split(" ")) for m in merges]
    t = tokenizers.Tokenizer(tokenizers.models.BPE(end_of_word_suffix="</w>"))
    clip = transformers.CLIPTokenizer().backend_tokenizer
    t.normalizer, t.pre_tokenizer = clip.normalizer, clip.pre_tokenizer
    alphabet = sorted(byte_alphabet().values())
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=1010, end_of_word_suffix="</w>", initial_alphabet=alphabet, show_progress=False)
    t.train_from_iterator([" ".join(WORDS)] * 3 + STRINGS[:200], trainer)
    model = json.loads(t.to_str())["model"]
    merges = [tuple(m) for m in model["merges"]]
    tokens = alphabet + [c + "</w>" for c in alphabet]
    tokens += [m for m in dict.fromkeys("".join(m) for m in merges) if m not in tokens] + [BOS, EOS]
    return {t: i for i, t in enumerate(tokens)}, merges


def token(content):
    return dict(content=content, lstrip=False, normalized=True, rstrip=False, single_word=False)


SD1 = dict(bos_token={"__type": "AddedToken", **token(BOS)}, eos_token={"__type": "AddedToken", **token(EOS)}, pad_token=EOS,
           unk_token={"__type": "AddedToken", **token(EOS)}, model_max_length=77, do_lower_case=True, errors="replace",
           add_prefix_space=False, tokenizer_class="CLIPTokenizer")
DIRS = {  # file name to contents
    "plain": {},
    "sd1": {"tokenizer_config.json": SD1, "special_tokens_map.json":
            dict(bos_token=token(BOS), eos_token=token(EOS), pad_token=EOS, unk_token=token(EOS))},
    "sd2": {"tokenizer_config.json": {**SD1, "pad_token": "!"}},
    "map": {"special_tokens_map.json": dict(pad_token="!")},
    "decoder": {"tokenizer_config.json": dict(
        bos_token=BOS, eos_token=EOS, unk_token=EOS, pad_token="!", model_max_length=40, tokenizer_class="CLIPTokenizer",
        added_tokens_decoder={"BOS": dict(token(BOS), special=True), "EOS": dict(token(EOS), special=True)})},
}


# DIRS for the small vocabulary only: ids are in place of NEW0, NEW1, ...
NEW = {
    "textual-inversion": {"tokenizer_config.json": SD1, "added_tokens.json": {"<my-kettle>": "NEW0", "<my-kettle>_1": "NEW1", "sks": "NEW2"}},
    "legacy-map": {"tokenizer_config.json": SD1, "added_tokens.json": {"<my-kettle>": "NEW0", "[V]": "NEW1", "sks": "NEW2"},
                   "special_tokens_map.json": dict(pad_token="!", additional_special_tokens=["[V]", "kettle"])},
    "flags": {"tokenizer_config.json": dict(SD1, added_tokens_decoder={
        "NEW0": flags("<my-kettle>", normalized=True), "NEW1": flags("<strip-l>", lstrip=True), "NEW2": flags("<strip-r>", rstrip=True),
        "NEW3": flags("<strip-both>", lstrip=True, rstrip=True, normalized=True), "NEW4": flags("kettle", single_word=True, normalized=True),
        "NEW5": flags("sks", single_word=True), "NEW6": {"content": "[V]"}})},
}


def encode(vocab, merges, files, strings):
    with tempfile.TemporaryDirectory() as d:
        d = pathlib.Path(d)
        if "tokenizer.json" not in files:
            (d / "vocab.json").write_text(json.dumps(vocab))
            (d / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n")
        for name, data in files.items():
            (d / name).write_text(json.dumps(data))
        t = transformers.CLIPTokenizer.from_pretrained(d)
        n = t.model_max_length if t.model_max_length < 1e6 else 77
        out = []
        for s in strings:
            full = t(s)["input_ids"]
            ids = t(s, padding="max_length", max_length=n, truncation=True)["input_ids"]
            assert len(ids) == n and ids[0] == t.bos_token_id, s
            end = min(len(full), n) - 1
            assert ids[end] == t.eos_token_id and all(i == t.pad_token_id for i in ids[end + 1:]), s
            out.append({"ids": ids[1:end], "truncated": len(full) > n})
        return {"length": n, "bos": t.bos_token_id, "eos": t.eos_token_id, "pad": t.pad_token_id, "outputs": out}


def saved(vocab, merges):
    """The files transformers 5 saves: tokenizer.json and no vocab.json."""
    with tempfile.TemporaryDirectory() as d:
        transformers.CLIPTokenizer(vocab=vocab, merges=merges, pad_token="!", model_max_length=77).save_pretrained(d)
        return {f.name: json.loads(f.read_text()) for f in pathlib.Path(d).iterdir()}


def both(vocab, merges):
    """The files that transformers 4 saves: tokenizer.json beside vocab.json."""
    files = saved(vocab, merges)
    del files["tokenizer_config.json"]
    files["tokenizer.json"]["added_tokens"] += [{"id": len(vocab), **flags("<my-kettle>", normalized=True)},
                                                {"id": len(vocab) + 1, **flags("kettle", single_word=True, rstrip=True)}]
    return files


def main():
    strings = STRINGS + random_strings(120) + ADDED
    vocabularies = {"small": train(), "openai": openai(sys.argv[1])}
    vocab, merges = vocabularies["small"]
    (HERE / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False, separators=(",", ":")) + "\n")
    (HERE / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n")
    runs = []
    for which, (vocab, merges) in vocabularies.items():
        made = {"saved": saved(vocab, merges), "both": both(vocab, merges), **NEW} if which == "small" else {}  # as large as the vocabulary
        for name, files in {**DIRS, **made}.items():
            text = json.dumps(files).replace('"BOS"', f'"{vocab[BOS]}"').replace('"EOS"', f'"{vocab[EOS]}"')
            for i in range(7):
                text = text.replace(f': "NEW{i}"', f": {len(vocab) + i}").replace(f'"NEW{i}"', f'"{len(vocab) + i}"')
            files = json.loads(text)
            some = ADDED if name in NEW or name == "both" else strings[:-len(ADDED)] if name in ("plain", "sd2") else [s for s in strings[:-len(ADDED)] if "<|" in s or "!" in s][:40]
            run = encode(vocab, merges, files, some)
            for s, o in zip(some, run["outputs"]):
                o["text"] = strings.index(s)
            runs.append({"vocab": which, "name": name, "files": files, **run})
    data = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__, "strings": strings, "runs": runs}
    (HERE / "strings.json").write_text(json.dumps(data, separators=(",", ":")) + "\n")
    print(len(strings), "strings", {r["vocab"] + "/" + r["name"]: len(r["outputs"]) for r in runs})


if __name__ == "__main__":
    main()
