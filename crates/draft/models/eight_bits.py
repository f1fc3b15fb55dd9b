"""Weights of layers as 8-bit integers with one scale for each output channel."""

import numpy as np
from onnx import helper, numpy_helper

# From so many values on, weights are stored in 8 bits, and other constants in 16.
LARGE, SEVERAL = 2048, 64


def output_axis(node, weights):
    """The axis of a weight that counts the outputs; None for what is no weight of a layer."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    if node.op_type == "MatMul":
        return weights.ndim - 1
    if node.op_type == "Gemm":
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        return 0 if transposed else 1
    return None


def halve(tensor):
    values = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))


def whole_numbers(graph, tensor, values, axis):
    """Replaces a constant by integers and their scales; gives the node that makes floats of them."""
    others = tuple(i for i in range(values.ndim) if i != axis)
    scale = np.abs(values).max(axis=others, keepdims=True) / 127
    scale[scale == 0] = 1
    # Rounded first: the integers are those for the scale that is stored.
    scale = scale.astype(np.float16).astype(np.float32)
    # A channel of next to nothing.
    scale[scale == 0] = np.finfo(np.float16).smallest_subnormal
    whole = np.round(values / scale).clip(-127, 127).astype(np.int8)
    name = tensor.name
    graph.initializer.remove(tensor)
    graph.initializer.append(numpy_helper.from_array(whole, name + ".int8"))
    graph.initializer.append(numpy_helper.from_array(scale.reshape(-1).astype(np.float16), name + ".scale"))
    return helper.make_node("DequantizeLinear", [name + ".int8", name + ".scale"], [name], axis=axis)
