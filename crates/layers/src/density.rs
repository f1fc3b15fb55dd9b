use serde::{Deserialize, Serialize};

/// Metres in an inch.
const INCH: f64 = 0.0254;

/// How densely a picture's pixels lie on paper, in pixels per inch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Density {
    /// Along a row; 1 to 30000.
    pub x: f64,
    /// Along a column; 1 to 30000.
    pub y: f64,
}

impl Density {
    /// The least and the most that count as a density, in pixels per inch.
    const RANGE: std::ops::RangeInclusive<f64> = 1.0..=30_000.0;

    /// In pixels per inch; `None` for what cannot be a density (not 1 to 30000). Values within 1/1000 of a whole number are
    /// that number: files say them in rounded pixels per metre or centimetre.
    #[must_use]
    pub fn new(x: f64, y: f64) -> Option<Self> {
        let snap = |value: f64| if (value - value.round()).abs() < 1e-3 { value.round() } else { value };
        let (x, y) = (snap(x), snap(y));
        (Self::RANGE.contains(&x) && Self::RANGE.contains(&y)).then_some(Self { x, y })
    }

    /// From pixels per metre, rounded as files have them: 11811 are 300 pixels per inch.
    #[must_use]
    pub fn per_metre(x: u32, y: u32) -> Option<Self> {
        let inches = |value: u32| {
            let exact = f64::from(value) * INCH;
            if (exact.round() / INCH).round() == f64::from(value) { exact.round() } else { exact }
        };
        Self::new(inches(x), inches(y))
    }

    /// In whole pixels per metre, as PNG and BMP have it.
    #[must_use]
    pub fn to_per_metre(self) -> (u32, u32) {
        // At most 30000 an inch: 1181102.
        let metres = |value: f64| (value / INCH).round().clamp(0.0, f64::from(u32::MAX)) as u32;
        (metres(self.x), metres(self.y))
    }

    /// Of the same paper with other pixels: `x` and `y` times as many. `None` when they do not make a density.
    #[must_use]
    pub fn scaled(self, x: f64, y: f64) -> Option<Self> {
        Self::new(self.x * x, self.y * y)
    }

    /// Of the picture turned by a quarter.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self { x: self.y, y: self.x }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_per_metre_are_the_inches_that_were_meant() {
        for (metre, inch) in
            [(11_811, 300.0), (2835, 72.0), (3780, 96.0), (23_622, 600.0), (5906, 150.0), (2834, 71.9836)]
        {
            let density = Density::per_metre(metre, metre).expect("a density");
            assert!((density.x - inch).abs() < 1e-4, "{density:?} {inch}");
            assert_eq!(density.to_per_metre(), (metre, metre));
        }
    }

    #[test]
    fn nonsense_is_no_density() {
        for (x, y) in [(0.0, 72.0), (72.0, 0.5), (f64::NAN, 72.0), (f64::INFINITY, 1.0), (1e9, 1e9), (-72.0, 72.0)] {
            assert_eq!(Density::new(x, y), None);
        }
        assert_eq!(Density::per_metre(0, 0), None);
        assert_eq!(Density::per_metre(u32::MAX, 1), None);
    }
}
