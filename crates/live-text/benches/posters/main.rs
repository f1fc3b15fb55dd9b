//! Draws posters whose words are known, takes them apart with the draft engine, and says what became of the words.
//!
//! `cargo bench -p live-text --bench posters -- --posters 20 [--blocks 30] [--system]`, or `--pictures folder` for the
//! posters that the draft benchmark renders, whose level lines are known from the page.

mod poster;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::{LineInfo, LiveText};
use image::RgbaImage;
use layers::{Kind, Layer};
use poster::{Poster, TrueLine};
use typeset::{Colour, Fill, Fonts, Sources, Style};

/// What became of true lines.
#[derive(Default)]
struct Tally {
    lines: u32,
    read: u32,
    live: u32,
    family: u32,
    face: u32,
    /// Of those with the right family: drawn again with an overlap of 0.8 or more.
    drawn: u32,
    size: u32,
    baseline: u32,
    colour: u32,
    angle: u32,
    approximate: u32,
    reasons: BTreeMap<String, u32>,
    similarities: Vec<f32>,
    overlaps: Vec<f32>,
    block_overlaps: Vec<f32>,
    blocks: (u32, u32),
    engine: Duration,
    words: Vec<Duration>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let after = arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
        after.and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let listing = Instant::now();
    let fonts = Fonts::load(&Sources { system: has("--system"), ..Sources::default() });
    println!("{} faces, listed in {:.2} s", fonts.faces().len(), listing.elapsed().as_secs_f64());
    let mut tally = Tally::default();
    if let Some(folder) = arguments.iter().position(|a| a == "--pictures").and_then(|at| arguments.get(at + 1)) {
        for picture in pictures(Path::new(folder), number("--posters", 100)) {
            measure(&poster::rendered(&picture, &fonts), &fonts, &mut tally, has("--verbose"));
        }
        report(&mut tally);
        return;
    }
    for index in 0..number("--posters", 10) {
        let made = poster::poster(index as u64 + number("--seed", 1) as u64, number("--blocks", 8), &fonts);
        if has("--save") {
            let _ = made.picture.save(std::env::temp_dir().join(format!("poster-{index}.png")));
        }
        measure(&made, &fonts, &mut tally, has("--verbose"));
    }
    report(&mut tally);
}

/// The folders with a rendered poster in a folder.
fn pictures(folder: &Path, most: usize) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let mut found: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.join("poster.png").is_file()).collect();
    found.sort();
    found.truncate(most);
    found
}

/// The text layers of a picture and their live text.
fn texts(picture: &RgbaImage, fonts: &Fonts, tally: &mut Tally, verbose: bool) -> (Vec<Layer>, Vec<LiveText>) {
    let started = Instant::now();
    let progress = &mut |_| ControlFlow::Continue(());
    let output = draft::decompose(picture, &draft::Options::default(), progress).expect("nobody stops it");
    tally.engine += started.elapsed();
    let started = Instant::now();
    let layers: Vec<Layer> = output.stack.iter().filter(|layer| layer.kind == Kind::Text).cloned().collect();
    let found = live_text::live_texts(&layers, fonts, &|| false, &|| {});
    tally.words.push(started.elapsed());
    for (layer, _) in layers.iter().zip(&found).filter(|(_, found)| verbose && found.is_none()) {
        println!("  no live text: {:?}", layer.lines);
    }
    let texts: Vec<LiveText> = found.into_iter().flatten().collect();
    tally.block_overlaps.extend(texts.iter().map(|text| text.overlap));
    tally.blocks.1 += texts.iter().map(|text| text.blocks.len() as u32).sum::<u32>();
    for line in texts.iter().flat_map(|text| &text.pixel_lines) {
        *tally.reasons.entry(format!("{:?}", line.reason)).or_default() += 1;
        if verbose {
            println!("  pixels: {:?} {:?}", line.words, line.reason);
        }
    }
    (layers, texts)
}

fn measure(made: &Poster, fonts: &Fonts, tally: &mut Tally, verbose: bool) {
    let (layers, texts) = texts(&made.picture, fonts, tally, verbose);
    tally.blocks.0 += made.blocks;
    let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
    let read: Vec<_> = layers.iter().flat_map(|layer| &layer.lines).collect();
    for line in &made.lines {
        tally.lines += 1;
        let is_read = read.iter().any(|read| plain(&read.words) == plain(&line.words));
        tally.read += u32::from(is_read);
        let infos = texts.iter().flat_map(|text| &text.blocks).flat_map(|block| {
            let styles = block.text.lines.iter().filter_map(|line| Some(&line.runs.first()?.style));
            block.lines.iter().zip(styles).map(|(line, style)| (line, style, block.text.angle))
        });
        let same = infos.filter(|(info, ..)| plain(&info.words) == plain(&line.words));
        let apart = |info: &LineInfo| (info.origin.x - line.origin.x).hypot(info.origin.y - line.origin.y);
        let found = same.min_by(|a, b| apart(a.0).total_cmp(&apart(b.0)));
        match found {
            Some((info, style, angle)) => compare(line, info, style, angle, tally, verbose),
            None if verbose => {
                let near = read.iter().find(|read| {
                    let (x, y) = (line.origin.x + 5.0, line.origin.y - 3.0);
                    let rect = read.rect;
                    (rect.x as f32..=(rect.x + rect.width) as f32).contains(&x)
                        && (rect.y as f32..=(rect.y + rect.height) as f32).contains(&y)
                });
                println!(
                    "  lost: {:?} ({}, {:.0} px), read as {:?}",
                    line.words,
                    line.family,
                    line.size,
                    near.map(|n| &n.words)
                );
            }
            None => {}
        }
    }
}

fn compare(line: &TrueLine, info: &LineInfo, style: &Style, angle: f32, tally: &mut Tally, verbose: bool) {
    tally.live += 1;
    tally.similarities.push(info.similarity);
    tally.overlaps.push(info.overlap);
    // Regions of Noto differ in letters that posters hardly have.
    let region = |family: &str| {
        let region = [" KR", " JP", " SC", " TC", " HK"].iter().find_map(|region| family.strip_suffix(region));
        region.unwrap_or(family).replace(" CJK", "")
    };
    let found = info.font.family.as_str();
    // One design, of other sizes.
    let resized = [("Do Hyeon", "BM DoHyeon"), ("Jua", "BM JUA_TTF")].contains(&(found, &line.family));
    let family =
        resized || region(found) == region(&line.family) || typeset::sisters(found).any(|name| name == line.family);
    tally.family += u32::from(family);
    tally.face += u32::from(family && info.font.weight == line.weight);
    tally.drawn += u32::from(family && info.overlap >= 0.8);
    tally.approximate += u32::from(info.font.approximate);
    let size = resized || (style.size / line.size - 1.0).abs() <= 0.03;
    // Across the line.
    let (dx, dy) = (info.origin.x - line.origin.x, info.origin.y - line.origin.y);
    let (cos, sin) = (line.angle.to_radians().cos(), line.angle.to_radians().sin());
    let baseline = (dy * cos - dx * sin).abs() <= 2.0;
    let colour = match (&style.fill, line.colour) {
        (Fill::Colour(colour), Some(wanted)) => near(*colour, wanted),
        (Fill::Gradient(_), Some(_)) => false,
        (_, None) => true,
    };
    tally.size += u32::from(size);
    tally.baseline += u32::from(baseline);
    tally.colour += u32::from(colour);
    tally.angle += u32::from((angle - line.angle).abs() <= 0.3);
    if verbose && !(family && size && baseline && colour && !info.font.approximate) {
        println!(
            "  {:?} {} {} {:.1} px {} {:.1}: {} {} {:.1} px ls {:.1} {:?} {:.1}, similarity {:.3}, across {:.1}, along {:.1}",
            line.words,
            line.family,
            line.weight,
            line.size,
            line.colour.map(|colour| colour.to_string()).unwrap_or_default(),
            line.angle,
            info.font.family,
            info.font.weight,
            style.size,
            style.letter_spacing,
            style.fill,
            angle,
            info.similarity,
            dy * cos - dx * sin,
            dx * cos + dy * sin,
        );
    }
}

fn near(a: Colour, b: Colour) -> bool {
    let channels = |colour: Colour| [colour.red, colour.green, colour.blue];
    channels(a).into_iter().zip(channels(b)).all(|(a, b)| a.abs_diff(b) <= 6)
}

fn report(tally: &mut Tally) {
    let share = |count: u32, of: u32| format!("{:.1} %", 100.0 * f64::from(count) / f64::from(of.max(1)));
    println!("{} lines: read {}, live {}", tally.lines, share(tally.read, tally.lines), share(tally.live, tally.lines));
    println!(
        "of the live ones: family {}, weight too {}, size {}, baseline {}, angle {}, colour {}, approximate {}",
        share(tally.family, tally.live),
        share(tally.face, tally.live),
        share(tally.size, tally.live),
        share(tally.baseline, tally.live),
        share(tally.angle, tally.live),
        share(tally.colour, tally.live),
        share(tally.approximate, tally.live),
    );
    println!("of those with the right family, overlap at least 0.8: {}", share(tally.drawn, tally.family));
    println!("lines that stay pixels: {:?}; blocks drawn {}, found {}", tally.reasons, tally.blocks.0, tally.blocks.1);
    for (name, values) in [
        ("similarity", &mut tally.similarities),
        ("overlap of lines", &mut tally.overlaps),
        ("overlap of layers", &mut tally.block_overlaps),
    ] {
        values.sort_by(f32::total_cmp);
        let at = |share: usize| values.get(values.len() * share / 100).copied().unwrap_or(0.0);
        println!(
            "{name}: median {:.3}, worst twentieth {:.3}, below 0.8 {}",
            at(50),
            at(5),
            share(values.partition_point(|v| *v < 0.8) as u32, values.len() as u32)
        );
    }
    tally.words.sort();
    let posters = tally.words.len().max(1) as u32;
    println!(
        "draft {:.2} s a poster, live text {:.2} s in the median, {:.2} s at most",
        (tally.engine / posters).as_secs_f64(),
        tally.words.get(tally.words.len() / 2).map_or(0.0, Duration::as_secs_f64),
        tally.words.last().map_or(0.0, Duration::as_secs_f64),
    );
}
