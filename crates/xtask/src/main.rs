//! `cargo xtask`: checks, tests, benchmarks and packages of this repository.

mod bench;
mod cuda;
mod install;
mod lint;
mod long;
mod page;
mod phrases;
mod run;
#[cfg(unix)]
mod shipping;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(unix)]
use crate::shipping::{images, package};

/// Checks, tests, benchmarks and packages of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every test; as root, install the Debian packages that they need, otherwise list the missing ones
    Test(test::TestArguments),
    /// Run rustfmt, clippy, the check of the wording and the dependency audit
    Lint,
    /// Run a benchmark
    Bench(bench::BenchArguments),
    /// Build for NVIDIA GPUs; needs none, and no CUDA toolkit
    Cuda(cuda::CudaArguments),
    /// Build the container images without Docker, run them, and check their sizes; needs root
    #[cfg(unix)]
    Images(images::ImagesArguments),
    /// Make a Debian package and a tar archive of the programs
    #[cfg(unix)]
    Package(package::PackageArguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Test(arguments) => test::test(&arguments),
        Task::Lint => lint::lint(),
        Task::Bench(arguments) => bench::bench(&arguments),
        Task::Cuda(arguments) => cuda::cuda(&arguments),
        #[cfg(unix)]
        Task::Images(arguments) => images::images(&arguments),
        #[cfg(unix)]
        Task::Package(arguments) => package::package(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
