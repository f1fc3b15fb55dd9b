//! `cargo bench -p typeset --bench identify`: lines drawn in every face of the shipped, the system's and given fonts,
//! damaged as lifted ink is, and identified among all of them. Arguments: `--faces shipped|all` (all), `--lines N`
//! (lines a face and damage, 3), `--folder PATH`, `--each` (prints every miss), `--most N` (only
//! every so manyth face is a candidate, so that N are: for the time), `--threads N`, `--pictures FOLDER` (masks that
//! another program drew, see `read`).

mod damage;
mod table;

use std::path::{Path, PathBuf};
use std::time::Instant;

use damage::{Damage, Random};
use image::GrayImage;
use table::{Row, sisters};
use typeset::{
    Bounds, Colour, Face, Fonts, Line, Match, Options, Position, Run, Sources, Style, Text, identify, render,
};

const KOREAN: &[&str] = &[
    "가을 음악회",
    "서울 국제 도서전",
    "오늘의 특별한 커피",
    "새해 복 많이 받으세요",
    "무료 체험 신청하기",
    "여름 휴가 대축제",
    "우리 동네 책방",
    "한정 수량 선착순",
];
const LATIN: &[&str] = &[
    "Autumn Concert",
    "SUMMER SALE",
    "Grand opening",
    "Save the date 2026",
    "Fresh coffee daily",
    "Jazz & Blues Night",
    "www.example.org",
    "UP TO 50% OFF",
];
const MIXED: &[&str] = &["2026 서울 Jazz Festival", "BIG 세일 50% 할인", "3월 14일 (토) 19:30", "Café 봄날 OPEN"];

struct Arguments {
    sources: Sources,
    lines: usize,
    each: bool,
    most: Option<usize>,
    pictures: Option<PathBuf>,
}

fn arguments() -> Arguments {
    let mut arguments = Arguments {
        sources: Sources { system: true, ..Sources::default() },
        lines: 3,
        each: false,
        most: None,
        pictures: None,
    };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--faces" => arguments.sources.system = given.next().as_deref() != Some("shipped"),
            "--most" => arguments.most = given.next().and_then(|n| n.parse().ok()),
            "--folder" => arguments.sources.folders.extend(given.next().map(Into::into)),
            "--pictures" => arguments.pictures = given.next().map(Into::into),
            "--threads" => {
                let count = given.next().and_then(|n| n.parse().ok()).unwrap_or(0);
                let _ = rayon::ThreadPoolBuilder::new().num_threads(count).build_global();
            }
            "--lines" => arguments.lines = given.next().and_then(|n| n.parse().ok()).unwrap_or(arguments.lines),
            "--each" => arguments.each = true,
            _ => {}
        }
    }
    arguments
}

/// A line as it was drawn.
struct Truth<'a> {
    face: &'a Face,
    words: String,
    size: f32,
    spacing: f32,
    baseline: f32,
    mask: GrayImage,
}

/// Lines that another program drew: `lines.tsv` in a folder has, for each, the file with its mask, the PostScript name
/// of its face, size, letter spacing and baseline in px, and its words.
fn read<'a>(folder: &Path, fonts: &'a Fonts) -> std::io::Result<Vec<Truth<'a>>> {
    let rows = std::fs::read_to_string(folder.join("lines.tsv"))?;
    let truth = |row: &str| {
        let [file, name, size, spacing, baseline, words] = row.split('\t').collect::<Vec<_>>().try_into().ok()?;
        let face = fonts.faces().iter().find(|face| face.postscript() == name)?;
        let mask = image::open(folder.join(file)).ok()?.into_luma8();
        let number = |text: &str| text.parse::<f32>().ok();
        let (size, spacing, baseline) = (number(size)?, number(spacing)?, number(baseline)?);
        Some(Truth { face, words: words.to_owned(), size, spacing, baseline, mask })
    };
    Ok(rows.lines().filter_map(truth).collect())
}

fn draw<'a>(face: &'a Face, fonts: &Fonts, random: &mut Random) -> Option<Truth<'a>> {
    let scripts = face.scripts();
    let sets: &[&[&'static str]] = if scripts.hangul { &[KOREAN, KOREAN, LATIN, MIXED] } else { &[LATIN] };
    let set = *random.one_of(sets);
    let words = *random.one_of(set);
    if !face.has_all(words) {
        return None;
    }
    let size = 12.0 * (200.0_f32 / 12.0).powf(random.unit());
    // Half of all lines are not spaced; the rest from -2 to +10 px, as far as letters of this size bear it.
    let spacing = if random.unit() < 0.5 { 0.0 } else { (-2.0 + 12.0 * random.unit()).clamp(-0.06 * size, 0.3 * size) };
    let position = Position { x: 20.0 + random.unit(), y: (1.5 * size).ceil() + 20.0 + random.unit() };
    let mut style = Style::new(face.postscript(), size, Colour::rgb(0, 0, 0));
    (style.weight, style.width, style.slant) = (face.weight(), face.width(), face.slant());
    style.letter_spacing = spacing;
    let text = Text {
        lines: vec![Line { runs: vec![Run { text: words.into(), style }] }],
        align: typeset::Align::Left,
        angle: 0.0,
        position,
    };
    let (width, height) = (6000, (3.0 * size) as u32 + 60);
    let drawn = render(&text, fonts, Bounds { x: 0, y: 0, width, height }).ok()?;
    if drawn.faces != [face.id()] {
        return None; // the name does not tell it from another: not a fair question
    }
    let margin = 12;
    let mut mask = GrayImage::new(drawn.picture.width() + 2 * margin, drawn.picture.height() + 2 * margin);
    for (x, y, pixel) in drawn.picture.enumerate_pixels() {
        mask.put_pixel(x + margin, y + margin, image::Luma([pixel.0[3]]));
    }
    let baseline = position.y - drawn.y as f32 + margin as f32;
    Some(Truth { face, words: words.to_owned(), size, spacing, baseline, mask })
}

fn main() -> std::io::Result<()> {
    let arguments = arguments();
    let started = Instant::now();
    let fonts = Fonts::load(&arguments.sources);
    println!("{} faces listed in {:.0} ms", fonts.faces().len(), started.elapsed().as_secs_f64() * 1e3);
    let step = arguments.most.map_or(1, |most| fonts.faces().len().div_ceil(most.max(1)));
    let faces: Vec<&Face> = fonts.faces().iter().step_by(step).collect();
    let options = Options { faces: Some(faces.iter().map(|face| face.id()).collect()), ..Options::default() };
    println!("{} of them are candidates; {} threads", faces.len(), rayon::current_num_threads());
    let mut all = Row::default();
    let mut shown = Vec::new();
    let mut search = Search { fonts: &fonts, options: &options, each: arguments.each };
    if let Some(folder) = &arguments.pictures {
        for truth in read(folder, &fonts)? {
            search.find(&truth, &truth.mask, &mut [&mut all]);
        }
    } else {
        for damage in Damage::ALL {
            let mut row = Row::default();
            let mut random = Random::new(11);
            for face in faces.iter().filter(|face| face.scripts().latin) {
                for _ in 0..arguments.lines {
                    let Some(truth) = draw(face, &fonts, &mut random) else { continue };
                    if truth.size >= damage.least_size() {
                        let mask = damage.apply(&truth.mask, &mut random);
                        search.find(&truth, &mask, &mut [&mut row, &mut all]);
                    }
                }
            }
            shown.push((format!("{damage:?}"), row));
        }
    }
    shown.push(("all".to_owned(), all));
    println!("{}", Row::HEADER);
    for (name, row) in &shown {
        println!("{}", row.line(name));
    }
    for (name, row) in &shown {
        row.histogram(name);
    }
    Ok(())
}

struct Search<'a> {
    fonts: &'a Fonts,
    options: &'a Options,
    each: bool,
}

impl Search<'_> {
    fn find(&mut self, truth: &Truth<'_>, mask: &GrayImage, rows: &mut [&mut Row]) {
        let started = Instant::now();
        let found = identify(mask, &truth.words, self.fonts, self.options);
        let took = started.elapsed();
        let name = |found: &Match| self.fonts.face(found.face).map(Face::family).unwrap_or_default();
        let own_family = |found: &Match| sisters(name(found), truth.face.family());
        let found = found.unwrap_or_default();
        let Some(best) = found.first() else {
            println!("{} {:.0} px \"{}\": no ink", truth.face.postscript(), truth.size, truth.words);
            return;
        };
        // How well the line's own face lies, where it is among the results.
        let own = found.iter().find(|found| found.face == truth.face.id());
        let sister = own_family(best);
        if self.each && (!sister || (best.size / truth.size - 1.0).abs() > 0.03) {
            println!(
                "{} {:.0} px {:+.1} \"{}\": {} {} {best:.3?}; own {:.3?}",
                truth.face.postscript(),
                truth.size,
                truth.spacing,
                truth.words,
                name(best),
                self.fonts.face(best.face).map_or(0, Face::weight),
                own.map(|own| (own.similarity, own.size))
            );
        }
        for row in rows {
            row.right(name(best) == truth.face.family(), sister, best.face == truth.face.id());
            if sister {
                row.fit(best, truth.size, truth.spacing, truth.baseline);
            }
            if let Some(own) = own {
                row.own(own.similarity, own.overlap);
            }
            // The best of the wrong families, for the threshold.
            row.wrong(found.iter().find(|found| !own_family(found)).map(|wrong| wrong.similarity));
            row.took(took);
        }
    }
}
