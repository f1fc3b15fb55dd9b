//! The noise schedule and Euler step of `FlowMatchEulerDiscreteScheduler` (diffusers 0.42.1).

use candle_core::{DType, Tensor};
use serde::{Deserialize, Deserializer};

use crate::{Error, Result};

/// `scheduler/scheduler_config.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SchedulerConfig {
    /// Timestep that stands for pure noise, 1000.
    pub num_train_timesteps: u32,
    /// Shift of the sigmas where it does not depend on the resolution; above 0.
    pub shift: f64,
    /// Whether the shift depends on the number of tokens.
    pub use_dynamic_shifting: bool,
    /// How a dynamic shift is applied.
    pub time_shift_type: TimeShift,
    /// Whether sigmas run from 0 to 1 instead of from 1 to 0.
    pub invert_sigmas: bool,
    /// The last sigma of the shifted schedule; the published file says `false`.
    #[serde(deserialize_with = "number_or_none")]
    pub shift_terminal: Option<f64>,
    /// Whether sigmas are spaced as by Karras et al. (2022), with rho 7.
    pub use_karras_sigmas: bool,
    /// Whether sigmas are spaced evenly in their logarithm.
    pub use_exponential_sigmas: bool,
    /// Not supported.
    pub use_beta_sigmas: bool,
    /// Not supported.
    pub stochastic_sampling: bool,
}

/// How a dynamic shift `mu` is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeShift {
    /// `e^mu / (e^mu + (1 / sigma - 1))`
    Exponential,
    /// `mu / (mu + (1 / sigma - 1))`
    Linear,
}

/// A number, null or a bool. Python treats `false` as unset and `true` as 1.
fn number_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value {
        Bool(bool),
        Number(f64),
        Null(()),
    }
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(true) => Some(1.0),
        Value::Number(number) if number != 0.0 => Some(number),
        Value::Bool(false) | Value::Number(_) | Value::Null(()) => None,
    })
}

impl SchedulerConfig {
    /// Checks that the schedule is supported.
    ///
    /// # Errors
    /// Names the field that is not.
    pub fn check(&self) -> Result<()> {
        let reject = |field: &str| {
            Err(Error::Input(format!("the scheduler config sets `{field}`, which is not supported; set it to false")))
        };
        if self.use_beta_sigmas {
            return reject("use_beta_sigmas");
        }
        if self.stochastic_sampling {
            return reject("stochastic_sampling");
        }
        if self.use_karras_sigmas && self.use_exponential_sigmas {
            return reject("use_exponential_sigmas");
        }
        let other = "take the scheduler config that belongs to the model";
        if let Some(terminal) = self.shift_terminal.filter(|terminal| !(0.0..1.0).contains(terminal)) {
            let text = format!("the scheduler config sets `shift_terminal` to {terminal}, which leaves no schedule");
            return Err(Error::Input(format!("{text}; {other}")));
        }
        if self.num_train_timesteps == 0 || !(self.shift.is_finite() && self.shift > 0.0) {
            return Err(Error::Input(format!("`num_train_timesteps` and `shift` have to be above 0; {other}")));
        }
        Ok(())
    }
}

/// The sigmas of one run.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// One for the start of each step, and one for the end of the last.
    sigmas: Vec<f32>,
    /// The sigmas of the steps in units of `num_train_timesteps`.
    timesteps: Vec<f32>,
}

impl Schedule {
    /// The schedule of `steps` steps for a picture of `tokens` latent tokens a frame.
    ///
    /// # Errors
    /// When `steps` is 0 or the config asks for something that is not supported.
    pub fn new(config: &SchedulerConfig, steps: usize, tokens: usize) -> Result<Self> {
        config.check()?;
        if steps == 0 {
            return Err(Error::Input("at least one denoising step is needed".into()));
        }
        // numpy computes `linspace` in f64 and casts; the shifts stay in f32.
        let uniform = (0..steps).map(|i| linspace(1.0, 0.0, i, steps + 1) as f32);
        let mu = (tokens as f64 / 256.0).sqrt();
        let mut sigmas: Vec<f32> = uniform.map(|sigma| shift(config, mu, sigma)).collect();
        if let Some(terminal) = config.shift_terminal {
            stretch(&mut sigmas, terminal);
        }
        if config.use_karras_sigmas {
            sigmas = karras(&sigmas);
        } else if config.use_exponential_sigmas {
            sigmas = exponential(&sigmas);
        }
        let mut end = 0.0;
        if config.invert_sigmas {
            sigmas.iter_mut().for_each(|sigma| *sigma = 1.0 - *sigma);
            end = 1.0;
        }
        let timesteps = sigmas.iter().map(|sigma| sigma * config.num_train_timesteps as f32).collect();
        sigmas.push(end);
        Ok(Self { sigmas, timesteps })
    }

    /// The schedule of Layered-Control, as DiffSynth runs it: an exponential shift by the `tokens` of a frame (a fixed
    /// one without them), stretched to end at 0.02.
    ///
    /// # Errors
    /// When `steps` is 0.
    pub fn control(steps: usize, tokens: Option<usize>) -> Result<Self> {
        const TERMINAL: f64 = 0.02;
        const FIXED: f64 = 0.8;
        if steps == 0 {
            return Err(Error::Input("at least one denoising step is needed".into()));
        }
        // From 0.5 at 256 tokens to 0.9 at 8192.
        let by_tokens = |tokens: usize| 0.5 + 0.4 * (tokens as f64 - 256.0) / (8192.0 - 256.0);
        let factor = tokens.map_or(FIXED, by_tokens).exp() as f32;
        let shifted = (0..steps).map(|i| {
            let sigma = linspace(1.0, 0.0, i, steps + 1) as f32;
            factor / (factor + (1.0 / sigma - 1.0))
        });
        let mut sigmas: Vec<f32> = shifted.collect();
        stretch(&mut sigmas, TERMINAL);
        let timesteps = sigmas.iter().map(|sigma| sigma * 1000.0).collect();
        sigmas.push(0.0);
        Ok(Self { sigmas, timesteps })
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.timesteps.len()
    }

    /// Noise levels: one for the start of each step, and one for the end of the last.
    pub fn sigmas(&self) -> &[f32] {
        &self.sigmas
    }

    /// The timestep of each step, 0 to `num_train_timesteps`.
    pub fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    /// The Euler step `x + (sigma' - sigma) * v`, computed in f32 and returned in the prediction's type.
    ///
    /// # Errors
    /// When shapes differ or the device fails.
    pub fn step(&self, index: usize, prediction: &Tensor, sample: &Tensor) -> Result<Tensor> {
        let delta = f64::from(self.sigmas[index + 1] - self.sigmas[index]);
        // torch multiplies the prediction by a 0-dim f32 tensor, in the prediction's own type.
        let change = (prediction * delta)?.to_dtype(DType::F32)?;
        Ok((sample.to_dtype(DType::F32)? + change)?.to_dtype(prediction.dtype())?)
    }
}

fn shift(config: &SchedulerConfig, mu: f64, sigma: f32) -> f32 {
    if !config.use_dynamic_shifting {
        let shift = config.shift as f32;
        return shift * sigma / (1.0 + (shift - 1.0) * sigma);
    }
    let mu = match config.time_shift_type {
        TimeShift::Linear => mu,
        TimeShift::Exponential => mu.exp(),
    } as f32;
    mu / (mu + (1.0 / sigma - 1.0))
}

/// Stretches the schedule so that it ends at `terminal`. A schedule of the single
/// sigma 1 cannot be stretched (the reference gets NaN) and stays as it is.
fn stretch(sigmas: &mut [f32], terminal: f64) {
    let Some(&last) = sigmas.last() else { return };
    if last == 1.0 {
        return;
    }
    let factor = (1.0 - last) / (1.0 - terminal) as f32;
    sigmas.iter_mut().for_each(|sigma| *sigma = 1.0 - (1.0 - *sigma) / factor);
}

fn karras(sigmas: &[f32]) -> Vec<f32> {
    const RHO: f64 = 7.0;
    let (max, min) = (f64::from(sigmas[0]).powf(1.0 / RHO), f64::from(sigmas[sigmas.len() - 1]).powf(1.0 / RHO));
    (0..sigmas.len()).map(|i| (max + linspace(0.0, 1.0, i, sigmas.len()) * (min - max)).powf(RHO) as f32).collect()
}

fn exponential(sigmas: &[f32]) -> Vec<f32> {
    let (max, min) = (f64::from(sigmas[0]).ln(), f64::from(sigmas[sigmas.len() - 1]).ln());
    (0..sigmas.len()).map(|i| linspace(max, min, i, sigmas.len()).exp() as f32).collect()
}

/// Element `i` of `numpy.linspace(start, stop, count)`.
fn linspace(start: f64, stop: f64, i: usize, count: usize) -> f64 {
    if count > 1 { start + i as f64 * ((stop - start) / (count - 1) as f64) } else { start }
}
