//! The loop in vector instructions of x86.
#![allow(unsafe_code, reason = "vector instructions; the caller has checked bounds and machine")]

use std::arch::x86_64::*;

use super::{ROWS, Sums};
use crate::nn::word::Pair;

/// A loop over `$height` rows and `V` vectors of columns at a time. Constant bounds: all sums stay in registers.
macro_rules! kernel {
    ($name:ident, $features:literal, $height:literal, $lanes:literal, $word:ty, $splat:ident, $take:ident,
     $multiply:ident, $zero:ident, $load:ident, $store:ident, $add:ident) => {
        #[target_feature(enable = $features)]
        unsafe fn $name<const V: usize>(
            left: &[*const $word; ROWS],
            depth: usize,
            right: *const $word,
            width: usize,
            sums: Sums,
        ) {
            for top in (0..ROWS).step_by($height) {
                let mut tile = [[$zero(); V]; $height];
                let mut right = right;
                // SAFETY: every row of `left` has `depth` words, `right` has `depth` rows of `width`, of which
                // the first `V * $lanes` are read, and `sums` has 8 rows of as many.
                unsafe {
                    for p in 0..depth {
                        let mut b = [$take(right); V];
                        for j in 1..V {
                            b[j] = $take(right.add(j * $lanes));
                        }
                        for i in 0..$height {
                            let a = $splat(*left[top + i].add(p));
                            for j in 0..V {
                                tile[i][j] = $multiply(a, b[j], tile[i][j]);
                            }
                        }
                        right = right.add(width);
                    }
                    for i in 0..$height {
                        for j in 0..V {
                            let place = sums.start.add((top + i) * sums.stride + j * $lanes);
                            let old = if sums.keep { $load(place) } else { $zero() };
                            $store(place, $add(old, tile[i][j]));
                        }
                    }
                }
            }
        }
    };
}

kernel!(
    rows_avx512,
    "avx512f",
    8,
    16,
    f32,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_fmadd_ps,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps
);
kernel!(
    rows_avx512_pairs,
    "avx512f,avx512bf16",
    8,
    16,
    Pair,
    splat_pair,
    take_pairs,
    multiply_pairs,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps
);
// Sixteen registers: 4 x 16 sums, two columns' vectors and the rows' values fit.
kernel!(
    rows_avx2,
    "avx2,fma",
    4,
    8,
    f32,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_fmadd_ps,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps
);

#[inline]
#[target_feature(enable = "avx512f")]
fn splat_pair(pair: Pair) -> __m512i {
    _mm512_set1_epi32(pair.bits().cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn take_pairs(pairs: *const Pair) -> __m512i {
    // SAFETY: the caller has 16 pairs there.
    unsafe { _mm512_loadu_si512(pairs.cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn multiply_pairs(a: __m512i, b: __m512i, sums: __m512) -> __m512 {
    // SAFETY: both types are 512 bits without a meaning of their own.
    let a = unsafe { std::mem::transmute::<__m512i, __m512bh>(a) };
    // SAFETY: as above.
    let b = unsafe { std::mem::transmute::<__m512i, __m512bh>(b) };
    _mm512_dpbf16_ps(sums, a, b)
}

/// Writes the first `rows` columns of `block` (16, 16) as rows of `to`, `width` words apart.
///
/// Each round takes the first bit of the row's number to the end of the column's: rows `i` and `i + 8` mix to rows
/// `2 i` and `2 i + 1`. Four rounds swap both numbers.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn turn_avx512(block: *const i32, to: *mut i32, rows: usize, width: usize) {
    let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    let mut lines = [_mm512_setzero_si512(); 16];
    for (i, line) in lines.iter_mut().enumerate() {
        // SAFETY: the caller has 16 rows of 16 words there.
        *line = unsafe { _mm512_loadu_si512(block.add(16 * i).cast()) };
    }
    for _ in 0..4 {
        let old = lines;
        for i in 0..8 {
            lines[2 * i] = _mm512_permutex2var_epi32(old[i], low, old[i + 8]);
            lines[2 * i + 1] = _mm512_permutex2var_epi32(old[i], high, old[i + 8]);
        }
    }
    let store = |(i, &line): (usize, &_)| {
        // SAFETY: the caller has room for 16 words in each of the rows.
        unsafe { _mm512_storeu_si512(to.add(i * width).cast(), line) }
    };
    if rows == 16 {
        // With a constant number of rows, the lines stay in registers.
        lines.iter().enumerate().for_each(store);
    } else {
        lines.iter().enumerate().take(rows).for_each(store);
    }
}

pub(super) unsafe fn avx512(left: &[*const f32; ROWS], depth: usize, right: *const f32, width: usize, sums: Sums) {
    // SAFETY: as the caller promises.
    unsafe {
        match width {
            16 => rows_avx512::<1>(left, depth, right, width, sums),
            32 => rows_avx512::<2>(left, depth, right, width, sums),
            _ => rows_avx512::<3>(left, depth, right, width, sums),
        }
    }
}

pub(super) unsafe fn avx512_pairs(
    left: &[*const Pair; ROWS],
    depth: usize,
    right: *const Pair,
    width: usize,
    sums: Sums,
) {
    // SAFETY: as the caller promises.
    unsafe {
        match width {
            16 => rows_avx512_pairs::<1>(left, depth, right, width, sums),
            32 => rows_avx512_pairs::<2>(left, depth, right, width, sums),
            _ => rows_avx512_pairs::<3>(left, depth, right, width, sums),
        }
    }
}

pub(super) unsafe fn avx2(left: &[*const f32; ROWS], depth: usize, right: *const f32, width: usize, sums: Sums) {
    for column in (0..width).step_by(16) {
        // SAFETY: as the caller promises; `column + 16` is at most `width`.
        unsafe {
            let part = Sums { start: sums.start.add(column), ..sums };
            rows_avx2::<2>(left, depth, right.add(column), width, part);
        }
    }
}
