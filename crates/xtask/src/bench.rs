use clap::{Args, ValueEnum};

use crate::cuda;
use crate::install::{InstallOptions, install_poster_programs, install_test_programs};
use crate::run::{cargo, run};

/// Runs one of the benchmarks.
#[derive(Args)]
pub(crate) struct BenchArguments {
    what: Bench,
    #[command(flatten)]
    install: InstallOptions,
    /// Passed on to the benchmark
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pass_on: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bench {
    /// Layers brought from a model's size to the input's
    Layers,
    /// The draft engine; with --html, on posters with real typography that Chromium renders
    Draft,
    /// Qwen-Image-Layered on the CPU
    Model,
    /// Qwen-Image-Layered on an NVIDIA GPU (or, to try the measurement, with --device cpu --size tiny)
    Gpu,
    /// 500 jobs through three APIs and five workers that are killed, and a Redis that is restarted
    Scale,
    /// The service under attack: stalled clients, requests too deep or too long, faults of disk and clock
    Attack,
    /// Dragging on the page, in Chromium
    Page,
}

impl Bench {
    fn package(self) -> &'static str {
        match self {
            Self::Layers => "layers",
            Self::Draft => "draft",
            Self::Model | Self::Gpu => "qwen-image-layered",
            Self::Scale | Self::Attack | Self::Page => "unflatten",
        }
    }

    /// The page runs in the browser: how the service is compiled changes nothing, and as for the tests it is there.
    fn profile(self) -> &'static str {
        if matches!(self, Self::Page) { "dev" } else { "bench" }
    }

    /// Which of the package's targets.
    fn target(self) -> &'static [&'static str] {
        match self {
            Self::Layers | Self::Draft | Self::Scale | Self::Attack => &["--benches"],
            Self::Model => &["--bench", "model"],
            Self::Gpu => &["--bench", "gpu"],
            // Of this package no others than the benchmark itself.
            Self::Page => &["--bench", "page"],
        }
    }
}

pub(crate) fn bench(arguments: &BenchArguments) -> anyhow::Result<()> {
    match arguments.what {
        Bench::Scale => return scale(arguments.install),
        Bench::Attack => return attack(arguments.install, &arguments.pass_on),
        _ => {}
    }
    let what = arguments.what;
    let has = |option: &str| arguments.pass_on.iter().any(|word| word.split('=').next() == Some(option));
    // Posters that are rendered already need neither a browser nor fonts.
    if matches!(what, Bench::Draft) && has("--html") && !has("--rendered") {
        install_poster_programs(arguments.install)?;
    }
    let on_cpu = arguments.pass_on.join(" ").replace('=', " ").contains("--device cpu");
    let on_gpu = matches!(what, Bench::Gpu) && !on_cpu;
    let mut words = vec!["bench", "--profile", what.profile(), "--package", what.package()];
    words.extend(what.target());
    if on_gpu {
        words.extend(["--features", "flash-attn-v3"]);
    }
    words.push("--");
    words.extend(arguments.pass_on.iter().map(String::as_str));
    if on_gpu { cuda::cargo_with_cuda(&words) } else { run(&cargo(), words) }
}

/// Not a benchmark of cargo's: the programs themselves run, on the loopback device.
fn scale(install: InstallOptions) -> anyhow::Result<()> {
    install_test_programs(install)?;
    build_programs()?;
    let test = ["test", "--release", "--package", "unflatten", "--test", "scale", "--", "--ignored", "--nocapture"];
    run(&cargo(), test)
}

/// Those that the tests of `unflatten` start beside it.
fn build_programs() -> anyhow::Result<()> {
    run(&cargo(), ["build", "--release", "--package", "api", "--package", "worker", "--bins"])
}

/// Like [`scale`]: one attack after the other on a release build, those that take minutes included. `names` chooses some.
fn attack(install: InstallOptions, names: &[String]) -> anyhow::Result<()> {
    install_test_programs(install)?;
    build_programs()?;
    let test = ["test", "--release", "--package", "unflatten", "--test", "attack", "--"];
    let options = ["--include-ignored", "--nocapture", "--test-threads=1"];
    run(&cargo(), test.into_iter().chain(options).chain(names.iter().map(String::as_str)))
}
