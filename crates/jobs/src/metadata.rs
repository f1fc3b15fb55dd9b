use std::path::Path;

use layers::{Density, Document, DocumentLayer, Group, Kind, Label, Node, Picture, Rect};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    Analysis, BackgroundReport, Data, EngineChoice, EngineName, JobId, LiveText, LoraRecord, Message, MessageCode,
    Params, TextEdits,
};

/// Version of the `metadata.json` schema. Fields may be added without a new
/// number; one that changes its meaning or goes away raises it.
pub const SCHEMA_VERSION: u32 = 1;

/// What `metadata.json` says of a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Metadata {
    pub schema_version: u32,
    /// Absent for a result that the command line made without a queue.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub job_id: Option<JobId>,
    pub input: InputInfo,
    /// As asked, with the defaults filled in.
    pub params: Params,
    /// The seed that was used, drawn or given.
    pub seed: u64,
    pub engine: EngineInfo,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Time the engine took, in milliseconds.
    pub duration_ms: u64,
    /// The layers, the lowest first.
    pub layers: Vec<LayerInfo>,
    pub recomposition: Recomposition,
    /// File inside the result with the model's own rendering of the whole picture, where it has one: for diagnosis only.
    #[serde(default)]
    pub rendering: Option<String>,
    /// Size of the layers in pixels; absent when they are as large as the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canvas: Option<Size>,
    /// The layers in the model's own size, where they were kept beside those in the input's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_layers: Option<ModelLayers>,
    /// The layers that were split again. Not part of the stored file: the API fills it in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<ChildJob>,
    /// What a model said that looked at the layers (`ANALYZER`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
    /// How well the background was completed; absent where the engine cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<BackgroundReport>,
    /// LoRAs that were used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<LoraRecord>,
    /// What the engine decided or could not do.
    pub notes: Vec<Message>,
}

impl Metadata {
    /// The layers as a document that can be exported, all visible, under the
    /// name of the picture. Neighbours of one group are in a group node ([`layers::grouped`]).
    /// The source of a layer's pixels is its place in `layers`.
    pub fn document(&self) -> Document {
        let nodes = self.layers.iter().enumerate().map(|(source, layer)| {
            let node = Node::Layer(DocumentLayer {
                name: layer.name.clone(),
                kind: layer.kind,
                text: layer.text.clone(),
                visible: true,
                opacity: 1.0,
                blend: layers::Blend::Normal,
                x: 0,
                y: 0,
                turn: 0.0,
                effects: layers::Effects::default(),
                source,
                live_text: layer.live_text.as_ref().map(|live| live.stand_in(&TextEdits::new())).unwrap_or_default(),
            });
            (layer.group, node)
        });
        let (width, height) = self.canvas();
        let density = self.density();
        Document { title: self.title().to_owned(), width, height, density, nodes: layers::grouped(nodes) }
    }

    /// How densely the layers' pixels lie on the paper that the picture was made for.
    pub fn density(&self) -> Option<Density> {
        let (width, height) = self.canvas();
        self.input.density_at(width, height)
    }

    /// Names of the result's pictures that are no layers of its document: those
    /// in the model's size and the model's own rendering.
    pub fn other_files(&self) -> impl Iterator<Item = &str> {
        let model = self.model_layers.iter().flat_map(|model| &model.files);
        model.chain(&self.rendering).map(String::as_str)
    }

    /// What to call the picture: its file name without the ending.
    pub fn title(&self) -> &str {
        let name = self.input.filename.as_deref().unwrap_or_default();
        Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or("picture")
    }
}

/// The picture that the layers were made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InputInfo {
    /// The name it was uploaded under; for show only.
    pub filename: Option<String>,
    /// The format of the uploaded bytes, such as `png`.
    pub format: String,
    /// Size in pixels, upright.
    pub width: u32,
    pub height: u32,
    pub has_alpha: bool,
    /// How densely the pixels lie on paper, where the file says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub density: Option<Density>,
    /// What was odd about the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Message>,
    /// SHA-256 of the uploaded bytes, in hexadecimal.
    pub sha256: String,
    /// The layer that this picture is, when it is one that is split again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentLayer>,
}

impl InputInfo {
    /// How densely the pixels lie on the same paper when the picture has `width` x `height` of them.
    pub fn density_at(&self, width: u32, height: u32) -> Option<Density> {
        let share = |new: u32, old: u32| f64::from(new) / f64::from(old.max(1));
        self.density?.scaled(share(width, self.width), share(height, self.height))
    }

    /// What a decoded picture says of itself.
    pub fn of(picture: &Picture, filename: Option<String>, sha256: String) -> Self {
        let lacks_end = picture.lacks_end.then(|| {
            let text = "The file lacks its end, but all of its pixels were there.";
            Message::new(MessageCode::EndMissing, text)
        });
        let was_hdr = picture.was_hdr.then(|| {
            let text = "The picture has a high dynamic range; lights brighter than white were made darker.";
            Message::new(MessageCode::ToneMapped, text)
        });
        Self {
            filename,
            format: picture.format.to_owned(),
            width: picture.pixels.width(),
            height: picture.pixels.height(),
            has_alpha: picture.has_alpha,
            density: picture.density,
            notes: lacks_end.into_iter().chain(was_hdr).collect(),
            sha256,
            parent: None,
        }
    }
}

/// A layer of a result that is itself the input of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParentLayer {
    #[schema(value_type = uuid::Uuid)]
    pub job_id: JobId,
    /// Its number in that result.
    pub layer: u32,
    /// Where the picture's top left corner lies on that result's canvas.
    pub x: u32,
    pub y: u32,
    /// The job that was started to split it; others may use its picture too. Absent in what older versions stored.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_by: Option<JobId>,
    /// What the layer shows. Absent in what older versions stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
}

/// A job that splits a layer of a result again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChildJob {
    /// The number of the layer.
    pub layer: u32,
    #[schema(value_type = uuid::Uuid)]
    pub job_id: JobId,
    /// The same of that job's result; empty too while it has none.
    #[schema(no_recursion)]
    pub children: Vec<ChildJob>,
}

/// In pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

/// Layers in the model's own size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelLayers {
    pub width: u32,
    pub height: u32,
    /// File names inside the result, the lowest layer first.
    pub files: Vec<String>,
    /// Their composite against the input reduced to their size.
    pub recomposition: Recomposition,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EngineInfo {
    #[schema(value_type = EngineChoice)]
    pub name: EngineName,
    /// Version of the engine's code.
    pub version: String,
    /// The weights, for engines that have them, and their revision.
    pub model: Option<String>,
    pub model_revision: Option<String>,
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// Why this engine.
    pub reason: String,
    /// The same for programs.
    #[serde(default)]
    pub reason_code: MessageCode,
    /// What the reason is about, by name.
    #[serde(default, skip_serializing_if = "Data::is_empty")]
    #[schema(value_type = Object)]
    pub reason_data: Data,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LayerInfo {
    /// File name inside the result, such as `layer_0.png`.
    pub file: String,
    /// 0 is the lowest.
    pub z_index: u32,
    pub name: String,
    pub kind: Kind,
    /// The words of a text layer.
    pub text: Option<String>,
    /// The same as text that can be drawn and edited, with its fonts; absent where there are no words that text can
    /// stand for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_text: Option<LiveText>,
    /// The group that it belongs to, together with its neighbours of the same group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// What it shows in codes, where the engine knows more than the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The smallest rectangle that holds every pixel with alpha above 0; absent for an empty layer.
    pub bounding_box: Option<Rect>,
    /// Mean alpha over the canvas, 0 to 1.
    pub coverage: f64,
    /// How much of its alpha the layers above leave to be seen, 0 to 1.
    #[serde(default)]
    pub visible_share: f64,
    pub flags: LayerFlags,
}

/// What is odd about a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LayerFlags {
    /// No pixel has alpha above 0.
    pub empty: bool,
    /// The z-index of a lower layer that this one repeats.
    pub duplicate_of: Option<u32>,
    /// It repeats the whole picture.
    pub copy_of_composite: bool,
}

/// How far the composite of the written layers is from the input, over all
/// four premultiplied 8-bit channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Recomposition {
    /// Largest difference, 0 to 255.
    pub max_error: u8,
    /// Mean absolute difference, 0 to 255.
    pub mean_error: f64,
    /// Peak signal-to-noise ratio in dB; absent when nothing differs.
    pub psnr_db: Option<f64>,
    /// Where the largest difference is first met, `[x, y]`; absent when nothing differs.
    #[serde(default)]
    pub worst: Option<[u32; 2]>,
}

impl From<layers::Difference> for Recomposition {
    fn from(found: layers::Difference) -> Self {
        Self {
            max_error: found.max,
            mean_error: found.mean,
            psnr_db: found.psnr,
            worst: found.worst.map(|(x, y)| [x, y]),
        }
    }
}
