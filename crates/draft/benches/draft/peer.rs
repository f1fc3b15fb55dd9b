//! The Python prototype as the peer: posters go to it as files, its layers come back as files.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use layers::{Kind, Layer, LayerStack};
use serde::Deserialize;

use crate::columns::Traits;

/// How to reach the prototype.
pub(crate) struct Peer {
    python: PathBuf,
    folder: PathBuf,
}

#[derive(Deserialize)]
struct Result {
    names: Vec<String>,
    seconds: f64,
}

#[derive(Deserialize)]
struct Description {
    kind: String,
    shadow: u32,
}

/// A poster of the prototype's own making.
pub(crate) struct Own {
    pub name: String,
    pub picture: image::RgbaImage,
    pub truth: LayerStack,
    pub traits: Traits,
}

impl Peer {
    /// From UNFLATTEN_PYTHON (an interpreter with the prototype's packages) and
    /// UNFLATTEN_SPIKE (the folder with `pipe.py`); `None` where either is not set.
    pub(crate) fn from_environment() -> Option<Self> {
        let python = std::env::var_os("UNFLATTEN_PYTHON")?.into();
        let folder = std::env::var_os("UNFLATTEN_SPIKE")?.into();
        Some(Self { python, folder })
    }

    fn run(&self, arguments: &[&str], work: &Path) -> anyhow::Result<()> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/draft/peer.py");
        let mut command = Command::new(&self.python);
        command
            .arg(script)
            .args(arguments)
            .arg(work)
            .env("PYTHONPATH", &self.folder)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let status = command.status().with_context(|| format!("{} cannot be started", self.python.display()))?;
        ensure!(status.success(), "the prototype failed: {status}");
        Ok(())
    }

    /// Decomposes every `*/poster.png` in `work` that has no result yet.
    pub(crate) fn decompose(&self, work: &Path) -> anyhow::Result<()> {
        self.run(&["decompose"], work)
    }

    /// Writes the first `count` posters that the prototype makes itself, and reads them.
    pub(crate) fn posters(&self, work: &Path, count: u32) -> anyhow::Result<Vec<Own>> {
        self.run(&["posters", &count.to_string()], work)?;
        (0..count)
            .map(|number| {
                let name = number.to_string();
                let folder = work.join(&name);
                let description: Description = read_json(&folder.join("poster.json"))?;
                let kinds = [Kind::Background, Kind::Object, Kind::Subject, Kind::Text];
                let truth = stack(&folder, "true", &kinds)?;
                let shadows = ["without shadows", "all shadowed", "shapes shadowed"][description.shadow as usize % 3];
                let traits = Traits {
                    photo: description.kind == "photo",
                    shadowed_text: description.shadow == 1,
                    groups: [description.kind, "latin or chinese".to_owned(), shadows.to_owned()],
                };
                let picture = image::open(folder.join("poster.png"))?.to_rgba8();
                Ok(Own { name, picture, truth, traits })
            })
            .collect()
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// What the prototype made of a poster, and the seconds it took.
pub(crate) fn result(folder: &Path) -> anyhow::Result<(LayerStack, f64)> {
    let found: Result = read_json(&folder.join("result.json"))?;
    let kind = |name: &String| match name.as_str() {
        "background" => Kind::Background,
        name if name.starts_with("text") => Kind::Text,
        _ => Kind::Object,
    };
    let kinds: Vec<Kind> = found.names.iter().map(kind).collect();
    Ok((stack(folder, "layer", &kinds)?, found.seconds))
}

fn stack(folder: &Path, prefix: &str, kinds: &[Kind]) -> anyhow::Result<LayerStack> {
    let mut made = Vec::new();
    for (k, &kind) in kinds.iter().enumerate() {
        let path = folder.join(format!("{prefix}_{k}.png"));
        let pixels = image::open(&path).with_context(|| path.display().to_string())?.to_rgba8();
        made.push(Layer::new("", kind, pixels));
    }
    let (width, height) = made.first().context("no layers")?.pixels.dimensions();
    Ok(LayerStack::new(width, height, made)?)
}
