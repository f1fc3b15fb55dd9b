//! Speed and memory of the model's parts at their published widths on the CPU, beside torch's:
//!
//!     UNFLATTEN_PYTHON=venv/bin/python cargo xtask bench model [vae] [block] [text] [--rounds 3] [--threads N]
//!
//! Random weights are made in a temporary folder (up to 1 GB at a time). The peer is diffusers and transformers on
//! torch, run by the Python of `UNFLATTEN_PYTHON` (see `reference/requirements.txt`); without it only this crate's
//! numbers are printed. Every (part, type, side) is a process of its own; calls alternate between them, each is
//! made once unmeasured, and medians of the rounds are printed. "wall" is elapsed time; "CPU" adds up user and
//! system time of all threads, which says more on a machine that also does other things.

mod checkpoint;
mod served;

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use candle_core::DType;

/// Tokens of the prompt that the block sees.
pub const WORDS: usize = 256;

/// Of a frame, in patches of 16 pixels.
#[derive(Clone, Copy)]
pub struct Size {
    pub rows: usize,
    pub columns: usize,
}

const PARTS: [(&str, &[&str], &[&str]); 3] = [
    ("vae", &["f32"], &["encode", "decode"]),
    ("block", &["f32", "bf16"], &["forward"]),
    ("text", &["f32", "bf16"], &["forward"]),
];

struct Options {
    parts: Vec<String>,
    rounds: usize,
    threads: usize,
    size: Size,
    /// Folder, part and type of a process that serves.
    serve: Option<(PathBuf, String, String)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options(std::env::args().skip(1))?;
    match &options.serve {
        Some((folder, part, dtype)) => {
            let dtype = if dtype == "bf16" { DType::BF16 } else { DType::F32 };
            served::serve(folder, part, dtype, options.size)
        }
        None => compare(&options),
    }
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
    let threads = std::thread::available_parallelism()?.get();
    let mut options = Options { parts: vec![], rounds: 3, threads, size: Size { rows: 40, columns: 40 }, serve: None };
    while let Some(word) = words.next() {
        let mut next = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--bench" => {} // from cargo
            "--rounds" => options.rounds = next()?.parse::<usize>()?.max(1),
            "--threads" => options.threads = next()?.parse::<usize>()?.max(1),
            "--side" => {
                let side = next()?.parse::<usize>()? / 16;
                options.size = Size { rows: side, columns: side };
            }
            "--serve" => options.serve = Some((next()?.into(), next()?, next()?)),
            part if PARTS.iter().any(|(name, ..)| *name == part) => options.parts.push(word),
            _ => return Err(format!("`{word}` is not known; see the head of benches/model/main.rs").into()),
        }
    }
    Ok(options)
}

fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let python = std::env::var_os("UNFLATTEN_PYTHON").map(PathBuf::from);
    println!("{}, {} threads, median of {} rounds", processor(), options.threads, options.rounds);
    if python.is_none() {
        println!("No peer: set UNFLATTEN_PYTHON to a Python with crates/qwen-image-layered/reference/requirements.txt");
    }
    println!("{:24} {:>16} {:>16} {:>21} {:>23}", "", "ours", "torch", "torch / ours", "peak MB (ours, torch)");
    println!("{:24} {:>8}{:>8} {:>8}{:>8} {:>10}{:>11}", "", "wall s", "CPU s", "wall s", "CPU s", "wall", "CPU");
    for (part, types, calls) in PARTS {
        if options.parts.is_empty() || options.parts.iter().any(|wanted| wanted == part) {
            compare_part(options, python.as_deref(), part, types, calls)?;
        }
    }
    Ok(())
}

fn compare_part(
    options: &Options,
    python: Option<&Path>,
    part: &str,
    types: &[&str],
    calls: &[&str],
) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    checkpoint::write(folder.path(), part)?;
    let mut sides = Vec::new();
    for dtype in types {
        sides.push((*dtype, Side::ours(options, folder.path(), part, dtype)?));
        if let Some(python) = python {
            sides.push((*dtype, Side::peer(options, python, part, dtype)?));
        }
    }
    let each = sides.len() / types.len();
    for call in calls {
        for round in 0..=options.rounds {
            for (_, side) in &mut sides {
                let sample = side.call(call)?;
                if round > 0 {
                    side.samples.push(sample);
                }
            }
        }
        for pair in sides.chunks_mut(each) {
            let name = format!("{part} {call} {}", pair[0].0);
            let results: Vec<Sample> = pair.iter_mut().map(|(_, side)| median(&mut side.samples)).collect();
            print_line(&name, &results);
        }
    }
    sides.into_iter().try_for_each(|(_, side)| side.end())
}

fn print_line(name: &str, results: &[Sample]) {
    let ours = results[0];
    let beyond = |sample: Sample| (sample.peak - sample.before) / 1e6;
    print!("{name:24} {:>8.2}{:>8.2}", ours.wall, ours.processors);
    match results.get(1) {
        Some(peer) => println!(
            " {:>8.2}{:>8.2} {:>9.2}x{:>10.2}x {:>12.0} {:>9.0}  (beyond the weights {:.0}, {:.0})",
            peer.wall,
            peer.processors,
            peer.wall / ours.wall,
            peer.processors / ours.processors,
            ours.peak / 1e6,
            peer.peak / 1e6,
            beyond(ours),
            beyond(*peer)
        ),
        None => println!("{:>51.0}  (beyond the weights {:.0})", ours.peak / 1e6, beyond(ours)),
    }
}

/// What one call took: seconds, and bytes.
#[derive(Clone, Copy)]
struct Sample {
    wall: f64,
    processors: f64,
    peak: f64,
    before: f64,
}

/// The median of each number; empties `samples`.
fn median(samples: &mut Vec<Sample>) -> Sample {
    let middle = |number: fn(&Sample) -> f64| {
        let mut numbers: Vec<f64> = samples.iter().map(number).collect();
        numbers.sort_by(f64::total_cmp);
        (numbers[(numbers.len() - 1) / 2] + numbers[numbers.len() / 2]) / 2.0
    };
    let result = Sample {
        wall: middle(|sample| sample.wall),
        processors: middle(|sample| sample.processors),
        peak: middle(|sample| sample.peak),
        before: middle(|sample| sample.before),
    };
    samples.clear();
    result
}

/// A process that has a part loaded.
struct Side {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    samples: Vec<Sample>,
}

impl Side {
    fn ours(options: &Options, folder: &Path, part: &str, dtype: &str) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--serve").arg(folder).args([part, dtype]);
        command.arg("--side").arg((16 * options.size.rows).to_string());
        command.env("RAYON_NUM_THREADS", options.threads.to_string());
        Self::start(command)
    }

    fn peer(options: &Options, python: &Path, part: &str, dtype: &str) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/bench.py")).args([part, dtype]);
        command.args(["--threads", &options.threads.to_string(), "--rows", &options.size.rows.to_string()]);
        command.env("OMP_NUM_THREADS", options.threads.to_string());
        Self::start(command)
    }

    fn start(mut command: Command) -> Result<Self, Box<dyn Error>> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (questions, answers) = (child.stdin.take().ok_or("no stdin")?, child.stdout.take().ok_or("no stdout")?);
        let mut side = Self { child, questions, answers: BufReader::new(answers), samples: Vec::new() };
        match side.line()?.as_str() {
            "ready" => Ok(side),
            other => Err(format!("{command:?} said `{other}`").into()),
        }
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(format!("a process of the benchmark ended: {}", self.child.wait()?).into());
        }
        Ok(line.trim().to_owned())
    }

    fn call(&mut self, name: &str) -> Result<Sample, Box<dyn Error>> {
        writeln!(self.questions, "{name}")?;
        let line = self.line()?;
        let numbers: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [wall, processors, peak, before] = numbers[..] else { return Err(format!("not an answer: {line}").into()) };
        Ok(Sample { wall, processors, peak, before })
    }

    fn end(mut self) -> Result<(), Box<dyn Error>> {
        drop(self.questions);
        self.child.wait()?;
        Ok(())
    }
}

/// What the machine calls its processor.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let name = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    field("model\t").map_or(name.clone(), |model| format!("{name}, model {model}"))
}
