"""Counts what the ONNX export of FLUX.2-klein-4B's denoiser takes for one step, from torch's exporter, without weights.

  python tests/golden/exported.py

needs torch, diffusers, onnx and onnxscript, and writes model/onnx.json: for each size in latents, the nodes that an
executor dispatches and the bytes of their operands and results, activations and matrices in f16.
"""
import json
import math
from pathlib import Path

import diffusers
import onnxscript
import torch
from torch._subclasses import FakeTensorMode

HERE = Path(__file__).parent
TEXT = 512
# Other views of the same bytes, and what depends on shapes alone.
FREE = {"Reshape", "Squeeze", "Unsqueeze", "Identity", "Flatten", "Constant", "Shape", "Size"}


class Step(torch.nn.Module):
    """The denoiser as the pipeline calls it."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, sample, context, timestep, text_ids, image_ids):
        return self.net(hidden_states=sample, encoder_hidden_states=context, timestep=timestep, txt_ids=text_ids,
                        img_ids=image_ids, guidance=None, return_dict=False)[0]


def count(config, h, w):
    torch.set_default_dtype(torch.float16)
    with FakeTensorMode(allow_non_fake_inputs=True):
        net = diffusers.Flux2Transformer2DModel(**config).eval()
        half = dict(dtype=torch.float16)
        args = (torch.zeros(1, h * w, 128, **half), torch.zeros(1, TEXT, 7680, **half), torch.zeros(1, **half),
                torch.zeros(1, TEXT, 4, dtype=torch.float32), torch.zeros(1, h * w, 4, dtype=torch.float32))
        program = torch.onnx.export(Step(net).eval(), args, dynamo=True, optimize=False, verbose=False)
    model = program.model
    for name in list(model.graph.initializers):  # weights have no values here to fold
        if isinstance(getattr(model.graph.initializers[name].const_value, "raw", None), torch.Tensor):
            model.graph.inputs.append(model.graph.initializers.pop(name))
    onnxscript.optimizer.optimize_ir(model)
    nodes, total = {}, 0
    for node in model.graph:
        if node.op_type in FREE:
            continue
        nodes[node.op_type] = nodes.get(node.op_type, 0) + 1
        for v in [*node.inputs, *node.outputs]:
            if v is not None and v.shape is not None and v.dtype is not None:
                total += math.prod(int(d) for d in v.shape) * v.dtype.itemsize
    return {"height": h, "width": w, "text": TEXT, "dispatches": sum(nodes.values()), "bytes": int(total), "nodes": dict(sorted(nodes.items()))}


if __name__ == "__main__":
    config = json.loads((HERE / "model" / "sizes.json").read_text())["models"]["flux2_klein_4b"]["config"]
    versions = {m.__name__: m.__version__ for m in (torch, diffusers, onnxscript)}
    (HERE / "model" / "onnx.json").write_text(json.dumps(
        {"versions": versions, "flux2_klein_4b": [count(config, n, n) for n in (32,)]}, indent=1) + "\n")
