"""Write unet.onnx: Stable Diffusion 1.5's UNet with an eighth of its width or
less, as torch exports it, without its weights: each is a constant of zeros, so
that the file is small and the graph is what onnxruntime sees of the real one.

  python export.py [unet.onnx]      # needs torch, diffusers, onnx, onnxscript
"""
import sys
import onnx
import torch
from diffusers import UNet2DConditionModel
from onnx import TensorProto, helper, numpy_helper

config = dict(sample_size=16, cross_attention_dim=768, attention_head_dim=8, block_out_channels=(32, 64, 128, 128))


class Sample(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.unet = UNet2DConditionModel(**config)

    def forward(self, sample, timestep, context):
        return self.unet(sample, timestep, context, return_dict=False)[0]


inputs = (torch.randn(1, 4, 16, 16), torch.tensor([500.0]), torch.randn(1, 77, 768))
program = torch.onnx.export(Sample().eval(), inputs, dynamo=True, input_names=["sample", "timestep", "context"], output_names=["out"], opset_version=18)
model = program.model_proto
graph = model.graph
constants = []
for w in list(graph.initializer):
    values = numpy_helper.to_array(w)
    if values.size < 64:
        continue
    graph.initializer.remove(w)
    shape = numpy_helper.from_array(__import__("numpy").array(values.shape, dtype="int64"), w.name + ".shape")
    graph.initializer.append(shape)
    zero = helper.make_tensor("value", w.data_type, [1], [0.0 if w.data_type == TensorProto.FLOAT else 0])
    constants.append(helper.make_node("ConstantOfShape", [shape.name], [w.name], value=zero))
nodes = list(graph.node)
del graph.node[:]
graph.node.extend(constants + nodes)
del graph.value_info[:]
for n in graph.node:
    n.ClearField("metadata_props")
    n.ClearField("doc_string")
onnx.save(model, sys.argv[1] if len(sys.argv) > 1 else "unet.onnx")
from collections import Counter
print(len(nodes), Counter(n.op_type for n in nodes).most_common())
