use crate::{Layer, Rect};

/// Layers of one canvas, the lowest first.
///
/// ```
/// use image::RgbaImage;
/// use layers::{Kind, Layer, LayerStack};
///
/// let background = Layer::new("Background", Kind::Background, RgbaImage::new(640, 480));
/// let stack = LayerStack::new(640, 480, vec![background])?;
/// assert_eq!(stack.len(), 1);
/// for layer in &stack {
///     println!("{}", layer.name);
/// }
/// # Ok::<(), layers::StackError>(())
/// ```
#[derive(Debug, Clone)]
pub struct LayerStack {
    width: u32,
    height: u32,
    layers: Vec<Layer>,
}

/// Why layers do not make a stack.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StackError {
    /// A layer has no pixel, or some outside of the canvas.
    #[error(
        "layer {index} has {}x{} pixels at ({}, {}); a layer has at least one pixel, and all lie on the canvas of {width}x{height}",
        area.width, area.height, area.x, area.y
    )]
    Outside {
        /// Position of the layer, from 0.
        index: usize,
        /// What its pixels cover.
        area: Rect,
        /// Width of the canvas in pixels.
        width: u32,
        /// Height of the canvas in pixels.
        height: u32,
    },
    /// The canvas has no pixel.
    #[error("a canvas needs at least one pixel, not {width}x{height}")]
    EmptyCanvas {
        /// Width of the canvas in pixels.
        width: u32,
        /// Height of the canvas in pixels.
        height: u32,
    },
}

impl LayerStack {
    /// A stack on a canvas of `width` x `height` pixels.
    ///
    /// # Errors
    /// When a layer has no pixel or some outside of the canvas, or the canvas has none.
    pub fn new(width: u32, height: u32, layers: Vec<Layer>) -> Result<Self, StackError> {
        if width == 0 || height == 0 {
            return Err(StackError::EmptyCanvas { width, height });
        }
        let canvas = Rect::whole(width, height);
        for (index, area) in layers.iter().map(Layer::rect).enumerate() {
            if area.intersection(canvas) != Some(area) {
                return Err(StackError::Outside { index, area, width, height });
            }
        }
        Ok(Self { width, height, layers })
    }

    /// Width of the canvas in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height of the canvas in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// How many layers there are.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there is no layer: the canvas is transparent.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The layers one after the other, the lowest first.
    pub fn iter(&self) -> std::slice::Iter<'_, Layer> {
        self.layers.iter()
    }

    /// The layers for changes that keep their place and size.
    pub(crate) fn layers_mut(&mut self) -> &mut [Layer] {
        &mut self.layers
    }

    /// Takes the layers out, the lowest first.
    pub fn into_layers(self) -> Vec<Layer> {
        self.layers
    }
}

impl<'a> IntoIterator for &'a LayerStack {
    type Item = &'a Layer;
    type IntoIter = std::slice::Iter<'a, Layer>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use image::RgbaImage;

    use super::*;
    use crate::Kind;

    #[test]
    fn layers_lie_on_the_canvas() {
        let stack = |x, y, width, height| {
            let layer = Layer { x, y, ..Layer::new("", Kind::Unknown, RgbaImage::new(width, height)) };
            LayerStack::new(8, 5, vec![layer])
        };
        for (x, y, width, height) in [(0, 0, 8, 5), (7, 4, 1, 1), (2, 1, 6, 4)] {
            assert!(stack(x, y, width, height).is_ok(), "{width}x{height} at ({x}, {y})");
        }
        for (x, y, width, height) in [(0, 0, 9, 5), (1, 0, 8, 5), (0, 1, 8, 5), (u32::MAX, 0, 8, 5), (3, 3, 0, 1)] {
            let error = stack(x, y, width, height).unwrap_err();
            assert_eq!(
                error,
                StackError::Outside { index: 0, area: Rect { x, y, width, height }, width: 8, height: 5 }
            );
        }
        assert!(LayerStack::new(0, 5, Vec::new()).is_err());
    }
}
