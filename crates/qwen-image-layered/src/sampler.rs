//! Steps from noise to picture: Euler's and those of higher order, as diffusers 0.42.1 takes them on flow models.

use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Tensor};

use crate::{Error, Result, Schedule};

/// How the steps of a run are taken. Those of higher order come nearer to the exact path with as many calls of the
/// model, where the path is smooth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sampler {
    /// Straight on, one call a step: the model's own.
    #[default]
    Euler,
    /// Two calls a step but in the last: the mean of both ends' directions.
    Heun,
    /// UniPC (Zhao et al. 2023) of order 2 with `B(h) = e^h - 1`: one call a step, which also corrects the last one.
    UniPc,
    /// DPM-Solver++ (Lu et al. 2022) of order 2 over two steps, one call a step.
    DpmPp2m,
}

impl Sampler {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Euler, Self::Heun, Self::UniPc, Self::DpmPp2m];

    /// Its name in settings and parameters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Euler => "euler",
            Self::Heun => "heun",
            Self::UniPc => "unipc",
            Self::DpmPp2m => "dpmpp_2m",
        }
    }

    /// How often a run of `steps` steps calls the model, guidance aside.
    pub fn calls(self, steps: usize) -> usize {
        match self {
            Self::Heun => (2 * steps).saturating_sub(1),
            Self::Euler | Self::UniPc | Self::DpmPp2m => steps,
        }
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Sampler {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let unknown = || {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::Input(format!("there is no sampler `{name}`; choose one of {names}"))
        };
        Self::ALL.into_iter().find(|sampler| sampler.name() == name).ok_or_else(unknown)
    }
}

/// The steps of one run, which are taken in order.
#[derive(Debug)]
pub struct Sampling<'a> {
    schedule: &'a Schedule,
    sampler: Sampler,
    /// Of the step before, for samplers that look back.
    before: Option<Before>,
}

/// What a step leaves to the next.
#[derive(Debug)]
struct Before {
    /// The picture that the model saw in the noise, in f32.
    picture: Tensor,
    /// The one of the step before that.
    earlier: Option<Tensor>,
    /// The sample that the step began with, in f32.
    sample: Tensor,
    order: usize,
}

/// A sigma as the samplers in logarithms see it.
#[derive(Debug, Clone, Copy)]
struct Level {
    sigma: f64,
    /// `1 - sigma`
    alpha: f64,
    /// The logarithm of their ratio.
    lambda: f64,
}

impl<'a> Sampling<'a> {
    /// A run along `schedule`.
    ///
    /// # Errors
    /// When the sampler cannot run along it: those in logarithms need sigmas that fall from 1 to 0.
    pub fn new(sampler: Sampler, schedule: &'a Schedule) -> Result<Self> {
        let looks_back = matches!(sampler, Sampler::UniPc | Sampler::DpmPp2m);
        let falls =
            schedule.sigmas().windows(2).all(|pair| pair[0] > pair[1]) && schedule.sigmas().last() == Some(&0.0);
        if looks_back && !falls {
            return Err(Error::Input(format!(
                "the sampler {sampler} needs sigmas that fall to 0, and the scheduler config says otherwise; take euler"
            )));
        }
        Ok(Self { schedule, sampler, before: None })
    }

    /// Step `index` from `sample`: `velocity(x, timestep)` calls the model. In the type of what it gives.
    ///
    /// # Errors
    /// Those of `velocity`, and when shapes differ or the device fails.
    pub fn step(
        &mut self,
        index: usize,
        sample: &Tensor,
        velocity: &mut dyn FnMut(&Tensor, f32) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let prediction = velocity(sample, self.schedule.timesteps()[index])?;
        match self.sampler {
            Sampler::Euler => self.schedule.step(index, &prediction, sample),
            Sampler::Heun => self.heun(index, sample, &prediction, velocity),
            Sampler::UniPc => self.uni_pc(index, sample, &prediction),
            Sampler::DpmPp2m => self.dpm_pp_2m(index, sample, &prediction),
        }
    }

    fn heun(
        &self,
        index: usize,
        sample: &Tensor,
        prediction: &Tensor,
        velocity: &mut dyn FnMut(&Tensor, f32) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let end = self.schedule.step(index, prediction, sample)?;
        let Some(&timestep) = self.schedule.timesteps().get(index + 1) else { return Ok(end) };
        let at_end = velocity(&end, timestep)?;
        let mean = ((wide(prediction)? + wide(&at_end)?)? * 0.5)?;
        let sigmas = self.schedule.sigmas();
        let delta = f64::from(sigmas[index + 1] - sigmas[index]);
        Ok((wide(sample)? + (mean * delta)?)?.to_dtype(prediction.dtype())?)
    }

    fn dpm_pp_2m(&mut self, index: usize, sample: &Tensor, prediction: &Tensor) -> Result<Tensor> {
        let (from, to) = (self.level(index), self.level(index + 1));
        let wide_sample = wide(sample)?;
        let picture = self.picture(from, &wide_sample, prediction)?;
        let h = to.lambda - from.lambda;
        let grown = to.alpha * -(-h).exp_m1();
        let mut next = ((&wide_sample * (to.sigma / from.sigma))? + (&picture * grown)?)?;
        let last = index + 1 == self.schedule.steps();
        if let Some(before) = self.before.take().filter(|_| !last) {
            let ratio = (from.lambda - self.level(index - 1).lambda) / h;
            let slope = ((&picture - before.picture)? * (0.5 * grown / ratio))?;
            next = (next + slope)?;
        }
        self.before = Some(Before { picture, earlier: None, sample: wide_sample, order: 1 });
        Ok(next.to_dtype(prediction.dtype())?)
    }

    fn uni_pc(&mut self, index: usize, sample: &Tensor, prediction: &Tensor) -> Result<Tensor> {
        let (from, to) = (self.level(index), self.level(index + 1));
        let mut sample = wide(sample)?;
        let picture = self.picture(from, &sample, prediction)?;
        let before = self.before.take();
        if let Some(before) = &before {
            sample = self.corrected(index, before, &picture)?.to_dtype(prediction.dtype())?.to_dtype(DType::F32)?;
        }
        let left = self.schedule.steps() - index;
        let order = 2.min(left).min(before.as_ref().map_or(1, |_| 2));
        let h = to.lambda - from.lambda;
        let grown = to.alpha * -(-h).exp_m1();
        let mut next = ((&sample * (to.sigma / from.sigma))? + (&picture * grown)?)?;
        let earlier = before.map(|before| before.picture);
        if let (2, Some(earlier)) = (order, &earlier) {
            let ratio = (self.level(index - 1).lambda - from.lambda) / h;
            next = (next + ((earlier - &picture)? * (0.5 * grown / ratio))?)?;
        }
        self.before = Some(Before { picture, earlier, sample, order });
        Ok(next.to_dtype(prediction.dtype())?)
    }

    /// The sample that step `index` begins with, again, now that the `picture` there is known.
    fn corrected(&self, index: usize, before: &Before, picture: &Tensor) -> Result<Tensor> {
        let (from, to) = (self.level(index - 1), self.level(index));
        let h = to.lambda - from.lambda;
        let grown = to.alpha * -(-h).exp_m1();
        let begun = ((&before.sample * (to.sigma / from.sigma))? + (&before.picture * grown)?)?;
        let change = (picture - &before.picture)?;
        let (2, Some(earlier)) = (before.order, &before.earlier) else {
            return Ok((begun + (change * (0.5 * grown))?)?);
        };
        let ratio = (self.level(index - 2).lambda - from.lambda) / h;
        // B(h) is e^-h - 1: the first two functions phi, divided by it, and the two equations for the weights.
        let (bh, phi_1) = ((-h).exp_m1(), (-h).exp_m1() / -h);
        let phi_2 = (phi_1 - 1.0) / -h;
        let (b1, b2) = ((phi_1 - 1.0) / bh, 2.0 * (phi_2 - 0.5) / bh);
        let weight = (b2 - b1) / (ratio - 1.0);
        let slope = ((earlier - &before.picture)? * (grown * weight / ratio))?;
        Ok(((begun + slope)? + (change * (grown * (b1 - weight)))?)?)
    }

    /// What the model sees behind the noise: `sample - sigma * velocity`, in f32.
    fn picture(&self, level: Level, sample: &Tensor, prediction: &Tensor) -> Result<Tensor> {
        Ok((sample - (wide(prediction)? * level.sigma)?)?)
    }

    /// The first sigma is lowered by a millionth where it is 1, as in diffusers: its logarithm would be infinite.
    fn level(&self, index: usize) -> Level {
        let sigma = self.schedule.sigmas()[index];
        let sigma = if index == 0 && (sigma - 1.0).abs() < 1e-6 { (f64::from(sigma) - 1e-6) as f32 } else { sigma };
        let (sigma, alpha) = (f64::from(sigma), f64::from(1.0 - sigma));
        Level { sigma, alpha, lambda: alpha.ln() - sigma.ln() }
    }
}

fn wide(x: &Tensor) -> Result<Tensor> {
    Ok(x.to_dtype(DType::F32)?)
}
