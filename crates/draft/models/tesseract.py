"""Writes the LSTM network of a Tesseract 4 `traineddata` file as ONNX, and its codes as text.

The layout of the file: `TessdataManager` (offsets of the parts), `Network::CreateFromFile`
(layers), `WeightMatrix::DeSerialize` (8-bit weights with one scale for each row),
`UnicharCompress` (the codes of each character) and `SquishedDawg` (words) of Tesseract. Weights stay in 8 bits; the
engine computes with them in 32-bit floats.
"""

import struct

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LSTM, WORDS, UNICHARSET, RECODER = 17, 19, 21, 22
NESTED = ("Series", "XYTranspose", "RTLReversed")


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, layout):
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values[0] if len(values) == 1 else values

    def text(self):
        return bytes(self.take("B") for _ in range(self.take("I"))).decode()

    def array(self, kind, count):
        values = np.frombuffer(self.data, kind, count, self.at)
        self.at += values.nbytes
        return values


def parts(data):
    count = struct.unpack_from("<i", data)[0]
    offsets = struct.unpack_from(f"<{count}q", data, 4)
    end = lambda offset: min([o for o in offsets if o > offset] + [len(data)])
    return {number: data[o : end(o)] for number, o in enumerate(offsets) if o >= 0}


def weights(reader):
    """Rows of 8-bit weights, the last of each its bias, and the scale of each row."""
    if not reader.take("B") & 1:
        raise ValueError("weights in floats")
    rows, columns, _ = reader.take("iib")
    values = reader.array(np.int8, rows * columns).reshape(rows, columns)
    # Padded for vector units.
    return values, reader.array("<f8", reader.take("I"))[:rows].astype(np.float32)


def layer(reader):
    tag = reader.take("b")
    kind = reader.text() if tag == 0 else tag
    _training, _backwards, flags, inputs, outputs, _count = reader.take("bbiiii")
    reader.text()
    made = {"kind": kind, "inputs": inputs, "outputs": outputs}
    if kind in NESTED:
        made["layers"] = [layer(reader) for _ in range(reader.take("I"))]
        if flags & 64:
            reader.array("<f4", reader.take("I"))
    elif kind == "Input":
        reader.take("iiiii")
    elif kind in ("Convolve", "Maxpool"):
        reader.take("ii")
    elif kind in ("LSTM", "SummLSTM"):
        reader.take("i")
        made["gates"] = [weights(reader) for _ in range(4)]
    elif kind in ("Tanh", "Softmax"):
        made["weights"] = weights(reader)
    else:
        raise ValueError(f"a layer of kind {kind}")
    return made


class Graph:
    def __init__(self):
        self.nodes, self.constants = [], []

    def node(self, kind, inputs, outputs, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def scaled(self, name, values, scales, axis):
        """8-bit values times one scale for each place along an axis."""
        zero = self.constant(name + "_zero", np.zeros(len(scales), np.int8))
        inputs = [self.constant(name + "_8", values), self.constant(name + "_scale", scales), zero]
        self.node("DequantizeLinear", inputs, [name], axis=axis)
        return name

    def lstm(self, name, read, source, last=False, reverse=False):
        """Steps along the first axis; `last` gives the state after the last step alone."""
        inputs, outputs = read["inputs"], read["outputs"]
        # Tesseract: cell, input, forget, output. ONNX: input, output, forget, cell.
        gates = [read["gates"][k] for k in (1, 3, 2, 0)]
        values = np.concatenate([g[0] for g in gates])[None]
        scales = np.concatenate([g[1] for g in gates])
        bias = np.concatenate([values[0, :, -1] * scales, np.zeros(4 * outputs, np.float32)])[None]
        own = [
            self.scaled(name + "_w", values[:, :, :inputs], scales, 1),
            self.scaled(name + "_r", values[:, :, inputs : inputs + outputs], scales, 1),
            self.constant(name + "_b", bias.astype(np.float32)),
        ]
        results = ["", name + "_4"] if last else [name + "_4"]
        direction = {"direction": "reverse"} if reverse else {}
        self.node("LSTM", [source, *own], results, hidden_size=outputs, **direction)
        if last:
            self.node("Transpose", [name + "_4"], [name], perm=[1, 0, 2])
        else:
            self.node("Squeeze", [name + "_4", "one"], [name])
        return name


def network(data):
    """The network `1,48,0,1 Ct3,3,16 Mp3,3 Lfys64 Lfx96 Lrx96 Lfx384 O1c`, and which of its classes means nothing."""
    reader = Reader(parts(data)[LSTM])
    _input, convolved, _pool, columns, forward, backward, wide, output = layer(reader)["layers"]
    reader.text()
    _flags, _iteration, _sample, nothing = reader.take("iiii")
    graph = Graph()
    graph.constant("zero", np.array([0], np.int64))
    graph.constant("one", np.array([1], np.int64))
    kernels, scales = convolved["layers"][1]["weights"]
    # Of the nine places, the vertical one counts fastest.
    places = kernels[:, :9].reshape(-1, 3, 3).transpose(0, 2, 1)[:, None]
    own = [graph.constant("kernels", places * scales[:, None, None, None])]
    own.append(graph.constant("kernels_b", kernels[:, 9] * scales))
    shape = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1]}
    graph.node("Conv", ["image", *own], ["convolved"], group=1, **shape)
    graph.node("Tanh", ["convolved"], ["bent"])
    graph.node("MaxPool", ["bent"], ["pooled"], kernel_shape=[3, 3], strides=[3, 3], pads=[0, 0, 0, 0])
    graph.node("Squeeze", ["pooled", "zero"], ["planes"])
    graph.node("Transpose", ["planes"], ["down"], perm=[1, 2, 0])
    steps = graph.lstm("columns", columns["layers"][0], "down", last=True)
    steps = graph.lstm("forward", forward, steps)
    steps = graph.lstm("backward", backward["layers"][0], steps, reverse=True)
    steps = graph.lstm("wide", wide, steps)
    values, scales = output["weights"]
    graph.node("MatMul", [steps, graph.scaled("classes", values[:, :-1].T, scales, 1)], ["weighed"])
    graph.node("Add", ["weighed", graph.constant("classes_b", values[:, -1] * scales)], ["sums"])
    graph.node("Softmax", ["sums"], ["probabilities"], axis=2)
    of = helper.make_tensor_value_info
    made = helper.make_graph(
        graph.nodes,
        "tesseract",
        [of("image", TensorProto.FLOAT, [1, 1, 48, "width"])],
        [of("probabilities", TensorProto.FLOAT, ["steps", 1, len(values)])],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model, nothing


def codes(data, classes, nothing):
    """What each class stands for: a sign, or one of Unicode's conjoining jamo; a syllable is three classes."""
    found = parts(data)
    lines = found[UNICHARSET].decode().split("\n")[1:]
    characters = [line.split(" ")[0] for line in lines if line]
    reader = Reader(found[RECODER])
    means = [""] * classes
    for character in characters[: reader.take("I")]:
        reader.take("b")
        own = [reader.take("i") for _ in range(reader.take("i"))]
        if len(character) == 1 and "가" <= character <= "힣":
            index = ord(character) - 0xAC00
            # A tail of its own stands for "no tail", as in Unicode's arithmetic.
            jamo = (0x1100 + index // 588, 0x1161 + index // 28 % 21, 0x11A7 + index % 28)
            for code, letter in zip(own, jamo, strict=True):
                means[code] = chr(letter)
        elif len(own) == 1 and own[0] != nothing:
            means[own[0]] = " " if character == "NULL" else character
    return means


def characters(data):
    lines = parts(data)[UNICHARSET].decode().split("\n")[1:]
    return [line.split(" ")[0] for line in lines if line]


def words(data):
    """The dictionary: a graph whose edges are 64 bits of letter, flags (last of its node, backward, end of a word) and
    next node."""
    reader = Reader(parts(data)[WORDS])
    _magic, letters, count = reader.take("hii")
    edges = reader.array("<u8", count).tolist()
    bits = letters.bit_length()
    known = characters(data)
    found, open_ones = [], [(0, "")]
    while open_ones:
        node, before = open_ones.pop()
        while True:
            edge = edges[node]
            word = before + known[edge & ((1 << bits) - 1)]
            if not edge >> bits & 2:
                if edge >> bits & 4:
                    found.append(word)
                if edge >> bits + 3:
                    open_ones.append((edge >> bits + 3, word))
            if edge >> bits & 1:
                break
            node += 1
    return found


def pairs(data):
    """The syllables in Unicode's order, and which follow which in the dictionary's words, and how often: for each one the
    gaps between those that follow it, each times four with the power of four next to their number, in groups of seven
    bits, the lowest first, of which all but the last have the eighth bit set; then a zero."""
    syllables = sorted(c for c in characters(data) if len(c) == 1 and "가" <= c <= "힣")
    number = {syllable: k for k, syllable in enumerate(syllables)}
    counts = {}
    for word in words(data):
        for pair in zip(word, word[1:]):
            if pair[0] in number and pair[1] in number:
                counts[pair] = counts.get(pair, 0) + 1
    written = bytearray()
    for first in syllables:
        last = -1
        for k, second in enumerate(syllables):
            often = counts.get((first, second), 0)
            if often:
                power = min(round(np.log2(often) / 2), 3)
                value, last = (k - last) << 2 | int(power), k
                while value >= 128:
                    written.append(value & 127 | 128)
                    value >>= 7
                written.append(value)
        written.append(0)
    return "".join(syllables) + "\n", bytes(written)
