//! Lines of text that belong together: words of one row, rows of one paragraph.

use super::look::Look;
use crate::layer::TextLine;
use crate::plane::Rect;
use crate::segments::Sets;

/// Ratio of sizes up to which two lines are of one style: the detector is off by a tenth.
const SAME_SIZE: f32 = 1.3;
/// Difference of the mean colours up to which they are, as Oklab distance: the edges of small letters are mixtures.
const SAME_COLOUR: f32 = 0.13;
/// Widest space between two words, in letter heights,
const SPACE: f32 = 1.0;
/// and share of the lower one's height that two words of one row have in common.
const ONE_ROW: f32 = 0.5;
/// Largest space between the rows of a block, in letter heights,
const LEADING: f32 = 1.2;
/// and how far its edges or middles may be apart.
const ALIGNED: f32 = 0.6;
/// How much higher than wide a line is that runs from top to bottom.
const UPRIGHT: f32 = 2.0;
/// Tilt in degrees from which a line is seen in its own frame, and up to which its upright box tells its sides,
const TILTED: (f32, f32) = (3.0, 38.0);
/// how much it rises from end to end, in letter heights,
const RISE: f32 = 0.5;
/// and difference up to which two tilted lines are in one.
const ONE_TILT: f32 = 3.0;
/// Added to places in tilted frames, so that none is negative.
const FRAME: f32 = 100_000.0;

/// A line as its block sees it: for one that runs from top to bottom, x and y are swapped; a tilted one is turned back
/// about the picture's corner.
struct Row {
    rect: Rect,
    size: f32,
    upright: bool,
    /// Degrees; 0 for what is almost level.
    tilt: f32,
    look: Look,
}

impl Row {
    fn same_style(&self, other: &Row) -> bool {
        self.same_colour(other) && ratio(self.size, other.size) <= SAME_SIZE
    }

    fn same_colour(&self, other: &Row) -> bool {
        self.in_one_frame(other) && self.look.colour_distance(&other.look) <= SAME_COLOUR
    }

    fn in_one_frame(&self, other: &Row) -> bool {
        let level = |row: &Row| row.tilt == 0.0;
        self.upright == other.upright && level(self) == level(other) && (self.tilt - other.tilt).abs() <= ONE_TILT
    }

    fn size_with(&self, other: &Row) -> f32 {
        0.5 * (self.size + other.size)
    }
}

/// Words that stand in one row: places of the lines, in reading order, and what the row says.
pub(crate) fn rows(lines: &[TextLine], looks: &[Look]) -> Vec<(Vec<usize>, TextLine)> {
    let single: Vec<Row> = lines.iter().zip(looks).map(|(line, look)| row(line, look)).collect();
    let groups = joined(single.len(), |a, b| in_one_row(&single[a], &single[b]));
    let rows = groups.into_iter().map(|mut row| {
        row.sort_by_key(|&k| if single[k].upright { (lines[k].rect.y0, k) } else { (lines[k].rect.x0, k) });
        let own = row.iter().map(|&k| &lines[k]);
        let words: Vec<&str> = own.clone().map(|line| line.text.trim()).filter(|text| !text.is_empty()).collect();
        let size = own.clone().map(|line| line.size).fold(0.0, f32::max);
        let rect = own.clone().map(|line| line.rect).reduce(|a, b| a.union(&b)).unwrap_or(lines[row[0]].rect);
        // The longest of them says best in which direction all run.
        let longest = own.clone().max_by_key(|line| line.rect.width().max(line.rect.height()));
        let line = TextLine {
            text: words.join(" "),
            rect,
            size,
            angle: longest.map_or(0.0, |line| line.angle),
            sure: own.clone().map(|line| line.sure).fold(1.0, f32::min),
            bent: own.clone().any(|line| line.bent),
        };
        (row, line)
    });
    rows.collect()
}

/// Rows that make a block: their places, in reading order; the blocks from the top to the bottom.
pub(crate) fn blocks(rows: &[TextLine], looks: &[Look]) -> Vec<Vec<usize>> {
    let single: Vec<Row> = rows.iter().zip(looks).map(|(line, look)| row(line, look)).collect();
    let mut blocks = joined(single.len(), |a, b| in_one_paragraph(&single, a, b));
    for block in &mut blocks {
        // Columns of an upright script are read from the right.
        block.sort_by_key(|&k| match &single[k] {
            Row { rect, upright: true, .. } => (usize::MAX - rect.y1, 0),
            Row { rect, .. } => (rect.y0, rect.x0),
        });
    }
    blocks.sort_by_key(|block| block.iter().map(|&k| (rows[k].rect.y0, rows[k].rect.x0)).min());
    blocks
}

fn row(line: &TextLine, look: &Look) -> Row {
    let rect = line.rect;
    let upright = rect.height() as f32 > UPRIGHT * rect.width() as f32 && line.text.trim().chars().count() != 1;
    let turned = Rect { x0: rect.y0, y0: rect.x0, x1: rect.y1, y1: rect.x1 };
    let own = if upright { turned } else { rect };
    let row = Row { rect: own, size: line.size, upright, tilt: 0.0, look: *look };
    // A short word has no clear direction.
    let rise = rect.width() as f32 * libm::sinf(line.angle.abs().to_radians());
    // A curved line has no angle of its own.
    let angled = (TILTED.0..TILTED.1).contains(&line.angle.abs()) && rise > RISE * line.size;
    let tilted = angled && !line.bent;
    if tilted && !upright { Row { rect: turned_back(rect, line.angle), tilt: line.angle, ..row } } else { row }
}

/// The box of a line of which `rect` is the upright box, turned back by its tilt.
fn turned_back(rect: Rect, tilt: f32) -> Rect {
    let (cos, sin) = (libm::cosf(tilt.to_radians()), libm::sinf(tilt.to_radians()));
    let (width, height) = (rect.width() as f32, rect.height() as f32);
    // The box of a turned rectangle: width = length cos + high sin, height = length sin + high cos.
    let length = ((width * cos - height * sin.abs()) / (cos * cos - sin * sin)).max(1.0);
    let high = ((height * cos - width * sin.abs()) / (cos * cos - sin * sin)).max(1.0);
    let (x, y) = (rect.x0 as f32 + width / 2.0, rect.y0 as f32 + height / 2.0);
    let (x, y) = (x * cos + y * sin + FRAME, y * cos - x * sin + FRAME);
    let place = |middle: f32, side: f32| ((middle - side / 2.0) as usize, (middle + side / 2.0) as usize);
    let ((x0, x1), (y0, y1)) = (place(x, length), place(y, high));
    Rect { x0, y0, x1, y1 }
}

/// Groups of the numbers below `count`, of which any two for which `together` holds are in one; by their first ones.
pub(super) fn joined(count: usize, together: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut sets = Sets::new(count);
    for a in 0..count {
        for b in a + 1..count {
            if together(a, b) {
                let roots = (sets.find(a as u32), sets.find(b as u32));
                sets.join(roots.0, roots.1);
            }
        }
    }
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); count];
    (0..count).for_each(|k| groups[sets.find(k as u32) as usize].push(k));
    groups.retain(|group| !group.is_empty());
    groups
}

/// How many times as large the larger one is.
fn ratio(a: f32, b: f32) -> f32 {
    a.max(b) / a.min(b).max(1.0)
}

/// How much of two ranges is common.
fn common((a0, a1): (usize, usize), (b0, b1): (usize, usize)) -> usize {
    a1.min(b1).saturating_sub(a0.max(b0))
}

fn in_one_row(a: &Row, b: &Row) -> bool {
    let shared = common((a.rect.y0, a.rect.y1), (b.rect.y0, b.rect.y1)) as f32;
    let lower = a.rect.height().min(b.rect.height()).max(1) as f32;
    let gap = a.rect.x0.max(b.rect.x0) as f32 - a.rect.x1.min(b.rect.x1) as f32;
    // A piece that is cut short by its neighbours gets a small size from the detector, though its letters are as high.
    let alike = ratio(a.size, b.size).min(ratio(a.rect.height() as f32, b.rect.height() as f32)) <= SAME_SIZE;
    a.same_colour(b) && alike && shared >= ONE_ROW * lower && gap < SPACE * a.size_with(b)
}

fn in_one_paragraph(rows: &[Row], a: usize, b: usize) -> bool {
    let (a, b) = if rows[a].rect.y0 <= rows[b].rect.y0 { (&rows[a], &rows[b]) } else { (&rows[b], &rows[a]) };
    let size = a.size_with(b);
    let gap = b.rect.y0 as f32 - a.rect.y1 as f32;
    let apart = |p: usize, q: usize| p.abs_diff(q) as f32 / size;
    let aligned = apart(a.rect.x0, b.rect.x0) < ALIGNED
        || apart(a.rect.x1, b.rect.x1) < ALIGNED
        || 0.5 * apart(a.rect.x0 + a.rect.x1, b.rect.x0 + b.rect.x1) < ALIGNED;
    let column = common((a.rect.x0, a.rect.x1), (b.rect.x0, b.rect.x1)) > 0;
    let between = || {
        rows.iter().any(|c| {
            let middle = (c.rect.y0 + c.rect.y1) / 2;
            c.in_one_frame(a)
                && (a.rect.y1..b.rect.y0.max(a.rect.y1)).contains(&middle)
                && common((c.rect.x0, c.rect.x1), (a.rect.x0.max(b.rect.x0), a.rect.x1.min(b.rect.x1))) > 0
        })
    };
    a.same_style(b) && column && aligned && (-0.5 * size..LEADING * size).contains(&gap) && !between()
}

#[cfg(test)]
mod tests {
    use layers::Kind;

    use super::*;
    use crate::layer::{Part, Sheet};
    use crate::plane::Plane;

    /// Blocks of lines of one colour each, by their words.
    fn found(lines: &[(&str, [usize; 4], [u8; 3])]) -> Vec<String> {
        let lines: Vec<(TextLine, [u8; 3])> = lines
            .iter()
            .map(|&(text, [x0, y0, x1, y1], colour)| {
                let rect = Rect { x0, y0, x1, y1 };
                (TextLine { text: text.to_owned(), ..TextLine::unread(rect, (y1 - y0) as f32) }, colour)
            })
            .collect();
        let inside = |r: &Rect, x: usize, y: usize| (r.x0..r.x1).contains(&x) && (r.y0..r.y1).contains(&y);
        let at = |x: usize, y: usize| lines.iter().position(|(line, _)| inside(&line.rect, x, y));
        let sheet = Sheet {
            above: Plane::from_fn(400, 300, |x, y| at(x, y).map_or([255; 3], |k| lines[k].1)),
            alpha: Plane::from_fn(400, 300, |x, y| at(x, y).map_or(0, |_| 255)),
            owner: Plane::from_fn(400, 300, |x, y| at(x, y).map_or(0, |k| k as u8 + 1)),
            parts: vec![Part::new(Kind::Text); lines.len()],
            kind: Kind::Text,
        };
        let looks = Look::of(&sheet, &Plane::new(400, 300, [255; 3]));
        let lines: Vec<TextLine> = lines.into_iter().map(|(line, _)| line).collect();
        let (places, rows): (Vec<Vec<usize>>, Vec<TextLine>) = rows(&lines, &looks).into_iter().unzip();
        let look = |row: &Vec<usize>| row.iter().map(|&k| looks[k]).reduce(Look::with).expect("no row is empty");
        let looks: Vec<Look> = places.iter().map(look).collect();
        let all = blocks(&rows, &looks);
        all.iter().map(|b| b.iter().map(|&k| rows[k].text.as_str()).collect::<Vec<_>>().join("/")).collect()
    }

    const BLACK: [u8; 3] = [0; 3];

    #[test]
    fn tilted_lines_below_each_other_are_a_block_and_those_beside_each_other_a_row() {
        let (cos, sin) = (libm::cosf(0.35), libm::sinf(0.35));
        // Lines of 60 x 16 at places along and across a tilt of 20 degrees.
        let line = |text: &str, along: f32, across: f32| {
            let (x, y) = (100.0 + along * cos - across * sin, 100.0 + along * sin + across * cos);
            let (width, height) = (60.0 * cos + 16.0 * sin, 60.0 * sin + 16.0 * cos);
            let place = |middle: f32, side: f32| ((middle - side / 2.0) as usize, (middle + side / 2.0) as usize);
            let ((x0, x1), (y0, y1)) = (place(x, width), place(y, height));
            let angle = 0.35_f32.to_degrees();
            TextLine { text: text.to_owned(), angle, ..TextLine::unread(Rect { x0, y0, x1, y1 }, 16.0) }
        };
        let lines = [line("one", 0.0, 0.0), line("two", 68.0, 0.0), line("three", 0.0, 24.0)];
        let looks = [Look::default(); 3];
        let rows: Vec<TextLine> = rows(&lines, &looks).into_iter().map(|(_, row)| row).collect();
        assert_eq!(rows.iter().map(|row| row.text.as_str()).collect::<Vec<_>>(), ["one two", "three"]);
        assert_eq!(blocks(&rows, &looks[..2]), [[0, 1]]);
    }

    #[test]
    fn a_headline_a_paragraph_and_columns_are_blocks() {
        let blocks = found(&[
            ("SALE", [20, 10, 200, 60], BLACK),
            ("this", [20, 80, 60, 96], BLACK),
            ("week", [70, 81, 120, 97], BLACK),
            ("only", [20, 104, 60, 120], BLACK),
            ("another column", [200, 80, 330, 96], BLACK),
            ("goes on", [200, 104, 260, 120], BLACK),
            ("far below", [20, 180, 110, 196], BLACK),
        ]);
        assert_eq!(blocks, ["SALE", "this week/only", "another column/goes on", "far below"]);
    }

    #[test]
    fn colour_size_and_alignment_tell_blocks_apart() {
        let one = ("first line here", [100, 20, 300, 40], BLACK);
        assert_eq!(found(&[one, ("centred", [160, 48, 240, 68], BLACK)]), ["first line here/centred"]);
        assert_eq!(found(&[one, ("at the right", [190, 48, 300, 68], BLACK)]), ["first line here/at the right"]);
        assert_eq!(found(&[one, ("red", [160, 48, 240, 68], [230, 20, 30])]).len(), 2);
        assert_eq!(found(&[one, ("larger", [150, 48, 250, 78], BLACK)]).len(), 2);
        assert_eq!(found(&[one, ("anywhere", [120, 48, 180, 68], BLACK)]).len(), 2);
        assert_eq!(found(&[one, ("further down", [100, 66, 300, 86], BLACK)]).len(), 2);
    }

    #[test]
    fn columns_of_upright_script_are_read_from_the_right() {
        let blocks = found(&[("二三", [100, 40, 130, 200], BLACK), ("一", [140, 40, 170, 70], BLACK)]);
        assert_eq!(blocks.len(), 2, "a single character is no column");
        let blocks = found(&[("三四", [100, 40, 130, 200], BLACK), ("一二", [140, 40, 170, 200], BLACK)]);
        assert_eq!(blocks, ["一二/三四"]);
    }
}
