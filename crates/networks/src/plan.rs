//! A network of convolutions as steps, made from its file. Functions of single values are
//! done while the rows of the convolution before them are still in the cache.

use std::collections::HashMap;

use rten_onnx::onnx::NodeProto;

use crate::convolution::Convolution;
use crate::layers::{Depthwise, Doubling, Point};
use crate::weights::{Constant, File, ints};

/// What a step does with its inputs.
pub(crate) enum Work {
    /// On all inputs, whose channels stand one after the other.
    Convolve(Convolution),
    Depthwise(Depthwise),
    Double(Doubling),
    Mean,
    /// The largest of two by two pixels, at each pixel.
    Peak,
    Repeat(usize),
    Add,
    Multiply,
    /// Nothing besides the functions of single values.
    Pass,
}

pub(crate) struct Step {
    pub work: Work,
    pub points: Vec<Point>,
    /// Numbers of the steps that give the inputs; 0 is the picture, 1 the first step.
    pub inputs: Vec<usize>,
}

/// The plan while it is made.
struct Draft<'a> {
    file: &'a File,
    steps: Vec<Step>,
    /// Steps that give a value.
    places: HashMap<&'a str, Vec<usize>>,
    /// How often a value is used.
    uses: HashMap<&'a str, usize>,
}

/// The steps up to the network's first output.
///
/// # Errors
/// What is not supported, in words.
pub(crate) fn plan(bytes: &[u8]) -> Result<Vec<Step>, String> {
    let file = File::read(bytes)?;
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for name in file.nodes.iter().flat_map(|node| &node.input) {
        *uses.entry(name).or_default() += 1;
    }
    *uses.entry(&file.ends.1).or_default() += 2;
    let places = HashMap::from([(file.ends.0.as_str(), vec![0])]);
    let mut draft = Draft { file: &file, steps: Vec::new(), places, uses };
    let mut rest = file.nodes.as_slice();
    while let Some(node) = rest.first() {
        let used = draft.take(rest).map_err(|why| format!("{}: {why}", node.op_type.as_deref().unwrap_or("?")))?;
        rest = &rest[used..];
    }
    match draft.places.get(file.ends.1.as_str()).map(Vec::as_slice) {
        Some(&[last]) if last > 0 && last == draft.steps.len() => Ok(draft.steps),
        _ => Err("its first output is not its last value".to_owned()),
    }
}

impl<'a> Draft<'a> {
    /// Takes the next node, or several that belong together; gives their number.
    fn take(&mut self, nodes: &'a [NodeProto]) -> Result<usize, String> {
        let node = &nodes[0];
        if let Some((input, output)) = self.hard_swish(nodes) {
            let step = self.place(input)?;
            self.point(step, Point::HardSwish, output, self.uses[input] == 2);
            return Ok(4);
        }
        if let Some((input, output)) = self.gelu(nodes) {
            let step = self.place(input)?;
            self.point(step, Point::Gelu, output, self.uses[input] == 2);
            return Ok(5);
        }
        let input = |index: usize| node.input.get(index).map_or("", String::as_str);
        let output = node.output.first().ok_or("no output")?.as_str();
        let constant = |index: usize| self.file.constants.get(input(index));
        match node.op_type.as_deref().unwrap_or("") {
            "Conv" => self.convolve(node, output)?,
            "ConvTranspose" => {
                let weights = constant(1).filter(|weights| weights.shape.len() == 4).ok_or("no weights")?;
                let [inputs, outputs] = [weights.shape[0], weights.shape[1]];
                let two = |name: &str| ints(node, name).iter().all(|&n| n == 2);
                if weights.shape[2..] != [2, 2] || !two("strides") || !ints(node, "pads").iter().all(|&n| n == 0) {
                    return Err(format!("weights of {:?}", weights.shape));
                }
                let work = Work::Double(Doubling::new(&weights.values, inputs, outputs));
                self.push(work, vec![self.place(input(0))?], output);
            }
            "GlobalAveragePool" => self.push(Work::Mean, vec![self.place(input(0))?], output),
            "MaxPool" => {
                let ones = |name: &str| ints(node, name).iter().all(|&n| n == 1);
                let padded = node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some("auto_pad"));
                let to_the_right = padded.is_some_and(|attribute| attribute.s.as_deref() == Some("SAME_UPPER"));
                if ints(node, "kernel_shape") != [2, 2] || !ones("strides") || !ones("dilations") || !to_the_right {
                    return Err(format!("a kernel of {:?}", ints(node, "kernel_shape")));
                }
                self.push(Work::Peak, vec![self.place(input(0))?], output);
            }
            "Resize" => {
                let scales = constant(2).map_or(&[][..], |scales| scales.values.as_slice());
                let &[batch, channels, down, across] = scales else { return Err(format!("scales {scales:?}")) };
                let whole = (1.0..=64.0).contains(&down) && down.fract() == 0.0;
                if (batch, channels) != (1.0, 1.0) || down != across || !whole {
                    return Err(format!("scales {scales:?}"));
                }
                self.push(Work::Repeat(down as usize), vec![self.place(input(0))?], output);
            }
            "Concat" => {
                let parts = node.input.iter().map(|name| self.place(name));
                let parts = parts.collect::<Result<Vec<usize>, String>>()?;
                self.places.insert(output, parts);
            }
            "Relu" => self.function(input(0), Point::Rectify, output)?,
            "Sigmoid" => self.function(input(0), Point::Sigmoid, output)?,
            "HardSigmoid" => {
                let number = |name: &str, usual: f32| {
                    let attribute = node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some(name));
                    attribute.and_then(|attribute| attribute.f).unwrap_or(usual)
                };
                self.function(input(0), Point::HardSigmoid(number("alpha", 0.2), number("beta", 0.5)), output)?;
            }
            "BatchNormalization" => {
                let part = |index: usize| constant(index).ok_or("parts are no constants");
                let (scale, shift, mean, variance) = (part(1)?, part(2)?, part(3)?, part(4)?);
                let small = node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some("epsilon"));
                let small = small.and_then(|attribute| attribute.f).unwrap_or(1e-5);
                let scale = scale.values.iter().zip(&variance.values).map(|(s, v)| s / (v + small).sqrt());
                let scale: Vec<f32> = scale.collect();
                let shift = shift.values.iter().zip(&mean.values).zip(&scale).map(|((b, m), s)| b - m * s);
                let shift = shift.collect();
                self.function(input(0), Point::Affine(scale, shift), output)?;
            }
            kind @ ("Add" | "Mul" | "Div") => {
                let (value, other) = if constant(0).is_some() { (1, 0) } else { (0, 1) };
                if let Some(constant) = constant(other) {
                    let numbers = by_channel(constant)?;
                    let (scale, shift) = match kind {
                        "Add" => (vec![1.0], numbers),
                        "Mul" => (numbers, vec![0.0]),
                        _ if other == 1 => (numbers.iter().map(|n| 1.0 / n).collect(), vec![0.0]),
                        _ => return Err("a constant is divided".to_owned()),
                    };
                    self.function(input(value), Point::Affine(scale, shift), output)?;
                } else {
                    let work = match kind {
                        "Add" => Work::Add,
                        "Mul" => Work::Multiply,
                        _ => return Err("two maps are divided".to_owned()),
                    };
                    self.push(work, vec![self.place(input(0))?, self.place(input(1))?], output);
                }
            }
            _ => return Err("not supported".to_owned()),
        }
        Ok(1)
    }

    fn convolve(&mut self, node: &'a NodeProto, output: &'a str) -> Result<(), String> {
        let (weights, bias, walk) = self.file.convolution(node)?;
        let groups = node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some("group"));
        let groups = groups.and_then(|attribute| attribute.i).unwrap_or(1);
        let inputs = self.places.get(node.input[0].as_str()).ok_or("its input is unknown")?.clone();
        let work = match (groups, weights.shape[1]) {
            (1, channels) => Work::Convolve(Convolution::new(&weights.values, &bias, channels, walk)),
            (groups, 1) if usize::try_from(groups) == Ok(bias.len()) && inputs.len() == 1 => {
                Work::Depthwise(Depthwise::new(&weights.values, &bias, walk))
            }
            _ => return Err(format!("{groups} groups")),
        };
        self.push(work, inputs, output);
        Ok(())
    }

    /// `x + 3`, clipped to 0 to 6, times `x`, divided by 6: names of the input and the output.
    fn hard_swish(&self, nodes: &'a [NodeProto]) -> Option<(&'a str, &'a str)> {
        let [add, clip, multiply, divide, ..] = nodes else { return None };
        let kinds = [add, clip, multiply, divide].map(|node| node.op_type.as_deref().unwrap_or(""));
        if kinds != ["Add", "Clip", "Mul", "Div"] {
            return None;
        }
        let numbers = [add.input.get(1), clip.input.get(1), clip.input.get(2), divide.input.get(1)];
        let numbers = numbers.map(|name| self.number(name));
        let input = add.input.first()?;
        let wired = clip.input.first() == add.output.first()
            && multiply.input.first() == Some(input)
            && multiply.input.get(1) == clip.output.first()
            && divide.input.first() == multiply.output.first();
        let known = numbers == [Some(3.0), Some(0.0), Some(6.0), Some(6.0)];
        (wired && known).then_some((input.as_str(), divide.output.first()?.as_str()))
    }

    /// `x / sqrt(2)`, its error function, plus 1, times `x`, halved: names of the input and the output.
    fn gelu(&self, nodes: &'a [NodeProto]) -> Option<(&'a str, &'a str)> {
        let [divide, erf, add, multiply, halve, ..] = nodes else { return None };
        let kinds = [divide, erf, add, multiply, halve].map(|node| node.op_type.as_deref().unwrap_or(""));
        if kinds != ["Div", "Erf", "Add", "Mul", "Mul"] {
            return None;
        }
        let input = divide.input.first()?;
        let wired = erf.input.first() == divide.output.first()
            && add.input.first() == erf.output.first()
            && multiply.input.first() == Some(input)
            && multiply.input.get(1) == add.output.first()
            && halve.input.first() == multiply.output.first();
        let known = [(divide, std::f32::consts::SQRT_2), (add, 1.0), (halve, 0.5)]
            .iter()
            .all(|(node, number)| self.number(node.input.get(1)).is_some_and(|n| (n - number).abs() < 1e-5));
        (wired && known).then_some((input.as_str(), halve.output.first()?.as_str()))
    }

    /// A constant that is one number.
    fn number(&self, name: Option<&String>) -> Option<f32> {
        match self.file.constants.get(name?)?.values.as_slice() {
            &[number] => Some(number),
            _ => None,
        }
    }

    /// The one step that gives a value.
    fn place(&self, name: &str) -> Result<usize, String> {
        match self.places.get(name).map(Vec::as_slice) {
            Some(&[place]) => Ok(place),
            Some(_) => Err(format!("{name} is joined from parts")),
            None => Err(format!("{name} is unknown")),
        }
    }

    fn push(&mut self, work: Work, inputs: Vec<usize>, output: &'a str) {
        self.steps.push(Step { work, points: Vec::new(), inputs });
        self.places.insert(output, vec![self.steps.len()]);
    }

    fn function(&mut self, input: &'a str, point: Point, output: &'a str) -> Result<(), String> {
        let step = self.place(input)?;
        self.point(step, point, output, self.uses[input] == 1);
        Ok(())
    }

    /// Adds a function to the step that gives its input, where nothing else needs that.
    fn point(&mut self, step: usize, point: Point, output: &'a str, alone: bool) {
        if step == 0 || !alone {
            self.push(Work::Pass, vec![step], output);
        } else {
            self.places.insert(output, vec![step]);
        }
        let step = self.places[output][0];
        let points = &mut self.steps[step - 1].points;
        match (points.last_mut(), point) {
            (Some(Point::Affine(scale, shift)), Point::Affine(more, beyond)) => {
                let count =
                    [&*scale, &*shift, &more, &beyond].map(|values| values.len()).into_iter().max().unwrap_or(1);
                let at = |values: &[f32], c: usize| values[c % values.len()];
                let both: Vec<(f32, f32)> = (0..count)
                    .map(|c| (at(scale, c) * at(&more, c), at(shift, c) * at(&more, c) + at(&beyond, c)))
                    .collect();
                (*scale, *shift) = both.into_iter().unzip();
            }
            (_, point) => points.push(point),
        }
    }
}

/// A constant that is one number for all channels or one for each.
fn by_channel(constant: &Constant) -> Result<Vec<f32>, String> {
    let count = constant.values.len();
    let channels = match constant.shape.as_slice() {
        [] | [1] => count == 1,
        &[1, n, 1, 1] => n == count,
        shape => count == 1 && shape.iter().all(|&n| n == 1),
    };
    if channels && count > 0 { Ok(constant.values.clone()) } else { Err(format!("a constant of {:?}", constant.shape)) }
}
