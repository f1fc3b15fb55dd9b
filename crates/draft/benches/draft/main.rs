//! `cargo xtask bench draft`: time, memory and quality of the draft engine, with the
//! Python prototype beside it where there is one; with `--html`, posters with real typography.

mod columns;
mod html;
mod peer;
mod time;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use columns::{Measures, Traits, line, measure};
use draft::{Options, decompose, worst_difference};
use image::RgbaImage;
use layers::{Kind, LayerStack, contact_sheet, flatten};
use peer::Peer;
use synth::{Background, Poster, Shadows};

/// Numbers of the posters that settings were chosen on.
const TUNING: u64 = 1000;
/// Numbers of the posters that nothing was chosen on.
const FINAL: u64 = 500_000;
/// Size of the poster that is timed.
const TIMED_SIDE: u32 = 1328;
/// Posters that the prototype makes itself.
const OWN_POSTERS: u32 = 30;

/// Benchmark of the draft engine.
///
/// With UNFLATTEN_PYTHON (a Python with numpy, numba, opencv, scikit-image, scipy and
/// onnxruntime), UNFLATTEN_SPIKE (the prototype's folder), and the prototype's own
/// DRAFT_MODELS and POSTERS set, its results on the same posters stand beside ours.
#[derive(Parser)]
struct Arguments {
    /// Measure only this
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Use the posters that settings were chosen on
    #[arg(long)]
    tuning: bool,
    /// Leave out this many of them
    #[arg(long, default_value_t = 0)]
    skip: u64,
    /// How many synthetic posters
    #[arg(long, default_value_t = 60)]
    posters: u64,
    /// How many times a job is timed
    #[arg(long, default_value_t = 10)]
    runs: usize,
    /// Time this picture instead of a synthetic poster; may be given several times
    #[arg(long)]
    picture: Vec<PathBuf>,
    /// Print each poster's measures
    #[arg(long)]
    each: bool,
    /// Folder for pictures of the decompositions, the worst first: input, layers,
    /// recomposition and background, above the true layers
    #[arg(long)]
    sheets: Option<PathBuf>,
    /// Folder for the files that are exchanged with the prototype; results in it are used again
    #[arg(long)]
    work: Option<PathBuf>,
    /// The timed job itself
    #[arg(long, hide = true)]
    job: Option<PathBuf>,
    /// What `cargo bench` passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Time,
    Quality,
}

fn main() -> anyhow::Result<()> {
    // As the programs do that the engine is part of.
    draft::allocator::one_heap();
    if html::is_asked_for() {
        return html::run();
    }
    let arguments = Arguments::parse();
    if let Some(picture) = &arguments.job {
        return time::job(picture, arguments.runs);
    }
    let scratch = tempfile::tempdir().context("no folder for temporary files")?;
    let work = arguments.work.clone().unwrap_or_else(|| scratch.path().to_owned());
    let peer = Peer::from_environment();
    if peer.is_none() {
        println!("UNFLATTEN_PYTHON and UNFLATTEN_SPIKE are not set: the prototype is not measured.\n");
    }
    if arguments.only != Some(Part::Quality) {
        measure_time(&arguments, &work, peer.as_ref())?;
    }
    if arguments.only != Some(Part::Time) {
        measure_quality(&arguments, &work, peer.as_ref())?;
    }
    Ok(())
}

fn measure_time(arguments: &Arguments, work: &Path, peer: Option<&Peer>) -> anyhow::Result<()> {
    let mut pictures = Vec::new();
    for path in &arguments.picture {
        pictures.push((
            path.display().to_string(),
            image::open(path).with_context(|| path.display().to_string())?.to_rgba8(),
        ));
    }
    if pictures.is_empty() {
        pictures.push((format!("poster {FINAL} of crate synth"), synth::poster(FINAL, TIMED_SIDE, TIMED_SIDE).picture));
    }
    let folder = |number: usize| work.join("timed").join(number.to_string());
    for (number, (_, picture)) in pictures.iter().enumerate() {
        std::fs::create_dir_all(folder(number))?;
        picture.save(folder(number).join("poster.png"))?;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if let Some(peer) = peer {
        peer.decompose(&work.join("timed"))?;
    }
    for (number, (name, picture)) in pictures.iter().enumerate() {
        println!(
            "## {name}: {} x {} pixels into 4 layers, {cores} hardware threads\n",
            picture.width(),
            picture.height()
        );
        time::time(&folder(number).join("poster.png"), picture.dimensions(), arguments.runs)?;
        if peer.is_some() {
            println!("prototype: {:.1} s (one run, compiled before)\n", peer::result(&folder(number))?.1);
        }
    }
    Ok(())
}

fn measure_quality(arguments: &Arguments, work: &Path, peer: Option<&Peer>) -> anyhow::Result<()> {
    let start = arguments.skip + if arguments.tuning { TUNING } else { FINAL };
    let seeds = start..start + arguments.posters;
    let ours = work.join(if arguments.tuning { "tuning" } else { "final" });
    if let Some(peer) = peer {
        for seed in seeds.clone() {
            let folder = ours.join(seed.to_string());
            std::fs::create_dir_all(&folder)?;
            make(seed).picture.save(folder.join("poster.png"))?;
        }
        peer.decompose(&ours)?;
    }
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for seed in seeds.clone() {
        let poster = make(seed);
        let traits = traits(&poster);
        let found = take_apart(&poster.picture)?;
        let name = format!("{seed} {}", traits.groups.join(", "));
        mine.push(scored(arguments, &name, &found, &poster.truth, traits.clone())?);
        if let Some(folder) = &arguments.sheets {
            save_sheet(folder, seed, &poster, &found, &mine[mine.len() - 1])?;
        }
        if peer.is_some() {
            let (found, _) = peer::result(&ours.join(seed.to_string()))?;
            theirs.push(scored(arguments, &format!("prototype {name}"), &found, &poster.truth, traits)?);
        }
    }
    let purpose = if arguments.tuning { "settings were chosen on them" } else { "nothing was chosen on them" };
    println!("## Posters of crate synth, {} to {} ({purpose})\n", seeds.start, seeds.end - 1);
    print_table(&mine, &theirs);
    columns::print_groups(&mine);
    if let Some(peer) = peer {
        let folder = work.join("prototype");
        let own = peer.posters(&folder, OWN_POSTERS)?;
        peer.decompose(&folder)?;
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        for poster in &own {
            mine.push(scored(
                arguments,
                &poster.name,
                &take_apart(&poster.picture)?,
                &poster.truth,
                poster.traits.clone(),
            )?);
            let (found, _) = peer::result(&folder.join(&poster.name))?;
            theirs.push(scored(
                arguments,
                &format!("prototype {}", poster.name),
                &found,
                &poster.truth,
                poster.traits.clone(),
            )?);
        }
        println!("## The prototype's own {OWN_POSTERS} posters (its settings were chosen on them)\n");
        print_table(&mine, &theirs);
    }
    Ok(())
}

fn print_table(mine: &[Measures], theirs: &[Measures]) {
    let mut rows = vec![("draft", mine)];
    if !theirs.is_empty() {
        rows.push(("prototype, B", theirs));
    }
    columns::print(&rows);
}

fn traits(poster: &Poster) -> Traits {
    let shadows = match poster.shadows {
        Shadows::None => "without shadows",
        Shadows::All => "all shadowed",
        Shadows::Shapes => "shapes shadowed",
    };
    let word = |debugged: String| debugged.to_lowercase();
    Traits {
        photo: poster.background == Background::Photo,
        shadowed_text: poster.shadows == Shadows::All,
        groups: [word(format!("{:?}", poster.background)), word(format!("{:?}", poster.script)), shadows.to_owned()],
    }
}

/// The found layers above the true ones, and the opacity of the text (red: found, green:
/// true); file names sort the worst first.
fn save_sheet(folder: &Path, seed: u64, poster: &Poster, found: &LayerStack, m: &Measures) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let (upper, lower) = (contact_sheet(&poster.picture, found)?, contact_sheet(&poster.picture, &poster.truth)?);
    let mut both = RgbaImage::new(upper.width().max(lower.width()), upper.height() + lower.height());
    image::imageops::replace(&mut both, &upper, 0, 0);
    image::imageops::replace(&mut both, &lower, 0, i64::from(upper.height()));
    both.save(folder.join(format!("{:.3}-{seed}.png", m.overall())))?;
    let texts = found.iter().filter(|layer| layer.kind == Kind::Text).cloned().collect();
    let text = flatten(&LayerStack::new(found.width(), found.height(), texts)?);
    let truth = &poster.truth.layers()[3].pixels;
    let compared = image::RgbImage::from_fn(found.width(), found.height(), |x, y| {
        image::Rgb([text.get_pixel(x, y)[3], truth.get_pixel(x, y)[3], 0])
    });
    compared.save(folder.join(format!("{:.3}-{seed}-text.png", m.overall())))?;
    Ok(())
}

/// Posters of three shapes.
fn make(seed: u64) -> Poster {
    let (width, height) = [(1024, 1024), (800, 1100), (1100, 850)][(seed / 2 % 3) as usize];
    synth::poster(seed, width, height)
}

fn take_apart(picture: &RgbaImage) -> anyhow::Result<LayerStack> {
    let options = Options { layers: Some(4), ..Options::default() };
    let output = decompose(picture, &options, &mut |_| ControlFlow::Continue(()))?;
    let size = picture.dimensions();
    let pixels: Vec<RgbaImage> = output.stack.iter().map(|l| l.on_canvas(size.0, size.1).into_owned()).collect();
    anyhow::ensure!(worst_difference(picture, &pixels) == 0, "the layers do not give the picture back");
    Ok(output.stack)
}

fn scored(
    arguments: &Arguments,
    name: &str,
    found: &LayerStack,
    truth: &LayerStack,
    traits: Traits,
) -> anyhow::Result<Measures> {
    let measures = measure(found, truth, traits)?;
    if arguments.each {
        println!("{}", line(name, &measures));
    }
    Ok(measures)
}
