use std::ops::ControlFlow;

use image::RgbaImage;
use layers::{Kind, Label, Layer, LayerStack};

use crate::colour::{bytes_plane, to_bytes, unit_plane};
use crate::cut;
use crate::exact;
use crate::fill::membrane::membrane;
use crate::filter::{area_means, resize_rgb};
use crate::large;
use crate::layer::Sheet;
use crate::monitor::{Monitor, Progress, Stage, Stopped, watched};
use crate::naming;
use crate::note::Note;
use crate::pipeline::{self, Decomposition};
use crate::plane::{Plane, Rgb8};
use crate::rating::{self, Background};
use crate::split;
use crate::structure::{Arrangement, Unit};

/// Largest number of layers that can be requested.
pub const MOST_LAYERS: u8 = 64;

/// Opacity (0 to 255) of a layer from which it hides what is behind it.
const HIDING: u8 = 64;

/// Time that composing and writing take for a pixel, against looking at it; in a large picture also for bringing what was
/// found to its size. Estimates: only the bar that shows progress depends on them.
const WRITING: f32 = 0.08;
const WRITING_LARGE: f32 = 0.25;

/// Peak memory of the networks, weights included.
const NETWORKS_BYTES: u64 = if cfg!(feature = "networks") { 256 << 20 } else { 16 << 20 };

/// Parameters of a decomposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Number of layers including the background, 1 to 64; `None`: the engine chooses.
    pub layers: Option<u8>,
    /// What the picture shows, where it is a layer of another result with transparency around: such a one is only
    /// divided into its parts, words into blocks or lines, things into connected pieces. `None`, or
    /// [`Kind::Background`]: a whole picture.
    pub of: Option<Kind>,
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
    /// How well the background could be completed; `None` where a layer was split, which has no background.
    pub background: Option<Background>,
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

/// Peak memory in bytes of a decomposition of `width` x `height` pixels: an upper estimate. The number of layers does not
/// matter: they are cut to what they show.
pub fn memory_bytes(width: u32, height: u32, _layers: u8) -> u64 {
    let (width, height) = (width as usize, height as usize);
    let working = large::working_size(width, height).map_or(width * height, |(width, height)| width * height);
    // Measured and rounded up: float planes of the extraction beside the picture; later a plane of colours, opacities and
    // owners for each sheet, beside the written layers. The memory of the networks depends little on the picture.
    (working as u64 * 200 + (width * height) as u64 * 8).max((width * height) as u64 * 50) + NETWORKS_BYTES
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
    watched(progress, |monitor| run(input, options, monitor))
}

fn run(input: &RgbaImage, options: &Options, monitor: &Monitor) -> Result<Output, Error> {
    monitor.step(Stage::Read, 0, 1, 0.0)?;
    if let Some(kind) = options.of.filter(|kind| matches!(kind, Kind::Text | Kind::Object | Kind::Subject)) {
        return Ok(split::run(input, kind, options, monitor)?);
    }
    let (opaque, opacity) = opaque_picture(input);
    let small = large::working_size(opaque.width, opaque.height).map(|(w, h)| resize_rgb(&opaque, w, h));
    // A large picture waits until it is known what is in it.
    let (opaque, waiting) = match small {
        Some(small) => (small, Some(opaque)),
        None => (opaque, None),
    };
    let long = opaque.width.max(opaque.height);
    let looking = looking_share(input.width() as usize * input.height() as usize, opaque.data.len());
    let large = waiting.is_some();
    let enlarged = (input.width() as f32 / opaque.width as f32, input.height() as f32 / opaque.height as f32);
    let writing = |done: f32| looking + (1.0 - looking) * done;
    let Decomposition { mut background, sheets, mut notes } =
        pipeline::run(opaque, options.scene_text, &monitor.first(looking))?;
    monitor.step(Stage::Write, 0, 4, writing(0.0))?;
    let mut found = Arrangement::new(&background, sheets, monitor)?;
    match options.layers {
        None => notes.push(found.fit_naturally(usize::from(MOST_LAYERS) - 1)),
        Some(count) => found.fit(usize::from(count) - 1),
    }
    found.sort();
    monitor.step(Stage::Write, 1, 4, writing(0.2))?;
    let hidden = Plane::from_fn(background.width, background.height, |x, y| {
        found.sheets.iter().any(|arranged| arranged.sheet.alpha.at(x, y) >= HIDING)
    });
    let rated = rating::rate(&background, &hidden, monitor)?;
    drop(hidden);
    let mut sheets: Vec<&mut Sheet> = found.sheets.iter_mut().map(|arranged| &mut arranged.sheet).collect();
    monitor.step(Stage::Write, 2, 4, writing(0.3))?;
    if let Some(picture) = waiting {
        background = large::enlarge(picture, &background, &mut sheets, monitor)?;
    }
    monitor.step(Stage::Write, 3, 4, writing(if large { 0.8 } else { 0.35 }))?;
    let mut background_alpha = opacity.map(|alpha| inpaint_opacity(&alpha, &sheets));
    let problem =
        exact::Problem { input, background: &mut background, background_alpha: background_alpha.as_mut(), sheets };
    exact::solve(problem, monitor)?;
    let lowest = Layer {
        label: Some(Label::new("background")),
        ..Layer::new(naming::BACKGROUND, Kind::Background, cut::background(&background, background_alpha.as_ref()))
    };
    drop((background, background_alpha));
    let mut layers = vec![lowest];
    let mut units: Vec<Unit> = Vec::new();
    for arranged in found.sheets {
        for (mut layer, unit) in cut::cut(arranged) {
            layer.lines = layer.lines.into_iter().map(|line| line.scaled(enlarged.0, enlarged.1)).collect();
            layers.push(layer);
            units.push(unit);
        }
    }
    naming::name(&mut layers[1..], &units, long);
    if let Some(asked) = options.layers.map(usize::from).filter(|&asked| layers.len() < asked) {
        notes.push(Note::FewerLayers { asked, given: layers.len() });
    }
    let stack = LayerStack::new(input.width(), input.height(), layers).expect("every layer lies in the picture");
    monitor.step(Stage::Write, 4, 4, 1.0)?;
    Ok(Output { stack, notes, background: Some(rated) })
}

/// Share of the time that passes until it is known what is in a picture of so many pixels, of which so many are looked
/// at; the rest grows with all of them.
fn looking_share(all: usize, looked_at: usize) -> f32 {
    let work = if all > looked_at { WRITING_LARGE * all as f32 } else { WRITING * all as f32 };
    looked_at as f32 / (looked_at as f32 + work)
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
    let Some((small_width, small_height)) = large::working_size(width, height) else {
        return (bytes_plane(&membrane(&unit_plane(&colours), &visible, 4)), Some(opacity));
    };
    // Nobody sees these pixels: a large picture takes them from a small one.
    let seen = |x: usize, y: usize| match (visible.at(x, y), colours.at(x, y).map(|v| f32::from(v) / 255.0)) {
        (true, [r, g, b]) => [r, g, b, 1.0],
        _ => [0.0; 4],
    };
    let means = area_means((width, height), (small_width, small_height), seen);
    let known = means.map(|mean| mean[3] > 0.0);
    let around = membrane(&means.map(|[r, g, b, share]| [r, g, b].map(|v| v / share.max(1e-6))), &known, 4);
    let filled = Plane::from_fn(width, height, |x, y| match visible.at(x, y) {
        true => colours.at(x, y),
        _ => to_bytes(around.at(x * small_width / width, y * small_height / height)),
    });
    (filled, Some(opacity))
}

/// Opacity of the background: that of the input where the background is visible,
/// inpainted behind the layers above it.
fn inpaint_opacity(opacity: &Plane<u8>, sheets: &[&mut Sheet]) -> Plane<u8> {
    let covered =
        Plane::from_fn(opacity.width, opacity.height, |x, y| sheets.iter().any(|sheet| sheet.alpha.at(x, y) > 0));
    let visible = covered.not();
    if !visible.any() {
        return opacity.clone();
    }
    let inpainted = membrane(&opacity.map(|a| [f32::from(a)]), &visible, 4);
    inpainted.map(|a| if a[0] >= 254.5 { 255 } else { a[0] as u8 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::monitor;
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
    fn a_large_picture_is_not_almost_done_when_it_is_known_what_is_in_it() {
        assert!(looking_share(1_763_584, 1_763_584) > 0.9);
        assert!(looking_share(24_000_000, 4_000_000) < 0.5);
    }

    #[test]
    fn the_number_of_threads_does_not_reach_the_result() {
        let input = busy();
        let options = Options { layers: Some(4), seed: 7, ..Options::default() };
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
