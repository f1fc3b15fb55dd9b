use std::num::NonZero;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rten::{Model, NodeId, RunOptions, ThreadPool, Value};
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

/// Shape and values of an input or an output.
pub type Values = (Vec<usize>, Vec<f32>);

/// Any network in ONNX, for inputs of any size that it accepts; runs in `rten`.
pub struct Network {
    source: Source,
    model: OnceLock<Result<Model, String>>,
}

enum Source {
    Bytes(&'static [u8]),
    File(PathBuf),
}

impl Network {
    /// A network in ONNX. It is parsed at its first run, which takes about 30 ms.
    pub const fn new(bytes: &'static [u8]) -> Self {
        Self { source: Source::Bytes(bytes), model: OnceLock::new() }
    }

    /// A network in a file.
    ///
    /// # Errors
    /// [`NetworkError::Failed`] when the file cannot be read or is not a network.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, NetworkError> {
        let network = Self { source: Source::File(path.into()), model: OnceLock::new() };
        network.model().map_err(NetworkError::Failed)?;
        Ok(network)
    }

    /// Parses the network ahead of its first run. Do not call it on a thread of a pool: see [`Self::run`].
    pub fn prepare(&self) {
        let _ = self.model();
    }

    fn model(&self) -> Result<&Model, String> {
        self.model.get_or_init(|| self.source.load()).as_ref().map_err(Clone::clone)
    }

    /// The inputs' names, each with its number of axes if the file says so.
    ///
    /// # Errors
    /// [`NetworkError::Failed`] when the network cannot be parsed.
    pub fn inputs(&self) -> Result<Vec<(String, Option<usize>)>, NetworkError> {
        let model = self.model().map_err(NetworkError::Failed)?;
        Ok(model.input_ids().iter().filter_map(|&id| described(model, id)).collect())
    }

    /// The outputs' names.
    ///
    /// # Errors
    /// [`NetworkError::Failed`] when the network cannot be parsed.
    pub fn outputs(&self) -> Result<Vec<String>, NetworkError> {
        let model = self.model().map_err(NetworkError::Failed)?;
        Ok(model.output_ids().iter().filter_map(|&id| described(model, id)).map(|(name, _)| name).collect())
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
    ) -> Result<Values, NetworkError> {
        let input = (shape.to_vec(), input);
        let work = move || {
            let model = self.model()?;
            let (Some(&from), Some(&to)) = (model.input_ids().first(), model.output_ids().first()) else {
                return Err("it has no input or output".to_owned());
            };
            evaluate(model, vec![(from, input)], &[to])
        };
        let mut outputs = on_its_own_thread(work, stopped)?;
        outputs.pop().ok_or_else(|| NetworkError::Failed("it gave no output".to_owned()))
    }

    /// Runs the network on named inputs; returns the named outputs. Otherwise like [`Self::run`].
    ///
    /// # Errors
    /// [`NetworkError::Stopped`] if `stopped` returned true; otherwise the runtime's reason.
    pub fn run_named(
        self: &Arc<Self>,
        inputs: Vec<(String, Values)>,
        outputs: &[&str],
        stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<Values>, NetworkError> {
        let network = self.clone();
        let outputs: Vec<String> = outputs.iter().map(|&name| name.to_owned()).collect();
        let work = move || {
            let model = network.model()?;
            let id = |name: &str| model.node_id(name).map_err(|error| error.to_string());
            let inputs = inputs.into_iter().map(|(name, values)| Ok((id(&name)?, values)));
            let inputs = inputs.collect::<Result<Vec<_>, String>>()?;
            let outputs = outputs.iter().map(|name| id(name)).collect::<Result<Vec<_>, String>>()?;
            evaluate(model, inputs, &outputs)
        };
        on_its_own_thread(work, stopped)
    }
}

fn described(model: &Model, id: NodeId) -> Option<(String, Option<usize>)> {
    let node = model.node_info(id)?;
    Some((node.name()?.to_owned(), node.shape().map(|shape| shape.len())))
}

impl Source {
    fn load(&self) -> Result<Model, String> {
        match self {
            Self::Bytes(bytes) => Model::load_static_slice(bytes).map_err(|error| error.to_string()),
            Self::File(path) => {
                Model::load_file(path).map_err(|error| format!("{} cannot be loaded: {error}", path.display()))
            }
        }
    }
}

/// Waits for `work`, which is left to itself when `stopped` says so. Parsing happens there too: the runtime uses a
/// thread pool for it, and a thread of the caller's pool that waited for it would steal other work, perhaps on the
/// same network.
fn on_its_own_thread(
    work: impl FnOnce() -> Result<Vec<Values>, String> + Send + 'static,
    stopped: &dyn Fn() -> bool,
) -> Result<Vec<Values>, NetworkError> {
    if stopped() {
        return Err(NetworkError::Stopped);
    }
    let (sender, answers) = channel();
    std::thread::Builder::new()
        .name("network".to_owned())
        // Nobody receives the output of an abandoned run.
        .spawn(move || drop(sender.send(work())))
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

fn evaluate(model: &Model, inputs: Vec<(NodeId, Values)>, outputs: &[NodeId]) -> Result<Vec<Values>, String> {
    let mut given = Vec::with_capacity(inputs.len());
    for (id, (shape, values)) in inputs {
        let tensor = rten_tensor::Tensor::try_from_data(shape.as_slice(), values).map_err(|error| error.to_string())?;
        given.push((id, Value::from(tensor).into()));
    }
    let options = RunOptions::default().with_thread_pool(Some(threads()));
    let found = model.run(given, outputs, Some(options)).map_err(|error| error.to_string())?;
    let values = |output: Value| {
        let tensor: rten_tensor::Tensor<f32> =
            output.try_into().map_err(|_| "an output is not a float tensor".to_owned())?;
        Ok((tensor.shape().to_vec(), tensor.into_data()))
    };
    found.into_iter().map(values).collect()
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
        let shared = Arc::new(Network::new(b"no network"));
        assert!(matches!(shared.run_named(Vec::new(), &["y"], &|| false), Err(NetworkError::Failed(_))));
        assert!(matches!(Network::open("/does/not/exist"), Err(NetworkError::Failed(why)) if why.contains("exist")));
        let answer = NETWORK.run(&[1], vec![0.0], &|| false);
        assert!(matches!(answer, Err(NetworkError::Failed(why)) if !why.is_empty()));
        assert!(matches!(NETWORK.run(&[1], vec![0.0], &|| true), Err(NetworkError::Stopped)));
    }
}
