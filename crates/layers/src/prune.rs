use std::fmt;

use crate::composite::over;
use crate::{Layer, LayerStack, Report, bounding_box};

/// Share of a copy's pixels, 0 to 1, that the other layers must fill before it can be dropped.
const REST_COVERS: f64 = 0.99;

/// A stack without the layers that its report flags.
#[derive(Debug, Clone)]
pub struct Pruned {
    /// The remaining layers, at least one.
    pub stack: LayerStack,
    /// What was removed and why.
    pub notes: Vec<PruneNote>,
}

/// A layer that [`prune`] removed. Positions count from 0 and are those before pruning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneNote {
    /// It had no visible pixel and was dropped.
    Empty {
        /// Position of the layer.
        index: usize,
    },
    /// It repeated the whole picture and was dropped.
    CopyOfComposite {
        /// Position of the layer.
        index: usize,
    },
    /// It repeated a lower layer and was merged into it.
    Duplicate {
        /// Position of the layer.
        index: usize,
        /// Position of the layer that it repeated.
        of: usize,
    },
}

impl fmt::Display for PruneNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { index } => write!(f, "Layer {index} was empty and was dropped."),
            Self::CopyOfComposite { index } => write!(f, "Layer {index} repeated the whole picture and was dropped."),
            Self::Duplicate { index, of } => write!(f, "Layer {index} repeated layer {of} and was merged into it."),
        }
    }
}

/// Removes the layers that `report` (of this very stack) flags. Meant for engines that cannot tell how many layers a
/// picture has and therefore make more than enough.
///
/// - An empty layer is dropped.
/// - A duplicate is merged into the lowest layer that it repeats.
/// - A copy of the whole picture is dropped if the other layers fill the canvas as far as it does; otherwise it serves
///   as the background and stays.
///
/// At least one layer remains. The composite may change by what was dropped, so call [`crate::upscale`] or
/// [`crate::solve_exact`] afterwards.
pub fn prune(stack: LayerStack, report: &Report) -> Pruned {
    let (width, height) = (stack.width(), stack.height());
    let mut layers: Vec<Option<Layer>> = stack.into_layers().into_iter().map(Some).collect();
    let mut notes = Vec::new();
    for (index, found) in report.layers.iter().enumerate() {
        if layers.iter().flatten().count() <= 1 {
            break;
        }
        if found.empty {
            layers[index] = None;
            notes.push(PruneNote::Empty { index });
        } else if found.copy_of_composite && rest_covers(&layers, index) {
            layers[index] = None;
            notes.push(PruneNote::CopyOfComposite { index });
        } else if let Some(other) = found.duplicate_of
            && let Some(top) = layers[index].take()
        {
            notes.push(PruneNote::Duplicate { index, of: other });
            // The lowest of several duplicates is not one itself, but may have been dropped as a copy.
            match &mut layers[other] {
                Some(below) => merge(below, &top),
                gone @ None => *gone = Some(top),
            }
        }
    }
    let layers = layers.into_iter().flatten().collect();
    let stack = LayerStack::new(width, height, layers).expect("layers grow to those of the same canvas");
    Pruned { stack, notes }
}

fn merge(below: &mut Layer, top: &Layer) {
    below.grow(top.rect());
    let (left, upper) = (top.x - below.x, top.y - below.y);
    for (x, y, top) in top.pixels.enumerate_pixels() {
        let below = below.pixels.get_pixel_mut(left + x, upper + y);
        *below = over(*top, *below);
    }
}

/// Whether the other layers have at least half alpha nearly everywhere the copy has.
fn rest_covers(layers: &[Option<Layer>], copy: usize) -> bool {
    let Some(layer) = &layers[copy] else { return false };
    if bounding_box(&layer.pixels).is_none() {
        return true;
    }
    let others: Vec<_> =
        layers.iter().enumerate().filter(|(index, _)| *index != copy).filter_map(|(_, l)| l.as_ref()).collect();
    let (mut needed, mut filled) = (0_u64, 0_u64);
    for (x, y, _) in layer.pixels.enumerate_pixels().filter(|(_, _, pixel)| pixel[3] >= 128) {
        needed += 1;
        filled += u64::from(others.iter().any(|other| other.pixel_at(layer.x + x, layer.y + y)[3] >= 128));
    }
    filled as f64 >= REST_COVERS * needed as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Rect, Thresholds, flatten};
    use image::{Rgba, RgbaImage};

    fn pruned(pictures: Vec<RgbaImage>) -> (Vec<String>, Vec<PruneNote>) {
        let named = |(index, pixels): (usize, _)| Layer::new(index.to_string(), Kind::Unknown, pixels);
        let layers = pictures.into_iter().enumerate().map(named);
        let stack = LayerStack::new(20, 20, layers.collect()).unwrap();
        let input = flatten(&stack);
        let report = Report::new(&stack, &input, &Thresholds::default()).unwrap();
        let Pruned { stack, notes } = prune(stack, &report);
        (stack.into_layers().into_iter().map(|layer| layer.name).collect(), notes)
    }

    fn ground() -> RgbaImage {
        RgbaImage::from_pixel(20, 20, Rgba([10, 20, 30, 255]))
    }

    fn block() -> RgbaImage {
        RgbaImage::from_fn(20, 20, |x, _| if x < 9 { Rgba([250, 0, 0, 255]) } else { Rgba([0; 4]) })
    }

    fn picture() -> RgbaImage {
        let layer = |pixels| Layer::new("", Kind::Unknown, pixels);
        flatten(&LayerStack::new(20, 20, vec![layer(ground()), layer(block())]).unwrap())
    }

    #[test]
    fn a_sound_stack_stays() {
        assert_eq!(pruned(vec![ground(), block()]), (vec!["0".into(), "1".into()], vec![]));
    }

    #[test]
    fn what_is_flagged_goes() {
        let (left, notes) = pruned(vec![ground(), RgbaImage::new(20, 20), block(), block()]);
        assert_eq!(left, ["0", "2"]);
        assert_eq!(notes, [PruneNote::Empty { index: 1 }, PruneNote::Duplicate { index: 3, of: 2 }]);
        assert_eq!(pruned(vec![ground(), block(), picture()]).0, ["0", "1"]);
    }

    #[test]
    fn a_merged_duplicate_keeps_what_both_have() {
        let layer = |x, y, width| {
            let pixels = RgbaImage::from_pixel(width, 3, Rgba([250, 0, 0, 255]));
            Layer { x, y, ..Layer::new("", Kind::Unknown, pixels) }
        };
        let layers = vec![Layer::new("", Kind::Background, ground()), layer(5, 4, 9), layer(4, 4, 10)];
        let stack = LayerStack::new(20, 20, layers).unwrap();
        let input = flatten(&stack);
        let thresholds = Thresholds { duplicate_mean: 30.0, ..Thresholds::default() };
        let report = Report::new(&stack, &input, &thresholds).unwrap();
        let Pruned { stack, notes } = prune(stack, &report);
        assert_eq!(notes, [PruneNote::Duplicate { index: 2, of: 1 }]);
        assert_eq!(stack.layers()[1].rect(), Rect { x: 4, y: 4, width: 10, height: 3 });
        assert_eq!(flatten(&stack), input);
    }

    #[test]
    fn a_copy_that_is_the_only_ground_stays() {
        assert_eq!(pruned(vec![picture(), block()]).0, ["0", "1"]);
    }

    #[test]
    fn one_layer_is_always_left() {
        assert_eq!(pruned(vec![RgbaImage::new(20, 20), RgbaImage::new(20, 20)]).0.len(), 1);
    }
}
