//! Small numerics that give the same bits on every machine.

/// e to the power of `x`, exact to about 1e-6 of its value: `f32::exp` calls the
/// system's library, whose last bits differ between systems.
pub(crate) fn exp(x: f32) -> f32 {
    if x < -80.0 {
        return 0.0;
    }
    let x = x.min(80.0);
    // 2^n * e^r with |r| <= ln(2) / 2
    let n = (x * std::f32::consts::LOG2_E).round();
    let r = x - n * std::f32::consts::LN_2;
    let series = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r / 720.0)))));
    series * f32::from_bits(((n as i32 + 127) as u32) << 23)
}

/// Solves the symmetric positive system `a x = b` for several right sides at once
/// by Cholesky's method; `None` where `a` is singular.
pub(crate) fn solve_symmetric<const N: usize, const M: usize>(
    mut a: [[f64; N]; N],
    mut b: [[f64; M]; N],
) -> Option<[[f64; M]; N]> {
    for i in 0..N {
        for j in 0..=i {
            let mut sum = a[i][j];
            for k in 0..j {
                sum -= a[i][k] * a[j][k];
            }
            if i == j {
                if sum <= 1e-12 {
                    return None;
                }
                a[i][i] = sum.sqrt();
            } else {
                a[i][j] = sum / a[j][j];
            }
        }
    }
    for m in 0..M {
        for i in 0..N {
            for k in 0..i {
                b[i][m] -= a[i][k] * b[k][m];
            }
            b[i][m] /= a[i][i];
        }
        for i in (0..N).rev() {
            for k in i + 1..N {
                b[i][m] -= a[k][i] * b[k][m];
            }
            b[i][m] /= a[i][i];
        }
    }
    Some(b)
}

/// The value at `share` (0 to 1) of the sorted values; 0 for none.
pub(crate) fn quantile(values: &mut [f32], share: f32) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let index = (share * (values.len() - 1) as f32).round() as usize;
    *values.select_nth_unstable_by(index, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_library() {
        for k in -400..200 {
            let x = k as f32 / 10.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 4e-6, "{x}");
        }
        assert_eq!(exp(-1000.0), 0.0);
    }

    #[test]
    fn cholesky_solves_and_refuses() {
        let x = solve_symmetric([[4.0, 2.0], [2.0, 3.0]], [[10.0], [8.0]]).expect("positive definite");
        assert!((x[0][0] - 1.75).abs() < 1e-12 && (x[1][0] - 1.5).abs() < 1e-12);
        assert!(solve_symmetric([[1.0, 1.0], [1.0, 1.0]], [[1.0], [1.0]]).is_none());
    }
}
