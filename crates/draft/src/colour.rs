//! Colour spaces.

use std::sync::LazyLock;

use crate::plane::{Colour, Rgb8};

static LINEAR: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|v| {
        let x = v as f32 / 255.0;
        if x <= 0.04045 { x / 12.92 } else { libm::powf((x + 0.055) / 1.055, 2.4) }
    })
});

/// Cube root of 0 to 1 by Newton's method from a bit-level guess: the same bits
/// on every machine, which the `cbrt` of the C library does not promise.
fn cube_root(x: f32) -> f32 {
    if x <= 0.0 {
        return 0.0;
    }
    let mut y = f32::from_bits(x.to_bits() / 3 + 0x2a51_37a0);
    for _ in 0..3 {
        y -= (y - x / (y * y)) / 3.0;
    }
    y
}

/// Factor on Oklab's a and b, so that distances depend on hue as much as on lightness; chosen on the tuning posters of
/// `synth`.
pub(crate) const WIDER: f32 = 1.6;

/// Oklab of an sRGB colour of 8 bits a channel (Ottosson 2020), with a and b
/// times [`WIDER`].
pub(crate) fn oklab(rgb: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(|v| LINEAR[v as usize]);
    let l = cube_root(0.412_221_47 * r + 0.536_332_55 * g + 0.051_445_995 * b);
    let m = cube_root(0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b);
    let s = cube_root(0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b);
    [
        0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
        WIDER * (1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s),
        WIDER * (0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s),
    ]
}

pub(crate) fn oklab_plane(image: &Rgb8) -> Colour {
    image.map(oklab)
}

pub(crate) fn to_bytes(colour: [f32; 3]) -> [u8; 3] {
    colour.map(|v| (v * 255.0 + 0.5).clamp(0.0, 255.0) as u8)
}

pub(crate) fn to_unit(colour: [u8; 3]) -> [f32; 3] {
    colour.map(|v| f32::from(v) / 255.0)
}

pub(crate) fn bytes_plane(image: &Colour) -> Rgb8 {
    image.map(to_bytes)
}

pub(crate) fn unit_plane(image: &Rgb8) -> Colour {
    image.map(to_unit)
}

pub(crate) fn distance_squared(a: [f32; 3], b: [f32; 3]) -> f32 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2) + (a[2] - b[2]).powi(2)
}

/// Largest difference over the channels.
pub(crate) fn max_difference(a: [f32; 3], b: [f32; 3]) -> f32 {
    (a[0] - b[0]).abs().max((a[1] - b[1]).abs()).max((a[2] - b[2]).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oklab_has_the_published_corners() {
        // White and sRGB red from https://bottosson.github.io/posts/oklab/ (red: 0.628, 0.225, 0.126).
        let white = oklab([255; 3]);
        assert!((white[0] - 1.0).abs() < 1e-4 && white[1].abs() < 1e-3 && white[2].abs() < 1e-3);
        let red = oklab([255, 0, 0]);
        assert!((red[0] - 0.628).abs() < 1e-3);
        assert!((red[1] / WIDER - 0.225).abs() < 1e-3 && (red[2] / WIDER - 0.126).abs() < 1e-3);
    }

    #[test]
    fn cube_root_is_exact_to_a_millionth() {
        for k in 1..=1000 {
            let x = k as f32 / 1000.0;
            assert!((cube_root(x).powi(3) - x).abs() < 1e-6, "{x}");
        }
    }
}
