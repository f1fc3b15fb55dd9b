//! Draws a block of Korean, Latin, Hebrew and emoji with a gradient, an outline and a shadow: `cargo run -p typeset
//! --example poster -- poster.png`.

use typeset::{
    Align, Bounds, Colour, Fill, Fonts, Gradient, Line, Outline, Position, Run, Shadow, Sources, Stop, Style, Text,
    render,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("usage: poster FILE.png")?;
    let fonts = Fonts::load(&Sources::default());

    let mut title = Style::new("Black Han Sans", 120.0, Colour::rgb(0, 0, 0));
    title.fill = Fill::Gradient(Gradient {
        start: Position { x: 0.0, y: -100.0 },
        end: Position { x: 0.0, y: 20.0 },
        stops: vec![
            Stop { offset: 0.0, colour: Colour::rgb(255, 220, 60) },
            Stop { offset: 1.0, colour: Colour::rgb(230, 60, 90) },
        ],
    });
    title.outline = Some(Outline { width: 6.0, colour: Colour::rgb(40, 20, 80) });
    title.shadow = Some(Shadow { dx: 8.0, dy: 10.0, blur: 12.0, colour: Colour::rgb(0, 0, 0), opacity: 0.5 });
    let small = Style::new("serif", 48.0, Colour::rgb(40, 20, 80));
    let mut wide =
        Style { letter_spacing: 8.0, weight: 900, ..Style::new("Noto Sans KR", 40.0, Colour::rgb(0, 90, 160)) };
    wide.line_height = 80.0;
    let line = |text: &str, style: &Style| Line { runs: vec![Run { text: text.into(), style: style.clone() }] };
    let text = Text {
        lines: vec![
            line("가을 음악회 2026", &title),
            line("Autumn concert, 서울 똠방각하 😀🔥 ❤️", &small),
            line("LETTER SPACING 자간", &wide),
        ],
        align: Align::Centre,
        angle: -4.0,
        position: Position { x: 500.0, y: 200.0 },
    };
    let drawn = render(&text, &fonts, Bounds { x: 0, y: 0, width: 1000, height: 480 })?;
    println!("{} x {} at {}, {}", drawn.picture.width(), drawn.picture.height(), drawn.x, drawn.y);
    println!("replaced: {:?}", drawn.replaced);
    drawn.picture.save(file)?;
    Ok(())
}
