use clap::{Args, ValueEnum};

use crate::install::install_test_programs;
use crate::run::{cargo, run};

/// Runs one of the benchmarks, in release mode.
#[derive(Args)]
pub struct BenchArguments {
    what: Bench,
    /// Passed on to the benchmark
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pass_on: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bench {
    /// Layers brought from a model's size to the input's
    Layers,
    /// The draft engine
    Draft,
    /// Qwen-Image-Layered on the CPU
    Model,
    /// 500 jobs through three APIs and five workers that are killed, and a Redis that is restarted
    Scale,
}

impl Bench {
    fn package(self) -> &'static str {
        match self {
            Self::Layers => "layers",
            Self::Draft => "draft",
            Self::Model => "qwen-image-layered",
            Self::Scale => "unflatten",
        }
    }
}

pub fn bench(arguments: &BenchArguments) -> anyhow::Result<()> {
    if matches!(arguments.what, Bench::Scale) {
        return scale();
    }
    let mut words = vec!["bench", "--package", arguments.what.package(), "--benches", "--"];
    words.extend(arguments.pass_on.iter().map(String::as_str));
    run(&cargo(), words)
}

/// Not a benchmark of cargo's: the programs themselves run, on the loopback device.
fn scale() -> anyhow::Result<()> {
    install_test_programs()?;
    run(&cargo(), ["build", "--release", "--package", "api", "--package", "worker", "--bins"])?;
    let test = ["test", "--release", "--package", "unflatten", "--test", "scale", "--", "--ignored", "--nocapture"];
    run(&cargo(), test)
}
