use image::RgbaImage;

/// New colours for a layer: what CSS writes as `hue-rotate() saturate() brightness()`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recolour {
    /// Rotation of the hue in degrees; 0 changes nothing.
    pub hue: f32,
    /// Factor of the saturation, 0 (grey) and up; 1 changes nothing.
    pub saturation: f32,
    /// Factor of the lightness, 0 (black) and up; 1 changes nothing.
    pub lightness: f32,
}

impl Default for Recolour {
    fn default() -> Self {
        Self { hue: 0.0, saturation: 1.0, lightness: 1.0 }
    }
}

impl Recolour {
    /// Whether it leaves every colour as it is.
    pub fn is_identity(&self) -> bool {
        *self == Self::default()
    }

    /// Changes the colours of `picture` (sRGB, straight alpha); alpha stays.
    ///
    /// The matrices are those of the W3C's "Filter Effects Module Level 1",
    /// section 8.7, one after the other, each result held to 0..=1 as browsers do.
    pub fn apply(&self, picture: &mut RgbaImage) {
        if self.is_identity() {
            return;
        }
        let (hue, saturation) = (hue_rotation(self.hue), saturation(self.saturation));
        // Posters have long runs of one colour.
        let mut last = ([0_u8; 3], self.colour([0; 3], &hue, &saturation));
        for pixel in picture.pixels_mut().filter(|pixel| pixel[3] > 0) {
            let [r, g, b, a] = pixel.0;
            if last.0 != [r, g, b] {
                last = ([r, g, b], self.colour([r, g, b], &hue, &saturation));
            }
            let [r, g, b] = last.1;
            pixel.0 = [r, g, b, a];
        }
    }

    /// One colour, as [`Recolour::apply`] changes it.
    pub fn of(&self, colour: [u8; 3]) -> [u8; 3] {
        if self.is_identity() {
            colour
        } else {
            self.colour(colour, &hue_rotation(self.hue), &saturation(self.saturation))
        }
    }

    fn colour(&self, colour: [u8; 3], hue: &[[f32; 3]; 3], saturation: &[[f32; 3]; 3]) -> [u8; 3] {
        let mut colour = colour.map(|value| f32::from(value) / 255.0);
        if self.hue != 0.0 {
            colour = times(hue, colour);
        }
        if self.saturation != 1.0 {
            colour = times(saturation, colour);
        }
        colour.map(|value| ((value * self.lightness).clamp(0.0, 1.0) * 255.0).round() as u8)
    }
}

fn times(matrix: &[[f32; 3]; 3], colour: [f32; 3]) -> [f32; 3] {
    matrix.map(|row| row.iter().zip(colour).map(|(factor, value)| factor * value).sum::<f32>().clamp(0.0, 1.0))
}

fn hue_rotation(degrees: f32) -> [[f32; 3]; 3] {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let mix = |base: f32, of_cos: f32, of_sin: f32| base + cos * of_cos + sin * of_sin;
    [
        [mix(0.213, 0.787, -0.213), mix(0.715, -0.715, -0.715), mix(0.072, -0.072, 0.928)],
        [mix(0.213, -0.213, 0.143), mix(0.715, 0.285, 0.140), mix(0.072, -0.072, -0.283)],
        [mix(0.213, -0.213, -0.787), mix(0.715, -0.715, 0.715), mix(0.072, 0.928, 0.072)],
    ]
}

fn saturation(factor: f32) -> [[f32; 3]; 3] {
    let mix = |base: f32, own: f32| base + own * factor;
    [
        [mix(0.213, 0.787), mix(0.715, -0.715), mix(0.072, -0.072)],
        [mix(0.213, -0.213), mix(0.715, 0.285), mix(0.072, -0.072)],
        [mix(0.213, -0.213), mix(0.715, -0.715), mix(0.072, 0.928)],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgba;

    fn after(recolour: Recolour, pixel: [u8; 4]) -> [u8; 4] {
        let mut picture = RgbaImage::from_pixel(1, 1, Rgba(pixel));
        recolour.apply(&mut picture);
        picture.get_pixel(0, 0).0
    }

    #[test]
    fn the_formulas_are_those_of_css() {
        let same = Recolour::default();
        assert_eq!(after(same, [12, 34, 56, 78]), [12, 34, 56, 78]);
        // Without saturation, the luma 0.213 R + 0.715 G + 0.072 B is left.
        assert_eq!(after(Recolour { saturation: 0.0, ..same }, [255, 0, 0, 255]), [54, 54, 54, 255]);
        assert_eq!(after(Recolour { lightness: 1.5, ..same }, [100, 200, 0, 9]), [150, 255, 0, 9]);
        // Half a turn: 2 luma - colour, held to the range. Luma of red: 0.213.
        assert_eq!(after(Recolour { hue: 180.0, ..same }, [255, 0, 0, 255]), [0, 109, 109, 255]);
        let turned = after(Recolour { hue: 360.0, ..same }, [10, 120, 230, 255]);
        assert_eq!(turned, [10, 120, 230, 255]);
    }

    #[test]
    fn what_is_transparent_stays() {
        assert_eq!(after(Recolour { lightness: 2.0, ..Recolour::default() }, [1, 2, 3, 0]), [1, 2, 3, 0]);
    }
}
