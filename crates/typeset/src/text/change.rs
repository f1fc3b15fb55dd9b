//! The same text elsewhere, larger, or in other colours.

use super::{Colour, Fill, Line, Position, Run, Style, Text};

impl Text {
    /// The text after scaling by `scale` about the poster's upper left corner and moving by (`x`, `y`) px. It may leave
    /// the ranges of its fields.
    #[must_use]
    pub fn transformed(mut self, scale: f32, x: f32, y: f32) -> Self {
        self.position = Position { x: self.position.x * scale + x, y: self.position.y * scale + y };
        for style in self.styles_mut() {
            style.size *= scale;
            style.line_height *= scale;
            style.letter_spacing *= scale;
            if let Some(outline) = &mut style.outline {
                outline.width *= scale;
            }
            if let Some(shadow) = &mut style.shadow {
                (shadow.dx, shadow.dy, shadow.blur) = (shadow.dx * scale, shadow.dy * scale, shadow.blur * scale);
            }
            if let Fill::Gradient(gradient) = &mut style.fill {
                for point in [&mut gradient.start, &mut gradient.end] {
                    *point = Position { x: point.x * scale, y: point.y * scale };
                }
            }
        }
        self
    }

    /// The text turned by `degrees`, clockwise, about a point of the poster; shadows turn with it. The angle stays within
    /// half a turn to either side.
    #[must_use]
    pub fn turned(mut self, degrees: f32, about: Position) -> Self {
        let (sin, cos) = f64::from(degrees).to_radians().sin_cos();
        let turn = |x: f32, y: f32| {
            let (x, y) = (f64::from(x), f64::from(y));
            ((x * cos - y * sin) as f32, (x * sin + y * cos) as f32)
        };
        let (x, y) = turn(self.position.x - about.x, self.position.y - about.y);
        self.position = Position { x: about.x + x, y: about.y + y };
        let angle = (self.angle + degrees).rem_euclid(360.0);
        self.angle = if angle > 180.0 { angle - 360.0 } else { angle };
        for shadow in self.styles_mut().filter_map(|style| style.shadow.as_mut()) {
            (shadow.dx, shadow.dy) = turn(shadow.dx, shadow.dy);
        }
        self
    }

    /// The text with every colour, those of outlines, shadows and gradients too, replaced.
    #[must_use]
    pub fn recoloured(mut self, mut colour: impl FnMut(Colour) -> Colour) -> Self {
        for style in self.styles_mut() {
            match &mut style.fill {
                Fill::Colour(fill) => *fill = colour(*fill),
                Fill::Gradient(gradient) => {
                    gradient.stops.iter_mut().for_each(|stop| stop.colour = colour(stop.colour));
                }
            }
            if let Some(outline) = &mut style.outline {
                outline.colour = colour(outline.colour);
            }
            if let Some(shadow) = &mut style.shadow {
                shadow.colour = colour(shadow.colour);
            }
        }
        self
    }

    /// The words alone, lines apart by line breaks.
    pub fn words(&self) -> String {
        self.lines.iter().map(Line::words).collect::<Vec<_>>().join("\n")
    }

    /// The text with other words, each line in the style of the line that was in its place, further ones in that of the
    /// last. A line that stays the same keeps its runs. Of a text without runs, which has no style, nothing is left but
    /// empty lines.
    #[must_use]
    pub fn reworded(mut self, words: &str) -> Self {
        let mut last = None;
        let lines = words.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate();
        self.lines = lines
            .map(|(number, text)| {
                let before = self.lines.get(number);
                let style = before.and_then(|line| line.runs.first()).map(|run| &run.style);
                last = style.or(last);
                match (before, last) {
                    (Some(same), _) if same.words() == text => same.clone(),
                    (_, Some(style)) => Line { runs: vec![Run { text: text.to_owned(), style: style.clone() }] },
                    (_, None) => Line::default(),
                }
            })
            .collect();
        self
    }

    fn styles_mut(&mut self) -> impl Iterator<Item = &mut Style> {
        self.lines.iter_mut().flat_map(|line| &mut line.runs).map(|run| &mut run.style)
    }
}

impl Line {
    fn words(&self) -> String {
        self.runs.iter().map(|run| run.text.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bounds, Fonts, Gradient, Outline, Shadow, Sources, Stop, render};

    #[test]
    fn other_words_are_in_the_style_of_their_line() {
        let run =
            |text: &str, size| Run { text: text.to_owned(), style: Style::new("Jua", size, Colour::rgb(1, 2, 3)) };
        let lines = vec![Line { runs: vec![run("봄", 60.0), run("날", 50.0)] }, Line { runs: vec![run("Jazz", 30.0)] }];
        let position = Position { x: 20.0, y: 50.0 };
        let text = Text { lines, align: crate::Align::Left, angle: 0.0, position };
        let found = text.clone().reworded("바다\r\nJazz\n\n끝");
        assert_eq!(found.words(), "바다\nJazz\n\n끝");
        let sizes: Vec<f32> = found.lines.iter().map(|line| line.runs[0].style.size).collect();
        assert_eq!(sizes, [60.0, 30.0, 30.0, 30.0]);
        assert_eq!(text.clone().reworded("봄날\n재즈").lines[0], text.lines[0], "a line that stays keeps its runs");
        let empty = Text { lines: Vec::new(), ..text };
        assert_eq!(empty.reworded("a\nb").lines, [Line::default(), Line::default()]);
    }

    #[test]
    fn a_scaled_text_draws_as_the_text_scaled() {
        let stop = |offset, colour| Stop { offset, colour };
        let (red, blue) = (Colour::rgb(255, 0, 0), Colour::rgb(0, 0, 255));
        let (start, end) = (Position { x: 0.0, y: 0.0 }, Position { x: 90.0, y: 0.0 });
        let gradient = Gradient { start, end, stops: vec![stop(0.0, red), stop(1.0, blue)] };
        let mut style = Style { letter_spacing: 2.0, ..Style::new("Jua", 30.0, red) };
        style.fill = Fill::Gradient(gradient);
        style.outline = Some(Outline { width: 2.0, colour: blue });
        style.shadow = Some(Shadow { dx: 3.0, dy: 2.0, blur: 2.0, colour: blue, opacity: 0.5 });
        let line = Line { runs: vec![Run { text: "봄 Jazz".to_owned(), style }] };
        let position = Position { x: 20.0, y: 50.0 };
        let text = Text { lines: vec![line.clone(), line], align: crate::Align::Left, angle: 5.0, position };
        let fonts = Fonts::load(&Sources::default());
        let draw = |text: &Text, side: u32| {
            let drawn = render(text, &fonts, Bounds { x: 0, y: 0, width: side, height: side }).unwrap();
            let mut canvas = image::RgbaImage::new(side, side);
            image::imageops::replace(&mut canvas, &drawn.picture, drawn.x.into(), drawn.y.into());
            canvas
        };
        let twice = draw(&text.clone().transformed(2.0, 6.0, -8.0), 400);
        let once = draw(&text, 200);
        // The mean of four pixels of the one is a pixel of the other, 3 and 4 px moved.
        let mean = |x: u32, y: u32, c: usize| {
            let four = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(u, v)| twice.get_pixel(2 * x + u + 6, 2 * y + v)[c]);
            four.into_iter().map(u32::from).sum::<u32>() / 4
        };
        let off = (10..190)
            .flat_map(|y| (10..190).map(move |x| (x, y)))
            .map(|(x, y)| mean(x, y - 4, 3).abs_diff(once.get_pixel(x, y)[3].into()));
        let off: Vec<u32> = off.collect();
        let mean = f64::from(off.iter().sum::<u32>()) / off.len() as f64;
        assert!(mean < 1.0, "{mean}");
        assert!(once.pixels().filter(|pixel| pixel[3] > 128).count() > 1000);
    }

    #[test]
    fn a_text_turns_about_a_point_with_its_shadow() {
        let mut style = Style::new("Jua", 30.0, Colour::rgb(1, 2, 3));
        style.shadow = Some(Shadow { dx: 3.0, dy: 0.0, blur: 2.0, colour: Colour::rgb(1, 2, 3), opacity: 0.5 });
        let lines = vec![Line { runs: vec![Run { text: "a".to_owned(), style }] }];
        let text = Text { lines, align: crate::Align::Left, angle: 170.0, position: Position { x: 20.0, y: 10.0 } };
        let turned = text.clone().turned(90.0, Position { x: 10.0, y: 10.0 });
        assert!((turned.position.x - 10.0).abs() < 1e-4 && (turned.position.y - 20.0).abs() < 1e-4);
        assert_eq!(turned.angle, -100.0);
        let shadow = turned.lines[0].runs[0].style.shadow.unwrap();
        assert!(shadow.dx.abs() < 1e-4 && (shadow.dy - 3.0).abs() < 1e-4);
        assert_eq!(text.clone().turned(0.0, Position { x: 1.0, y: 2.0 }).angle, 170.0);
    }

    #[test]
    fn every_colour_is_replaced() {
        let grey = Colour::rgb(9, 9, 9);
        let mut style = Style::new("Jua", 30.0, Colour::rgb(1, 2, 3));
        style.outline = Some(Outline { width: 2.0, colour: Colour::rgb(1, 2, 3) });
        style.shadow = Some(Shadow { dx: 3.0, dy: 2.0, blur: 2.0, colour: Colour::rgb(1, 2, 3), opacity: 0.5 });
        let lines = vec![Line { runs: vec![Run { text: "a".to_owned(), style }] }];
        let text = Text { lines, align: crate::Align::Left, angle: 0.0, position: Position { x: 0.0, y: 0.0 } };
        let found = text.recoloured(|_| grey);
        let style = &found.lines[0].runs[0].style;
        assert_eq!(style.fill, Fill::Colour(grey));
        assert_eq!((style.outline.unwrap().colour, style.shadow.unwrap().colour), (grey, grey));
    }
}
