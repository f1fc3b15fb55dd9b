//! Chooses weights and memory plan for the memory that is free.

use qwen_image_layered::Params;
use qwen_image_layered::gpu::FLOAT8_CAPABILITY;
use qwen_image_layered::plan::{Candidate, DeviceInfo, Footprint, Kind, Plan, Workload, plans, refusal};

use super::{LocalWeights, ModelConfig, Precision};
use crate::advice;

/// A loaded model is kept unless another plan is this many times as fast: loading takes long, too.
const MIN_SPEEDUP_TO_RELOAD: f64 = 1.5;

/// The most plans that `doctor` shows.
const MAX_SHOWN_PLANS: usize = 4;

/// The weights on this machine, each measured once.
#[derive(Debug, Clone)]
pub struct WeightCandidates {
    measured: Vec<(String, LocalWeights, Footprint)>,
    /// What is wrong with the first weights that cannot be measured.
    error: Option<String>,
}

impl WeightCandidates {
    /// Reads the headers of `located`, the most precise first.
    pub fn measure(config: &ModelConfig, located: Vec<LocalWeights>) -> Self {
        let mut choices = Self { measured: Vec::new(), error: None };
        for located in located {
            match Footprint::measure(&located.files, config.precision.into()) {
                Ok(footprint) => {
                    let name = located.variant.map_or_else(|| "folder".to_owned(), |variant| variant.to_string());
                    choices.measured.push((name, located, footprint));
                }
                Err(error) => {
                    tracing::warn!(%error, "weights cannot be used; skipping them");
                    choices.error = choices.error.or_else(|| Some(advice::model(&error)));
                }
            }
        }
        choices
    }

    /// Finds the plans that fit, the fastest first; at least one.
    ///
    /// # Errors
    /// When none fits or the weights are damaged; says what to do.
    pub fn plans(&self, device: &DeviceInfo, workload: &Workload) -> Result<Vec<Plan>, String> {
        if let (true, Some(error)) = (self.measured.is_empty(), &self.error) {
            return Err(error.clone());
        }
        let candidates = self.candidates();
        let plans = plans(device, &candidates, workload);
        if plans.is_empty() { Err(advice::no_plan(&refusal(device, &candidates, workload))) } else { Ok(plans) }
    }

    /// Finds the plans for a job while a model is loaded under `loaded`: that plan first, then the others. `None` if the
    /// loaded plan no longer fits, or another is so much faster that it is worth loading.
    pub fn with_loaded(&self, loaded: &Plan, device: &DeviceInfo, workload: &Workload) -> Option<Vec<Plan>> {
        let candidates = self.candidates();
        let same = Plan::new(device, &candidates, loaded.candidate, loaded.placement, workload)?;
        let others = plans(device, &candidates, workload);
        let fastest = others.first()?.seconds;
        let stays = same.fits(device) && same.seconds <= MIN_SPEEDUP_TO_RELOAD * fastest;
        stays.then(|| std::iter::once(same).chain(others).collect())
    }

    pub(super) fn candidates(&self) -> Vec<Candidate<'_>> {
        self.measured.iter().map(|(name, _, footprint)| Candidate { name, footprint }).collect()
    }

    /// Why matrix products cannot be computed in fp8 under `plan`; `None` if they can.
    pub fn float8_obstacle(&self, plan: &Plan, device: &DeviceInfo, precision: Precision) -> Option<&'static str> {
        let has = |(_, _, footprint): &(String, LocalWeights, Footprint)| footprint.float8;
        if !matches!(device.kind, Kind::Cuda { capability } if capability >= FLOAT8_CAPABILITY) {
            Some("it needs an NVIDIA GPU of compute capability 8.9 (Ada) or newer")
        } else if !self.measured.get(plan.candidate).is_some_and(has) {
            Some("it needs fp8 weights (unflatten pull --variant fp8)")
        } else if precision != Precision::Bf16 {
            Some("it needs DTYPE=bf16")
        } else {
            None
        }
    }

    /// The weights of a plan.
    pub fn located(&self, plan: &Plan) -> Option<&LocalWeights> {
        self.measured.get(plan.candidate).map(|(_, located, _)| located)
    }
}

/// Describes the plan for a job with default parameters, and the alternatives that need less memory, one line each.
/// `job_limit` is `JOB_MEMORY_LIMIT` in bytes.
///
/// # Errors
/// Why there is no plan, and what to do.
pub fn describe_plans(config: &ModelConfig, job_limit: Option<u64>) -> Result<Vec<String>, String> {
    let located = config.locate_all().map_err(|absent| format!("{}; {}", absent.why, absent.fix))?;
    let device = config.device.info(config.device_limit, job_limit)?;
    // With a prompt: captioning needs more memory only while the text encoder runs.
    let params = Params { prompt: "a poster".to_owned(), ..Params::default() };
    let workload = Workload::square(&params);
    let plans = WeightCandidates::measure(config, located).plans(&device, &workload)?;
    let fastest = plans.first().map_or(1.0, |plan| plan.seconds);
    let mut lines = Vec::new();
    let mut least = u64::MAX;
    for plan in plans {
        // A slower plan is of interest only if it needs less memory.
        if plan.need.peak() >= least || lines.len() == MAX_SHOWN_PLANS {
            continue;
        }
        least = plan.need.peak();
        lines.push(if lines.is_empty() {
            format!("{workload} on {}: {} ({})", device.name, plan.line(), plan.parts())
        } else {
            format!("or {}, about {:.1} times the duration", plan.line(), plan.seconds / fastest)
        });
    }
    Ok(lines)
}
