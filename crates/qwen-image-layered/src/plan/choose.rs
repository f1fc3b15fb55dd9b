use std::fmt;

use super::estimate::seconds;
use super::{
    BlockPlace, DeviceInfo, Footprint, Kind, Need, Passes, Placement, TextPlace, Workload, estimate, gigabytes,
};

/// A checkpoint that could be used.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Short, such as `q5_k_m`.
    pub name: &'a str,
    /// How large its parts are.
    pub footprint: &'a Footprint,
}

/// One way of running a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Position of the checkpoint among the candidates.
    pub candidate: usize,
    /// Name of the checkpoint.
    pub name: String,
    /// Where the parts of the model are.
    pub placement: Placement,
    /// How the passes of a guided step run. It does not affect how the model is loaded.
    pub passes: Passes,
    /// The memory that it takes.
    pub need: Need,
    /// Bytes that were free for it.
    pub free: u64,
    /// Estimated seconds of the job; good enough to compare plans.
    pub seconds: f64,
    blocks: usize,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoPlan {
    /// There are no candidates.
    #[error("there are no weights to plan with")]
    NoCandidates,
    /// None of the candidates fits under any placement.
    #[error(transparent)]
    Shortage(Box<Shortage>),
}

/// How far the smallest plan is from fitting.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "no plan fits {workload}: the smallest ({}) needs {} of {memory}, {} are free",
    .smallest.short(), gigabytes(*.need), gigabytes(*.free)
)]
pub struct Shortage {
    /// The job.
    pub workload: Workload,
    /// The device.
    pub device: DeviceInfo,
    /// The plan with the smallest peak.
    pub smallest: Plan,
    /// Which memory is short.
    pub memory: Memory,
    /// Bytes of it that the smallest plan needs.
    pub need: u64,
    /// Bytes of it that are free.
    pub free: u64,
}

/// A kind of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// The computer's memory, with the CPU as the device.
    Cpu,
    /// The memory of a GPU.
    Gpu,
    /// The computer's memory, beside a GPU.
    Host,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "memory",
            Self::Gpu => "GPU memory",
            Self::Host => "the computer's own memory",
        })
    }
}

/// The estimate may be too low by this factor; without it, memory could run out in the middle of a job.
const MARGIN: f64 = 1.02;

/// Blocks on the device at a time: with three, two are on their way while one is used; two is the minimum.
const IN_FLIGHT: [usize; 2] = [3, 2];

impl Plan {
    /// Candidate `index` under `placement`, with both passes of a guided step batched if there is room for that; `None` if
    /// there is no such candidate.
    pub fn new(
        device: &DeviceInfo,
        candidates: &[Candidate],
        index: usize,
        placement: Placement,
        workload: &Workload,
    ) -> Option<Self> {
        let with = |passes| Self::with(device, candidates, index, placement, passes, workload);
        // On a CPU it would only take more memory: its products are large enough as they are.
        let possible = workload.guided && device.kind != Kind::Cpu;
        let batched = if possible { with(Passes::Batched).filter(|plan| plan.fits(device)) } else { None };
        batched.or_else(|| with(Passes::Sequential))
    }

    /// As [`Plan::new`], with given passes.
    pub fn with(
        device: &DeviceInfo,
        candidates: &[Candidate],
        index: usize,
        placement: Placement,
        passes: Passes,
        workload: &Workload,
    ) -> Option<Self> {
        let Candidate { name, footprint } = *candidates.get(index)?;
        Some(Self {
            candidate: index,
            name: name.to_owned(),
            placement,
            passes,
            need: estimate(device, footprint, workload, placement, passes),
            free: device.free,
            seconds: seconds(device, footprint, workload, placement),
            blocks: footprint.blocks.len(),
        })
    }

    /// Whether a model that is loaded for `other` can run this one.
    pub fn runs_as(&self, other: &Self) -> bool {
        (self.candidate, self.placement) == (other.candidate, other.placement)
    }

    /// In one line: `needs 21.3 GB, 23.1 GB free: plan q5_k_m, text encoder staged`.
    pub fn line(&self) -> String {
        format!("needs {}, {} free: {}", gigabytes(self.need.peak()), gigabytes(self.free), self.short())
    }

    /// In short: `plan q5_k_m, text encoder staged`.
    pub fn short(&self) -> String {
        let passes = match self.passes {
            Passes::Sequential => "",
            Passes::Batched => ", both passes batched",
        };
        format!("plan {}, {}{passes}", self.name, self.placement.describe(self.blocks))
    }

    /// Memory of each part of the job: `text 16.1 GB, denoising 41.0 GB, decoding 39.2 GB`.
    pub fn parts(&self) -> String {
        let Need { text, denoise, decode, .. } = self.need;
        let parts = [("text", text), ("denoising", denoise), ("decoding", decode)];
        parts.map(|(part, bytes)| format!("{part} {}", gigabytes(bytes))).join(", ")
    }

    /// Whether `device` has the memory, with a margin for the error of the estimate.
    pub fn fits(&self, device: &DeviceInfo) -> bool {
        fits(self.need.peak(), device.free) && fits(self.need.host, device.host_free)
    }
}

fn fits(need: u64, free: u64) -> bool {
    need as f64 * MARGIN <= free as f64
}

/// The fastest plan that fits.
///
/// # Errors
/// When none does: what is short.
pub fn choose(device: &DeviceInfo, candidates: &[Candidate], workload: &Workload) -> Result<Plan, NoPlan> {
    plans(device, candidates, workload).into_iter().next().ok_or_else(|| refusal(device, candidates, workload))
}

/// Every plan that fits, the fastest first; of equally fast ones the earlier candidate comes first.
pub fn plans(device: &DeviceInfo, candidates: &[Candidate], workload: &Workload) -> Vec<Plan> {
    let mut fitting: Vec<Plan> = all(device, candidates, workload).filter(|plan| plan.fits(device)).collect();
    fitting.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    fitting
}

/// One plan for each placement of each candidate, whether it fits or not; streamed ones with as many resident blocks as
/// fit.
fn all(device: &DeviceInfo, candidates: &[Candidate], workload: &Workload) -> impl Iterator<Item = Plan> {
    let texts: &[TextPlace] = match device.kind {
        // The host is the device.
        Kind::Cpu => &[TextPlace::Resident, TextPlace::Staged],
        _ => &[TextPlace::Resident, TextPlace::Staged, TextPlace::Host],
    };
    let indices = 0..candidates.len();
    let placed = indices.flat_map(move |index| texts.iter().map(move |&text| (index, text)));
    placed.flat_map(move |(index, text)| {
        let plan = |blocks| Plan::new(device, candidates, index, Placement { text, blocks }, workload);
        let streamed = IN_FLIGHT.map(|in_flight| {
            // As many blocks stay as fit, but the last ones are streamed in any case.
            let most = candidates[index].footprint.blocks.len().saturating_sub(in_flight);
            let streamed = |resident| plan(BlockPlace::Streamed { resident, in_flight });
            let fits = |resident: &usize| streamed(*resident).is_some_and(|plan| plan.fits(device));
            streamed((0..=most).rev().find(fits).unwrap_or(0))
        });
        std::iter::once(plan(BlockPlace::Resident)).chain(streamed).flatten().collect::<Vec<_>>()
    })
}

/// Why no plan fits.
pub fn refusal(device: &DeviceInfo, candidates: &[Candidate], workload: &Workload) -> NoPlan {
    let Some(smallest) = all(device, candidates, workload).min_by_key(|plan| plan.need.peak()) else {
        return NoPlan::NoCandidates;
    };
    let (memory, need, free) = match device.kind {
        Kind::Cpu => (Memory::Cpu, smallest.need.peak(), device.free),
        // Only the text encoder in the computer's memory does not fit.
        _ if fits(smallest.need.peak(), device.free) => (Memory::Host, smallest.need.host, device.host_free),
        _ => (Memory::Gpu, smallest.need.peak(), device.free),
    };
    NoPlan::Shortage(Box::new(Shortage { workload: *workload, device: device.clone(), smallest, memory, need, free }))
}
