//! The promise for every input: a valid result whose composite is the input.

use std::ops::ControlFlow;

use draft::{Error, MOST_LAYERS, Options, decompose, worst_difference};
use image::{Rgba, RgbaImage};

/// xorshift: the tests need numbers of their own, not the engine's.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn byte(&mut self) -> u8 {
        self.roll(256) as u8
    }
}

/// A picture of one of several kinds: noise, flat, shapes on flat, ramps, grey; some with transparency.
fn picture(dice: &mut Dice) -> RgbaImage {
    let mut side = || match dice.roll(4) {
        0 => 1 + dice.roll(4) as u32,
        1 => 32,
        _ => 1 + dice.roll(150) as u32,
    };
    let (width, height) = (side(), side());
    let (kind, transparency) = (dice.roll(5), dice.roll(4));
    let (background, shape) = ([dice.byte(), dice.byte(), dice.byte()], [dice.byte(), dice.byte(), dice.byte()]);
    let centre = (dice.roll(u64::from(width)) as i64, dice.roll(u64::from(height)) as i64);
    let radius = 1 + dice.roll(50) as i64;
    RgbaImage::from_fn(width, height, |x, y| {
        let inside = (i64::from(x) - centre.0).pow(2) + (i64::from(y) - centre.1).pow(2) < radius * radius;
        let [r, g, b] = match kind {
            0 => [dice.byte(), dice.byte(), dice.byte()],
            1 => background,
            2 => {
                if inside {
                    shape
                } else {
                    background
                }
            }
            3 => [(x * 255 / width) as u8, (y * 255 / height) as u8, if inside { 255 } else { 0 }],
            _ => [if inside { background[0] } else { dice.byte() / 8 }; 3],
        };
        let alpha = match transparency {
            0 => dice.byte(),
            1 => {
                if inside {
                    255
                } else {
                    0
                }
            }
            _ => 255,
        };
        Rgba([r, g, b, alpha])
    })
}

fn go_on(_: draft::Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn every_picture_gives_exact_layers() {
    for seed in 1..=40u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let input = picture(&mut dice);
        let options = Options {
            layers: [None, Some(1), Some(2), Some(4), Some(10)][seed as usize % 5],
            seed,
            ..Options::default()
        };
        let output = decompose(&input, &options, &mut go_on).expect("every picture can be taken apart");
        let (width, height) = input.dimensions();
        let layers: Vec<RgbaImage> =
            output.stack.iter().map(|layer| layer.on_canvas(width, height).into_owned()).collect();
        assert!(
            layers.len() <= usize::from(options.layers.unwrap_or(MOST_LAYERS)),
            "seed {seed}: {} layers",
            layers.len()
        );
        assert_eq!(worst_difference(&input, &layers), 0, "seed {seed}, {:?}", input.dimensions());
    }
}

/// Worked on at a smaller size, and as exact.
#[test]
fn a_large_picture_gives_exact_layers() {
    let input = RgbaImage::from_fn(2400, 2600, |x, y| {
        let disk = x.abs_diff(1300).pow(2) + y.abs_diff(1500).pow(2) < 600 * 600;
        let grain = ((x * 7 + y * 13) % 5) as u8;
        if disk { Rgba([200, 30 + grain, 40, 255]) } else { Rgba([240, 220, 90 + grain, 255]) }
    });
    let output = decompose(&input, &Options { layers: Some(2), ..Options::default() }, &mut go_on).expect("a poster");
    let layers: Vec<RgbaImage> = output.stack.iter().map(|layer| layer.on_canvas(2400, 2600).into_owned()).collect();
    assert_eq!((layers.len(), worst_difference(&input, &layers)), (2, 0));
    let mistaken = input.enumerate_pixels().filter(|(x, y, p)| (layers[1].get_pixel(*x, *y)[3] > 127) != (p[0] == 200));
    assert_eq!(mistaken.count(), 0);
    assert_eq!(output.stack.layers()[1].name, "Red circle");
}

/// Flat background with two disks and a ring: a poster in small.
fn poster() -> RgbaImage {
    RgbaImage::from_fn(400, 300, |x, y| {
        let disk = |cx: f32, cy: f32, r: f32| {
            let distance = ((x as f32 - cx).powi(2) + (y as f32 - cy).powi(2)).sqrt();
            (r + 0.5 - distance).clamp(0.0, 1.0)
        };
        let mut colour = [240.0, 220.0, 90.0];
        for (cover, paint) in
            [(disk(110.0, 150.0, 60.0), [200.0, 30.0, 40.0]), (disk(290.0, 140.0, 45.0), [30.0, 60.0, 180.0])]
        {
            for c in 0..3 {
                colour[c] += (paint[c] - colour[c]) * cover;
            }
        }
        Rgba([colour[0] as u8, colour[1] as u8, colour[2] as u8, 255])
    })
}

#[test]
fn disks_come_off_a_flat_background_without_a_fringe() {
    let output =
        decompose(&poster(), &Options { layers: Some(3), ..Options::default() }, &mut go_on).expect("a poster");
    let layers = output.stack.layers();
    assert_eq!(layers.len(), 3, "{:?}", output.notes);
    // The background is completed behind the disks.
    for pixel in layers[0].pixels.pixels() {
        assert!(pixel[0].abs_diff(240) < 6 && pixel[1].abs_diff(220) < 6 && pixel[2].abs_diff(90) < 6, "{pixel:?}");
    }
    // Wherever a disk is at all opaque, it has its own colour.
    for layer in &layers[1..] {
        let solid: Vec<_> = layer.pixels.pixels().filter(|p| p[3] > 100).collect();
        assert!(solid.len() > 3000);
        let red = solid.iter().filter(|p| p[0] > 150).count();
        let paint = if red * 2 > solid.len() { [200u8, 30, 40] } else { [30, 60, 180] };
        for pixel in solid {
            assert!((0..3).all(|c| pixel[c].abs_diff(paint[c]) < 40), "{pixel:?} is not {paint:?}");
        }
    }
}

#[test]
fn progress_rises_and_a_break_ends_the_work() {
    let mut last = 0.0;
    decompose(&poster(), &Options::default(), &mut |step| {
        assert!(step.fraction >= last && step.fraction <= 1.0 && step.step <= step.total);
        last = step.fraction;
        ControlFlow::Continue(())
    })
    .expect("a poster");
    assert_eq!(last, 1.0);
    let stopped = decompose(&poster(), &Options::default(), &mut |_| ControlFlow::Break(()));
    assert_eq!(stopped.err(), Some(Error::Stopped));
}

#[test]
fn impossible_wishes_are_refused() {
    for count in [0, MOST_LAYERS + 1, 255] {
        let answer = decompose(&poster(), &Options { layers: Some(count), ..Options::default() }, &mut go_on);
        assert_eq!(answer.err(), Some(Error::LayerCount(count)));
    }
    assert_eq!(decompose(&RgbaImage::new(0, 5), &Options::default(), &mut go_on).err(), Some(Error::Empty));
}
