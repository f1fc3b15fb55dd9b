//! A checkpoint part in any packaging, under its published names.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;

#[cfg(feature = "synthetic")]
use super::file::VirtualFile;
use super::file::{Entry, MappedFile, Stored};
use super::names::{self, Join, Meaning, Part};
use super::{Source, gguf, safetensors};
use crate::bytes::Target;
use crate::nn::{Linear, Packed};
use crate::{Error, Result};

/// The opened weight files of one part of the model.
pub struct Checkpoint {
    files: Vec<MappedFile>,
    pub(super) items: BTreeMap<String, Item>,
}

/// A published tensor and where its values are.
pub(super) struct Item {
    pub(super) pieces: Vec<Option<Piece>>,
    join: Option<Join>,
    scale: Option<Piece>,
}

#[derive(Clone)]
pub(super) struct Piece {
    file: usize,
    stored_name: String,
    pub(super) entry: Entry,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens `path`: the published subfolder of `part`, or a single safetensors or GGUF file.
    ///
    /// # Errors
    /// When a file is missing, truncated, of another model or inconsistent with its index.
    pub fn open(path: &Path, part: Part) -> Result<Self> {
        let opened = if path.is_dir() { Self::open_folder(path, part) } else { Self::open_file(path, part) }?;
        if part == Part::Vae {
            opened.check_channels()?;
        }
        Ok(opened)
    }

    /// The autoencoder of Qwen-Image has the same tensors as that of the layered model, for pictures without alpha.
    fn check_channels(&self) -> Result<()> {
        const FIRST: &str = "encoder.conv_in.weight";
        match self.shape(FIRST).as_deref() {
            Some([_, 3, _, ..]) => {
                let reason = "this is the RGB autoencoder of Qwen-Image, and layers need the one with alpha; take \
                              qwen_image_layered_vae";
                Err(broken(&self.path(FIRST), reason.to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// A part in a virtual file, under its published names.
    #[cfg(feature = "synthetic")]
    pub(crate) fn from_virtual(file: VirtualFile, part: Part) -> Result<Self> {
        let mut checkpoint = Self::empty();
        checkpoint.add(file.into(), |stored| names::of_safetensors(part, stored))?;
        checkpoint.checked()
    }

    fn empty() -> Self {
        Self { files: Vec::new(), items: BTreeMap::new() }
    }

    fn open_folder(folder: &Path, part: Part) -> Result<Self> {
        let stem = part.stem();
        let index = folder.join(format!("{stem}.safetensors.index.json"));
        if index.is_file() {
            return Self::open_sharded(folder, &index, part);
        }
        let single = folder.join(format!("{stem}.safetensors"));
        if single.is_file() {
            return Self::open_file(&single, part);
        }
        let found = safetensors_in(folder)?;
        match found.as_slice() {
            [only] => Self::open_file(only, part),
            [] => Err(broken(
                folder,
                format!("no `{stem}.safetensors` or `{stem}.safetensors.index.json` here; download the model again"),
            )),
            many => Err(broken(
                folder,
                format!(
                    "{} safetensors files but no `{stem}.safetensors.index.json`; download that file too",
                    many.len()
                ),
            )),
        }
    }

    fn open_sharded(folder: &Path, index_path: &Path, part: Part) -> Result<Self> {
        let index: Index = read_json(index_path)?;
        let names: BTreeSet<&String> = index.weight_map.values().collect();
        if names.is_empty() {
            return Err(broken(index_path, "names no tensor; download it again".to_owned()));
        }
        for &name in &names {
            if Path::new(name).components().count() != 1 || name == ".." {
                return Err(broken(index_path, format!("shard name `{name}` leaves the folder; download it again")));
            }
            let path = folder.join(name);
            path.metadata().map_err(|source| Error::File { path, source })?;
        }
        let mut checkpoint = Self::empty();
        for name in names {
            let file = MappedFile::open(&folder.join(name), safetensors::parse)?;
            for stored in file.entries.keys() {
                if index.weight_map.get(stored) != Some(name) {
                    let reason = format!(
                        "holds tensor `{stored}`, which {} does not place there; the files are of different \
                         downloads, download the model again",
                        index_path.display()
                    );
                    return Err(broken(&file.path, reason));
                }
            }
            for (stored, _) in index.weight_map.iter().filter(|(_, file)| *file == name) {
                if !file.entries.contains_key(stored) {
                    return Err(Error::TensorMissing { path: file.path, tensor: stored.clone() });
                }
            }
            checkpoint.add(file, |stored| names::of_safetensors(part, stored))?;
        }
        checkpoint.checked()
    }

    fn open_file(path: &Path, part: Part) -> Result<Self> {
        let mut checkpoint = Self::empty();
        if is_gguf(path)? {
            let file = open_gguf(path, part.architecture())?;
            checkpoint.add(file, |stored| names::of_gguf(part, stored))?;
        } else {
            let file = MappedFile::open(path, safetensors::parse)?;
            checkpoint.add(file, |stored| names::of_safetensors(part, stored))?;
        }
        checkpoint.checked()
    }

    /// Adds the vision tower of a GGUF text encoder, or that of a safetensors file, whose text tensors are ignored.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn with_vision(mut self, path: &Path) -> Result<Self> {
        self.items.retain(|name, _| !name.starts_with("visual."));
        if path.is_file() && is_gguf(path)? {
            let file = open_gguf(path, names::VISION_ARCHITECTURE)?;
            self.add(file, names::of_mmproj)?;
            return self.checked();
        }
        let other = Self::open(path, Part::TextEncoder)?;
        let offset = self.files.len();
        self.files.extend(other.files);
        for (name, mut item) in other.items.into_iter().filter(|(name, _)| name.starts_with("visual.")) {
            for piece in item.pieces.iter_mut().flatten().chain(item.scale.iter_mut()) {
                piece.file += offset;
            }
            self.items.insert(name, item);
        }
        Ok(self)
    }

    fn add(&mut self, file: MappedFile, meaning: impl Fn(&str) -> Meaning) -> Result<()> {
        let index = self.files.len();
        for (stored_name, entry) in &file.entries {
            let piece = Piece { file: index, stored_name: stored_name.clone(), entry: entry.clone() };
            let (name, slot, count, join) = match meaning(stored_name) {
                Meaning::Aside => continue,
                Meaning::Scale(name) => {
                    self.items.entry(name).or_insert_with(|| Item::new(1, None)).scale = Some(piece);
                    continue;
                }
                Meaning::Tensor(name) => (name, 0, 1, None),
                Meaning::Piece { name, index, count, join } => (name, index, count, Some(join)),
            };
            let item = self.items.entry(name).or_insert_with(|| Item::new(count, join));
            match item.pieces.get_mut(slot) {
                Some(place @ None) => *place = Some(piece),
                _ => {
                    let reason = format!("tensor `{stored_name}` exists under two names; take another conversion");
                    return Err(broken(&file.path, reason));
                }
            }
        }
        self.files.push(file);
        Ok(())
    }

    /// Every scale has its weight, every piece its siblings, every scaled file all scales.
    fn checked(self) -> Result<Self> {
        let scaled = self.items.values().any(|item| item.scale.is_some());
        for (name, item) in &self.items {
            let first = item.pieces.iter().flatten().next().or(item.scale.as_ref());
            let Some(path) = first.map(|piece| self.files[piece.file].path.clone()) else { continue };
            if item.pieces.iter().any(Option::is_none) {
                return Err(Error::TensorMissing { path, tensor: name.clone() });
            }
            let is_float8 = item.pieces.iter().flatten().any(|p| p.entry.stored == Stored::Plain(DType::F8E4M3));
            if scaled && is_float8 && item.scale.is_none() {
                let reason = format!("fp8 tensor `{name}` has no scale, though others have; download the file again");
                return Err(broken(&path, reason));
            }
        }
        Ok(self)
    }

    fn item(&self, name: &str) -> Result<&Item> {
        let missing = || Error::TensorMissing { path: self.path(name), tensor: name.to_owned() };
        self.items.get(name).ok_or_else(missing)
    }

    /// The factor of an fp8 tensor.
    fn scale(&self, item: &Item) -> Result<f32> {
        let Some(piece) = &item.scale else { return Ok(1.0) };
        let file = &self.files[piece.file];
        let value = file.plain(&piece.stored_name, &piece.entry, DType::F32, &Target::host())?;
        if value.elem_count() != 1 {
            let reason = format!(
                "scale `{}` has the shape {:?}: of fp8 files only those with one scale per tensor can be read; take such a \
                 file, the bf16 one, or a GGUF",
                piece.stored_name, piece.entry.shape
            );
            return Err(broken(&file.path, reason));
        }
        let scale = value.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?[0];
        if !scale.is_finite() {
            return Err(broken(&file.path, format!("scale `{}` is {scale}; download it again", piece.stored_name)));
        }
        Ok(scale)
    }

    fn load(&self, piece: &Piece, scale: f32, dtype: DType, target: &Target) -> Result<Tensor> {
        let file = &self.files[piece.file];
        let entry = &piece.entry;
        if let Some(packed) = self.packed(piece, scale, &Target::host())? {
            return Ok(packed.unpack(dtype)?.reshape(entry.shape.as_slice())?.to_device(target.device())?);
        }
        Ok(file.plain(&piece.stored_name, entry, dtype, target)?.to_dtype(dtype)?)
    }

    /// The tensor as a matrix of rows, when it is stored compressed.
    fn packed(&self, piece: &Piece, scale: f32, target: &Target) -> Result<Option<Packed>> {
        let entry = &piece.entry;
        let Some(&columns) = entry.shape.last() else { return Ok(None) };
        if columns == 0 {
            return Ok(None);
        }
        let rows = entry.shape.iter().product::<usize>() / columns;
        let bytes = || self.files[piece.file].bytes(entry);
        Ok(match entry.stored {
            Stored::Blocks(kind) if columns.is_multiple_of(kind.block_size()) => {
                Some(Packed::blocks(kind, bytes()?, rows, columns, target)?)
            }
            Stored::Blocks(kind) => {
                // Rows of the real shape need not hold whole blocks where a converter noted another shape.
                let count = rows * columns;
                Some(Packed::blocks(kind, bytes()?, count / kind.block_size(), kind.block_size(), &Target::host())?)
            }
            Stored::Plain(DType::F8E4M3) => Some(Packed::float8(bytes()?, scale, rows, columns, target)?),
            Stored::Plain(_) | Stored::Other(_) => None,
        })
    }
}

impl Item {
    fn new(count: usize, join: Option<Join>) -> Self {
        Self { pieces: vec![None; count], join, scale: None }
    }
}

impl Source for Checkpoint {
    fn path(&self, name: &str) -> PathBuf {
        let piece = self.items.get(name).and_then(|item| item.pieces.iter().flatten().next());
        let file = self.files.get(piece.map_or(0, |piece| piece.file));
        match (piece, file) {
            (Some(_), Some(file)) => file.path.clone(),
            // A missing tensor could have been in any shard: name their folder.
            (None, Some(file)) if self.files.len() > 1 => file.path.parent().unwrap_or(&file.path).to_owned(),
            (None, Some(file)) => file.path.clone(),
            (_, None) => PathBuf::new(),
        }
    }

    fn names(&self) -> Vec<String> {
        self.items.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let item = self.items.get(name)?;
        let shapes: Option<Vec<&[usize]>> =
            item.pieces.iter().map(|piece| piece.as_ref().map(|piece| piece.entry.shape.as_slice())).collect();
        let shapes = shapes?;
        let mut shape = shapes.first()?.to_vec();
        match item.join {
            None => {}
            Some(Join::Rows) => *shape.first_mut()? = shapes.iter().filter_map(|shape| shape.first()).sum(),
            Some(Join::Depth) if shape.len() == 4 => shape.insert(2, shapes.len()),
            Some(Join::Depth) => {}
        }
        Some(shape)
    }

    fn stored(&self, name: &str) -> Vec<usize> {
        let pieces = self.items.get(name).into_iter().flat_map(|item| item.pieces.iter().flatten());
        pieces.map(|piece| piece.entry.range.len()).collect()
    }

    fn tensor(&self, name: &str, dtype: DType, target: &Target) -> Result<Tensor> {
        let item = self.item(name)?;
        let scale = self.scale(item)?;
        let pieces: Vec<Tensor> =
            item.pieces.iter().flatten().map(|piece| self.load(piece, scale, dtype, target)).collect::<Result<_>>()?;
        Ok(match item.join {
            None => pieces.into_iter().next().ok_or_else(|| self.missing(name))?,
            Some(Join::Rows) => Tensor::cat(&pieces, 0)?,
            Some(Join::Depth) => Tensor::stack(&pieces, 2)?,
        })
    }

    fn gather(&self, name: &str, ids: &[u32], dtype: DType, target: &Target) -> Result<Tensor> {
        let item = self.item(name)?;
        let shape = self.shape(name).unwrap_or_default();
        let (Some(Some(piece)), &[rows, columns]) = (item.pieces.first(), shape.as_slice()) else {
            return Err(self.missing(name));
        };
        if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
            return Err(Error::Input(format!("row {id} of `{name}` was asked for, it has {rows}")));
        }
        let gathered = match self.packed(piece, self.scale(item)?, &Target::host())? {
            Some(packed) if (packed.rows(), packed.columns()) == (rows, columns) => {
                let rows =
                    ids.iter().map(|&id| packed.unpack_rows(id as usize, 1, dtype)).collect::<Result<Vec<_>>>()?;
                Tensor::cat(&rows, 0)?
            }
            Some(_) => self.tensor(name, dtype, &Target::host())?.index_select(&Tensor::new(ids, &Device::Cpu)?, 0)?,
            None => self.files[piece.file].plain_rows(&piece.stored_name, &piece.entry, ids, dtype)?,
        };
        Ok(gathered.to_dtype(dtype)?.to_device(target.device())?)
    }

    fn linear(&self, prefix: &str, bias: bool, dtype: DType, target: &Target) -> Result<Linear> {
        let name = format!("{prefix}.weight");
        let item = self.item(&name)?;
        let bias = if bias { Some(self.tensor(&format!("{prefix}.bias"), dtype, target)?) } else { None };
        if let [Some(piece)] = item.pieces.as_slice()
            && let Some(packed) = self.packed(piece, self.scale(item)?, target)?
            && piece.entry.shape == [packed.rows(), packed.columns()]
        {
            return Ok(Linear::packed(packed, bias));
        }
        Ok(Linear::dense(self.tensor(&name, dtype, target)?, bias))
    }
}

impl Checkpoint {
    fn missing(&self, name: &str) -> Error {
        Error::TensorMissing { path: self.path(name), tensor: name.to_owned() }
    }
}

fn open_gguf(path: &Path, architecture: &str) -> Result<MappedFile> {
    MappedFile::open(path, |data| {
        let header = gguf::parse(data)?;
        let named = header.text("general.architecture");
        let told = match named {
            // No name, or that of a tool which calls every model by its own: the tensors say what they are.
            None | Some("pig") => names::architecture_of(header.tensors.keys().map(String::as_str)),
            Some(_) => None,
        };
        let found = told.or(named).unwrap_or("(unnamed)");
        if found != architecture {
            return Err(format!("is a GGUF of `{found}`, expected `{architecture}`; give the file of the right model"));
        }
        match header.integer("split.count") {
            Some(count) if count > 1 => {
                Err(format!("is one of {count} pieces; join them first (`llama-gguf-split --merge`)"))
            }
            _ => Ok(header.tensors),
        }
    })
}

fn is_gguf(path: &Path) -> Result<bool> {
    let unreadable = |source| Error::File { path: path.to_owned(), source };
    let mut magic = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(4).read_to_end(&mut magic)).map_err(unreadable)?;
    Ok(magic == b"GGUF" || path.extension().is_some_and(|extension| extension == "gguf"))
}

fn safetensors_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |source| Error::File { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in folder.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a JSON file of the checkpoint.
///
/// # Errors
/// When it is missing or not of the expected form.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|error| broken(path, format!("{error}; download the file again")))
}

fn broken(path: &Path, reason: String) -> Error {
    Error::Checkpoint { path: path.to_owned(), reason }
}
