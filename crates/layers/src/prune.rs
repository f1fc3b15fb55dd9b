use crate::composite::over;
use crate::{Layer, LayerStack, Report, bounding_box};

/// Share of a copy's pixels that the other layers must fill before it can go.
const REST_COVERS: f64 = 0.99;

/// A stack without what its report flags.
#[derive(Debug, Clone)]
pub struct Pruned {
    pub stack: LayerStack,
    /// What was taken away and why, in words for people; the numbers are those before.
    pub notes: Vec<String>,
}

/// For engines that cannot tell how many layers a picture has: they make more
/// than enough, and what `report` (of this very stack) flags goes.
///
/// - An empty layer is dropped.
/// - A duplicate is merged into the lowest layer that it repeats.
/// - A copy of the whole picture is dropped where the other layers fill the
///   canvas as far as it does; otherwise it is needed as a ground and stays.
///
/// One layer at least is left. The composite may change, by what was dropped:
/// [`crate::lift`] or [`crate::solve_exact`] comes after.
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
            notes.push(format!("Layer {index} was empty and was dropped."));
        } else if found.copy_of_composite && rest_covers(&layers, index) {
            layers[index] = None;
            notes.push(format!("Layer {index} repeated the whole picture and was dropped."));
        } else if let Some(other) = found.duplicate_of
            && let Some(top) = layers[index].take()
        {
            notes.push(format!("Layer {index} repeated layer {other} and was merged into it."));
            // The lowest of its kind is no duplicate itself, but can have been dropped as a copy.
            match &mut layers[other] {
                Some(below) => merge(below, &top),
                gone @ None => *gone = Some(top),
            }
        }
    }
    let layers = layers.into_iter().flatten().collect();
    let stack = LayerStack::new(width, height, layers).expect("no layer has changed its size");
    Pruned { stack, notes }
}

fn merge(below: &mut Layer, top: &Layer) {
    for (below, top) in below.pixels.pixels_mut().zip(top.pixels.pixels()) {
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
    for (at, _) in layer.pixels.pixels().enumerate().filter(|(_, pixel)| pixel[3] >= 128) {
        needed += 1;
        filled += u64::from(others.iter().any(|other| other.pixels.as_raw()[at * 4 + 3] >= 128));
    }
    filled as f64 >= REST_COVERS * needed as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Thresholds, flatten};
    use image::{Rgba, RgbaImage};

    fn pruned(pictures: Vec<RgbaImage>) -> (Vec<String>, Vec<String>) {
        let layers = pictures.into_iter().enumerate().map(|(index, pixels)| Layer {
            name: index.to_string(),
            kind: Kind::Unknown,
            text: None,
            pixels,
        });
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
        let layer = |pixels| Layer { name: String::new(), kind: Kind::Unknown, text: None, pixels };
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
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert_eq!(pruned(vec![ground(), block(), picture()]).0, ["0", "1"]);
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
