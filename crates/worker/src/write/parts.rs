//! The parts that a layer of another result was split into.

use engine::Analysis;
use layers::LayerStack;

/// The layers that show anything, and what is said of them. A layer that is split has nothing behind its parts, so the
/// background that an engine makes is often empty: nobody needs that in the layer's place. At least one layer is left.
pub(super) fn of_layer(stack: LayerStack, analysis: Option<Analysis>) -> (LayerStack, Option<Analysis>) {
    let mut is_kept: Vec<bool> = stack.iter().map(|layer| layer.bounding_box().is_some()).collect();
    if !is_kept.contains(&true)
        && let Some(first) = is_kept.first_mut()
    {
        *first = true;
    }
    let (width, height) = (stack.width(), stack.height());
    let layers = stack.into_layers().into_iter().zip(&is_kept).filter_map(|(layer, kept)| kept.then_some(layer));
    let stack = LayerStack::new(width, height, layers.collect()).expect("layers of the same canvas");
    let analysis = analysis.map(|mut analysis| {
        let mut kept = is_kept.iter();
        analysis.layers.retain(|_| kept.next().copied().unwrap_or(true));
        analysis
    });
    (stack, analysis)
}

#[cfg(test)]
mod tests {
    use engine::LayerAnalysis;
    use image::{Rgba, RgbaImage};
    use layers::{Kind, Layer};

    use super::*;

    fn parts(alphas: &[u8]) -> (Vec<String>, Vec<String>) {
        let layer = |(n, alpha): (usize, &u8)| {
            Layer::new(n.to_string(), Kind::Object, RgbaImage::from_pixel(2, 2, Rgba([9, 9, 9, *alpha])))
        };
        let stack = LayerStack::new(2, 2, alphas.iter().enumerate().map(layer).collect()).expect("a stack");
        let said = |n: usize| LayerAnalysis { engine_name: n.to_string(), ..LayerAnalysis::default() };
        let analysis = Analysis {
            analyzer: "local".to_owned(),
            model: String::new(),
            duration_ms: 1,
            layers: (0..alphas.len()).map(said).collect(),
            verdict: None,
            recommendation: None,
        };
        let (stack, analysis) = of_layer(stack, Some(analysis));
        let said = analysis.expect("it was there").layers.into_iter().map(|layer| layer.engine_name);
        (stack.into_layers().into_iter().map(|layer| layer.name).collect(), said.collect())
    }

    #[test]
    fn empty_layers_go_with_what_is_said_of_them() {
        let (kept, said) = parts(&[0, 255, 0, 1]);
        assert_eq!(kept, ["1", "3"]);
        assert_eq!(said, kept);
    }

    #[test]
    fn one_layer_is_always_left() {
        assert_eq!(parts(&[0, 0]).0, ["0"]);
        assert_eq!(parts(&[7]).0, ["0"]);
    }
}
