//! Retries once with a smaller memory plan when memory runs out.

use engine::{EngineError, FailureCode};
use qwen_image_layered::Error;
use qwen_image_layered::plan::Plan;

/// The second plan has to need less than this share of the first one's memory.
const MAX_NEED_RATIO: f64 = 0.92;

/// Runs the first of `plans`; when memory runs out, calls `notify` and runs the first plan that needs less, but no third.
/// `to_engine_error` converts all other errors.
pub(super) fn run<T>(
    plans: &[Plan],
    mut attempt: impl FnMut(&Plan) -> Result<T, Error>,
    mut notify: impl FnMut(String),
    to_engine_error: impl Fn(Error) -> EngineError,
) -> Result<T, EngineError> {
    let out_of_memory = |message: String| EngineError::failed(FailureCode::OutOfMemory, message);
    let Some(first) = plans.first() else {
        return Err(out_of_memory("there is no plan to run the model with; please report this bug".to_owned()));
    };
    match attempt(first) {
        Err(error) if error.is_out_of_memory() => {}
        other => return other.map_err(to_engine_error),
    }
    let limit = first.need.peak() as f64 * MAX_NEED_RATIO;
    let Some(second) = plans.iter().find(|plan| (plan.need.peak() as f64) < limit) else {
        let message = format!(
            "memory ran out although the job {}, and no plan needs less; close other programs on the device, use \
             fewer layers or resolution 640, or pull a smaller variant (unflatten pull --variant q4_k_m)",
            first.line()
        );
        return Err(out_of_memory(message));
    };
    notify(format!("memory ran out with {}; trying {}, which {}", first.short(), second.short(), needs(second)));
    match attempt(second) {
        Err(error) if error.is_out_of_memory() => {
            let message = format!(
                "memory ran out twice: with {} and with {}; close other programs on the device (see nvidia-smi), or \
                 lower DEVICE_MEMORY_LIMIT",
                first.short(),
                second.short()
            );
            Err(out_of_memory(message))
        }
        other => other.map_err(to_engine_error),
    }
}

fn needs(plan: &Plan) -> String {
    format!("needs {}", qwen_image_layered::plan::gigabytes(plan.need.peak()))
}

#[cfg(test)]
mod tests {
    use qwen_image_layered::plan::Workload;

    use super::*;
    use crate::model::tests::{gpu_of, synthetic_weights};

    fn plans() -> Vec<Plan> {
        let workload = Workload {
            width: 2048,
            height: 2048,
            layers: 8,
            steps: 50,
            calls: 50,
            guided: true,
            captioned: false,
            cached: false,
            lora_values: 0,
        };
        synthetic_weights().plans(&gpu_of(1 << 40), &workload).expect("everything fits")
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

    /// Two plans, the second of which needs half as much.
    fn two() -> Vec<Plan> {
        let mut plans = plans();
        plans.truncate(2);
        plans[1].need = qwen_image_layered::plan::Need { denoise: plans[0].need.peak() / 2, ..Default::default() };
        plans
    }

    #[test]
    fn the_next_plan_is_tried_once_and_announced() {
        let plans = two();
        let mut notes = Vec::new();
        let mut tried = Vec::new();
        let attempt = |plan: &Plan| {
            tried.push(plan.need.peak());
            if tried.len() == 1 { Err(full()) } else { Ok(7) }
        };
        assert_eq!(run(&plans, attempt, |text| notes.push(text), other).expect("the second fits"), 7);
        assert_eq!(tried, [plans[0].need.peak(), plans[1].need.peak()]);
        assert!(
            notes.len() == 1 && notes[0].contains("memory ran out") && notes[0].contains("trying plan"),
            "{notes:?}"
        );
    }

    #[test]
    fn there_is_no_third_attempt() {
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
