//! `unflatten`: the service in one process, and pictures into layers on the command line.

mod arguments;
mod decompose;
mod doctor;
mod export;
mod failure;
mod pull;
mod serve;
mod synth;

use std::process::ExitCode;

use clap::Parser;
use jobs::settings::Settings;

use crate::arguments::{Arguments, Command, ServeArguments};
use crate::failure::Failure;

fn main() -> ExitCode {
    worker::one_heap();
    let command = Arguments::parse().command.unwrap_or(Command::Serve(ServeArguments::default()));
    match run(command) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("unflatten: {failure}");
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match dotenvy::dotenv() {
        Ok(_) => {}
        Err(error) if error.not_found() => {}
        Err(error) => return Err(Failure::BadUse(format!("the file .env cannot be read: {error}"))),
    }
    let settings = Settings::from_env();
    jobs::telemetry::init(&settings)?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::Failed(format!("the async runtime cannot be started: {error}")))?;
    let result = runtime.block_on(async {
        match command {
            Command::Serve(arguments) => serve::serve(&arguments, &settings).await,
            Command::Decompose(arguments) => decompose::decompose(arguments, &settings).await,
            Command::Export(arguments) => export::export(&arguments),
            Command::Doctor => doctor::doctor(&settings).await,
            Command::Pull(arguments) => pull::pull(&arguments, &settings).await,
            Command::SynthCheckpoint(arguments) => synth::synth(&arguments),
        }
    });
    runtime.shutdown_timeout(jobs::signals::LAST_TASKS);
    result
}
