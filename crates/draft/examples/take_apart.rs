//! Takes a picture apart and writes the layers and a sheet to look at:
//! `take_apart IMAGE LAYERS|auto FOLDER [RUNS] [text|object]`; the last says that the picture is such a layer.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use draft::{Options, decompose, worst_difference};
use image::{Rgba, RgbaImage};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(count), Some(folder)) = (arguments.next(), arguments.next(), arguments.next()) else {
        eprintln!("usage: take_apart IMAGE LAYERS|auto FOLDER [RUNS] [text|object]");
        std::process::exit(2);
    };
    let runs: u32 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1);
    let of = arguments.next().map(|kind| if kind == "text" { layers::Kind::Text } else { layers::Kind::Object });
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let input = image::open(&path).expect("a readable picture").to_rgba8();
    let options = Options { layers: count.parse().ok(), of, ..Options::default() };
    let mut last = None;
    for _ in 0..runs {
        let start = Instant::now();
        let mut stage = ("Start".to_owned(), Instant::now());
        let mut report = String::new();
        let output = decompose(&input, &options, &mut |step| {
            let key = format!("{:?}", step.stage);
            if key != stage.0 {
                report += &format!(" {} {:.0}", stage.0, stage.1.elapsed().as_secs_f32() * 1000.0);
                stage = (key, Instant::now());
            }
            ControlFlow::Continue(())
        })
        .expect("a decomposition");
        println!("{path}: {:.0} ms ({report} )", start.elapsed().as_secs_f32() * 1000.0);
        last = Some(output);
    }
    let output = last.expect("at least one run");
    output.notes.iter().for_each(|note| println!("  {note}"));
    let (width, height) = input.dimensions();
    if let Some(background) = &output.background {
        println!("  background: {:?}, {}", background.quality, background.reason);
    }
    let layers = output.stack.into_layers();
    for (k, layer) in layers.iter().enumerate() {
        let whole = layer.on_canvas(width, height);
        let cover = whole.pixels().filter(|p| p[3] > 127).count() as f32 / whole.pixels().len() as f32;
        let group = layer.group.map_or("-", layers::Group::name);
        let label = layer.label.as_ref().map(ToString::to_string).unwrap_or_default();
        println!("  {k} {:?} {group} {:?} [{label}] {cover:.4}", layer.kind, layer.name);
        whole.save(folder.join(format!("layer_{k}.png"))).expect("a writable folder");
        let magenta = over(&whole, |_, _| [255, 0, 255]);
        magenta.save(folder.join(format!("magenta_{k}.png"))).expect("a writable folder");
        let checker = over(&whole, |x, y| if (x / 16 + y / 16) % 2 == 0 { [235; 3] } else { [190; 3] });
        checker.save(folder.join(format!("checker_{k}.png"))).expect("a writable folder");
    }
    let pixels: Vec<RgbaImage> = layers.iter().map(|layer| layer.on_canvas(width, height).into_owned()).collect();
    println!("  beyond the promise: {}", worst_difference(&input, &pixels));
}

fn over(image: &RgbaImage, background: impl Fn(u32, u32) -> [u8; 3]) -> RgbaImage {
    RgbaImage::from_fn(image.width(), image.height(), |x, y| {
        let p = image.get_pixel(x, y);
        let a = f32::from(p[3]) / 255.0;
        let below = background(x, y);
        let mix = |c: usize| (f32::from(p[c]) * a + f32::from(below[c]) * (1.0 - a)).round() as u8;
        Rgba([mix(0), mix(1), mix(2), 255])
    })
}
