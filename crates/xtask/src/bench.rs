use clap::{Args, ValueEnum};

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
}

impl Bench {
    fn package(self) -> &'static str {
        match self {
            Self::Layers => "layers",
            Self::Draft => "draft",
            Self::Model => "qwen-image-layered",
        }
    }
}

pub fn bench(arguments: &BenchArguments) -> anyhow::Result<()> {
    let mut words = vec!["bench", "--package", arguments.what.package(), "--benches", "--"];
    words.extend(arguments.pass_on.iter().map(String::as_str));
    run(&cargo(), words)
}
