//! Bounds for sizes in configs: absurd values become an error before anything is computed with them.

use std::path::Path;

use crate::{Error, Result};

/// Refuses sizes (name, value, largest) that are 0 or beyond what any such model has.
///
/// # Errors
/// Names the file, the first such field and its value.
pub fn check<const N: usize>(path: &Path, sizes: [(&str, usize, usize); N]) -> Result<()> {
    match sizes.into_iter().find(|&(_, size, largest)| size == 0 || size > largest) {
        None => Ok(()),
        Some((name, size, largest)) => {
            let reason =
                format!("`{name}` is {size}, possible are 1 to {largest}; take the config that belongs to the weights");
            Err(Error::Checkpoint { path: path.to_owned(), reason })
        }
    }
}
