use super::{Fill, Gradient, Position, Shadow, Style, Text};
use crate::Error;

/// What is allowed, so that no input can ask for more memory or time than a poster needs.
pub struct Limits;

impl Limits {
    /// Lines in a block.
    pub const LINES: usize = 1000;
    /// Runs in a block.
    pub const RUNS: usize = 4000;
    /// Characters in a block.
    pub const CHARACTERS: usize = 20_000;
    /// Pixels in the rectangle that is drawn.
    pub const PIXELS: u64 = 1 << 26;
    /// Pixels in all rectangles that are covered with one paint each.
    pub const PAINTED_PIXELS: u64 = 1 << 29;
}

impl Text {
    /// Whether every number is in its range and there is not too much of anything.
    ///
    /// # Errors
    /// The first field that is not as its documentation says.
    pub fn validate(&self) -> Result<(), Error> {
        count("lines", self.lines.len(), Limits::LINES)?;
        let runs = || self.lines.iter().flat_map(|line| &line.runs);
        count("runs", runs().count(), Limits::RUNS)?;
        count("characters", runs().map(|run| run.text.chars().count()).sum(), Limits::CHARACTERS)?;
        range("angle", self.angle, -360.0, 360.0, " degrees")?;
        position("position", self.position)?;
        for (l, line) in self.lines.iter().enumerate() {
            for (r, run) in line.runs.iter().enumerate() {
                let field = format!("lines[{l}].runs[{r}]");
                if let Some(control) = run.text.chars().find(|character| is_break(*character)) {
                    return Err(Error::ControlCharacter { field: format!("{field}.text"), code: control.into() });
                }
                run.style.validate(&format!("{field}.style"))?;
            }
        }
        Ok(())
    }
}

fn is_break(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

impl Style {
    fn validate(&self, field: &str) -> Result<(), Error> {
        let field = |name: &str| format!("{field}.{name}");
        count("characters in a family's name", self.family.chars().count(), 200)?;
        range(&field("weight"), f32::from(self.weight), 1.0, 1000.0, "")?;
        range(&field("width"), f32::from(self.width), 50.0, 200.0, " percent")?;
        range(&field("size"), self.size, 1.0, 4000.0, " px")?;
        range(&field("line_height"), self.line_height, 0.0, 40_000.0, " px")?;
        range(&field("letter_spacing"), self.letter_spacing, -1000.0, 1000.0, " px")?;
        if let Fill::Gradient(gradient) = &self.fill {
            gradient.validate(&field("fill.gradient"))?;
        }
        if let Some(outline) = &self.outline {
            range(&field("outline.width"), outline.width, 0.0, 500.0, " px")?;
        }
        self.shadow.as_ref().map_or(Ok(()), |shadow| shadow.validate(&field("shadow")))
    }
}

impl Gradient {
    fn validate(&self, field: &str) -> Result<(), Error> {
        position(&format!("{field}.start"), self.start)?;
        position(&format!("{field}.end"), self.end)?;
        let offsets = || self.stops.iter().map(|stop| stop.offset);
        let rising = offsets().zip(offsets().skip(1)).all(|(a, b)| a <= b);
        if !(2..=16).contains(&self.stops.len()) || !rising || !offsets().all(|offset| (0.0..=1.0).contains(&offset)) {
            return Err(Error::Stops { field: format!("{field}.stops"), offsets: offsets().take(17).collect() });
        }
        Ok(())
    }
}

impl Shadow {
    fn validate(&self, field: &str) -> Result<(), Error> {
        range(&format!("{field}.dx"), self.dx, -2000.0, 2000.0, " px")?;
        range(&format!("{field}.dy"), self.dy, -2000.0, 2000.0, " px")?;
        range(&format!("{field}.blur"), self.blur, 0.0, 500.0, " px")?;
        range(&format!("{field}.opacity"), self.opacity, 0.0, 1.0, "")
    }
}

fn position(field: &str, position: Position) -> Result<(), Error> {
    range(&format!("{field}.x"), position.x, -1e6, 1e6, " px")?;
    range(&format!("{field}.y"), position.y, -1e6, 1e6, " px")
}

/// False for NaN, as every comparison with it.
pub(crate) fn range(field: &str, value: f32, from: f32, to: f32, unit: &'static str) -> Result<(), Error> {
    if (from..=to).contains(&value) {
        return Ok(());
    }
    Err(Error::OutOfRange { field: field.to_owned(), value, from, to, unit })
}

pub(crate) fn count(what: &'static str, count: usize, limit: usize) -> Result<(), Error> {
    if count <= limit {
        return Ok(());
    }
    Err(Error::TooMany { what, count: count as u64, limit: limit as u64 })
}
