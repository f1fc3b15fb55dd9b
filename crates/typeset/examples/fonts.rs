//! Lists the faces of the shipped, the system's and a folder's fonts: `cargo run -p typeset --example fonts -- FOLDER`.

use typeset::{Fonts, Sources};

fn main() {
    let folders = std::env::args().skip(1).map(Into::into).collect();
    let started = std::time::Instant::now();
    let fonts = Fonts::load(&Sources { shipped: true, folders, system: true });
    let took = started.elapsed();
    for face in fonts.faces() {
        let scripts = face.scripts();
        println!(
            "{:3} {} | {} | {} {} {:?} {} | latin {} hangul {} | {:?}",
            face.id().0,
            face.family(),
            face.korean_family().unwrap_or("-"),
            face.weight(),
            face.width(),
            face.slant(),
            face.postscript(),
            scripts.latin,
            scripts.hangul,
            face.origin()
        );
    }
    for skipped in fonts.skipped() {
        println!("skipped: {:?}: {}", skipped.origin, skipped.reason);
    }
    println!("{} faces in {took:?}", fonts.faces().len());
}
