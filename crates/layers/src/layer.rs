use image::RgbaImage;
use serde::{Deserialize, Serialize};

/// What a layer holds, as far as the engine that made it can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The lowest layer, complete behind everything else.
    Background,
    /// A shape, an ornament, a group of small things.
    Object,
    /// The main motif: a person, an animal, a product.
    Subject,
    /// Words; [`Layer::text`] holds them where they were read.
    Text,
    /// The engine does not know (a diffusion model names nothing).
    #[default]
    Unknown,
}

/// A rectangle in pixels; `x`, `y` is its top left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Box))]
#[allow(missing_docs, reason = "the four fields are what every rectangle has, and their docs would enter the schema")]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

/// One layer: an image as large as the canvas, with what the engine knows of it.
#[derive(Debug, Clone)]
pub struct Layer {
    /// For people; not unique. Text layers are named by what they say.
    pub name: String,
    /// What the layer shows.
    pub kind: Kind,
    /// The words of a text layer, where the engine has read them.
    pub text: Option<String>,
    /// sRGB, 8 bit, straight alpha, as large as the canvas.
    pub pixels: RgbaImage,
}

impl Layer {
    /// A layer without words.
    pub fn new(name: impl Into<String>, kind: Kind, pixels: RgbaImage) -> Self {
        Self { name: name.into(), kind, text: None, pixels }
    }
}

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
    /// A layer is not as large as the canvas.
    #[error("layer {index} is {found_width}x{found_height} pixels, the canvas is {width}x{height}")]
    Size {
        /// Position of the layer, from 0.
        index: usize,
        /// Width of the layer in pixels.
        found_width: u32,
        /// Height of the layer in pixels.
        found_height: u32,
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
    /// When a layer is not as large as the canvas, or the canvas has no pixel.
    pub fn new(width: u32, height: u32, layers: Vec<Layer>) -> Result<Self, StackError> {
        if width == 0 || height == 0 {
            return Err(StackError::EmptyCanvas { width, height });
        }
        for (index, layer) in layers.iter().enumerate() {
            let (found_width, found_height) = layer.pixels.dimensions();
            if (found_width, found_height) != (width, height) {
                return Err(StackError::Size { index, found_width, found_height, width, height });
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

    /// The layers for changes that keep their size.
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
