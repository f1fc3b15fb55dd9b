//! Posters with words in all fonts.

use std::path::Path;

use image::{Rgba, RgbaImage};
use serde::Deserialize;
use typeset::{
    Align, Bounds, Colour, Face, Fonts, Line, Outline, Position, Run, Shadow, Slant, Style, Text, Wanted, line_boxes,
    render,
};

/// A line as it was drawn.
pub(crate) struct TrueLine {
    pub(crate) words: String,
    pub(crate) family: String,
    pub(crate) weight: u16,
    pub(crate) size: f32,
    pub(crate) angle: f32,
    /// Absent where it is not one colour.
    pub(crate) colour: Option<Colour>,
    /// Where its baseline starts.
    pub(crate) origin: Position,
}

pub(crate) struct Poster {
    pub(crate) picture: RgbaImage,
    pub(crate) lines: Vec<TrueLine>,
    pub(crate) blocks: u32,
}

/// What the draft engine's benchmark writes beside a poster that a browser rendered.
#[derive(Deserialize)]
struct Rendered {
    set: Vec<SetLine>,
}

#[derive(Deserialize)]
struct SetLine {
    words: String,
    family: String,
    weight: f32,
    italic: bool,
    size: f32,
    x: f32,
    y: f32,
    colour: Option<[u8; 3]>,
}

/// A poster that a browser rendered, in a folder, with the lines whose face `fonts` has: of others, the browser took some
/// letters from elsewhere.
pub(crate) fn rendered(folder: &Path, fonts: &Fonts) -> Poster {
    let picture = image::open(folder.join("poster.png")).expect("a picture").into_rgba8();
    let truth = std::fs::read(folder.join("truth.json")).expect("what the draft benchmark knows of it");
    let truth: Rendered = serde_json::from_slice(&truth).expect("a truth with lines: render the posters again");
    let known = |line: SetLine| {
        let slant = if line.italic { Slant::Italic } else { Slant::Upright };
        let face = fonts.find(&Wanted { family: &line.family, weight: line.weight as u16, slant, width: 100 })?;
        (face.slant() == slant && face.has_all(&line.words)).then(|| TrueLine {
            family: face.family().to_owned(),
            weight: face.weight(),
            size: line.size,
            angle: 0.0,
            colour: line.colour.map(|[red, green, blue]| Colour::rgb(red, green, blue)),
            origin: Position { x: line.x, y: line.y },
            words: line.words,
        })
    };
    Poster { picture, lines: truth.set.into_iter().filter_map(known).collect(), blocks: 0 }
}

const KOREAN: [&str; 16] = [
    "봄날의 음악회",
    "여름 바다 축제",
    "신규 회원 모집",
    "가을 독서 모임",
    "무료 체험 안내",
    "제12회 정기 공연",
    "지금 바로 신청하세요",
    "선착순 마감",
    "누구나 참여할 수 있습니다",
    "문의 02-1234-5678",
    "서울시 강남구 테헤란로 152",
    "2026년 5월 24일 토요일",
    "함께 만드는 우리 동네",
    "맛있는 커피와 빵",
    "전 품목 최대 70% 할인",
    "오후 7시 30분 대강당",
];
const LATIN: [&str; 14] = [
    "Spring Festival",
    "GRAND OPENING",
    "Jazz Night",
    "Summer Sale 2026",
    "Free Admission",
    "Live Music and Food",
    "www.example.com",
    "Call 02-555-0192",
    "Doors open at 7 pm",
    "Fresh Coffee Daily",
    "NEW COLLECTION",
    "Book your seat now",
    "May 24, Saturday",
    "Up to 50% off",
];

pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// A poster of 1400 px and more with so many blocks of one to three lines below each other, in two columns.
pub(crate) fn poster(seed: u64, blocks: usize, fonts: &Fonts) -> Poster {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..20 {
        let _ = random.next();
    }
    let rows = blocks.div_ceil(2);
    let (width, height) = (1400, (rows as u32 * 150 + 160).max(1000));
    let dark = random.below(2) == 0;
    let base = |random: &mut Random| (random.below(60) + if dark { 10 } else { 185 }) as u8;
    let ground: [[u8; 3]; 2] = std::array::from_fn(|_| std::array::from_fn(|_| base(&mut random)));
    let mut picture = RgbaImage::from_fn(width, height, |_, y| {
        let share = y as f32 / height as f32;
        let mix = |c: usize| (f32::from(ground[0][c]) * (1.0 - share) + f32::from(ground[1][c]) * share) as u8;
        Rgba([mix(0), mix(1), mix(2), 255])
    });
    let faces: Vec<&Face> = fonts.faces().iter().filter(|face| face.scripts().latin).collect();
    let korean: Vec<&Face> = faces.iter().copied().filter(|face| face.scripts().hangul).collect();
    // A poster has two families or three.
    let chosen: Vec<&Face> = (0..3).map(|n| random.of(if n < 2 { &korean } else { &faces })).collect();
    let mut lines = Vec::new();
    for block in 0..blocks {
        let (row, column) = (block / 2, block % 2);
        let face = random.of(&chosen);
        let words: &[&str] = if face.scripts().hangul && random.below(3) > 0 { &KOREAN } else { &LATIN };
        let count = 1 + random.below(3);
        let size = [24.0, 28.0, 32.0, 38.0, 50.0][random.below(if count > 2 { 3 } else { 5 })] + random.below(5) as f32;
        let colour = if dark { 200 } else { 10 };
        let colour: [u8; 3] = std::array::from_fn(|_| (colour + random.below(50)) as u8);
        let mut style = Style {
            weight: face.weight(),
            slant: face.slant(),
            width: face.width(),
            line_height: size * 1.35,
            ..Style::new(face.family(), size, Colour::rgb(colour[0], colour[1], colour[2]))
        };
        match random.below(8) {
            0 if size > 34.0 => {
                style.outline = Some(Outline {
                    width: 3.0,
                    colour: if dark { Colour::rgb(30, 60, 160) } else { Colour::rgb(250, 240, 90) },
                });
            }
            1 => {
                style.shadow = Some(Shadow { dx: 3.0, dy: 3.0, blur: 6.0, colour: Colour::rgb(0, 0, 0), opacity: 0.5 })
            }
            2 => style.letter_spacing = 3.0,
            _ => {}
        }
        let angle = if random.below(7) == 0 && count == 1 { [-12.0, -6.0, 5.0, 9.0][random.below(4)] } else { 0.0 };
        let align = [Align::Left, Align::Centre, Align::Right][random.below(3)];
        let x = [50.0, 350.0, 650.0][align as usize] + 700.0 * column as f32;
        // Each once a poster, so that it is found again.
        let mut said: Vec<&str> = Vec::new();
        for _ in 0..8 {
            let line = random.of(words);
            if said.len() < count && !lines.iter().any(|known: &TrueLine| known.words == *line) && !said.contains(&line)
            {
                said.push(line);
            }
        }
        if said.is_empty() {
            continue;
        }
        let position = Position { x, y: 80.0 + 150.0 * row as f32 };
        let text = |style: &Style| {
            let line = |words: &&str| Line { runs: vec![Run { text: (*words).to_owned(), style: style.clone() }] };
            Text { lines: said.iter().map(line).collect(), align, angle, position }
        };
        let Ok(boxes) = line_boxes(&text(&style), fonts) else { continue };
        let widest = boxes.iter().map(|found| found.width).fold(0.0, f32::max);
        if widest > 580.0 {
            style.size = (style.size * 580.0 / widest).floor();
            style.line_height = style.size * 1.35;
        }
        let (text, size) = (text(&style), style.size);
        let Ok(boxes) = line_boxes(&text, fonts) else { continue };
        let (cos, sin) = (angle.to_radians().cos(), angle.to_radians().sin());
        for (words, found) in said.iter().zip(&boxes) {
            lines.push(TrueLine {
                words: (*words).to_owned(),
                family: face.family().to_owned(),
                weight: face.weight(),
                size,
                angle,
                colour: Some(Colour::rgb(colour[0], colour[1], colour[2])),
                origin: Position {
                    x: position.x + found.x * cos - found.baseline * sin,
                    y: position.y + found.x * sin + found.baseline * cos,
                },
            });
        }
        let Ok(drawn) = render(&text, fonts, Bounds { x: 0, y: 0, width, height }) else { continue };
        image::imageops::overlay(&mut picture, &drawn.picture, drawn.x.into(), drawn.y.into());
    }
    Poster { picture, lines, blocks: blocks as u32 }
}
