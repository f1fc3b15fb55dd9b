//! LoRAs: files of low-rank products that are added beside those of the transformer's layers.
//!
//! A LoRA is opened once ([`Lora::open`] reads its header and says what is wrong with it) and named by the parameters
//! of a run, with a strength. The weights of the model are never changed, so compressed ones take LoRAs too.

mod config;
mod keys;
mod modules;
mod read;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::weights::{Entry, MappedFile, parse_safetensors, read_json};
use crate::{Error, Result};
use config::AdapterConfig;
use keys::Role;
pub(crate) use read::Attached;

/// A LoRA file whose header has been read and checked.
#[derive(Debug)]
pub struct Lora {
    path: PathBuf,
    state: FileState,
    /// By the layers' published names.
    layers: BTreeMap<String, OfLayer>,
    config: AdapterConfig,
    trained_for: Option<String>,
}

/// By which a file is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileState {
    length: u64,
    modified: Option<SystemTime>,
}

/// The tensors of one layer with their names in the file.
#[derive(Debug, Default)]
struct OfLayer(BTreeMap<Role, (String, Entry)>);

/// A LoRA in use.
#[derive(Debug, Clone)]
pub struct LoraUse {
    /// Its file.
    pub lora: Arc<Lora>,
    /// Factor of all that it adds, up to 10 either way; 1 is what it was trained for.
    pub strength: f64,
}

/// The names of files in folders of published LoRAs.
const IN_FOLDERS: [&str; 3] = ["adapter_model.safetensors", "pytorch_lora_weights.safetensors", "model.safetensors"];

/// Beside the files of PEFT.
const CONFIG: &str = "adapter_config.json";

impl Lora {
    /// Opens a safetensors file, or a folder with the one of PEFT, diffusers or DiffSynth, or with one alone; reads no
    /// values yet.
    ///
    /// Layouts: PEFT (with its `adapter_config.json`), diffusers, ai-toolkit and ComfyUI, Lightning, kohya and musubi,
    /// DiffSynth.
    ///
    /// # Errors
    /// When the file cannot be read, or names the first tensor that is not of a LoRA of this transformer.
    pub fn open(path: &Path) -> Result<Self> {
        let path = file_of(path)?;
        let broken = |reason: String| Error::Checkpoint { path: path.clone(), reason };
        let mut metadata = None;
        let file = MappedFile::open(&path, |data| {
            let entries = parse_safetensors(data)?;
            metadata = safetensors::SafeTensors::read_metadata(data).ok().and_then(|(_, m)| m.metadata().clone());
            Ok(entries)
        })?;
        let metadata = metadata.unwrap_or_default();
        let config_path = path.with_file_name(CONFIG);
        let of_peft = path.file_name().is_some_and(|name| name == IN_FOLDERS[0]);
        let config = match AdapterConfig::in_header(&metadata).map_err(broken)? {
            Some(config) => config,
            None if of_peft && config_path.is_file() => read_json(&config_path)?,
            None => AdapterConfig::default(),
        };
        config.check().map_err(broken)?;
        let layers = layers_of(file.entries).map_err(broken)?;
        let base = config.base_model_name_or_path.clone().filter(|name| !name.is_empty());
        let state = FileState::of(&path)?;
        Ok(Self { path, state, layers, trained_for: config::trained_for(&metadata).or(base), config })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many of the transformer's layers it is for.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// The largest rank of its products; 0 if it has none.
    pub fn rank(&self) -> usize {
        self.layers.values().filter_map(OfLayer::rank).max().unwrap_or(0)
    }

    /// Numbers that it takes memory for once it is in use, each in the type that the model computes in.
    pub fn values(&self) -> u64 {
        let kept = |(role, (_, entry)): (&Role, &(String, Entry))| match role {
            Role::Alpha => 0,
            _ => entry.shape.iter().product::<usize>() as u64,
        };
        self.layers.values().flat_map(|layer| layer.0.iter().map(kept)).sum()
    }

    /// The model or architecture that the file says it was trained for.
    pub fn trained_for(&self) -> Option<&str> {
        self.trained_for.as_deref()
    }

    /// Whether `other` is the same file in the same state.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.path, self.state) == (&other.path, other.state)
    }
}

impl fmt::Display for Lora {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl LoraUse {
    /// Checks that the strength is within its range.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self) -> Result<()> {
        if self.strength.is_finite() && self.strength.abs() <= 10.0 {
            return Ok(());
        }
        let Self { lora, strength } = self;
        Err(Error::Input(format!("{lora} was asked for with a strength of {strength}; choose one from -10 to 10")))
    }
}

impl FileState {
    fn of(path: &Path) -> Result<Self> {
        let metadata = path.metadata().map_err(|source| Error::File { path: path.to_owned(), source })?;
        Ok(Self { length: metadata.len(), modified: metadata.modified().ok() })
    }
}

/// The file at `path`, or the one in the folder there.
fn file_of(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let named = IN_FOLDERS.iter().map(|name| path.join(name)).find(|file| file.is_file());
    named.or_else(|| only_file(path)).ok_or_else(|| {
        let reason = format!(
            "has none of {}, and not one safetensors file alone; name the LoRA's file",
            IN_FOLDERS.map(|name| format!("`{name}`")).join(", ")
        );
        Error::Checkpoint { path: path.to_owned(), reason }
    })
}

/// The safetensors file in `folder`, if there is but one.
fn only_file(folder: &Path) -> Option<PathBuf> {
    let files = folder.read_dir().ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files = files.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.next().filter(|_| files.next().is_none())
}

/// Tensors by layer and role, complete and of fitting shapes.
fn layers_of(entries: BTreeMap<String, Entry>) -> Result<BTreeMap<String, OfLayer>, String> {
    let mut layers: BTreeMap<String, OfLayer> = BTreeMap::new();
    let mut refused = Vec::new();
    for (name, entry) in entries {
        match keys::parse(&name) {
            Err(reason) => refused.push((name, reason)),
            Ok(key) => {
                let layer = layers.entry(key.layer).or_default();
                if let Some((other, _)) = layer.0.get(&key.role) {
                    return Err(format!(
                        "tensors `{other}` and `{name}` are for the same place; the file holds more than one LoRA, take \
                         them apart"
                    ));
                }
                layer.0.insert(key.role, (name, entry));
            }
        }
    }
    if let Some((name, reason)) = refused.first() {
        let others = match refused.len() - 1 {
            0 => String::new(),
            count => format!(" ({count} more tensors are not known either)"),
        };
        return Err(format!("tensor `{name}` {reason}{others}"));
    }
    if layers.is_empty() {
        return Err("holds no tensors; take another copy of the file".to_owned());
    }
    layers.values().try_for_each(OfLayer::check)?;
    Ok(layers)
}

impl OfLayer {
    fn name(&self, role: Role) -> Option<&str> {
        self.0.get(&role).map(|(name, _)| name.as_str())
    }

    fn shape(&self, role: Role) -> Option<&[usize]> {
        self.0.get(&role).map(|(_, entry)| entry.shape.as_slice())
    }

    /// Of the low-rank product.
    fn rank(&self) -> Option<usize> {
        self.shape(Role::Down)?.first().copied()
    }

    /// Both halves of the product are there and fit each other.
    fn check(&self) -> Result<(), String> {
        let lonely =
            |role| self.name(role).map(|name| format!("tensor `{name}` stands alone: its other half is missing"));
        let (down, up) = match (self.shape(Role::Down), self.shape(Role::Up)) {
            (Some(down), Some(up)) => (down, up),
            (None, None) => {
                let without = [Role::Alpha, Role::UpBias].into_iter().find_map(lonely);
                return without.map_or(Ok(()), Err);
            }
            (Some(_), None) => return lonely(Role::Down).map_or(Ok(()), Err),
            (None, Some(_)) => return lonely(Role::Up).map_or(Ok(()), Err),
        };
        let names = || [Role::Down, Role::Up].map(|role| self.name(role).unwrap_or_default().to_owned());
        match (down, up) {
            ([rank, _], [_, other]) if rank == other && *rank > 0 => {}
            _ => {
                let [a, b] = names();
                return Err(format!(
                    "tensors `{a}` of shape {down:?} and `{b}` of shape {up:?} make no product; take another copy of the file"
                ));
            }
        }
        match self.0.get(&Role::Alpha) {
            Some((name, entry)) if entry.shape.iter().product::<usize>() != 1 => {
                Err(format!("tensor `{name}` has shape {:?} and should be one number", entry.shape))
            }
            _ => Ok(()),
        }
    }
}
