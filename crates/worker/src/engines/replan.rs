//! A plan that turns out not to fit is explained, and the next smaller one is tried once.

use engine::{EngineError, FailureCode};
use qwen_image_layered::Error;
use qwen_image_layered::plan::Plan;

/// A plan that fits has to need less than this share of what did not.
const SMALLER: f64 = 0.92;

/// Runs the first of `plans`; when its memory does not suffice, the first that needs less, and no third. `told`
/// hears what happened. Other errors are answered by `explain`.
pub(super) fn run<T>(
    plans: &[Plan],
    mut attempt: impl FnMut(&Plan) -> Result<T, Error>,
    mut told: impl FnMut(String),
    explain: impl Fn(Error) -> EngineError,
) -> Result<T, EngineError> {
    let out_of_memory = |message: String| EngineError::failed(FailureCode::OutOfMemory, message);
    let Some(first) = plans.first() else {
        return Err(out_of_memory("there is no plan to run the model with".to_owned()));
    };
    match attempt(first) {
        Err(error) if error.is_out_of_memory() => {}
        other => return other.map_err(explain),
    }
    let limit = first.need.peak() as f64 * SMALLER;
    let Some(second) = plans.iter().find(|plan| (plan.need.peak() as f64) < limit) else {
        let message = format!(
            "memory ran out although the job {}, and no plan needs less; close other programs on the device, use \
             fewer layers or resolution 640, or a smaller variant (unflatten pull --variant q4_k_m)",
            first.line()
        );
        return Err(out_of_memory(message));
    };
    told(format!("memory ran out ({}); trying {}, which {}", first.short(), second.short(), needs(second)));
    match attempt(second) {
        Err(error) if error.is_out_of_memory() => {
            let message = format!(
                "memory ran out twice: with {} and with {}; something else uses the device's memory, see nvidia-smi, \
                 or set DEVICE_MEMORY_LIMIT lower",
                first.short(),
                second.short()
            );
            Err(out_of_memory(message))
        }
        other => other.map_err(explain),
    }
}

fn needs(plan: &Plan) -> String {
    format!("needs {}", qwen_image_layered::plan::gigabytes(plan.need.peak()))
}

#[cfg(test)]
mod tests {
    use qwen_image_layered::plan::Workload;

    use super::*;
    use crate::model::tests::{card, synthetic_choices};

    fn plans() -> Vec<Plan> {
        let workload =
            Workload { width: 2048, height: 2048, layers: 8, steps: 50, guided: true, captioned: false, cached: false };
        synthetic_choices().plans(&card(1 << 40), &workload).expect("everything fits")
    }

    fn full() -> Error {
        Error::Compute(candle_core::Error::Msg("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".to_owned()))
    }

    fn code(result: Result<u32, EngineError>) -> (FailureCode, String) {
        match result {
            Err(EngineError::Failed(failure)) => (failure.code, failure.message),
            other => panic!("{other:?}"),
        }
    }

    fn other(error: Error) -> EngineError {
        EngineError::failed(FailureCode::EngineFailed, error.to_string())
    }

    /// Sizes of which one is far below the others.
    fn two() -> Vec<Plan> {
        let mut plans = plans();
        plans.truncate(2);
        plans[1].need = qwen_image_layered::plan::Need { denoise: plans[0].need.peak() / 2, ..Default::default() };
        plans
    }

    #[test]
    fn the_next_plan_is_tried_once_and_told() {
        let plans = two();
        let mut told = Vec::new();
        let mut tried = Vec::new();
        let attempt = |plan: &Plan| {
            tried.push(plan.need.peak());
            if tried.len() == 1 { Err(full()) } else { Ok(7) }
        };
        assert_eq!(run(&plans, attempt, |text| told.push(text), other).expect("the second fits"), 7);
        assert_eq!(tried, [plans[0].need.peak(), plans[1].need.peak()]);
        assert!(told.len() == 1 && told[0].contains("memory ran out") && told[0].contains("trying plan"), "{told:?}");
    }

    #[test]
    fn there_is_no_third_try() {
        let mut count = 0;
        let mut plans = two();
        let mut third = plans[1].clone();
        third.need = Default::default();
        plans.push(third);
        let attempt = |_: &Plan| -> Result<u32, Error> {
            count += 1;
            Err(full())
        };
        let (kind, message) = code(run(&plans, attempt, |_| {}, other));
        assert_eq!((kind, count), (FailureCode::OutOfMemory, 2));
        assert!(message.contains("DEVICE_MEMORY_LIMIT"), "{message}");
    }

    #[test]
    fn without_a_smaller_plan_and_on_other_errors_nothing_is_tried_again() {
        let plans = &two()[..1];
        let (kind, message) = code(run(plans, |_| Err(full()), |_| {}, other));
        assert_eq!(kind, FailureCode::OutOfMemory);
        assert!(message.contains("no plan needs less"), "{message}");
        let mut count = 0;
        let attempt = |_: &Plan| {
            count += 1;
            Err(Error::Input("odd".to_owned()))
        };
        assert_eq!(code(run(&two(), attempt, |_| {}, other)), (FailureCode::EngineFailed, "odd".to_owned()));
        assert_eq!(count, 1);
    }
}
