//! Pictures of a decomposition, to look at.

use std::path::Path;

use image::{Rgb, RgbImage, RgbaImage};
use layers::{LayerStack, contact_sheet};

use super::canvas::alone;
use super::measures::{Fate, Fates};
use super::truth::Truth;

/// Writes the poster, the picture without text layers, where the text went wrong, every layer over a checkerboard and
/// over magenta, and all of them on one sheet.
pub(crate) fn save(folder: &Path, truth: &Truth, found: &LayerStack, fates: &Fates) -> anyhow::Result<()> {
    let folder = folder.join(&truth.name);
    // Layers of an earlier run would stand beside those of this one.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    truth.poster.save(folder.join("poster.png"))?;
    truth.without_text.save(folder.join("truth-without-text.png"))?;
    fates.without_text.save(folder.join("without-text.png"))?;
    errors(truth, fates).save(folder.join("errors.png"))?;
    let mut said = String::new();
    for (k, layer) in found.layers().iter().enumerate() {
        let picture = alone(layer, found.width(), found.height());
        let checks = |x: u32, y: u32| if (x / 16 + y / 16).is_multiple_of(2) { [235; 3] } else { [190; 3] };
        over(&picture, checks).save(folder.join(format!("layer-{k}-checks.png")))?;
        over(&picture, |_, _| [255, 0, 255]).save(folder.join(format!("layer-{k}-magenta.png")))?;
        said += &format!("{k} {:?} {:?}\n{}\n", layer.kind, layer.name, layer.text.as_deref().unwrap_or_default());
    }
    std::fs::write(folder.join("layers.txt"), said)?;
    contact_sheet(&truth.poster, found)?.save(folder.join("sheet.png"))?;
    Ok(())
}

/// Red: left. Blue: ghost. Green: wrong. The rest of the poster is grey and pale.
fn errors(truth: &Truth, fates: &Fates) -> RgbImage {
    let width = truth.poster.width();
    RgbImage::from_fn(width, truth.poster.height(), |x, y| {
        let p = truth.poster.get_pixel(x, y);
        let grey = (u32::from(p[0]) + u32::from(p[1]) + u32::from(p[2])) / 3;
        match fates.fates[y as usize * width as usize + x as usize] {
            Fate::Left => Rgb([230, 0, 0]),
            Fate::Ghost => Rgb([0, 40, 230]),
            Fate::Wrong => Rgb([0, 150, 30]),
            Fate::Right => Rgb([(160 + grey * 95 / 255) as u8; 3]),
        }
    })
}

fn over(picture: &RgbaImage, below: impl Fn(u32, u32) -> [u8; 3]) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let p = picture.get_pixel(x, y);
        let (opacity, below) = (f32::from(p[3]) / 255.0, below(x, y));
        Rgb([0, 1, 2].map(|c| (f32::from(p[c]) * opacity + f32::from(below[c]) * (1.0 - opacity)).round() as u8))
    })
}
