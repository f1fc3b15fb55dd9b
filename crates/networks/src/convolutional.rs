//! Networks of convolutions, sums and functions of single values.

use std::sync::OnceLock;

use crate::NetworkError;
use crate::convolution::{Map, Stop};
use crate::layers::{combined, mean, peaks, repeated};
use crate::plan::{Step, Work, plan};

/// A network in ONNX of convolutions, sums and pointwise functions, such as DBNet.
pub struct Convolutional {
    bytes: &'static [u8],
    loaded: OnceLock<Result<Vec<Step>, String>>,
}

impl Convolutional {
    /// The network. It is parsed at its first run.
    pub const fn new(bytes: &'static [u8]) -> Self {
        Self { bytes, loaded: OnceLock::new() }
    }

    /// The network's first output for `picture`. `stopped` is called at each row.
    ///
    /// # Errors
    /// [`NetworkError::Stopped`] if `stopped` returned true; otherwise why the file cannot be run.
    pub fn run(&self, picture: Map, stopped: Stop) -> Result<Map, NetworkError> {
        let loaded = self.loaded.get_or_init(|| plan(self.bytes));
        let steps = loaded.as_ref().map_err(|why| NetworkError::Failed(why.clone()))?;
        // The step that uses each value last.
        let mut last = vec![0; steps.len() + 1];
        for (number, step) in steps.iter().enumerate() {
            step.inputs.iter().for_each(|&input| last[input] = number);
        }
        let mut values: Vec<Option<Map>> = vec![Some(picture)];
        for (number, step) in steps.iter().enumerate() {
            let inputs: Option<Vec<&Map>> = step.inputs.iter().map(|&input| values[input].as_ref()).collect();
            let inputs = inputs.ok_or_else(|| NetworkError::Failed("a value is used before it is made".to_owned()))?;
            let value = step.run(&inputs, stopped)?;
            values.push(Some(value));
            step.inputs.iter().filter(|&&input| last[input] == number).for_each(|&input| values[input] = None);
        }
        values.pop().flatten().ok_or_else(|| NetworkError::Failed("it has no output".to_owned()))
    }
}

impl Step {
    fn run(&self, inputs: &[&Map], stopped: Stop) -> Result<Map, NetworkError> {
        if stopped() {
            return Err(NetworkError::Stopped);
        }
        let first = inputs[0];
        let unfit = || NetworkError::Failed("the sizes of two maps do not match".to_owned());
        let check = |fits: bool| if fits { Ok(()) } else { Err(unfit()) };
        let channels = inputs.iter().map(|map| map.channels).sum::<usize>();
        let finish = |row: &mut [f32], channels: usize| self.points.iter().for_each(|point| point.apply(row, channels));
        let mut made = match &self.work {
            Work::Convolve(convolution) => {
                let alike = inputs.iter().all(|map| (map.height, map.width) == (first.height, first.width));
                check(channels == convolution.inputs() && alike)?;
                return convolution.run(inputs, stopped, |_, row| finish(row, convolution.outputs()));
            }
            Work::Depthwise(depthwise) => {
                check(channels == depthwise.channels())?;
                return Ok(depthwise.run(first, |row| finish(row, channels)));
            }
            Work::Double(doubling) => {
                check(channels == doubling.inputs())?;
                return doubling.run(first, stopped, |row| finish(row, doubling.outputs()));
            }
            Work::Mean => mean(first),
            Work::Peak => peaks(first),
            Work::Repeat(times) => repeated(first, *times),
            Work::Add | Work::Multiply => {
                let second = inputs[1];
                let alike = (first.height, first.width) == (second.height, second.width);
                check(first.channels == second.channels && (alike || second.height * second.width == 1))?;
                match self.work {
                    Work::Add => combined(first, second, |a, b| a + b),
                    _ => combined(first, second, |a, b| a * b),
                }
            }
            Work::Pass => first.clone(),
        };
        let channels = made.channels;
        finish(&mut made.values, channels);
        Ok(made)
    }
}
