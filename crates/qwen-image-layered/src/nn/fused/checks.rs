//! The fused kernels against candle's own operations, on the device that they are to be used on.

use candle_core::{DType, Device, Tensor};

use super::ops::{add_gated, rms_norm_rotate};
use super::product::{product, product_float8};
use crate::Result;
use crate::nn::trial::{Error, relative_error, values};
use crate::nn::{composed, float8_e4m3};

/// Relative L2 error up to which both count as equal, in f32 and in bf16.
const BARS: [(DType, f64); 2] = [(DType::F32, 1e-5), (DType::BF16, 1e-2)];

/// Norms, sums, and products in bf16.
pub fn fused(device: &Device) -> Result<Vec<Error>> {
    const EPS: f64 = 1e-6;
    let mut errors = Vec::new();
    for (dtype, most) in BARS {
        // Shapes that fill neither a warp nor a block.
        let values = |shape: &[usize], salt: usize| values(shape, salt, dtype, device);
        let (heads, weight) = (values(&[1, 33, 3, 96], 1)?, values(&[96], 2)?);
        let rotation = values(&[33, 96], 3)?.to_dtype(DType::F32)?;
        let found = rms_norm_rotate(&heads, &weight, EPS, &rotation)?;
        let expected = composed::rms_norm_rotate(&heads, &weight, EPS, &rotation)?;
        errors.push(("norm and rotation", relative_error(&found, &expected)?, most));
        let (x, y, gate) = (values(&[1, 33, 520], 4)?, values(&[1, 33, 520], 5)?, values(&[1, 520], 6)?);
        let found = add_gated(&x, &gate, &y)?;
        errors.push(("the gated sum", relative_error(&found, &composed::add_gated(&x, &gate, &y)?)?, most));
        if dtype == DType::BF16 {
            // Sums about as large as 1, where GELU bends, and a bias of their size.
            let (weight, bias) = ((values(&[264, 520], 7)? * 0.05)?, values(&[264], 8)?);
            let expected = composed::product(&x, &weight, Some(&bias))?;
            let found = product(&x, &weight, &bias, false)?;
            errors.push(("the product", relative_error(&found, &expected)?, most));
            let found = product(&x, &weight, &bias, true)?;
            errors.push(("the product with GELU", relative_error(&found, &expected.gelu()?)?, most));
        }
    }
    Ok(errors)
}

/// Products in fp8. What they should give is computed on the CPU from the same rounded factors, because candle has no
/// fp8 on some GPUs.
pub fn float8(device: &Device) -> Result<Vec<Error>> {
    let values = |shape: &[usize], salt: usize, dtype| values(shape, salt, dtype, &Device::Cpu);
    let mut errors = Vec::new();
    for (name, rows, biased) in [("the product in fp8", 37, true), ("the product in fp8 of many rows", 512, false)] {
        // A bias as large as the sums.
        let (x, bias) = (values(&[1, rows, 528], 9, DType::BF16)?, (values(&[272], 11, DType::BF16)? * 200.0)?);
        let scale = Tensor::new(&[0.37_f32], &Device::Cpu)?;
        // Of both signs, and no NaN.
        let bytes: Vec<u8> = (0..272_usize * 528).map(|i| (i * 7919 % 127 + i % 2 * 128) as u8).collect();
        let weight: Vec<f32> = bytes.iter().map(|&bits| float8_e4m3(bits)).collect();
        let weight = (Tensor::from_vec(weight, (272, 528), &Device::Cpu)? * 0.37)?;
        let bytes = Tensor::new(bytes, &Device::Cpu)?;
        let rounded = composed::as_float8(&x)?.to_dtype(DType::F32)?;
        let expected = composed::product(&rounded, &weight, Some(&bias.to_dtype(DType::F32)?).filter(|_| biased))?;
        let [x, bytes, scale, bias] = [&x, &bytes, &scale, &bias].map(|x| x.to_device(device));
        let found = product_float8(&x?, [&bytes?, &scale?], 272, Some(&bias?).filter(|_| biased))?;
        // Sums of fp8 products keep fewer bits than f32 has.
        errors.push((name, relative_error(&found.to_device(&Device::Cpu)?, &expected)?, 1e-2));
    }
    Ok(errors)
}
