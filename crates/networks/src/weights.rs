//! Reads weights from an ONNX file.

use std::collections::HashMap;

use half::f16;
use rten_onnx::onnx::{DataType, ModelProto, NodeProto, TensorProto};

use crate::convolution::{Convolution, Walk};

/// Values and shape of a constant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constant {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// The nodes of a network, in the order in which it computes them, and its constants by name.
pub(crate) struct File {
    pub nodes: Vec<NodeProto>,
    pub constants: HashMap<String, Constant>,
    /// Name of the first input and of the first output.
    pub ends: (String, String),
}

impl File {
    /// Parses a file; constants that are not floats are left out.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let model = ModelProto::parse_buf(bytes).map_err(|error| error.to_string())?;
        let graph = model.graph.ok_or("it has no graph")?;
        let name = |value: Option<&rten_onnx::onnx::ValueInfoProto>| value.and_then(|value| value.name.clone());
        let ends = name(graph.input.first()).zip(name(graph.output.first())).ok_or("it has no input or output")?;
        let mut constants: HashMap<String, Constant> = HashMap::new();
        for tensor in &graph.initializer {
            if let (Some(name), Ok(constant)) = (&tensor.name, constant(tensor)) {
                constants.insert(name.clone(), constant);
            }
        }
        let mut nodes = Vec::new();
        for node in graph.node {
            if let Some((name, constant)) = scaled(&node, &graph.initializer, &constants) {
                constants.insert(name, constant);
                continue;
            }
            if node.op_type.as_deref() != Some("Constant") {
                nodes.push(node);
                continue;
            }
            let value = node.attribute.iter().find_map(|attribute| attribute.t.as_ref());
            if let (Some(name), Some(Ok(constant))) = (node.output.first(), value.map(constant)) {
                constants.insert(name.clone(), constant);
            }
        }
        Ok(Self { nodes, constants, ends })
    }

    /// Weights (outputs, inputs, side, side), the bias, and the walk of a convolution; zeros
    /// where it has no bias.
    ///
    /// # Errors
    /// When it is not square, not symmetric, or does not keep the picture's size up to its stride.
    pub(crate) fn convolution(&self, node: &NodeProto) -> Result<(Constant, Vec<f32>, Walk), String> {
        let constant = |index: usize| self.constants.get(node.input.get(index)?);
        let weights = constant(1).ok_or("a convolution has no weights")?;
        let &[outputs, _, side, other] = weights.shape.as_slice() else {
            return Err(format!("a convolution has weights of {:?}", weights.shape));
        };
        let bias = constant(2).map_or(vec![0.0; outputs], |bias| bias.values.clone());
        let number = |name: &str| ints(node, name).first().map_or(1, |&n| usize::try_from(n).unwrap_or(0));
        let walk = Walk { side, dilation: number("dilations"), stride: number("strides") };
        let all = |name: &str, value: usize| ints(node, name).iter().all(|&n| usize::try_from(n) == Ok(value));
        let plain = side == other
            && side % 2 == 1
            && (1..=64).contains(&walk.dilation)
            && (1..=8).contains(&walk.stride)
            && all("dilations", walk.dilation)
            && all("strides", walk.stride)
            && all("pads", walk.reach())
            && bias.len() == outputs;
        if plain { Ok((weights.clone(), bias, walk)) } else { Err(format!("a convolution with {walk:?}")) }
    }
}

/// An attribute of integers; empty if the node does not have it.
pub(crate) fn ints<'a>(node: &'a NodeProto, name: &str) -> &'a [i64] {
    let attribute = node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some(name));
    attribute.map_or(&[], |attribute| attribute.ints.as_slice())
}

/// The convolutions of a network that has only plain ones, in order.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn convolutions(bytes: &[u8]) -> Result<Vec<Convolution>, String> {
    let file = File::read(bytes)?;
    let nodes = file.nodes.iter().filter(|node| node.op_type.as_deref() == Some("Conv"));
    let plain = nodes.map(|node| {
        let (weights, bias, walk) = file.convolution(node)?;
        Ok(Convolution::new(&weights.values, &bias, weights.shape[1], walk))
    });
    plain.collect()
}

/// 8-bit integers times one scale for each place along an axis, and the name of that; `None` for any other node.
fn scaled(
    node: &NodeProto,
    tensors: &[TensorProto],
    constants: &HashMap<String, Constant>,
) -> Option<(String, Constant)> {
    if node.op_type.as_deref() != Some("DequantizeLinear") || node.input.len() != 2 {
        return None;
    }
    let whole = tensors.iter().find(|tensor| tensor.name.as_ref() == node.input.first())?;
    let scales = constants.get(node.input.get(1)?)?;
    let raw = whole.raw_data.as_ref().filter(|_| whole.data_type == Some(DataType::INT8))?.borrow();
    let shape: Vec<usize> = whole.dims.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
    let axis = node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some("axis"))?.i?;
    let axis = usize::try_from(axis).ok().filter(|&axis| shape.get(axis) == Some(&scales.values.len()))?;
    let (inner, count) = (shape[axis + 1..].iter().product::<usize>(), shape.iter().product::<usize>());
    if raw.len() != count || count == 0 {
        return None;
    }
    let scale = |index: usize| scales.values[index / inner % scales.values.len()];
    let values = raw.iter().enumerate().map(|(index, &byte)| f32::from(byte.cast_signed()) * scale(index)).collect();
    Some((node.output.first()?.clone(), Constant { shape, values }))
}

/// A tensor of 32-bit or 16-bit floats.
fn constant(tensor: &TensorProto) -> Result<Constant, String> {
    let raw = tensor.raw_data.as_ref().map(|raw| raw.borrow());
    let values: Vec<f32> = match (tensor.data_type, raw) {
        (Some(DataType::FLOAT16), Some(raw)) => {
            raw.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
        (Some(DataType::FLOAT), Some(raw)) => {
            raw.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        }
        (Some(DataType::FLOAT), None) => tensor.float_data.clone(),
        (kind, _) => return Err(format!("weights of type {kind:?}")),
    };
    let shape: Vec<usize> = tensor.dims.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
    let wanted = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
    if wanted == Some(values.len()) { Ok(Constant { shape, values }) } else { Err("a tensor is cut short".to_owned()) }
}
