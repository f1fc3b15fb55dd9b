//! Gaussian noise, bit for bit what `torch.randn(.., generator=torch.Generator("cpu").manual_seed(seed))` gives
//! on an x86-64 machine with AVX2.
//!
//! torch has three paths, all fed by mt19937: below 16 values a Box-Muller
//! transform in f64; from 16 values in f32 a vectorised one with the polynomials
//! of the Cephes library; in bf16 one that rounds to bf16 after every operation.
//! Source: `aten/src/ATen/native/cpu/{DistributionTemplates.h, avx_mathfun.h}`.

use std::f64::consts::PI;

use candle_core::{DType, Device, Shape, Tensor};
use half::bf16;

use crate::{Error, Result};

/// `torch.randn(shape, generator=manual_seed(seed), dtype=dtype)` on the CPU, moved to `device`.
///
/// # Errors
/// When `dtype` is neither f32 nor bf16, or on a device failure.
pub fn randn(shape: impl Into<Shape>, seed: u64, dtype: DType, device: &Device) -> Result<Tensor> {
    let shape = shape.into();
    let count = shape.elem_count();
    match dtype {
        DType::F32 => Ok(Tensor::from_vec(normal_f32(count, seed), shape, device)?),
        DType::BF16 => Ok(Tensor::from_vec(normal_bf16(count, seed), shape, device)?),
        other => Err(Error::Input(format!("noise can be drawn in f32 and bf16, not in {other:?}"))),
    }
}

fn normal_f32(count: usize, seed: u64) -> Vec<f32> {
    let mut generator = Mt19937::new(seed);
    if count < 16 {
        return few(count, &mut generator).map(|value| value as f32).collect();
    }
    fill(count, || (generator.next_u32() & 0x00ff_ffff) as f32 / 16_777_216.0, box_muller_f32)
}

fn normal_bf16(count: usize, seed: u64) -> Vec<bf16> {
    let mut generator = Mt19937::new(seed);
    if count < 16 {
        return few(count, &mut generator).map(|value| bf16::from_f32(value as f32)).collect();
    }
    fill(count, || bf16::from_f32((generator.next_u32() & 0xff) as f32 / 256.0), box_muller_bf16)
}

/// Box-Muller in f64; the sine of each pair comes second.
fn few(count: usize, generator: &mut Mt19937) -> impl Iterator<Item = f64> {
    let pairs: Vec<[f64; 2]> = (0..count.div_ceil(2))
        .map(|_| {
            let (u1, u2) = (generator.next_f64(), generator.next_f64());
            let radius = (-2.0 * (-u2).ln_1p()).sqrt();
            let theta = 2.0 * PI * u1;
            [radius * theta.cos(), radius * theta.sin()]
        })
        .collect();
    pairs.into_iter().flatten().take(count)
}

/// Draws all uniforms, then transforms them in groups of 16 (value j pairs with
/// value j + 8). A ragged end is drawn anew as the last 16 values.
fn fill<T: Copy>(count: usize, mut uniform: impl FnMut() -> T, transform: impl Fn(T, T) -> (T, T)) -> Vec<T> {
    let group = |values: &mut [T]| {
        for j in 0..8 {
            (values[j], values[j + 8]) = transform(values[j], values[j + 8]);
        }
    };
    let mut values: Vec<T> = (0..count).map(|_| uniform()).collect();
    values.chunks_exact_mut(16).for_each(group);
    if !count.is_multiple_of(16) {
        let tail = &mut values[count - 16..];
        tail.fill_with(uniform);
        group(tail);
    }
    values
}

fn box_muller_f32(u1: f32, u2: f32) -> (f32, f32) {
    let radius = (-2.0 * log(1.0 - u1)).sqrt();
    let (sin, cos) = sin_cos((2.0 * PI) as f32 * u2);
    // torch multiplies by 1 and adds 0, which turns -0 into 0.
    (radius * cos + 0.0, radius * sin + 0.0)
}

fn box_muller_bf16(u1: bf16, u2: bf16) -> (bf16, bf16) {
    let round = |value: f64| bf16::from_f32(value as f32);
    let u1 = round(1.0 - u1.to_f64());
    let radius = round(round(-2.0 * round(u1.to_f64().ln()).to_f64()).to_f64().sqrt());
    let theta = round(2.0 * PI * u2.to_f64()).to_f64();
    let product = |value: f64| round(radius.to_f64() * round(value).to_f64() + 0.0);
    (product(theta.cos()), product(theta.sin()))
}

/// Natural logarithm of a normal positive `x`, as `log256_ps` compiled with fused multiply-add.
fn log(x: f32) -> f32 {
    #[allow(clippy::excessive_precision, reason = "the digits of the source")]
    const P: [f32; 9] = [
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    ];
    let bits = x.to_bits();
    let mut exponent = ((bits >> 23) as i32 - 0x7f) as f32 + 1.0;
    let fraction = f32::from_bits((bits & !0x7f80_0000) | 0.5f32.to_bits());
    let mut x = fraction - 1.0;
    if fraction < std::f32::consts::FRAC_1_SQRT_2 {
        exponent -= 1.0;
        x += fraction;
    }
    let z = x * x;
    let mut y = P[1..].iter().fold(P[0], |y, &p| y.mul_add(x, p));
    y = (y * x).mul_add(z, exponent * -2.121_944_4e-4);
    y = z.mul_add(-0.5, y);
    exponent.mul_add(0.693_359_4, x + y)
}

/// Sine and cosine of `x` >= 0, as `sincos256_ps` compiled with fused multiply-add.
#[allow(clippy::excessive_precision, reason = "the digits of the source")]
fn sin_cos(x: f32) -> (f32, f32) {
    const FOUR_OVER_PI: f32 = 1.27323954473516;
    const PI_4: [f32; 3] = [-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8];
    const COS: [f32; 3] = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2];
    const SIN: [f32; 3] = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1];
    // The octant, rounded up to an even one.
    let octant = ((x * FOUR_OVER_PI) as i32 + 1) & !1;
    let y = octant as f32;
    let x = PI_4.iter().fold(x, |x, &part| y.mul_add(part, x));
    let z = x * x;
    let polynomial = |p: [f32; 3]| p[0].mul_add(z, p[1]).mul_add(z, p[2]) * z;
    let cos = polynomial(COS).mul_add(z, -(z * 0.5)) + 1.0;
    let sin = polynomial(SIN).mul_add(x, x);
    let (sin, cos) = if octant & 2 == 0 { (sin, cos) } else { (cos, sin) };
    (if octant & 4 == 0 { sin } else { -sin }, if (octant - 2) & 4 == 0 { -cos } else { cos })
}

/// The Mersenne twister of 1998 (Matsumoto and Nishimura), seeded as torch does: with the low 32 bits.
struct Mt19937 {
    state: [u32; 624],
    next: usize,
}

impl Mt19937 {
    fn new(seed: u64) -> Self {
        let mut state = [seed as u32; 624];
        for i in 1..624 {
            let last = state[i - 1];
            state[i] = 1_812_433_253_u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: 624 }
    }

    fn next_u32(&mut self) -> u32 {
        if self.next == 624 {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn next_f64(&mut self) -> f64 {
        let high = u64::from(self.next_u32());
        let bits = (high << 32) | u64::from(self.next_u32());
        (bits & ((1 << 53) - 1)) as f64 / (1_u64 << 53) as f64
    }

    fn twist(&mut self) {
        for i in 0..624 {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % 624] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + 397) % 624] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }
}
