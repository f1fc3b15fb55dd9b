use candle_core::{D, DType, Device, Tensor};
use image::RgbaImage;

use crate::transformer::FrameGrid;
use crate::{Error, Result};

/// `picture` as (1, 4, h, w) in -1..1.
pub fn from_picture(picture: &RgbaImage, dtype: DType, device: &Device) -> Result<Tensor> {
    let (width, height) = picture.dimensions();
    let values: Vec<f32> = picture.as_raw().iter().map(|&value| 2.0 * (f32::from(value) / 255.0) - 1.0).collect();
    let image = Tensor::from_vec(values, (1, height as usize, width as usize, 4), device)?;
    Ok(image.permute((0, 3, 1, 2))?.to_dtype(dtype)?.contiguous()?)
}

/// `image` (1, 4, h, w) in -1..1 -> (4, h, w) in f32 in 0..1.
pub fn to_unit(image: &Tensor) -> Result<Tensor> {
    Ok(image.squeeze(0)?.to_dtype(DType::F32)?.affine(0.5, 0.5)?.clamp(0.0, 1.0)?)
}

/// `image` (4, h, w) in 0..1 as a picture, rounded as numpy does: ties to even.
pub fn to_picture(image: &Tensor) -> Result<RgbaImage> {
    let (_, height, width) = image.dims3()?;
    let values = image.permute((1, 2, 0))?.flatten_all()?.to_vec1::<f32>()?;
    let pixels = values.into_iter().map(|value| (value * 255.0).round_ties_even() as u8).collect();
    RgbaImage::from_raw(width as u32, height as u32, pixels)
        .ok_or_else(|| Error::Input("the model made a picture of an impossible size".to_owned()))
}

/// Latents (f, c, 2 rows, 2 columns) as tokens (1, f * rows * columns, 4 c).
pub fn pack(latents: &Tensor) -> Result<Tensor> {
    let (frames, channels, height, width) = latents.dims4()?;
    let patches = latents.reshape(&[frames, channels, height / 2, 2, width / 2, 2])?;
    Ok(patches.permute(vec![0, 2, 4, 1, 3, 5])?.reshape((1, (), 4 * channels))?.contiguous()?)
}

/// Tokens (1, f * rows * columns, 4 c) as latents (f, c, 2 rows, 2 columns).
pub fn unpack(tokens: &Tensor, grid: FrameGrid) -> Result<Tensor> {
    let FrameGrid { frames, rows, columns } = grid;
    let channels = tokens.dim(D::Minus1)? / 4;
    let patches = tokens.reshape(&[frames, rows, columns, channels, 2, 2])?;
    Ok(patches.permute(vec![0, 3, 1, 4, 2, 5])?.reshape((frames, channels, 2 * rows, 2 * columns))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_is_undone_by_unpacking() {
        let latents =
            Tensor::arange(0.0_f32, 2.0 * 3.0 * 4.0 * 6.0, &Device::Cpu).unwrap().reshape((2, 3, 4, 6)).unwrap();
        let tokens = pack(&latents).unwrap();
        assert_eq!(tokens.dims(), [1, 12, 12]);
        // The first token: the upper left 2 x 2 of each channel.
        let first = tokens.get(0).unwrap().get(0).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(first, [0.0, 1.0, 6.0, 7.0, 24.0, 25.0, 30.0, 31.0, 48.0, 49.0, 54.0, 55.0]);
        let back = unpack(&tokens, FrameGrid { frames: 2, rows: 2, columns: 3 }).unwrap();
        let difference = (back - latents).unwrap().abs().unwrap().max_all().unwrap();
        assert_eq!(difference.to_scalar::<f32>().unwrap(), 0.0);
    }

    #[test]
    fn pictures_survive_the_way_through_tensors() {
        let picture = RgbaImage::from_fn(5, 3, |x, y| image::Rgba([x as u8 * 50, y as u8 * 80, 7, 255 - x as u8]));
        let tensor = from_picture(&picture, DType::F32, &Device::Cpu).unwrap();
        assert_eq!(tensor.dims(), [1, 4, 3, 5]);
        assert_eq!(to_picture(&to_unit(&tensor).unwrap()).unwrap(), picture);
    }
}
