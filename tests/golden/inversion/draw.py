"""Makes the golden of a textual inversion, saved as transformers before 4.34 did: its token stands in added_tokens.json alone.

  python draw.py       writes here: what differs from tiny_ddim_kl's model, golden.json and a picture by diffusers
"""
import json
import shutil
import sys
import tempfile
from pathlib import Path

import diffusers
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

OUT = Path(__file__).parent
PIPELINES = OUT.parent / "pipeline"
sys.path.insert(0, str(PIPELINES))
import make  # noqa: E402
CASE = dict(prompt="a red <my-kettle> on the house", negative_prompt="", seed=3, steps=4, guidance=4.0, width=32, height=32)


def main():
    shutil.rmtree(OUT / "model", ignore_errors=True)
    base = PIPELINES / "tiny_ddim_kl/model"
    (OUT / "model/text_encoder").mkdir(parents=True)
    (OUT / "model/tokenizer").mkdir()
    weights = load_file(base / "text_encoder/model.safetensors")
    name = next(k for k in weights if k.endswith("token_embedding.weight"))
    words, width = weights[name].shape
    row = 4 * torch.randn(1, width, generator=torch.Generator().manual_seed(9))
    weights[name] = torch.cat([weights[name], row])
    save_file(weights, OUT / "model/text_encoder/model.safetensors", {"format": "pt"})
    config = json.loads((base / "text_encoder/config.json").read_text()) | {"vocab_size": words + 1}
    (OUT / "model/text_encoder/config.json").write_text(json.dumps(config, indent=2) + "\n")
    (OUT / "model/tokenizer/added_tokens.json").write_text(json.dumps({"<my-kettle>": words}) + "\n")
    with tempfile.TemporaryDirectory() as d:
        shutil.copytree(base, d, dirs_exist_ok=True)
        shutil.copytree(OUT / "model", d, dirs_exist_ok=True)
        p = make.Pipeline(d)
        assert words in p.tokenizer(CASE["prompt"]).input_ids
        picture = p.draw(**CASE)
        reference = p.reference(**CASE)
        assert (picture == reference).all()
        without = p.draw(**CASE | {"prompt": CASE["prompt"].replace("<my-kettle>", "< my-kettle >")})
    Image.fromarray(picture).save(OUT / "0.png")
    versions = {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}
    (OUT / "golden.json").write_text(json.dumps({"versions": versions, "cases": [CASE | {"files": ["0.png"]}]}, indent=1) + "\n")
    print("without the token:", make.psnr(picture, without), "dB")


with torch.no_grad():
    main()
