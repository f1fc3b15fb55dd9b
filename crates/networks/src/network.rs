use std::num::NonZero;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rten::{Model, RunOptions, ThreadPool, Value};
use rten_tensor::prelude::*;

/// How often the caller is asked whether to go on while a network runs.
const PULSE: Duration = Duration::from_millis(20);

/// More threads than this only wait for each other on networks this small.
const MOST_THREADS: usize = 8;

/// Why a network gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("stopped")]
    Stopped,
    /// The runtime refused the network or the input.
    #[error("the network cannot be run: {0}")]
    Failed(String),
}

/// Shape and values of a network's first output.
type Answer = Result<(Vec<usize>, Vec<f32>), String>;

/// A network in ONNX, for inputs of any size that it can take.
pub struct Network {
    bytes: &'static [u8],
    model: OnceLock<Result<Model, String>>,
}

impl Network {
    /// A network in ONNX; it is read when it is first run, which takes some 30 ms.
    pub const fn new(bytes: &'static [u8]) -> Self {
        Self { bytes, model: OnceLock::new() }
    }

    /// Reads the network, so that its first run does not have to. Not for threads of a pool: see [`Self::run`].
    pub fn prepare(&self) {
        let _ = self.model.get_or_init(|| load(self.bytes));
    }

    /// Runs the network on one input of `shape`; gives the shape and values of its first output.
    ///
    /// `stopped` is asked every 20 ms. A run that is given up ends by itself on a
    /// thread of its own, within the second that one run takes.
    ///
    /// # Errors
    /// [`NetworkError::Stopped`] when `stopped` said so, otherwise why the runtime refused.
    pub fn run(
        &'static self,
        shape: &[usize],
        input: Vec<f32>,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(Vec<usize>, Vec<f32>), NetworkError> {
        if stopped() {
            return Err(NetworkError::Stopped);
        }
        let shape = shape.to_vec();
        let (sender, answers) = channel();
        // The network is read there too: the runtime uses a pool of threads for it, and a thread of
        // the caller's pool that waited for that would pick up other work, perhaps on this network.
        let work = move || {
            let model = self.model.get_or_init(|| load(self.bytes));
            let answer = model.as_ref().map_err(Clone::clone).and_then(|model| evaluate(model, &shape, input));
            // Nobody waits for the answer of a run that was given up.
            let _ = sender.send(answer);
        };
        std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(work)
            .map_err(|error| NetworkError::Failed(format!("no thread to run it on: {error}")))?;
        loop {
            match answers.recv_timeout(PULSE) {
                Ok(answer) => return answer.map_err(NetworkError::Failed),
                Err(RecvTimeoutError::Timeout) if stopped() => return Err(NetworkError::Stopped),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(NetworkError::Failed("the runtime broke off".to_owned()));
                }
            }
        }
    }
}

fn load(bytes: &'static [u8]) -> Result<Model, String> {
    Model::load_static_slice(bytes).map_err(|error| error.to_string())
}

fn evaluate(model: &Model, shape: &[usize], input: Vec<f32>) -> Answer {
    let tensor = rten_tensor::Tensor::try_from_data(shape, input).map_err(|error| error.to_string())?;
    let options = RunOptions::default().with_thread_pool(Some(threads()));
    let output = model.run_one(Value::from(tensor).into(), Some(options)).map_err(|error| error.to_string())?;
    let values: rten_tensor::Tensor<f32> = output.try_into().map_err(|_| "its output is no float tensor".to_owned())?;
    Ok((values.shape().to_vec(), values.into_data()))
}

/// One pool for all networks: those that run side by side share the processor.
///
/// The runtime's own pool counts cores without their second threads, which on small
/// virtual machines leaves half of the processor idle.
fn threads() -> Arc<ThreadPool> {
    static POOL: OnceLock<Arc<ThreadPool>> = OnceLock::new();
    let count = || std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    POOL.get_or_init(|| Arc::new(ThreadPool::with_num_threads(count()))).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_network_is_refused_with_a_reason() {
        static NETWORK: Network = Network::new(b"no network");
        let answer = NETWORK.run(&[1], vec![0.0], &|| false);
        assert!(matches!(answer, Err(NetworkError::Failed(why)) if !why.is_empty()));
        assert!(matches!(NETWORK.run(&[1], vec![0.0], &|| true), Err(NetworkError::Stopped)));
    }
}
