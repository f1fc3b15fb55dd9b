//! Lines to blocks.

use engine::TextBlock;
use layers::Rect;
use typeset::{Align, Block, Colour, Fill, Line, MeasuredLine, Position, Style, Text, measure_block};

use crate::line::{TextLine, move_fill};

/// Angles of lines that run alike, in degrees.
const ONE_ANGLE: f32 = 0.4;
/// Ratio of sizes up to which lines are of one block.
const ONE_SIZE: f32 = 1.35;
/// From baseline to baseline, in sizes: at least, and at most.
const STEP: (f32, f32) = (0.6, 2.6);
/// How far a line may be from where the others meet, in sizes: where its font is its own, and where it is approximate,
/// so that its ends are too; and px that measuring is off by.
const ALIGNED: f32 = 0.05;
const ROUGHLY_ALIGNED: f32 = 0.15;
const MEASURED: f32 = 1.0;
/// Colours that differ by less in each channel, of 255, are one.
const ONE_COLOUR: u8 = 10;

/// A line in the frame of its angle: px along it from the canvas's corner, and across it down to its baseline.
struct Row {
    line: TextLine,
    angle: f32,
    along: f32,
    baseline: f32,
    size: f32,
}

impl Row {
    fn new(line: TextLine) -> Self {
        let (angle, size) = (line.text.angle, style(&line.text).map_or(1.0, |style| style.size));
        let [along, baseline] = turned(line.text.position, -angle);
        Self { line, angle, along, baseline, size }
    }

    fn measured(&self) -> MeasuredLine {
        let right = self.along + self.line.info.width;
        MeasuredLine { left: self.along, right, baseline: self.baseline, size: self.size }
    }

    fn tolerance(&self) -> f32 {
        let em = if self.line.info.font.approximate { ROUGHLY_ALIGNED } else { ALIGNED };
        MEASURED.max(em * self.size)
    }

    /// Whether it can follow the other one in a block.
    fn follows(&self, above: &Row) -> bool {
        let step = (self.baseline - above.baseline) / self.size.max(above.size);
        let ratio = self.size.max(above.size) / self.size.min(above.size).max(1e-3);
        let end = |row: &Row| row.along + row.line.info.width;
        let overlaps = self.along < end(above) && above.along < end(self);
        (self.angle - above.angle).abs() <= ONE_ANGLE
            && ratio <= ONE_SIZE
            && (STEP.0..=STEP.1).contains(&step)
            && overlaps
    }
}

/// The lines in as few blocks as their places allow, from the top to the bottom.
pub(crate) fn blocks(lines: Vec<TextLine>) -> Vec<TextBlock> {
    let mut rows: Vec<Row> = lines.into_iter().map(Row::new).collect();
    rows.sort_by(|a, b| a.baseline.total_cmp(&b.baseline).then(a.along.total_cmp(&b.along)));
    let mut found: Vec<Vec<Row>> = Vec::new();
    for row in rows {
        let fits = |block: &&mut Vec<Row>| {
            let follows = block.last().is_some_and(|last| row.follows(last));
            follows && common(block.iter().chain([&row])).is_some()
        };
        let gap = |block: &Vec<Row>| block.last().map_or(f32::MAX, |last| row.baseline - last.baseline);
        match found.iter_mut().filter(fits).min_by(|a, b| gap(a).total_cmp(&gap(b))) {
            Some(block) => block.push(row),
            None => found.push(vec![row]),
        }
    }
    let mut blocks: Vec<TextBlock> = found.into_iter().filter_map(block).collect();
    blocks.sort_by_key(|block| (block.bounding_box.y, block.bounding_box.x));
    blocks
}

/// Alignment, if all rows meet closely enough.
fn common<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> Option<Block> {
    let measured: Vec<MeasuredLine> = rows.clone().map(Row::measured).collect();
    let found = measure_block(&measured)?;
    let at = |line: &MeasuredLine| match found.align {
        Align::Left => line.left,
        Align::Centre => (line.left + line.right) / 2.0,
        Align::Right => line.right,
    };
    let meets = |(row, line): (&Row, &MeasuredLine)| (at(line) - found.x).abs() <= row.tolerance();
    rows.zip(&measured).all(meets).then_some(found)
}

fn block(mut rows: Vec<Row>) -> Option<TextBlock> {
    let found = common(rows.iter())?;
    let longest = rows.iter().max_by(|a, b| a.line.info.width.total_cmp(&b.line.info.width))?;
    let angle = longest.angle;
    let (first, x) = (rows.first()?.baseline, found.x);
    let [px, py] = {
        let place = turned(Position { x, y: first }, angle);
        // A single line stays where it was measured.
        if rows.len() == 1 { [rows[0].line.text.position.x, rows[0].line.text.position.y] } else { place }
    };
    share_colour(&mut rows);
    let mut lines = Vec::new();
    let mut before = None;
    for row in &mut rows {
        let mut runs = row.line.text.lines.pop()?.runs;
        for run in &mut runs {
            run.style.line_height = before.map_or(found.line_height, |before| row.baseline - before);
            move_fill(&mut run.style.fill, row.along - x, row.baseline - first);
        }
        before = Some(row.baseline);
        lines.push(Line { runs });
    }
    let text = Text { lines, align: found.align, angle, position: Position { x: px, y: py } };
    let infos: Vec<_> = rows.into_iter().map(|row| row.line.info).collect();
    let bounding_box = infos.iter().map(|line| line.bounding_box).reduce(Rect::union)?;
    Some(TextBlock { text, bounding_box, lines: infos })
}

/// Lines whose colours hardly differ get that of the largest.
fn share_colour(rows: &mut [Row]) {
    let colour = |row: &Row| match style(&row.line.text).map(|style| &style.fill) {
        Some(Fill::Colour(colour)) => Some(*colour),
        _ => None,
    };
    let area = |row: &Row| row.line.info.width * row.size;
    let largest = rows.iter().max_by(|a, b| area(a).total_cmp(&area(b)));
    let Some(main) = largest.and_then(colour) else { return };
    for row in rows {
        if colour(row).is_some_and(|own| alike(own, main)) {
            let runs = row.line.text.lines.iter_mut().flat_map(|line| &mut line.runs);
            runs.for_each(|run| run.style.fill = Fill::Colour(main));
        }
    }
}

fn alike(a: Colour, b: Colour) -> bool {
    let channels = |colour: Colour| [colour.red, colour.green, colour.blue, colour.alpha];
    channels(a).into_iter().zip(channels(b)).all(|(a, b)| a.abs_diff(b) <= ONE_COLOUR)
}

fn style(text: &Text) -> Option<&Style> {
    text.lines.first()?.runs.first().map(|run| &run.style)
}

/// A place turned about the canvas's corner, degrees clockwise.
fn turned(place: Position, angle: f32) -> [f32; 2] {
    if angle == 0.0 {
        return [place.x, place.y];
    }
    // In f64: a large poster's corner is far away.
    let (sin, cos) = (f64::from(angle).to_radians().sin(), f64::from(angle).to_radians().cos());
    let (x, y) = (f64::from(place.x), f64::from(place.y));
    [(x * cos - y * sin) as f32, (x * sin + y * cos) as f32]
}

#[cfg(test)]
mod tests {
    use engine::{FontInfo, LineInfo};
    use typeset::{Run, Slant};

    use super::*;

    fn line(words: &str, x: f32, y: f32, width: f32, angle: f32) -> TextLine {
        let style = Style::new("Noto Sans KR", 20.0, Colour::rgb(10, 20, 30));
        let position = Position { x, y };
        let lines = vec![Line { runs: vec![Run { text: words.to_owned(), style }] }];
        let text = Text { lines, align: Align::Left, angle, position };
        let font = FontInfo {
            family: "Noto Sans KR".to_owned(),
            korean_family: None,
            postscript: None,
            weight: 400,
            slant: Slant::Upright,
            width: 100,
            approximate: false,
            generic: None,
        };
        let info = LineInfo {
            words: words.to_owned(),
            bounding_box: Rect { x: x as u32, y: y as u32, width: width as u32, height: 15 },
            origin: position,
            width,
            ascent: 18.0,
            descent: 5.0,
            script: "Latn".to_owned(),
            language: None,
            confidence: 1.0,
            similarity: 0.99,
            overlap: 0.95,
            weakest: 0.9,
            font,
            alternatives: Vec::new(),
        };
        TextLine { text, info }
    }

    fn found(lines: &[(&str, f32, f32, f32)]) -> Vec<(String, Align)> {
        let lines = lines.iter().map(|&(words, x, y, width)| line(words, x, y, width, 0.0)).collect();
        blocks(lines).iter().map(|block| (block.words().replace('\n', "/"), block.text.align)).collect()
    }

    #[test]
    fn aligned_lines_are_one_block_and_others_are_not() {
        let two = |words: &str, align| vec![(words.to_owned(), align)];
        assert_eq!(found(&[("a", 10.0, 50.0, 90.0), ("b", 10.4, 80.0, 60.0)]), two("a/b", Align::Left));
        assert_eq!(found(&[("a", 10.0, 50.0, 90.0), ("b", 25.0, 80.0, 60.0)]), two("a/b", Align::Centre));
        assert_eq!(found(&[("a", 10.0, 50.0, 90.0), ("b", 40.0, 80.0, 60.0)]), two("a/b", Align::Right));
        assert_eq!(found(&[("a", 10.0, 50.0, 90.0), ("b", 18.0, 80.0, 60.0)]).len(), 2);
        assert_eq!(found(&[("a", 10.0, 50.0, 90.0), ("b", 10.0, 150.0, 60.0)]).len(), 2, "too far below");
    }

    #[test]
    fn columns_are_blocks_of_their_own() {
        let lines =
            [("a", 10.0, 50.0, 90.0), ("x", 200.0, 50.0, 80.0), ("b", 10.0, 80.0, 70.0), ("y", 200.0, 80.0, 90.0)];
        let words: Vec<String> = found(&lines).into_iter().map(|(words, _)| words).collect();
        assert_eq!(words, ["a/b", "x/y"]);
    }

    #[test]
    fn a_turned_block_keeps_its_place_and_its_line_heights() {
        let (cos, sin) = (30_f32.to_radians().cos(), 30_f32.to_radians().sin());
        // The second line starts 30 px across below the first.
        let lines =
            vec![line("a", 100.0, 100.0, 90.0, 30.0), line("b", 100.0 - 30.0 * sin, 100.0 + 30.0 * cos, 60.0, 30.0)];
        let found = blocks(lines);
        assert_eq!(found.len(), 1);
        let text = &found[0].text;
        assert_eq!((text.align, text.angle), (Align::Left, 30.0));
        assert!((text.position.x - 100.0).abs() < 0.01 && (text.position.y - 100.0).abs() < 0.01);
        assert!((text.lines[1].runs[0].style.line_height - 30.0).abs() < 0.01);
    }
}
