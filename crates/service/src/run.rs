use std::process::ExitCode;

use tokio::runtime::Runtime;

use crate::{Failure, Settings, signals, telemetry};

/// The body of a `main`: reads `.env`, starts the log and the runtime, runs `body`, and prints a failure as one line
/// under `program`'s name.
pub fn run<F>(program: &str, body: impl FnOnce(Settings) -> F) -> ExitCode
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    start(body).unwrap_or_else(|failure| {
        eprintln!("{program}: {failure}");
        failure.exit_code()
    })
}

fn start<F>(body: impl FnOnce(Settings) -> F) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    match dotenvy::dotenv() {
        Ok(_) => {}
        Err(error) if error.not_found() => {}
        Err(error) => return Err(Failure::BadUse(format!("the file .env cannot be read: {error}"))),
    }
    let settings = Settings::from_env();
    telemetry::init(&settings)?;
    let runtime =
        Runtime::new().map_err(|error| Failure::Failed(format!("the async runtime cannot be started: {error}")))?;
    let result = runtime.block_on(body(settings));
    runtime.shutdown_timeout(signals::LAST_TASKS);
    result
}
