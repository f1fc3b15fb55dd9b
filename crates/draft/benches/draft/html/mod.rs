//! `cargo xtask bench draft --html`: posters with real typography, rendered from HTML by Chromium.

mod browser;
mod canvas;
mod measures;
mod names;
mod pictures;
mod render;
mod table;
mod truth;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::Parser;
use draft::{Options, decompose};

use measures::{Measures, measure};
use truth::Truth;

/// Posters that settings may be chosen on; the others are the figure.
const TUNING: [&str; 10] = [
    "autumn-night-concert",
    "cafe-menu",
    "delivery-app",
    "mountain-walk",
    "neon-stage",
    "roastery-badge",
    "rocket-talk",
    "spring-festival",
    "summer-clearance",
    "weekend-grocery-sale",
];

/// Benchmark of the draft engine on posters rendered from HTML.
#[derive(Parser)]
#[command(name = "cargo xtask bench draft --html")]
pub(crate) struct Arguments {
    /// This benchmark
    #[arg(long, required = true)]
    html: bool,
    /// Only posters whose name has this in it; may be given several times
    #[arg(long)]
    only: Vec<String>,
    /// Only the posters that settings may be chosen on
    #[arg(long)]
    tuning: bool,
    /// Folder for pictures of each decomposition: layers, and where the text went wrong (red: left, blue: ghost, green:
    /// wrong)
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write the measures to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Print the change against the measures in this file
    #[arg(long)]
    against: Option<PathBuf>,
    /// Folder with the posters already rendered; nothing is rendered then
    #[arg(long)]
    rendered: Option<PathBuf>,
    /// Render the posters and stop
    #[arg(long)]
    render_only: bool,
    /// What `cargo bench` passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Whether the command line asks for this benchmark.
pub(crate) fn is_asked_for() -> bool {
    std::env::args().any(|word| word == "--html")
}

pub(crate) fn run() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let names = chosen(&arguments)?;
    let folder = match &arguments.rendered {
        Some(folder) => folder.clone(),
        None => {
            let folder = scratch()?;
            render::render(&names, &folder)?;
            folder
        }
    };
    if arguments.render_only {
        println!("{}", folder.display());
        return Ok(());
    }
    let mut all = Vec::new();
    for name in names {
        let truth = Truth::read(&folder, &name)?;
        all.push(score(&truth, arguments.out.as_deref())?);
        eprintln!("{name}: {:.1} s", all[all.len() - 1].seconds);
    }
    table::print(&all, is_tuning);
    if let Some(earlier) = &arguments.against {
        table::print_against(&all, earlier, is_tuning)?;
    }
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_vec_pretty(&all)?).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn is_tuning(name: &str) -> bool {
    TUNING.contains(&name)
}

fn chosen(arguments: &Arguments) -> anyhow::Result<Vec<String>> {
    let mut names = render::names()?;
    names.retain(|name| !arguments.tuning || is_tuning(name));
    names.retain(|name| arguments.only.is_empty() || arguments.only.iter().any(|part| name.contains(part)));
    ensure!(!names.is_empty(), "no poster has such a name");
    Ok(names)
}

/// Rendered posters lie beside what cargo builds: this program is target/PROFILE/deps/draft-HASH.
fn scratch() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(3).context("the benchmark is not where cargo puts it")?;
    Ok(target.join("html-posters"))
}

/// Takes a poster apart into as many layers as the engine chooses, and measures them.
fn score(truth: &Truth, out: Option<&Path>) -> anyhow::Result<Measures> {
    let start = Instant::now();
    let options = Options::default();
    let output = decompose(&truth.poster, &options, &mut |_| ControlFlow::Continue(()))?;
    let (measures, fates) = measure(&output.stack, truth, start.elapsed().as_secs_f64());
    if let Some(folder) = out {
        pictures::save(folder, truth, &output.stack, &fates)?;
    }
    Ok(measures)
}
