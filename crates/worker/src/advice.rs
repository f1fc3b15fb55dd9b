//! Adds to the errors of libraries what a user of this program can do about them.

use layers::DecodeError;
use qwen_image_layered::plan::{Kind, NoPlan, Shortage, gigabytes};
use qwen_image_layered::{Degradation, Error, gpu};

/// The text for a picture that cannot be decoded.
pub(crate) fn decode(error: &DecodeError) -> String {
    match error.help() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    }
}

/// The text for a model that cannot be loaded or run.
pub(crate) fn model(error: &Error) -> String {
    match error {
        Error::NotFinite { .. } => format!("{error} (`unflatten pull` checks every file)"),
        _ => error.to_string(),
    }
}

/// The text for a GPU that cannot be used.
pub(crate) fn gpu(error: &gpu::Unusable) -> String {
    let advice = match error {
        gpu::Unusable::NotBuilt => "build it with --features cuda, or use --device cpu",
        gpu::Unusable::Libraries(_) => {
            "install the driver (580 or newer) and the CUDA 13 libraries (cuBLAS, cuRAND), or use --device cpu"
        }
        gpu::Unusable::Driver { .. } => "see nvidia-smi",
        gpu::Unusable::TooOld { .. } => "use --device cpu",
    };
    format!("{error}; {advice}")
}

/// The text for a job that no memory plan fits.
pub(crate) fn no_plan(error: &NoPlan) -> String {
    let shortage = match error {
        NoPlan::NoCandidates => return format!("{error}; fetch them with `unflatten pull`"),
        NoPlan::Shortage(shortage) => shortage,
    };
    let Shortage { workload, device, smallest, .. } = &**shortage;
    let mut advice = Vec::new();
    if workload.layers > 1 || workload.width * workload.height > 640 * 640 {
        advice.push("use fewer layers or resolution 640".to_owned());
    }
    if smallest.name != "q4_k_m" {
        advice.push("pull a smaller variant (`unflatten pull --variant q4_k_m`)".to_owned());
    }
    if device.free < device.total / 10 * 9 {
        let total = gigabytes(device.total);
        advice.push(format!("close the programs that use the rest of the {total} of {}", device.name));
    }
    advice.push(match device.kind {
        Kind::Cpu => "use --engine draft".to_owned(),
        _ => "use --device cpu (takes hours), or --engine draft".to_owned(),
    });
    format!("{error}; {}", advice.join(", or "))
}

/// One note on everything that made a run slower than it could have been; `None` if nothing did.
pub(crate) fn degradations(all: &[Degradation]) -> Option<String> {
    let sentence = |degradation: &Degradation| match degradation {
        Degradation::KernelsRejected { .. } => format!("{degradation}; please report it with the device's name"),
        Degradation::NotPageLocked { .. } => degradation.to_string(),
    };
    let sentences: Vec<String> = all.iter().map(sentence).collect();
    (!sentences.is_empty()).then(|| sentences.join("; "))
}

#[cfg(test)]
mod tests {
    use qwen_image_layered::KernelSet;
    use qwen_image_layered::plan::Workload;

    use super::*;
    use crate::model::tests::{gpu_of, synthetic_candidates};

    #[test]
    fn a_job_that_fits_nowhere_is_refused_with_advice() {
        let workload = Workload {
            width: 1024,
            height: 1024,
            layers: 10,
            steps: 50,
            calls: 50,
            guided: true,
            captioned: false,
            cached: false,
            lora_values: 0,
        };
        let mut small = gpu_of(4 << 30);
        small.free = 1 << 20;
        let text = no_plan(&synthetic_candidates(|candidates| {
            qwen_image_layered::plan::choose(&small, candidates, &workload).expect_err("a megabyte")
        }));
        for words in ["no plan fits", "0.0 GB are free", "fewer layers", "q4_k_m", "4.0 GB", "draft"] {
            assert!(text.contains(words), "{words} in {text}");
        }
        let text = no_plan(&NoPlan::NoCandidates);
        assert!(text.contains("pull"), "{text}");
    }

    #[test]
    fn a_gpu_that_cannot_be_used_comes_with_advice() {
        for error in [
            gpu::Unusable::NotBuilt,
            gpu::Unusable::Libraries(vec!["driver"]),
            gpu::Unusable::Driver { number: 1, reason: "no such device".to_owned() },
            gpu::Unusable::TooOld { name: "GTX 1080".to_owned(), capability: (6, 1) },
        ] {
            let text = gpu(&error);
            assert!(["--device cpu", "nvidia-smi"].iter().any(|advice| text.contains(advice)), "{text}");
        }
    }

    #[test]
    fn damaged_weights_come_with_the_command_that_checks_them() {
        let text = model(&Error::NotFinite { part: "transformer" });
        assert!(text.contains("transformer") && text.contains("unflatten pull"), "{text}");
    }

    #[test]
    fn degradations_become_one_note() {
        assert_eq!(degradations(&[]), None);
        let rejected = Degradation::KernelsRejected { kernels: KernelSet::Fused, reason: "they are off".to_owned() };
        let unlocked = Degradation::NotPageLocked { bytes: 1 << 30, reason: "refused".to_owned() };
        let text = degradations(&[rejected, unlocked]).expect("two");
        assert!(text.contains("please report it") && text.contains("1.0 GB"), "{text}");
    }
}
