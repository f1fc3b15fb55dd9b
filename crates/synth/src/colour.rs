use crate::random::Random;

/// sRGB, 0 to 1.
pub(crate) type Colour = [f32; 3];

/// Hue, saturation and value, each 0 to 1; the hue wraps around.
pub(crate) fn hsv(hue: f32, saturation: f32, value: f32) -> Colour {
    [5.0, 3.0, 1.0].map(|offset| {
        let k = (offset + hue * 6.0).rem_euclid(6.0);
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

pub(crate) fn mix(a: Colour, b: Colour, share: f32) -> Colour {
    let share = share.clamp(0.0, 1.0);
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * share)
}

/// A colour that can be told from `background`.
pub(crate) fn contrasting(background: Colour, random: &mut Random) -> Colour {
    let mut colour = [0.0; 3];
    for _ in 0..50 {
        colour = hsv(random.unit(), random.between(0.1, 1.0), *random.pick(&[0.15, 0.95, 0.98, 0.8]));
        if (0..3).any(|c| (colour[c] - background[c]).abs() > 90.0 / 255.0) {
            break;
        }
    }
    colour
}
