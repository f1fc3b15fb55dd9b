//! Outlines what is at a point of a picture, or in a box: `segment IMAGE MASK.png X Y [X2 Y2]`.

use std::time::Instant;

use draft::{Prompt, Segmenter};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<f32> = arguments.iter().skip(2).filter_map(|n| n.parse().ok()).collect();
    let prompt = match numbers[..] {
        [x, y] => Prompt { points: vec![(x, y, true)], ..Prompt::default() },
        [x0, y0, x1, y1] => Prompt { boxes: vec![[x0, y0, x1, y1]], ..Prompt::default() },
        _ => {
            eprintln!("usage: segment IMAGE MASK.png X Y [X2 Y2]");
            std::process::exit(2);
        }
    };
    let picture = image::open(&arguments[0]).expect("a readable picture").to_rgb8();
    let go_on = || false;
    let (segmenter, start) = (Segmenter::default(), Instant::now());
    segmenter.prepare();
    println!("networks read in {:.0} ms", start.elapsed().as_secs_f32() * 1000.0);
    let start = Instant::now();
    let embedding = segmenter.embed(&picture, &go_on).expect("an embedding");
    println!("picture seen in {:.0} ms", start.elapsed().as_secs_f32() * 1000.0);
    for _ in 0..3 {
        let start = Instant::now();
        let segment = embedding.segment(&prompt, &go_on).expect("a mask");
        println!("mask in {:.0} ms, score {:.2}", start.elapsed().as_secs_f32() * 1000.0, segment.score);
        segment.mask.save(&arguments[1]).expect("a writable file");
    }
}
