use candle_core::{DType, Tensor};

use crate::Result;

/// Step caching: skips most of a step that would repeat the last one; costs quality.
///
/// Each block adds a residual to the tokens. While the residual of the first block has hardly changed since the last
/// whole step, that of the other blocks is taken from that step. This is first-block caching (ParaAttention), after
/// TeaCache (Liu et al. 2024). Only image tokens count, since predictions are not read from text tokens.
pub struct StepCache {
    /// Relative change (L1) of the first block's residual up to which the rest is reused.
    threshold: f64,
    kept: Vec<Added>,
    /// Passes that ended with the first block.
    reused: usize,
}

/// The residuals of the last whole step, of some tokens.
struct Added {
    first: Tensor,
    rest: Tensor,
}

impl StepCache {
    /// `threshold` above 0, such as 0.1.
    pub fn new(threshold: f64) -> Self {
        Self { threshold, kept: Vec::new(), reused: 0 }
    }

    /// Passes that were not computed as a whole so far.
    pub fn reused(&self) -> usize {
        self.reused
    }

    /// Whether the rest of the step can be left out, by what the first block `added` to each group of tokens. All groups
    /// are judged as one, so that it does not matter how passes are grouped.
    pub(super) fn suffices(&self, added: &[Tensor]) -> Result<bool> {
        let alike = |(kept, added): (&Added, &Tensor)| kept.first.dims() == added.dims();
        if self.kept.len() != added.len() || !self.kept.iter().zip(added).all(alike) {
            return Ok(false);
        }
        let (mut change, mut size) = (0.0, 0.0);
        for (kept, added) in self.kept.iter().zip(added) {
            let before = kept.first.to_dtype(DType::F32)?;
            change += sum(&(added.to_dtype(DType::F32)? - &before)?)?;
            size += sum(&before)?;
        }
        Ok(change <= self.threshold * size)
    }

    /// The tokens after the last block, from those after the first: `passes` of them are not computed as a whole.
    pub(super) fn finish(&mut self, tokens: Vec<Tensor>, passes: usize) -> Result<Vec<Tensor>> {
        self.reused += passes;
        tokens.iter().zip(&self.kept).map(|(tokens, kept)| Ok((tokens + &kept.rest)?)).collect()
    }

    /// Frees what is kept: a whole step begins.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }

    /// Keeps a whole step: what the first block `added`, the tokens after it, and those after the last block.
    pub(super) fn keep(&mut self, added: Vec<Tensor>, after_first: Vec<Tensor>, end: &[Tensor]) -> Result<()> {
        let tokens = after_first.into_iter().zip(end);
        let kept = added.into_iter().zip(tokens).map(|(first, (after, end))| Ok(Added { first, rest: (end - after)? }));
        self.kept = kept.collect::<Result<_>>()?;
        Ok(())
    }
}

/// Of absolute values.
fn sum(x: &Tensor) -> Result<f64> {
    Ok(f64::from(x.abs()?.sum_all()?.to_scalar::<f32>()?))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn row(values: [f32; 2]) -> Tensor {
        Tensor::new(&[[values]], &Device::Cpu).unwrap()
    }

    #[test]
    fn a_step_is_reused_while_the_first_block_does_the_same() {
        let mut cache = StepCache::new(0.1);
        assert!(!cache.suffices(&[row([1.0, -3.0])]).unwrap(), "there is nothing yet");
        cache.keep(vec![row([1.0, -3.0])], vec![row([5.0, 5.0])], &[row([7.0, 4.0])]).unwrap();
        // 0.3 of 4 is less than a tenth, 0.5 is more.
        assert!(cache.suffices(&[row([1.1, -3.2])]).unwrap());
        assert!(!cache.suffices(&[row([1.2, -3.3])]).unwrap());
        // Another number of passes, as when guidance ends.
        assert!(!cache.suffices(&[row([1.0, -3.0]), row([1.0, -3.0])]).unwrap());
        assert!(!cache.suffices(&[Tensor::cat(&[row([1.0, -3.0]), row([1.0, -3.0])], 1).unwrap()]).unwrap());
        let end = cache.finish(vec![row([6.0, 6.0])], 1).unwrap();
        assert_eq!(end[0].flatten_all().unwrap().to_vec1::<f32>().unwrap(), [8.0, 5.0]);
        assert_eq!(cache.reused(), 1);
        cache.forget();
        assert!(!cache.suffices(&[row([1.0, -3.0])]).unwrap());
    }
}
