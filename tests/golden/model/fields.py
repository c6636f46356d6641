"""Makes fields.json: the fields that the configurations of diffusers' classes have.

A test holds engine/model to them: each changes the graph, is refused by its
name, or is listed as one that does not touch what is computed.
"""

import inspect
import json
from pathlib import Path

import diffusers

import vit

CLASSES = [
    "AuraFlowTransformer2DModel", "AutoencoderDC", "AutoencoderKL", "AutoencoderKLFlux2", "AutoencoderTiny", "ControlNetModel", "DiTTransformer2DModel",
    "Flux2Transformer2DModel", "FluxTransformer2DModel", "HunyuanDiT2DModel", "LuminaNextDiT2DModel", "PixArtTransformer2DModel", "SanaTransformer2DModel", "SD3Transformer2DModel", "UNet2DConditionModel", "UNet2DModel", "VQModel", "ZImageTransformer2DModel",
]

if __name__ == "__main__":
    classes = [getattr(diffusers, c) for c in CLASSES] + [vit.SiTTransformer2DModel, vit.UViT]
    fields = {c.__name__: list(inspect.signature(c.__init__).parameters)[1:] for c in classes}
    out = {"versions": {"diffusers": diffusers.__version__}, "fields": fields}
    Path(__file__).with_name("fields.json").write_text(json.dumps(out, indent=1) + "\n")
