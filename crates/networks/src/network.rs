use std::num::NonZero;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rten::{Model, RunOptions, ThreadPool, Value};
use rten_tensor::prelude::*;

/// How often the caller is asked whether to continue while a network runs.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// More threads only wait for each other on networks this small.
const MOST_THREADS: usize = 8;

/// Why a network gave no output.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
    /// The runtime refused the network or the input.
    #[error("the network cannot be run: {0}")]
    Failed(String),
}

/// Shape and values of a network's first output.
type FirstOutput = Result<(Vec<usize>, Vec<f32>), String>;

/// Any network in ONNX, for inputs of any size that it accepts; runs in `rten`.
pub struct Network {
    bytes: &'static [u8],
    model: OnceLock<Result<Model, String>>,
}

impl Network {
    /// A network in ONNX. It is parsed at its first run, which takes about 30 ms.
    pub const fn new(bytes: &'static [u8]) -> Self {
        Self { bytes, model: OnceLock::new() }
    }

    /// Parses the network ahead of its first run. Do not call it on a thread of a pool: see [`Self::run`].
    pub fn prepare(&self) {
        let _ = self.model.get_or_init(|| load(self.bytes));
    }

    /// Runs the network on one input of `shape`; returns the shape and values of its first output.
    ///
    /// `stopped` is called every 20 ms. An abandoned run finishes on its own thread within about a second.
    ///
    /// # Errors
    /// [`NetworkError::Stopped`] if `stopped` returned true; otherwise the runtime's reason.
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
        // Parsing happens there too: the runtime uses a thread pool for it, and a thread of the caller's pool that
        // waited for it would steal other work, perhaps on this network.
        let work = move || {
            let model = self.model.get_or_init(|| load(self.bytes));
            let answer = model.as_ref().map_err(Clone::clone).and_then(|model| evaluate(model, &shape, input));
            // Nobody receives the output of an abandoned run.
            let _ = sender.send(answer);
        };
        std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(work)
            .map_err(|error| NetworkError::Failed(format!("no thread could be started: {error}")))?;
        loop {
            match answers.recv_timeout(POLL_INTERVAL) {
                Ok(answer) => return answer.map_err(NetworkError::Failed),
                Err(RecvTimeoutError::Timeout) if stopped() => return Err(NetworkError::Stopped),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(NetworkError::Failed("the runtime panicked".to_owned()));
                }
            }
        }
    }
}

fn load(bytes: &'static [u8]) -> Result<Model, String> {
    Model::load_static_slice(bytes).map_err(|error| error.to_string())
}

fn evaluate(model: &Model, shape: &[usize], input: Vec<f32>) -> FirstOutput {
    let tensor = rten_tensor::Tensor::try_from_data(shape, input).map_err(|error| error.to_string())?;
    let options = RunOptions::default().with_thread_pool(Some(threads()));
    let output = model.run_one(Value::from(tensor).into(), Some(options)).map_err(|error| error.to_string())?;
    let values: rten_tensor::Tensor<f32> =
        output.try_into().map_err(|_| "its output is not a float tensor".to_owned())?;
    Ok((values.shape().to_vec(), values.into_data()))
}

/// One pool for all networks: networks that run concurrently share the processor.
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
    fn a_file_without_a_network_is_rejected_with_a_reason() {
        static NETWORK: Network = Network::new(b"no network");
        let answer = NETWORK.run(&[1], vec![0.0], &|| false);
        assert!(matches!(answer, Err(NetworkError::Failed(why)) if !why.is_empty()));
        assert!(matches!(NETWORK.run(&[1], vec![0.0], &|| true), Err(NetworkError::Stopped)));
    }
}
