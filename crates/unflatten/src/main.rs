//! `unflatten`: the service in one process, and the command line.

mod arguments;
mod decompose;
mod doctor;
mod export;
mod pull;
mod serve;
mod synth;
mod token;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command, ServeArguments};

fn main() -> ExitCode {
    worker::tune_allocator();
    let command = Arguments::parse().command.unwrap_or(Command::Serve(ServeArguments::default()));
    service::run("unflatten", async |settings| match command {
        Command::Serve(arguments) => serve::serve(&arguments, &settings).await,
        Command::Decompose(arguments) => decompose::decompose(arguments, &settings).await,
        Command::Export(arguments) => export::export(&arguments, &settings),
        Command::Doctor => doctor::doctor(&settings).await,
        Command::Pull(arguments) => pull::pull(&arguments, &settings).await,
        Command::SynthCheckpoint(arguments) => synth::synth(&arguments),
        Command::Token(arguments) => token::token(&arguments),
    })
}
