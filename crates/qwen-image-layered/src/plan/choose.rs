use super::estimate::seconds;
use super::{BlockPlace, Card, Footprint, Kind, Need, Passes, Placement, TextPlace, Workload, estimate, gigabytes};

/// A checkpoint that could be used.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Short, such as `q5_k_m`.
    pub name: &'a str,
    pub footprint: &'a Footprint,
}

/// One way of running a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Which of the candidates.
    pub candidate: usize,
    pub name: String,
    pub placement: Placement,
    /// No matter of loading: a model is loaded alike for both.
    pub passes: Passes,
    pub need: Need,
    /// Bytes that were free for it.
    pub free: u64,
    /// Rough seconds of the job.
    pub seconds: f64,
    blocks: usize,
}

/// Why no plan fits, and what would help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NoPlan {
    text: String,
}

/// The estimate may be too low by this much; what is over would be found out in the middle of a job.
const MARGIN: f64 = 1.02;

/// Blocks on the device at a time: three let two be on their way while one works, two are the least.
const IN_FLIGHT: [usize; 2] = [3, 2];

impl Plan {
    /// Candidate `index` under `placement`, with both passes of a guided step together where there is room for that;
    /// `None` where there is no such candidate.
    pub fn new(
        card: &Card,
        candidates: &[Candidate],
        index: usize,
        placement: Placement,
        workload: &Workload,
    ) -> Option<Self> {
        let with = |passes| Self::with(card, candidates, index, placement, passes, workload);
        // On a processor it would only take more memory: products are as large as they need to be there.
        let possible = workload.guided && card.kind != Kind::Cpu;
        let together = if possible { with(Passes::Together).filter(|plan| plan.fits(card)) } else { None };
        together.or_else(|| with(Passes::InTurn))
    }

    /// As [`Plan::new`], with the passes as said.
    pub fn with(
        card: &Card,
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
            need: estimate(card, footprint, workload, placement, passes),
            free: card.free,
            seconds: seconds(card, footprint, workload, placement),
            blocks: footprint.blocks.len(),
        })
    }

    /// Whether a model that is loaded for `other` is loaded for this one.
    pub fn runs_as(&self, other: &Self) -> bool {
        (self.candidate, self.placement) == (other.candidate, other.placement)
    }

    /// "needs 21.3 GB, 23.1 GB free: plan q5_k_m, text encoder staged"
    pub fn line(&self) -> String {
        format!("needs {}, {} free: {}", gigabytes(self.need.peak()), gigabytes(self.free), self.short())
    }

    /// "plan q5_k_m, text encoder staged"
    pub fn short(&self) -> String {
        let passes = match self.passes {
            Passes::InTurn => "",
            Passes::Together => ", both passes together",
        };
        format!("plan {}, {}{passes}", self.name, self.placement.describe(self.blocks))
    }

    /// How much memory each part of the job takes, for those who want to know.
    pub fn parts(&self) -> String {
        let Need { text, denoise, decode, .. } = self.need;
        let parts = [("text", text), ("denoising", denoise), ("decoding", decode)];
        parts.map(|(part, bytes)| format!("{part} {}", gigabytes(bytes))).join(", ")
    }

    /// Whether `card` has the memory, with some to spare for what the estimate may lack.
    pub fn fits(&self, card: &Card) -> bool {
        fits(self.need.peak(), card.free) && fits(self.need.host, card.host_free)
    }
}

fn fits(need: u64, free: u64) -> bool {
    need as f64 * MARGIN <= free as f64
}

/// The fastest plan that fits.
///
/// # Errors
/// When none does: what the smallest would need, and what to do.
pub fn choose(card: &Card, candidates: &[Candidate], workload: &Workload) -> Result<Plan, NoPlan> {
    plans(card, candidates, workload).into_iter().next().ok_or_else(|| refusal(card, candidates, workload))
}

/// Every plan that fits, the fastest first; of equally fast ones that with the finer weights (the earlier candidate).
pub fn plans(card: &Card, candidates: &[Candidate], workload: &Workload) -> Vec<Plan> {
    let mut fitting: Vec<Plan> = all(card, candidates, workload).filter(|plan| plan.fits(card)).collect();
    fitting.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    fitting
}

/// One plan for each way of running each candidate, whether it fits or not; of streamed ones that with the most blocks
/// that fit.
fn all(card: &Card, candidates: &[Candidate], workload: &Workload) -> impl Iterator<Item = Plan> {
    let texts: &[TextPlace] = match card.kind {
        // There the host is the device.
        Kind::Cpu => &[TextPlace::Resident, TextPlace::Staged],
        _ => &[TextPlace::Resident, TextPlace::Staged, TextPlace::Host],
    };
    let indices = 0..candidates.len();
    let placed = indices.flat_map(move |index| texts.iter().map(move |&text| (index, text)));
    placed.flat_map(move |(index, text)| {
        let plan = |blocks| Plan::new(card, candidates, index, Placement { text, blocks }, workload);
        let streamed = IN_FLIGHT.map(|in_flight| {
            // As many blocks stay as fit; the last ones are no more than come in any case.
            let most = candidates[index].footprint.blocks.len().saturating_sub(in_flight);
            let streamed = |resident| plan(BlockPlace::Streamed { resident, in_flight });
            let fits = |resident: &usize| streamed(*resident).is_some_and(|plan| plan.fits(card));
            streamed((0..=most).rev().find(fits).unwrap_or(0))
        });
        std::iter::once(plan(BlockPlace::Resident)).chain(streamed).flatten().collect::<Vec<_>>()
    })
}

/// Why no plan fits: what the smallest would need, and what to do.
pub fn refusal(card: &Card, candidates: &[Candidate], workload: &Workload) -> NoPlan {
    let Some(least) = all(card, candidates, workload).min_by_key(|plan| plan.need.peak()) else {
        return NoPlan { text: "there are no weights to plan with; unflatten pull fetches them".to_owned() };
    };
    let (memory, need, free) = match card.kind {
        Kind::Cpu => ("memory", least.need.peak(), card.free),
        // It is the text encoder beside the GPU that finds no room.
        _ if fits(least.need.peak(), card.free) => ("the computer's own memory", least.need.host, card.host_free),
        _ => ("GPU memory", least.need.peak(), card.free),
    };
    let (need, free) = (gigabytes(need), gigabytes(free));
    let mut advice = Vec::new();
    if workload.layers > 1 || workload.width * workload.height > 640 * 640 {
        advice.push("use fewer layers or resolution 640".to_owned());
    }
    if least.name != "q4_k_m" {
        advice.push("pull a smaller variant (unflatten pull --variant q4_k_m)".to_owned());
    }
    if card.free < card.total / 10 * 9 {
        let total = gigabytes(card.total);
        advice.push(format!("close the programs that use the rest of {total} of {}", card.name));
    }
    advice.push(match card.kind {
        Kind::Cpu => "use --engine draft".to_owned(),
        _ => "use --device cpu, where it takes hours, or --engine draft".to_owned(),
    });
    let text = format!(
        "no plan fits {workload}: the smallest ({}) needs {need} of {memory}, {free} are free; {}",
        least.short(),
        advice.join(", or "),
    );
    NoPlan { text }
}
