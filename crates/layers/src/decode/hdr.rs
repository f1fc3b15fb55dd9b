//! High dynamic range (ITU-R BT.2100) in the range of sRGB.
//!
//! White of a page or of paper has 203 cd/m² (ITU-R BT.2408) and becomes sRGB's white. A picture with nothing brighter
//! keeps its colours. Where there are brighter lights, the curve of ITU-R BT.2390, section 5.4.1, brings the brightest
//! one of the picture to white and leaves what is dark as it is; all channels of a pixel are scaled alike, so that its
//! hue stays.

use image::{DynamicImage, Rgba, RgbaImage};
use moxcms::{ColorProfile, TransferCharacteristics};

use super::colour::{srgb_encoded, to8};

/// Light of white, in cd/m².
const WHITE: f32 = 203.0;

/// Light of the screen that HLG is for, in cd/m², and the exponent of its system.
const HLG_PEAK: f32 = 1000.0;
const HLG_GAMMA: f32 = 1.2;

/// How much each channel of BT.2100 adds to luminance.
const LUMINANCE: [f32; 3] = [0.2627, 0.6780, 0.0593];

/// How samples stand for light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfer {
    /// Perceptual quantizer: absolute light.
    Pq,
    /// Hybrid log-gamma: light of a scene.
    Hlg,
}

impl Transfer {
    /// Of a profile that is for high dynamic range.
    pub(super) fn of(profile: &ColorProfile) -> Option<Self> {
        match profile.cicp?.transfer_characteristics {
            TransferCharacteristics::Smpte2084 => Some(Self::Pq),
            TransferCharacteristics::Hlg => Some(Self::Hlg),
            _ => None,
        }
    }

    /// What every 16-bit sample stands for: cd/m² (PQ), or light of the scene from 0 to 1 (HLG).
    fn table(self) -> Vec<f32> {
        let light = |sample: u16| {
            let signal = f32::from(sample) / 65_535.0;
            match self {
                Self::Pq => pq_light(signal),
                Self::Hlg => hlg_scene(signal),
            }
        };
        (0..=u16::MAX).map(light).collect()
    }

    /// Light in cd/m² of a pixel, of whose samples `table` has the light.
    fn light(self, table: &[f32], pixel: &Rgba<u16>) -> [f32; 3] {
        let [red, green, blue, _] = pixel.0;
        let light = [red, green, blue].map(|sample| table[usize::from(sample)]);
        match self {
            Self::Pq => light,
            Self::Hlg => {
                let luminance: f32 = light.iter().zip(LUMINANCE).map(|(light, weight)| light * weight).sum();
                let factor = HLG_PEAK * luminance.powf(HLG_GAMMA - 1.0);
                light.map(|light| light * factor)
            }
        }
    }
}

/// The picture in sRGB.
pub(super) fn to_srgb8(picture: DynamicImage, transfer: Transfer, profile: &ColorProfile) -> RgbaImage {
    let mut primaries = ColorProfile::new_srgb();
    // What the profile says in numbers counts before its colorants, which one of tables may lack.
    let has_numbers = profile.cicp.is_some_and(|cicp| primaries.update_rgb_colorimetry_from_cicp(cicp));
    let primaries = if has_numbers { &primaries } else { profile };
    let matrix = primaries.transform_matrix(&ColorProfile::new_srgb()).v.map(|row| row.map(|value| value as f32));
    let deep = picture.into_rgba16();
    let table = transfer.table();
    let visible = deep.pixels().filter(|pixel| pixel[3] > 0);
    let peak = visible.map(|pixel| brightest(transfer.light(&table, pixel))).fold(WHITE, f32::max);
    let curve = Curve::new(peak);
    let encoded = encoding();
    let mut pixels = RgbaImage::new(deep.width(), deep.height());
    for (out, pixel) in pixels.pixels_mut().zip(deep.pixels()) {
        let light = transfer.light(&table, pixel);
        let factor = curve.factor(brightest(light)) / WHITE;
        let light = light.map(|light| light * factor);
        let channel = |row: [f32; 3]| {
            let value = row[0] * light[0] + row[1] * light[1] + row[2] * light[2];
            // 0 to 65535; what is not a number becomes 0.
            encoded[(value.clamp(0.0, 1.0) * 65_535.0).round() as usize]
        };
        *out = Rgba([channel(matrix[0]), channel(matrix[1]), channel(matrix[2]), to8(pixel[3])]);
    }
    pixels
}

fn brightest(light: [f32; 3]) -> f32 {
    light.into_iter().fold(0.0, f32::max)
}

/// sRGB of light, of which 65535 is white.
fn encoding() -> Vec<u8> {
    let encode = |light: u16| (srgb_encoded(f64::from(light) / 65_535.0) * 255.0).round().clamp(0.0, 255.0) as u8;
    (0..=u16::MAX).map(encode).collect()
}

/// What becomes of light in a picture with a given peak.
struct Curve {
    /// The peak as PQ says it.
    peak: f32,
    /// White, and where the curve begins to bend, as shares of that.
    white: f32,
    knee: f32,
    /// The light where it begins to bend.
    from: f32,
}

impl Curve {
    fn new(peak: f32) -> Self {
        let peak = pq_signal(peak);
        let white = pq_signal(WHITE) / peak;
        let knee = 1.5 * white - 0.5;
        let from = if white < 1.0 { pq_light(knee * peak) } else { f32::INFINITY };
        Self { peak, white, knee, from }
    }

    /// What light is multiplied with.
    fn factor(&self, light: f32) -> f32 {
        if light <= self.from {
            return 1.0;
        }
        let (knee, share) = (self.knee, pq_signal(light) / self.peak);
        let t = ((share - knee) / (1.0 - knee)).min(1.0);
        let (t2, t3) = (t * t, t * t * t);
        let bent = (2.0 * t3 - 3.0 * t2 + 1.0) * knee
            + (t3 - 2.0 * t2 + t) * (1.0 - knee)
            + (-2.0 * t3 + 3.0 * t2) * self.white;
        pq_light(bent * self.peak) / light
    }
}

// SMPTE ST 2084.
const M1: f64 = 2610.0 / 16_384.0;
const M2: f64 = 2523.0 / 32.0;
const C1: f64 = 3424.0 / 4096.0;
const C2: f64 = 2413.0 / 128.0;
const C3: f64 = 2392.0 / 128.0;

/// Light in cd/m², up to 10000, of a signal from 0 to 1.
fn pq_light(signal: f32) -> f32 {
    let power = f64::from(signal).powf(1.0 / M2);
    (10_000.0 * ((power - C1).max(0.0) / (C2 - C3 * power)).powf(1.0 / M1)) as f32
}

fn pq_signal(light: f32) -> f32 {
    let power = (f64::from(light) / 10_000.0).powf(M1);
    ((C1 + C2 * power) / (1.0 + C3 * power)).powf(M2) as f32
}

/// Light of the scene of a signal, both from 0 to 1 (BT.2100, table 5).
fn hlg_scene(signal: f32) -> f32 {
    const A: f64 = 0.178_832_77;
    const B: f64 = 0.284_668_92;
    const C: f64 = 0.559_910_73;
    let signal = f64::from(signal);
    let light = if signal <= 0.5 { signal * signal / 3.0 } else { (((signal - C) / A).exp() + B) / 12.0 };
    light as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_stand_for_light() {
        // BT.2408, table 1: 203 cd/m² are 58 % of PQ and 75 % of HLG; 58.069 % by the formula. ST 2084: 100 cd/m² are 50.81 %.
        for (light, signal) in [(203.0, 0.580_69), (100.0, 0.508_08), (10_000.0, 1.0), (0.0, 0.0)] {
            assert!((pq_signal(light) - signal).abs() < 2e-4, "{light}: {}", pq_signal(light));
            assert!((pq_light(pq_signal(light)) - light).abs() <= 1e-3 * light + 1e-3, "{light}");
        }
        assert!((hlg_scene(1.0) - 1.0).abs() < 1e-5 && (hlg_scene(0.5) - 1.0 / 12.0).abs() < 1e-6);
        let white = HLG_PEAK * hlg_scene(0.75).powf(HLG_GAMMA);
        assert!((white - WHITE).abs() < 1.0, "{white}");
    }

    #[test]
    fn the_curve_brings_the_peak_to_white_and_leaves_the_dark() {
        for peak in [WHITE, 250.0, 1000.0, 4000.0, 10_000.0] {
            let curve = Curve::new(peak);
            let mapped = |light: f32| light * curve.factor(light);
            assert!((mapped(peak) - WHITE).abs() < 0.5, "{peak}: {}", mapped(peak));
            assert_eq!(mapped(20.0), 20.0, "{peak}");
            let steps = (1..=200).map(|step| mapped(peak * step as f32 / 200.0));
            assert!(steps.collect::<Vec<_>>().windows(2).all(|pair| pair[0] < pair[1] + 1e-3), "{peak}");
        }
    }
}
