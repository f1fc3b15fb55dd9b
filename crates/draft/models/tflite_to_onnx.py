"""Converts the two TensorFlow Lite networks to ONNX: the operators that they use, and no more.

Channels move to the front. Kernels keep their storage: 8-bit integers with a scale for each output, or 16-bit
floats. What is computed is in 32-bit floats, so activations are not quantised as the file says.
"""

import numpy as np
import onnx
import tflite
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
OPERATORS = tflite.BuiltinOperator
TYPES = {0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 9: np.int8}
RELU, RELU6 = 1, 3


def convert(data):
    """An ONNX model of one input in the order (1, channels, height, width)."""
    return Conversion(tflite.Model.GetRootAsModel(data, 0)).run()


def to_front(array):
    return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array


class Conversion:
    def __init__(self, model):
        self.model, self.graph = model, model.Subgraphs(0)
        self.nodes, self.constants = [], []
        self.shapes, self.values, self.same, self.kernels = {}, {}, {}, {}
        for index in range(self.graph.TensorsLength()):
            tensor = self.graph.Tensors(index)
            self.shapes[index] = [tensor.Shape(k) for k in range(tensor.ShapeLength())]
            value = self.value(tensor, self.shapes[index])
            if value is not None:
                self.values[index] = value

    def value(self, tensor, shape):
        """(array, scales, axis) of a constant; scales are None unless it is quantised."""
        buffer = self.model.Buffers(tensor.Buffer())
        if not buffer or buffer.DataLength() == 0:
            return None
        array = np.frombuffer(buffer.DataAsNumpy().tobytes(), TYPES[tensor.Type()]).reshape(shape)
        quantised = tensor.Quantization()
        if not quantised or not quantised.ScaleLength():
            return array, None, 0
        assert not np.any(quantised.ZeroPointAsNumpy()), "only symmetric weights are expected"
        return array, quantised.ScaleAsNumpy().astype(np.float32), quantised.QuantizedDimension()

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weights(self, index, order):
        """A kernel as it is stored, its axes in ONNX's order; layers of several levels share some."""
        if index in self.kernels:
            return self.kernels[index]
        array, scales, axis = self.values[self.same.get(index, index)]
        array = array.transpose(order)
        if scales is None:
            self.kernels[index] = self.constant(array)
            return self.kernels[index]
        made = self.kernels[index] = f"w{index}"
        inputs = [self.constant(array), self.constant(scales)]
        axis = order.index(axis) if len(scales) > 1 else 0
        if len(scales) == 1:
            inputs[1] = self.constant(np.full(array.shape[0], scales[0], np.float32))
        self.add("DequantizeLinear", inputs, made, axis=axis)
        return made

    def floats(self, index):
        array, scales, _ = self.values[self.same.get(index, index)]
        return array.astype(np.float32) if scales is None else (array.astype(np.float64) * scales).astype(np.float32)

    def add(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def name(self, index):
        index = self.same.get(index, index)
        return self.constant(to_front(self.floats(index))) if index in self.values else f"t{index}"

    def activation(self, kind, output):
        if kind == 0:
            return
        self.nodes[-1].output[0] = output + "_"
        if kind == RELU:
            self.add("Relu", [output + "_"], output)
        elif kind == RELU6:
            self.add("Clip", [output + "_", self.constant(np.float32(0)), self.constant(np.float32(6))], output)
        else:
            raise ValueError(f"activation {kind}")

    def run(self):
        for index in range(self.graph.OperatorsLength()):
            operator = self.graph.Operators(index)
            code = self.model.OperatorCodes(operator.OpcodeIndex())
            kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            inputs = [operator.Inputs(k) for k in range(operator.InputsLength())]
            self.operator(operator, kind, inputs, operator.Outputs(0))
        return self.finished()

    def operator(self, operator, kind, inputs, out):
        def options(which):
            found, table = which(), operator.BuiltinOptions()
            found.Init(table.Bytes, table.Pos)
            return found

        if kind in (OPERATORS.CONV_2D, OPERATORS.DEPTHWISE_CONV_2D):
            self.convolution(kind, options, inputs, out)
        elif kind in (OPERATORS.ADD, OPERATORS.MUL):
            add = kind == OPERATORS.ADD
            self.add("Add" if add else "Mul", [self.name(i) for i in inputs], f"t{out}")
            which = options(tflite.AddOptions if add else tflite.MulOptions)
            self.activation(which.FusedActivationFunction(), f"t{out}")
        elif kind in (OPERATORS.AVERAGE_POOL_2D, OPERATORS.MAX_POOL_2D):
            self.pool(kind, options(tflite.Pool2DOptions), inputs[0], out)
        elif kind in (OPERATORS.RESIZE_BILINEAR, OPERATORS.RESIZE_NEAREST_NEIGHBOR):
            self.resize(kind, options, inputs, out)
        elif kind == OPERATORS.CONCATENATION:
            axis = options(tflite.ConcatenationOptions).Axis()
            if len(self.shapes[out]) == 4:
                axis = {0: 0, 1: 2, 2: 3, 3: 1, -1: 1}[axis]
            self.add("Concat", [self.name(i) for i in inputs], f"t{out}", axis=axis)
        elif kind in (OPERATORS.LOGISTIC, OPERATORS.RELU, OPERATORS.HARD_SWISH):
            names = {OPERATORS.LOGISTIC: "Sigmoid", OPERATORS.RELU: "Relu", OPERATORS.HARD_SWISH: "HardSwish"}
            self.add(names[kind], [self.name(inputs[0])], f"t{out}")
        elif kind == OPERATORS.RESHAPE:
            name = self.name(inputs[0])
            if len(self.shapes[inputs[0]]) == 4:
                self.add("Transpose", [name], f"t{out}_", perm=[0, 2, 3, 1])
                name = f"t{out}_"
            self.add("Reshape", [name, self.constant(np.array(self.shapes[out], np.int64))], f"t{out}")
        elif kind in (OPERATORS.DEQUANTIZE, OPERATORS.QUANTIZE):
            self.same[out] = self.same.get(inputs[0], inputs[0])
        elif kind == OPERATORS.CUSTOM:
            self.transposed_convolution(inputs, out)
        else:
            raise ValueError(f"operator {kind}")

    def padding(self, size, kernel, stride, dilation=1):
        """What "same" means in TensorFlow: the odd pixel goes to the end."""
        pads = []
        for axis in (0, 1):
            reach = (kernel[axis] - 1) * dilation + 1
            outputs = -(-size[axis] // stride[axis])
            total = max((outputs - 1) * stride[axis] + reach - size[axis], 0)
            pads.append((total // 2, total - total // 2))
        return [pads[0][0], pads[1][0], pads[0][1], pads[1][1]]

    def convolution(self, kind, options, inputs, out):
        plain = kind == OPERATORS.CONV_2D
        how = options(tflite.Conv2DOptions if plain else tflite.DepthwiseConv2DOptions)
        shape = self.values[self.same.get(inputs[1], inputs[1])][0].shape
        kernel, stride = list(shape[1:3]), [how.StrideH(), how.StrideW()]
        dilation = [how.DilationHFactor(), how.DilationWFactor()]
        same = self.padding(self.shapes[inputs[0]][1:3], kernel, stride, dilation[0])
        weights = self.weights(inputs[1], [0, 3, 1, 2] if plain else [3, 0, 1, 2])
        self.add(
            "Conv",
            [self.name(inputs[0]), weights, self.constant(self.floats(inputs[2]))],
            f"t{out}",
            kernel_shape=kernel,
            strides=stride,
            dilations=dilation,
            group=1 if plain else shape[3],
            pads=same if how.Padding() == 0 else [0] * 4,
        )
        self.activation(how.FusedActivationFunction(), f"t{out}")

    def transposed_convolution(self, inputs, out):
        """MediaPipe's "Convolution2DTransposeBias"."""
        shape = self.values[self.same.get(inputs[1], inputs[1])][0].shape
        before, after = self.shapes[inputs[0]], self.shapes[out]
        kernel, stride = list(shape[1:3]), [after[1] // before[1], after[2] // before[2]]
        assert kernel == stride, "each pixel is made once"
        bias = self.constant(self.floats(inputs[2]).reshape(-1))
        inputs = [self.name(inputs[0]), self.weights(inputs[1], [3, 0, 1, 2]), bias]
        self.add("ConvTranspose", inputs, f"t{out}", kernel_shape=kernel, strides=stride, pads=[0] * 4)

    def pool(self, kind, how, source, out):
        kernel, stride = [how.FilterHeight(), how.FilterWidth()], [how.StrideH(), how.StrideW()]
        size = self.shapes[source][1:3]
        mean = kind == OPERATORS.AVERAGE_POOL_2D
        if mean and kernel == size:
            self.add("GlobalAveragePool", [self.name(source)], f"t{out}")
            return
        pads = self.padding(size, kernel, stride) if how.Padding() == 0 else [0] * 4
        operator = "AveragePool" if mean else "MaxPool"
        self.add(operator, [self.name(source)], f"t{out}", kernel_shape=kernel, strides=stride, pads=pads)

    def resize(self, kind, options, inputs, out):
        linear = kind == OPERATORS.RESIZE_BILINEAR
        how = options(tflite.ResizeBilinearOptions if linear else tflite.ResizeNearestNeighborOptions)
        height, width = (int(v) for v in self.values[inputs[1]][0].reshape(-1))
        place = "align_corners" if how.AlignCorners() else "half_pixel" if how.HalfPixelCenters() else "asymmetric"
        attributes = {"mode": "linear" if linear else "nearest", "coordinate_transformation_mode": place}
        if not linear:
            attributes["nearest_mode"] = "round_prefer_ceil" if how.AlignCorners() else "floor"
        sizes = self.constant(np.array([1, self.shapes[out][3], height, width], np.int64))
        self.add("Resize", [self.name(inputs[0]), "", "", sizes], f"t{out}", **attributes)

    def finished(self):
        def described(index):
            shape = self.shapes[index]
            shape = [shape[0], shape[3], shape[1], shape[2]] if len(shape) == 4 else shape
            return helper.make_tensor_value_info(self.name(index), TensorProto.FLOAT, shape)

        outputs = [described(self.graph.Outputs(k)) for k in range(self.graph.OutputsLength())]
        inputs = [described(self.graph.Inputs(0))]
        graph = helper.make_graph(self.nodes, "network", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 8
        return model
