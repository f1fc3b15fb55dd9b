use std::ops::ControlFlow;

use image::RgbaImage;
use layers::{Kind, Layer, LayerStack};

use crate::colour::{bytes_plane, unit_plane};
use crate::exact;
use crate::fill::membrane::membrane;
use crate::layer_count::DraftStack;
use crate::monitor::{Monitor, Progress, Stage, Stopped, monitor};
use crate::naming;
use crate::note::Note;
use crate::pipeline::{self, Decomposition};
use crate::plane::{Plane, Rgb8};

/// Largest number of layers that can be requested.
pub const MOST_LAYERS: u8 = 10;

/// Peak memory of the networks, weights included.
const NETWORKS_BYTES: u64 = if cfg!(feature = "networks") { 256 << 20 } else { 16 << 20 };

/// Parameters of a decomposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Number of layers including the background, 1 to 10; `None`: the engine chooses.
    pub layers: Option<u8>,
    /// Ignored: this engine makes no random choices. Present for callers that pass one seed to every engine.
    pub seed: u64,
    /// What happens to words on things.
    pub scene_text: SceneText,
}

/// What happens to words on things in the picture: on a sign, a shirt, a label. Words on buttons, badges and ribbons are
/// the poster's own and are always lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SceneText {
    /// They stay on the thing.
    #[default]
    Keep,
    /// They become text layers.
    Lift,
}

/// The result of a decomposition.
#[derive(Debug, Clone)]
pub struct Output {
    /// The layers, lowest first; the first one is the background.
    pub stack: LayerStack,
    /// What the engine chose or could not do.
    pub notes: Vec<Note>,
}

/// Why a decomposition failed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The progress callback asked to stop.
    #[error("stopped")]
    Stopped,
    /// The picture has no pixels.
    #[error("an empty picture has no layers: give one with at least one pixel")]
    Empty,
    /// The number of layers is out of range.
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
    // 200 bytes a pixel: float planes of the extraction. 11 a pixel and layer: its picture, its opacity and the written
    // RGBA. Both were measured and rounded up. The memory of the networks depends little on the picture.
    pixels * (200 + 11 * u64::from(layers.clamp(1, MOST_LAYERS))) + NETWORKS_BYTES
}

/// Decomposes `input` (sRGB, 8 bit, straight alpha) into layers.
///
/// `progress` is called at each step and about every 40 ms in between; if it returns
/// [`ControlFlow::Break`], the decomposition stops at the next check. The layers' composite equals `input`
/// within 1/255 in every premultiplied channel of every pixel.
///
/// # Errors
/// [`Error::Stopped`] if `progress` asked to stop; [`Error::Empty`] and [`Error::LayerCount`] for input and options
/// that cannot be used.
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
    let Decomposition { mut stack, mut notes } = pipeline::run(opaque, options.scene_text, monitor)?;
    monitor.step(Stage::Write, 0, 1, 0.88)?;
    match options.layers {
        None => notes.push(stack.fit_naturally(usize::from(MOST_LAYERS) - 1)),
        Some(count) => {
            stack.fit(usize::from(count) - 1);
            if stack.layers.len() + 1 < usize::from(count) {
                notes.push(Note::FewerLayers { asked: count.into(), given: stack.layers.len() + 1 });
            }
        }
    }
    let background_alpha = opacity.map(|alpha| inpaint_opacity(&alpha, &stack));
    let problem = exact::Problem {
        input,
        background: &stack.background,
        background_alpha: background_alpha.as_ref(),
        layers: &stack.layers,
    };
    let pictures = exact::solve(&problem, monitor)?;
    let stack = name_layers(input, stack, pictures);
    monitor.step(Stage::Write, 1, 1, 1.0)?;
    Ok(Output { stack, notes })
}

/// The picture made opaque, and its alpha if it has any transparency. Invisible pixels take the colours around them.
fn opaque_picture(input: &RgbaImage) -> (Rgb8, Option<Plane<u8>>) {
    let (width, height) = (input.width() as usize, input.height() as usize);
    let colours = Plane { width, height, data: input.pixels().map(|p| [p[0], p[1], p[2]]).collect() };
    let opacity = Plane { width, height, data: input.pixels().map(|p| p[3]).collect() };
    if opacity.data.iter().all(|&a| a == 255) {
        return (colours, None);
    }
    let visible = opacity.map(|a| a >= 8);
    if !visible.any() {
        return (colours.map(|_| [0; 3]), Some(opacity));
    }
    (bytes_plane(&membrane(&unit_plane(&colours), &visible, 4)), Some(opacity))
}

/// Opacity of the background: that of the input where the background is visible,
/// inpainted behind the layers above it.
fn inpaint_opacity(opacity: &Plane<u8>, stack: &DraftStack) -> Plane<u8> {
    let covered =
        Plane::from_fn(opacity.width, opacity.height, |x, y| stack.layers.iter().any(|s| s.alpha.at(x, y) > 0));
    let visible = covered.not();
    if !visible.any() {
        return opacity.clone();
    }
    let inpainted = membrane(&opacity.map(|a| [f32::from(a)]), &visible, 4);
    inpainted.map(|a| if a[0] >= 254.5 { 255 } else { a[0] as u8 })
}

fn name_layers(input: &RgbaImage, stack: DraftStack, pictures: Vec<RgbaImage>) -> LayerStack {
    let mut pictures = pictures.into_iter();
    let mut layers = Vec::with_capacity(stack.layers.len() + 1);
    if let Some(pixels) = pictures.next() {
        layers.push(Layer { name: "Background".to_owned(), kind: Kind::Background, text: None, pixels });
    }
    for (layer, pixels) in stack.layers.into_iter().zip(pictures) {
        layers.push(Layer { name: layer.name, kind: layer.kind, text: layer.text, pixels });
    }
    naming::name(&mut layers);
    LayerStack::new(input.width(), input.height(), layers).expect("every layer has the size of the input")
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
        let options = Options { layers: Some(4), seed: 7, ..Default::default() };
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
