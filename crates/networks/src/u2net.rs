//! U2-Net-p (Qin et al. 2020): how salient each pixel of a picture is.
//!
//! Nested U-shapes of plain 3 x 3 convolutions. Its layers have few channels, for which the
//! products of a general runtime spend more time on copying patches than on the sums.

use std::sync::OnceLock;

use crate::NetworkError;
use crate::convolution::{Convolution, Map, Stop};
use crate::weights::convolutions;

/// Depth of the U of each stage on the way down and up again; `None`: dilated instead of shrunk.
const STAGES: [Option<usize>; 11] =
    [Some(7), Some(6), Some(5), Some(4), None, None, None, Some(4), Some(5), Some(6), Some(7)];
/// Convolutions of a stage without shrinking: one in, four out and wide, three back.
const DILATED: usize = 8;
/// Side outputs that are fused into the saliency map.
const SIDES: usize = 6;

/// U2-Net-p with its weights in ONNX.
pub struct U2Net {
    bytes: &'static [u8],
    loaded: OnceLock<Result<Vec<Convolution>, String>>,
}

impl U2Net {
    /// The network. It is parsed at its first run.
    pub const fn new(bytes: &'static [u8]) -> Self {
        Self { bytes, loaded: OnceLock::new() }
    }

    /// Saliency, 0 to 1, of `picture` (three channels, normalised), pixel by pixel.
    /// `stopped` is called at each row.
    ///
    /// # Errors
    /// [`NetworkError::Stopped`] if `stopped` returned true; otherwise why the file is not this network.
    pub fn run(&self, picture: Map, stopped: Stop) -> Result<Vec<f32>, NetworkError> {
        let layers = self.layers().as_ref().map_err(|why| NetworkError::Failed(why.clone()))?;
        Pass { layers: layers.iter(), stopped }.whole(picture)
    }

    /// Parses the network ahead of its first run.
    pub fn prepare(&self) {
        let _ = self.layers();
    }

    fn layers(&self) -> &Result<Vec<Convolution>, String> {
        self.loaded.get_or_init(|| load(self.bytes))
    }
}

fn mismatch() -> NetworkError {
    NetworkError::Failed("its layers are not those of U2-Net".to_owned())
}

/// How many convolutions a stage has.
fn count(stage: Option<usize>) -> usize {
    stage.map_or(DILATED, |depth| 2 * depth)
}

fn load(bytes: &[u8]) -> Result<Vec<Convolution>, String> {
    let layers = convolutions(bytes)?;
    let expected = STAGES.iter().map(|&stage| count(stage)).sum::<usize>() + SIDES + 1;
    if layers.len() != expected {
        return Err(format!("{} convolutions instead of the {expected} of U2-Net", layers.len()));
    }
    Ok(layers)
}

/// One pass through the network, which consumes the layers in order.
struct Pass<'a> {
    layers: std::slice::Iter<'a, Convolution>,
    stopped: Stop<'a>,
}

impl Pass<'_> {
    fn whole(&mut self, picture: Map) -> Result<Vec<f32>, NetworkError> {
        let size = (picture.height, picture.width);
        let mut down = vec![self.stage(STAGES[0], &[&picture])?];
        drop(picture);
        for &stage in &STAGES[1..6] {
            let half = halved(&down[down.len() - 1]);
            down.push(self.stage(stage, &[&half])?);
        }
        // From coarse to fine; each stage also gets the encoder's map of its size.
        let mut up = vec![down.remove(5)];
        for (&stage, across) in STAGES[6..].iter().zip(down.iter().rev()) {
            let grown = grown(&up[up.len() - 1], (across.height, across.width));
            up.push(self.stage(stage, &[&grown, across])?);
        }
        drop(down);
        let mut maps = Vec::with_capacity(SIDES);
        for map in up.iter().rev() {
            maps.push(grown(&self.convolve(&[map], |_, _| {})?, size));
        }
        let map = self.convolve(&maps.iter().collect::<Vec<_>>(), |_, row| {
            row.iter_mut().for_each(|value| *value = 1.0 / (1.0 + libm::expf(-*value)));
        })?;
        Ok(map.values)
    }

    fn convolve(&mut self, parts: &[&Map], finish: impl Fn(usize, &mut [f32]) + Sync) -> Result<Map, NetworkError> {
        let layer = self.layers.next().ok_or_else(mismatch)?;
        if layer.inputs() != parts.iter().map(|part| part.channels).sum::<usize>() {
            return Err(mismatch());
        }
        layer.run(parts, self.stopped, finish)
    }

    /// A convolution with ReLU.
    fn rectified(&mut self, parts: &[&Map]) -> Result<Map, NetworkError> {
        self.convolve(parts, |_, row| row.iter_mut().for_each(|value| *value = value.max(0.0)))
    }

    /// A U of convolutions, added to what enters it.
    fn stage(&mut self, stage: Option<usize>, parts: &[&Map]) -> Result<Map, NetworkError> {
        let entered = self.rectified(parts)?;
        let depth = stage.unwrap_or(DILATED / 2);
        let mut down = vec![self.rectified(&[&entered])?];
        for _ in 2..depth {
            let last = &down[down.len() - 1];
            let next = if stage.is_some() { self.rectified(&[&halved(last)])? } else { self.rectified(&[last])? };
            down.push(next);
        }
        let mut up = self.rectified(&[&down[down.len() - 1]])?;
        for across in down[1..].iter().rev() {
            let size = (across.height, across.width);
            if (up.height, up.width) != size {
                up = grown(&up, size);
            }
            up = self.rectified(&[&up, across])?;
        }
        let last = &down[0];
        if (up.height, up.width) != (last.height, last.width) {
            up = grown(&up, (last.height, last.width));
        }
        if self.layers.as_slice().first().is_none_or(|layer| layer.outputs() != entered.channels) {
            return Err(mismatch());
        }
        self.convolve(&[&up, last], |y, row| {
            row.iter_mut().zip(entered.row(y)).for_each(|(value, entered)| *value = value.max(0.0) + entered);
        })
    }
}

/// Max pooling over two by two pixels; an odd edge is pooled alone.
fn halved(map: &Map) -> Map {
    Map::from_rows(map.height.div_ceil(2), map.width.div_ceil(2), map.channels, |y, row| {
        for (x, pixel) in row.chunks_mut(map.channels).enumerate() {
            pixel.copy_from_slice(map.pixel(2 * y, 2 * x));
            for (v, u) in [(2 * y, 2 * x + 1), (2 * y + 1, 2 * x), (2 * y + 1, 2 * x + 1)] {
                if v < map.height && u < map.width {
                    pixel.iter_mut().zip(map.pixel(v, u)).for_each(|(a, &b)| *a = a.max(b));
                }
            }
        }
    })
}

/// Grown to `size` (height, width), linear between the pixel centres.
fn grown(map: &Map, size: (usize, usize)) -> Map {
    let axis = |length: usize, source: usize| -> Vec<(usize, usize, f32)> {
        let scale = source as f32 / length as f32;
        let place = |k: usize| ((k as f32 + 0.5) * scale - 0.5).clamp(0.0, (source - 1) as f32);
        let steps = (0..length).map(place);
        steps.map(|at| (at as usize, (at as usize + 1).min(source - 1), at - (at as usize) as f32)).collect()
    };
    let (rows, columns) = (axis(size.0, map.height), axis(size.1, map.width));
    Map::from_rows(size.0, size.1, map.channels, |y, row| {
        let (above, below, v) = rows[y];
        for (pixel, &(left, right, u)) in row.chunks_mut(map.channels).zip(&columns) {
            let corners =
                [map.pixel(above, left), map.pixel(above, right), map.pixel(below, left), map.pixel(below, right)];
            for (c, value) in pixel.iter_mut().enumerate() {
                let [a, b, d, e] = corners.map(|corner| corner[c]);
                let (top, bottom) = (a + (b - a) * u, d + (e - d) * u);
                *value = top + (bottom - top) * v;
            }
        }
    })
}
