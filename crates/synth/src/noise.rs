use crate::random::hash;

/// Value noise: random values on a lattice, smoothly between them; 0 to 1.
fn value(x: f32, y: f32, seed: u64) -> f32 {
    let (cell_x, cell_y) = (x.floor(), y.floor());
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (smooth(x - cell_x), smooth(y - cell_y));
    let corner = |dx: i64, dy: i64| grain(cell_x as i64 + dx, cell_y as i64 + dy, seed);
    let top = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * u;
    let bottom = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * u;
    top + (bottom - top) * v
}

/// A random value for a place, 0 to 1.
pub(crate) fn grain(x: i64, y: i64, seed: u64) -> f32 {
    let key = (x as u64 & 0xffff_ffff) | (y as u64) << 32;
    (hash(hash(key) ^ seed) >> 40) as f32 / (1u64 << 24) as f32
}

/// Octaves of value noise, each twice as fine and `fall` times as strong as the one
/// before (fractional Brownian motion); 0 to 1.
pub(crate) fn fractal(x: f32, y: f32, octaves: u32, fall: f32, seed: u64) -> f32 {
    let (mut sum, mut total, mut weight, mut scale) = (0.0, 0.0, 1.0, 1.0);
    for octave in 0..octaves {
        sum += weight * value(x * scale, y * scale, seed ^ hash(u64::from(octave) + 1));
        total += weight;
        weight *= fall;
        scale *= 2.0;
    }
    sum / total
}
