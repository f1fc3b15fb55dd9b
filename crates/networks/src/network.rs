use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, TensorProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::plan::eval;

/// Plans kept per network: inputs of one size come again and again.
const MOST_PLANS: usize = 6;

/// Why a network gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("stopped")]
    Stopped,
    /// The runtime refused the network or the input.
    #[error("the network cannot be run: {0}")]
    Failed(String),
}

type Plan = Arc<TypedRunnableModel>;

/// A network with the plans for the input sizes seen last.
pub struct Network {
    bytes: &'static [u8],
    model: OnceLock<Result<InferenceModel, String>>,
    plans: Mutex<Vec<(Vec<usize>, Plan)>>,
}

#[derive(Debug, thiserror::Error)]
#[error("stopped")]
struct Interrupted;

impl Network {
    /// A network in ONNX; it is read when it is first run.
    pub const fn new(bytes: &'static [u8]) -> Self {
        Self { bytes, model: OnceLock::new(), plans: Mutex::new(Vec::new()) }
    }

    /// Runs the network on one input; gives the shape and values of its first output.
    ///
    /// `stopped` is asked between any two operations, which take milliseconds each.
    ///
    /// # Errors
    /// [`NetworkError::Stopped`] when `stopped` said so, otherwise why the runtime refused.
    pub fn run(
        &self,
        shape: &[usize],
        input: &[f32],
        stopped: &dyn Fn() -> bool,
    ) -> Result<(Vec<usize>, Vec<f32>), NetworkError> {
        let check = || if stopped() { Err(NetworkError::Stopped) } else { Ok(()) };
        check()?;
        let plan = self.plan(shape)?;
        check()?;
        let answer = evaluate(&plan, shape, input, stopped);
        check()?;
        answer.map_err(|error| NetworkError::Failed(format!("{error:#}")))
    }

    fn plan(&self, shape: &[usize]) -> Result<Plan, NetworkError> {
        let kept = |plans: &[(Vec<usize>, Plan)]| plans.iter().find(|(s, _)| s == shape).map(|(_, plan)| plan.clone());
        if let Some(plan) = kept(&self.plans.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(plan);
        }
        let model = self.model.get_or_init(|| load(self.bytes).map_err(|error| format!("{error:#}")));
        let model = model.as_ref().map_err(|error| NetworkError::Failed(error.clone()))?;
        let plan = prepare(model.clone(), shape).map_err(|error| NetworkError::Failed(format!("{error:#}")))?;
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if kept(&plans).is_none() {
            if plans.len() == MOST_PLANS {
                plans.remove(0);
            }
            plans.push((shape.to_vec(), plan.clone()));
        }
        Ok(plan)
    }
}

fn evaluate(
    plan: &Plan,
    shape: &[usize],
    input: &[f32],
    stopped: &dyn Fn() -> bool,
) -> TractResult<(Vec<usize>, Vec<f32>)> {
    let tensor = Tensor::from_shape(shape, input)?;
    let mut state = plan.spawn()?;
    let outputs = state.run_plan_with_eval(tvec!(tensor.into_tvalue()), |context, op_state, node, inputs| {
        if stopped() {
            return Err(TractError::new(Interrupted));
        }
        eval(context, op_state, node, inputs)
    })?;
    let output = outputs.first().ok_or_else(|| TractError::msg("the network has no output"))?;
    let values = output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
    Ok((output.shape().to_vec(), values))
}

fn prepare(model: InferenceModel, shape: &[usize]) -> TractResult<Plan> {
    model.with_input_fact(0, f32::fact(shape).into())?.into_optimized()?.into_runnable()
}

/// Reads a network whose weights are stored in 16 bits; it computes in 32.
fn load(bytes: &[u8]) -> TractResult<InferenceModel> {
    let onnx = tract_onnx::onnx();
    let mut proto = onnx.proto_model_for_read(&mut &bytes[..])?;
    widen_model(&mut proto);
    onnx.model_for_proto_model(&proto)
}

fn widen_model(proto: &mut ModelProto) {
    let Some(graph) = proto.graph.as_mut() else { return };
    graph.initializer.iter_mut().for_each(widen);
    let attributes = graph.node.iter_mut().flat_map(|node| node.attribute.iter_mut());
    attributes.filter_map(|attribute| attribute.t.as_mut()).for_each(widen);
}

fn widen(tensor: &mut TensorProto) {
    if tensor.data_type != DataType::Float16 as i32 {
        return;
    }
    let halves = tensor.raw_data.as_chunks::<2>().0;
    tensor.raw_data = halves.iter().flat_map(|&half| f16::from_le_bytes(half).to_f32().to_le_bytes()).collect();
    tensor.data_type = DataType::Float as i32;
}
