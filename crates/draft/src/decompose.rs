use std::ops::ControlFlow;

use image::RgbaImage;
use layers::{Kind, Layer, LayerStack};

use crate::colour::{bytes_plane, unit_plane};
use crate::exact;
use crate::fill::membrane::membrane;
use crate::monitor::{Monitor, Progress, Stage, Stopped, monitor};
use crate::naming;
use crate::note::Note;
use crate::pipeline::{self, Found};
use crate::plane::{Plane, Rgb8};
use crate::split::Pile;

/// Most layers that can be asked for.
pub const MOST_LAYERS: u8 = 10;

/// Peak of the networks, with their weights.
const NETWORKS_BYTES: u64 = if cfg!(feature = "networks") { 256 << 20 } else { 16 << 20 };

/// What is wanted of a decomposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Number of layers with the background, 1 to 10; `None`: as many as the picture has.
    pub layers: Option<u8>,
    /// Reserved for engines that draw lots: this one gives the same result for every seed.
    pub seed: u64,
}

/// What a decomposition gives.
#[derive(Debug, Clone)]
pub struct Output {
    /// The layers, the background first.
    pub stack: LayerStack,
    /// What was decided or could not be done, in words for people.
    pub notes: Vec<Note>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("stopped")]
    Stopped,
    #[error("an empty picture has no layers: give one with at least one pixel")]
    Empty,
    #[error("{0} layers are not possible: ask for 1 to {MOST_LAYERS}")]
    LayerCount(u8),
}

impl From<Stopped> for Error {
    fn from(_: Stopped) -> Self {
        Error::Stopped
    }
}

/// Peak memory in bytes of a decomposition of `width` x `height` pixels into at
/// most `layers` layers: an upper estimate.
pub fn memory_bytes(width: u32, height: u32, layers: u8) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    // Float planes of the lifting, then a picture and an opacity per layer; what the networks
    // need depends little on the picture.
    pixels * (200 + 11 * u64::from(layers.clamp(1, MOST_LAYERS))) + NETWORKS_BYTES
}

/// Takes `input` (sRGB, 8 bit, straight alpha) apart.
///
/// `progress` is called at each step and about every 40 ms in between; when it
/// breaks, the work ends at the next check. The layers' composite is `input` within
/// 1/255 in every premultiplied channel of every pixel.
///
/// # Errors
/// [`Error::Stopped`] when `progress` said so; otherwise the input or the options
/// are not usable.
pub fn decompose(
    input: &RgbaImage,
    options: &Options,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Output, Error> {
    if input.width() == 0 || input.height() == 0 {
        return Err(Error::Empty);
    }
    if let Some(count) = options.layers.filter(|n| !(1..=MOST_LAYERS).contains(n)) {
        return Err(Error::LayerCount(count));
    }
    let (monitor, reporter) = monitor();
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || run(input, options, &monitor));
        reporter.run(progress);
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn run(input: &RgbaImage, options: &Options, monitor: &Monitor) -> Result<Output, Error> {
    monitor.step(Stage::Read, 0, 1, 0.0)?;
    let (opaque, opacity) = opaque_picture(input);
    let Found { mut pile, mut notes } = pipeline::run(opaque, monitor)?;
    monitor.step(Stage::Write, 0, 1, 0.88)?;
    match options.layers {
        None => notes.push(pile.fit_naturally(usize::from(MOST_LAYERS) - 1)),
        Some(count) => {
            pile.fit(usize::from(count) - 1);
            if pile.sheets.len() + 1 < usize::from(count) {
                notes.push(Note::FewerLayers { asked: count.into(), given: pile.sheets.len() + 1 });
            }
        }
    }
    let background_alpha = opacity.map(|alpha| complete_opacity(&alpha, &pile));
    let question = exact::Question {
        input,
        background: &pile.background,
        background_alpha: background_alpha.as_ref(),
        sheets: &pile.sheets,
    };
    let pictures = exact::solve(&question, monitor)?;
    let stack = name_layers(input, pile, pictures);
    monitor.step(Stage::Write, 1, 1, 1.0)?;
    Ok(Output { stack, notes })
}

/// The picture without its transparency, and the opacity if there is any
/// transparency: invisible pixels take the colours around them.
fn opaque_picture(input: &RgbaImage) -> (Rgb8, Option<Plane<u8>>) {
    let (width, height) = (input.width() as usize, input.height() as usize);
    let colours = Plane { width, height, data: input.pixels().map(|p| [p[0], p[1], p[2]]).collect() };
    let opacity = Plane { width, height, data: input.pixels().map(|p| p[3]).collect() };
    if opacity.data.iter().all(|&a| a == 255) {
        return (colours, None);
    }
    let seen = opacity.map(|a| a >= 8);
    if !seen.any() {
        return (colours.map(|_| [0; 3]), Some(opacity));
    }
    (bytes_plane(&membrane(&unit_plane(&colours), &seen, 4)), Some(opacity))
}

/// Opacity of the background: that of the input where the background is seen,
/// continued behind the layers above it.
fn complete_opacity(opacity: &Plane<u8>, pile: &Pile) -> Plane<u8> {
    let covered =
        Plane::from_fn(opacity.width, opacity.height, |x, y| pile.sheets.iter().any(|s| s.alpha.at(x, y) > 0));
    let seen = covered.not();
    if !seen.any() {
        return opacity.clone();
    }
    let completed = membrane(&opacity.map(|a| [f32::from(a)]), &seen, 4);
    completed.map(|a| if a[0] >= 254.5 { 255 } else { a[0] as u8 })
}

fn name_layers(input: &RgbaImage, pile: Pile, pictures: Vec<RgbaImage>) -> LayerStack {
    let mut pictures = pictures.into_iter();
    let mut made = Vec::with_capacity(pile.sheets.len() + 1);
    if let Some(pixels) = pictures.next() {
        made.push(Layer { name: "Background".to_owned(), kind: Kind::Background, text: None, pixels });
    }
    for (sheet, pixels) in pile.sheets.into_iter().zip(pictures) {
        made.push(Layer { name: sheet.name, kind: sheet.kind, text: sheet.text, pixels });
    }
    naming::name(&mut made);
    LayerStack::new(input.width(), input.height(), made).expect("every layer has the size of the input")
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgba;

    /// Disks on a ramp, noise in a corner: each kind of filling has something to do.
    fn busy() -> RgbaImage {
        RgbaImage::from_fn(260, 200, |x, y| {
            let disk = |cx: u32, cy: u32, r: u32| x.abs_diff(cx).pow(2) + y.abs_diff(cy).pow(2) < r * r;
            if disk(80, 90, 40) {
                Rgba([200, 30, 40, 255])
            } else if disk(180, 110, 30) {
                Rgba([30, (40 + (x * 7 + y * 13) % 60) as u8, 160, 255])
            } else if x > 200 && y < 60 {
                Rgba([((x * 31 + y * 57) % 255) as u8, 90, 20, 255])
            } else {
                Rgba([(200 - y / 2) as u8, 220, (x / 3) as u8, 255])
            }
        })
    }

    #[test]
    fn the_number_of_threads_does_not_reach_the_result() {
        let input = busy();
        let options = Options { layers: Some(4), seed: 7 };
        let bytes = |threads: usize| {
            let (monitor, _reporter) = monitor();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
            let output = pool.install(|| run(&input, &options, &monitor)).expect("layers");
            output.stack.into_layers().into_iter().map(|layer| layer.pixels.into_raw()).collect::<Vec<_>>()
        };
        let one = bytes(1);
        assert!(one == bytes(2) && one == bytes(5));
    }
}
