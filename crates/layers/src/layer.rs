use image::RgbaImage;
use serde::{Deserialize, Serialize};

/// What a layer holds, as far as the engine that made it can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Background,
    /// A shape, an ornament, a group of small things.
    Object,
    /// The main motif: a person, an animal, a product.
    Subject,
    Text,
    /// The engine does not know (a diffusion model names nothing).
    #[default]
    Unknown,
}

/// A rectangle in pixels; `x`, `y` is its top left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Box)]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

/// One layer: a picture of the whole canvas with what the engine knows of it.
#[derive(Debug, Clone)]
pub struct Layer {
    /// For people; not unique. Text layers are named by what they say.
    pub name: String,
    pub kind: Kind,
    /// The words of a text layer, where the engine has read them.
    pub text: Option<String>,
    /// sRGB, 8 bit, straight alpha, as large as the canvas.
    pub pixels: RgbaImage,
}

/// "1 layer", "2 layers".
pub fn counted(layers: usize) -> String {
    if layers == 1 { "1 layer".to_owned() } else { format!("{layers} layers") }
}

/// Layers of one canvas, the lowest first.
#[derive(Debug, Clone)]
pub struct LayerStack {
    width: u32,
    height: u32,
    layers: Vec<Layer>,
}

/// Why layers do not make a stack.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StackError {
    #[error("layer {index} is {found_width}x{found_height} pixels, the canvas is {width}x{height}")]
    Size { index: usize, found_width: u32, found_height: u32, width: u32, height: u32 },
    #[error("a canvas needs at least one pixel, not {width}x{height}")]
    EmptyCanvas { width: u32, height: u32 },
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

    /// The layers, the lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The layers for changes that keep their size.
    pub(crate) fn layers_mut(&mut self) -> &mut [Layer] {
        &mut self.layers
    }

    /// Gives the layers up, the lowest first.
    pub fn into_layers(self) -> Vec<Layer> {
        self.layers
    }
}
