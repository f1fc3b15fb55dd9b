//! Reading the words of a layer, whichever engine made it.

use std::ops::ControlFlow;

use image::RgbaImage;
use layers::{Filter, ReadLine};

use crate::decompose::Error;
use crate::large;
use crate::monitor::{Monitor, Progress, Stopped, watched};
use crate::split;

/// Reads the lines of words in a layer: `pixels` (sRGB, 8 bit, straight alpha) are put on paper that they stand out
/// from. Lines that nobody can read are left out; `angle` and `bent` are those of the line's region. What is not
/// text mostly gives no line; the caller decides whether the lines are the layer.
///
/// `progress` is called at each step and about every 40 ms in between, and stops the reading by returning
/// [`ControlFlow::Break`]. Without the feature `networks` nothing is read.
///
/// # Errors
/// [`Error::Stopped`] if `progress` asked to stop; [`Error::Empty`] for a picture without pixels.
pub fn read_layer(
    pixels: &RgbaImage,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Vec<ReadLine>, Error> {
    if pixels.width() == 0 || pixels.height() == 0 {
        return Err(Error::Empty);
    }
    Ok(watched(progress, |monitor| read(pixels, monitor))?)
}

/// A large layer is read at the size at which a large picture is looked at.
fn read(pixels: &RgbaImage, monitor: &Monitor) -> Result<Vec<ReadLine>, Stopped> {
    let (width, height) = pixels.dimensions();
    let small = large::working_size(width as usize, height as usize)
        .and_then(|(w, h)| layers::resize(pixels, w as u32, h as u32, Filter::Area).ok());
    let Some(small) = small else { return split::read(pixels, monitor) };
    let (across, down) = (width as f32 / small.width() as f32, height as f32 / small.height() as f32);
    let lines = split::read(&small, monitor)?;
    Ok(lines.into_iter().map(|line| line.scaled(across, down)).collect())
}
