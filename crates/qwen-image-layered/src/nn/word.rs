//! The operands of the matrix product kernels: f32, or pairs of bf16.

use std::fmt::Debug;
use std::sync::LazyLock;

use half::bf16;

use super::cpu::Element;
use super::tile::Kernel;

/// What a kernel multiplies: 32 bits with one or two neighbouring terms of a sum.
pub trait Word: Copy + Debug + Default + Send + Sync + 'static {
    /// Terms that a word holds.
    const TERMS: usize;

    /// The fastest kernel that this machine has.
    fn kernel() -> Kernel<Self>;

    /// The words of `row`; the last one is filled up with 0.
    ///
    /// `words` has as many as `row` needs.
    fn fill<T: Element>(words: &mut [Self], row: &[T]);

    /// Words of neighbours below each other: a word's terms are the values of `rows` that stand in its column.
    ///
    /// `rows` has up to [`Word::TERMS`] rows; what is missing counts as 0.
    fn stack<T: Element>(words: &mut [Self], rows: [Option<&[T]>; 2]);
}

impl Word for f32 {
    const TERMS: usize = 1;

    fn kernel() -> Kernel<Self> {
        static KERNEL: LazyLock<Kernel<f32>> = LazyLock::new(|| Kernel::<f32>::all()[0]);
        *KERNEL
    }

    #[inline(always)]
    fn fill<T: Element>(words: &mut [Self], row: &[T]) {
        words.iter_mut().zip(row).for_each(|(word, value)| *word = value.widen());
    }

    #[inline(always)]
    fn stack<T: Element>(words: &mut [Self], rows: [Option<&[T]>; 2]) {
        Self::fill(words, rows[0].unwrap_or_default());
    }
}

/// Two bf16, the first one in the lower half.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Pair(u32);

impl Pair {
    #[inline(always)]
    fn new(first: bf16, second: bf16) -> Self {
        Self(u32::from(first.to_bits()) | u32::from(second.to_bits()) << 16)
    }

    #[inline(always)]
    pub fn bits(self) -> u32 {
        self.0
    }

    #[inline(always)]
    pub fn terms(self) -> [f32; 2] {
        [f32::from_bits(self.0 << 16), f32::from_bits(self.0 & 0xffff_0000)]
    }
}

impl Word for Pair {
    const TERMS: usize = 2;

    fn kernel() -> Kernel<Self> {
        static KERNEL: LazyLock<Kernel<Pair>> = LazyLock::new(|| Kernel::<Pair>::all()[0]);
        *KERNEL
    }

    #[inline(always)]
    fn fill<T: Element>(words: &mut [Self], row: &[T]) {
        let (pairs, rest) = row.as_chunks::<2>();
        for (word, [first, second]) in words.iter_mut().zip(pairs) {
            *word = Self::new(first.rounded(), second.rounded());
        }
        if let ([value], Some(word)) = (rest, words.get_mut(pairs.len())) {
            *word = Self::new(value.rounded(), bf16::ZERO);
        }
    }

    #[inline(always)]
    fn stack<T: Element>(words: &mut [Self], rows: [Option<&[T]>; 2]) {
        match rows {
            [Some(first), Some(second)] => {
                for ((word, first), second) in words.iter_mut().zip(first).zip(second) {
                    *word = Self::new(first.rounded(), second.rounded());
                }
            }
            [first, _] => {
                for (word, first) in words.iter_mut().zip(first.unwrap_or_default()) {
                    *word = Self::new(first.rounded(), bf16::ZERO);
                }
            }
        }
    }
}

/// Whether products of pairs are faster than those of widened values.
///
/// AVX-512's `vdpbf16ps` has twice f32's rate on AMD's processors from Zen 4 on (measured: 234 against 117 GFLOP/s a
/// core), and less than f32's on Intel's (Xeon of 2023: 77 against 132), where widening while a matrix is packed
/// is faster. Decided by the maker, not by a measurement: the same machine has to give the same picture.
pub fn pairs_pay() -> bool {
    static PAY: LazyLock<bool> = LazyLock::new(|| {
        #[cfg(target_arch = "x86_64")]
        {
            let leaf = std::arch::x86_64::__cpuid(0);
            let maker = [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes);
            maker.as_flattened() == b"AuthenticAMD" && is_x86_feature_detected!("avx512bf16")
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            false
        }
    });
    *PAY
}
