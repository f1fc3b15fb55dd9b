use service::{SettingError, Settings, Variable};

use crate::{LayerCount, Params, Resolution};

pub(crate) const DEFAULT_NUM_LAYERS: Variable =
    Variable { name: "DEFAULT_NUM_LAYERS", default: "4", about: "Default number of layers: 1 to 64, or auto" };
pub(crate) const DEFAULT_RESOLUTION: Variable = Variable {
    name: "DEFAULT_RESOLUTION",
    default: "640",
    about: "Default working size of the diffusion model: 640 or 1024",
};
pub(crate) const INFERENCE_STEPS: Variable =
    Variable { name: "INFERENCE_STEPS", default: "50", about: "Default number of denoising steps: 1 to 200" };
pub(crate) const MAX_PIXELS: Variable =
    Variable { name: "MAX_PIXELS", default: "64000000", about: "Largest picture in pixels, width times height" };

/// Defaults for parameters that a job request does not contain, shared by the API and the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobDefaults {
    /// `DEFAULT_NUM_LAYERS`.
    pub num_layers: LayerCount,
    /// `DEFAULT_RESOLUTION`.
    pub resolution: Resolution,
    /// `INFERENCE_STEPS`.
    pub steps: u32,
    /// `MAX_PIXELS`: the largest picture, width times height.
    pub max_pixels: u64,
}

impl JobDefaults {
    /// # Errors
    /// When a setting is malformed or out of range.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let defaults = Self {
            num_layers: settings.require(&DEFAULT_NUM_LAYERS)?,
            resolution: Resolution(settings.require(&DEFAULT_RESOLUTION)?),
            steps: settings.require(&INFERENCE_STEPS)?,
            max_pixels: settings.number(&MAX_PIXELS, 1..)?,
        };
        // A default out of range would fail every job that uses it.
        let params = Params { steps: Some(defaults.steps), resolution: Some(defaults.resolution), ..Params::default() };
        if let Err(err) = params.validate() {
            let variable = if err.field == "steps" { &INFERENCE_STEPS } else { &DEFAULT_RESOLUTION };
            return Err(variable.refuse(settings.text(variable).unwrap_or_default(), err.problem));
        }
        Ok(defaults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound() {
        let defaults = JobDefaults::from_settings(&Settings::from_pairs([])).expect("defaults");
        assert_eq!((defaults.num_layers, defaults.steps), (LayerCount::Exactly(4), 50));
        assert_eq!((defaults.resolution, defaults.max_pixels), (Resolution(640), 64_000_000));
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        for (name, value) in
            [("MAX_PIXELS", "0"), ("DEFAULT_NUM_LAYERS", "65"), ("DEFAULT_RESOLUTION", "641"), ("INFERENCE_STEPS", "0")]
        {
            let error = JobDefaults::from_settings(&Settings::from_pairs([(name, value)])).expect_err(value);
            assert_eq!(error.name, name);
        }
    }
}
