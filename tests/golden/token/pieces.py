"""Writes a small byte-pair model of SentencePiece's and what transformers' GemmaTokenizer and LlamaTokenizer make of it.

    python pieces.py       # transformers 5.24.0, tokenizers 0.23.3, sentencepiece; after unigram.py, whose strings it takes

pieces/tokenizer.model.gz is trained here, pieces/tokenizer.json.gz is what transformers saves of it as Gemma's;
pieces/hashes.json has the configurations and the hashes of 10,000 strings as random.json has them.
"""
import gzip
import json
import pathlib
import tempfile

import sentencepiece
import transformers

from make import STRINGS, WORDS
from unigram import hashes

HERE = pathlib.Path(__file__).parent
GEMMA = {"tokenizer_class": "GemmaTokenizer", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>", "add_bos_token": True}
LLAMA = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>",
         "add_bos_token": False, "add_eos_token": True}


def train(path):
    corpus = path / "corpus.txt"
    lines = [s.replace("\n", " ") for s in STRINGS if "\x00" not in s and len(s) < 300]
    corpus.write_text("\n".join([" ".join(WORDS)] * 20 + [w for w in WORDS] * 5 + lines))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(path / "tokenizer"), vocab_size=700, model_type="bpe", byte_fallback=True, character_coverage=0.98,
        normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
        pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", user_defined_symbols=["<mask>", "(a:1.2)"])


def main():
    out = HERE / "pieces"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as d:
        d = pathlib.Path(d)
        train(d)
        model = (d / "tokenizer.model").read_bytes()
        (out / "tokenizer.model.gz").write_bytes(gzip.compress(model, 9, mtime=0))
        golden = {}
        for name, config in ("gemma", GEMMA), ("llama", LLAMA):
            (d / name).mkdir()
            (d / name / "tokenizer.model").write_bytes(model)
            (d / name / "tokenizer_config.json").write_text(json.dumps(config))
            t = getattr(transformers, config["tokenizer_class"]).from_pretrained(d / name)
            golden[name] = {"config": config, "hashes": hashes(lambda s: t(s).input_ids), "odd": [[s, t(s).input_ids] for s in [
                "", " ", "red cat", " red  cat\n\nx", "▁a", "<mask>b <eos>c", "🎈火 héllo", "aaaaaaa", "\t\r"]]}
            if name == "gemma":
                t.save_pretrained(d / "saved")
                text = json.dumps(json.loads((d / "saved" / "tokenizer.json").read_text()), separators=(",", ":"))
                (out / "tokenizer.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
                again = transformers.GemmaTokenizer.from_pretrained(d / "saved")
                assert hashes(lambda s: again(s).input_ids) == golden[name]["hashes"]
                print((d / "saved" / "tokenizer_config.json").read_text())
    (out / "hashes.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
