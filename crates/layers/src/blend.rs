//! How a layer or group mixes with what is below it (Compositing and Blending Level 1, W3C).

use serde::{Deserialize, Serialize};

/// How the colours of a layer or group mix with those below it. Where nothing is below, all are as `Normal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Blend {
    /// Porter and Duff's `over`.
    #[default]
    Normal,
    /// The product of both, which is never lighter.
    Multiply,
    /// The product of what both lack of white, which is never darker.
    Screen,
    /// `Multiply` where it is dark below, `Screen` where it is light.
    Overlay,
    /// The darker one, channel by channel.
    Darken,
    /// The lighter one, channel by channel.
    Lighten,
}

impl Blend {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Normal, Self::Multiply, Self::Screen, Self::Overlay, Self::Darken, Self::Lighten];

    /// Whether it is Porter and Duff's `over`.
    pub fn is_normal(&self) -> bool {
        *self == Self::Normal
    }

    /// One channel of the mixed colour; all are 0 to 1.
    pub(crate) fn mix(self, below: f32, top: f32) -> f32 {
        match self {
            Self::Normal => top,
            Self::Multiply => below * top,
            Self::Screen => below + top - below * top,
            Self::Overlay if below <= 0.5 => 2.0 * below * top,
            Self::Overlay => 1.0 - 2.0 * (1.0 - below) * (1.0 - top),
            Self::Darken => below.min(top),
            Self::Lighten => below.max(top),
        }
    }

    /// Its name in CSS and SVG (`mix-blend-mode`).
    pub(crate) fn css(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Multiply => "multiply",
            Self::Screen => "screen",
            Self::Overlay => "overlay",
            Self::Darken => "darken",
            Self::Lighten => "lighten",
        }
    }

    /// Its key in Photoshop's files.
    pub(crate) fn psd_key(self) -> &'static [u8; 4] {
        match self {
            Self::Normal => b"norm",
            Self::Multiply => b"mul ",
            Self::Screen => b"scrn",
            Self::Overlay => b"over",
            Self::Darken => b"dark",
            Self::Lighten => b"lite",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_mix_as_the_recommendation_has_them() {
        let of = |blend: Blend, below: f32, top: f32| (blend.mix(below, top) * 1000.0).round() / 1000.0;
        for (blend, dark, light) in [
            (Blend::Normal, 0.6, 0.6),
            (Blend::Multiply, 0.12, 0.48),
            (Blend::Screen, 0.68, 0.92),
            (Blend::Overlay, 0.24, 0.84),
            (Blend::Darken, 0.2, 0.6),
            (Blend::Lighten, 0.6, 0.8),
        ] {
            assert_eq!((of(blend, 0.2, 0.6), of(blend, 0.8, 0.6)), (dark, light), "{blend:?}");
        }
    }
}
