//! Which of the weights that are here run, and how, on the memory that is free.

use qwen_image_layered::Params;
use qwen_image_layered::gpu::FLOAT8_CAPABILITY;
use qwen_image_layered::plan::{Candidate, DeviceInfo, Footprint, Kind, Plan, Workload, plans, refusal};

use super::{Located, ModelConfig, Precision};
use crate::advice;

/// A loaded model goes on while no other plan is this many times as fast: loading one takes long, too.
const WORTH_LOADING: f64 = 1.5;

/// The most plans that people are shown.
const SHOWN: usize = 4;

/// The weights that are here, measured once.
#[derive(Debug, Clone)]
pub struct Choices {
    measured: Vec<(String, Located, Footprint)>,
    /// Of weights that are here but cannot be measured: what is wrong with the first.
    broken: Option<String>,
}

impl Choices {
    /// Reads the headers of all of `located`, the finest first.
    pub fn measure(config: &ModelConfig, located: Vec<Located>) -> Self {
        let mut choices = Self { measured: Vec::new(), broken: None };
        for located in located {
            match Footprint::measure(&located.files, config.precision.into()) {
                Ok(footprint) => {
                    let name = located.variant.map_or_else(|| "folder".to_owned(), |variant| variant.to_string());
                    choices.measured.push((name, located, footprint));
                }
                Err(error) => {
                    tracing::warn!(%error, "weights are here that cannot be used");
                    choices.broken = choices.broken.or_else(|| Some(advice::model(&error)));
                }
            }
        }
        choices
    }

    /// The plans that fit, the fastest first; at least one.
    ///
    /// # Errors
    /// When none fits or the weights are broken; says what to do.
    pub fn plans(&self, card: &DeviceInfo, workload: &Workload) -> Result<Vec<Plan>, String> {
        if let (true, Some(broken)) = (self.measured.is_empty(), &self.broken) {
            return Err(broken.clone());
        }
        let candidates = self.candidates();
        let plans = plans(card, &candidates, workload);
        if plans.is_empty() { Err(advice::no_plan(&refusal(card, &candidates, workload))) } else { Ok(plans) }
    }

    /// The plans for another job on a device where the model is loaded as `loaded` says, that one first; `None` where
    /// it does not fit any more, or another would be so much faster that it is worth loading.
    pub fn with_loaded(&self, loaded: &Plan, card: &DeviceInfo, workload: &Workload) -> Option<Vec<Plan>> {
        let candidates = self.candidates();
        let same = Plan::new(card, &candidates, loaded.candidate, loaded.placement, workload)?;
        let others = plans(card, &candidates, workload);
        let fastest = others.first()?.seconds;
        let stays = same.fits(card) && same.seconds <= WORTH_LOADING * fastest;
        stays.then(|| std::iter::once(same).chain(others).collect())
    }

    pub(super) fn candidates(&self) -> Vec<Candidate<'_>> {
        self.measured.iter().map(|(name, _, footprint)| Candidate { name, footprint }).collect()
    }

    /// Why products under `plan` cannot be in fp8, where that is so.
    pub fn no_float8(&self, plan: &Plan, card: &DeviceInfo, precision: Precision) -> Option<&'static str> {
        let has = |(_, _, footprint): &(String, Located, Footprint)| footprint.float8;
        if !matches!(card.kind, Kind::Cuda { capability } if capability >= FLOAT8_CAPABILITY) {
            Some("it is for NVIDIA GPUs of compute capability 8.9 (Ada) and newer")
        } else if !self.measured.get(plan.candidate).is_some_and(has) {
            Some("these weights are not in fp8 (unflatten pull --variant fp8)")
        } else if precision != Precision::Bf16 {
            Some("it needs DTYPE=bf16")
        } else {
            None
        }
    }

    /// The weights that a plan is for.
    pub fn located(&self, plan: &Plan) -> Option<&Located> {
        self.measured.get(plan.candidate).map(|(_, located, _)| located)
    }
}

/// What a job with the usual parameters would be run with, for people: a line, and lines on the other plans.
/// `job_limit` is `JOB_MEMORY_LIMIT`.
///
/// # Errors
/// Why there is no plan, and what to do.
pub fn survey(config: &ModelConfig, job_limit: Option<u64>) -> Result<Vec<String>, String> {
    let located = config.locate_all().map_err(|absent| format!("{}; {}", absent.why, absent.fix))?;
    let card = config.device.card(config.device_limit, job_limit)?;
    // With a prompt; writing one takes more only while the text encoder works.
    let params = Params { prompt: "a poster".to_owned(), ..Params::default() };
    let workload = Workload::square(&params);
    let plans = Choices::measure(config, located).plans(&card, &workload)?;
    let fastest = plans.first().map_or(1.0, |plan| plan.seconds);
    let mut lines = Vec::new();
    let mut least = u64::MAX;
    for plan in plans {
        // Slower ones are of interest only where they need less.
        if plan.need.peak() >= least || lines.len() == SHOWN {
            continue;
        }
        least = plan.need.peak();
        lines.push(if lines.is_empty() {
            format!("{workload} on {}: {} ({})", card.name, plan.line(), plan.parts())
        } else {
            format!("or {}, about {:.1} times as long", plan.line(), plan.seconds / fastest)
        });
    }
    Ok(lines)
}
