//! The LoRAs in `LORA_DIR`, and those that are in use.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use engine::LoraOffer;
use qwen_image_layered::{Error, Lora};
use service::hex;
use sha2::{Digest, Sha256};

/// How the folders begin into which `unflatten pull --lora` puts repositories.
const PULLED: &str = "models--";

/// The LoRAs below `dir` by name, in order: safetensors files without their ending, folders as PEFT, diffusers and
/// DiffSynth publish them, and pulled repositories as `owner--name`. None if the folder is missing.
fn in_folder(dir: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let named = entries.filter_map(|entry| {
        let path = entry.path();
        let is_file = path.extension().is_some_and(|extension| extension == "safetensors");
        let name = if is_file { path.file_stem() } else { path.file_name().filter(|_| path.is_dir()) };
        let name = name?.to_str().filter(|name| !name.starts_with('.'))?.to_owned();
        Some(match name.strip_prefix(PULLED) {
            Some(repository) => pulled(repository, &path),
            None => vec![(name, path)],
        })
    });
    let mut found: Vec<_> = named.flatten().collect();
    found.sort();
    found
}

/// The LoRAs of a repository that lies at `path` in the layout of the Hugging Face cache: under its own name where it is
/// one, with the names of the files behind it where they are several.
fn pulled(repository: &str, path: &Path) -> Vec<(String, PathBuf)> {
    let commit = fs::read_to_string(path.join("refs/main")).unwrap_or_default();
    let commit = commit.trim();
    if commit.is_empty() || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Vec::new();
    }
    let mut files = in_folder(&path.join("snapshots").join(commit));
    match &mut files[..] {
        [(name, _)] => repository.clone_into(name),
        several => several.iter_mut().for_each(|(name, _)| *name = format!("{repository}--{name}")),
    }
    files
}

/// What each LoRA below `dir` is; without those that cannot be read, which a job that names them is told.
pub(crate) fn offers(dir: &Path) -> Vec<LoraOffer> {
    let offer = |(name, path): (String, PathBuf)| match Lora::open(&path) {
        Ok(lora) => Some(LoraOffer {
            name,
            trained_for: lora.trained_for().map(str::to_owned),
            layers: u32::try_from(lora.layers()).unwrap_or(u32::MAX),
            rank: u32::try_from(lora.rank()).unwrap_or(u32::MAX),
            size_bytes: lora.path().metadata().map_or(0, |metadata| metadata.len()),
        }),
        Err(error) => {
            tracing::warn!(%name, %error, "a LoRA cannot be used");
            None
        }
    };
    let mut offers: Vec<LoraOffer> = in_folder(dir).into_iter().filter_map(offer).collect();
    offers.dedup_by(|a, b| a.name == b.name);
    offers
}

/// The LoRA called `name` below `dir`. The name is compared and never becomes a part of a path.
///
/// # Errors
/// When there is none: what there is instead.
pub(crate) fn find(dir: &Path, name: &str) -> Result<PathBuf, String> {
    let found = in_folder(dir);
    if let Some((_, path)) = found.iter().find(|(known, _)| known == name) {
        return Ok(path.clone());
    }
    let known: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    let there =
        if known.is_empty() { "LORA_DIR has none".to_owned() } else { format!("there are {}", known.join(", ")) };
    Err(format!("there is no LoRA `{name}`: {there}; put its file into LORA_DIR or leave it out"))
}

/// LoRAs that were opened, with the SHA-256 of their files: neither is done again while a file stays as it is.
#[derive(Debug, Default)]
pub(crate) struct OpenLoras(HashMap<PathBuf, Opened>);

#[derive(Debug)]
struct Opened {
    state: (u64, SystemTime),
    lora: Arc<Lora>,
    sha256: String,
}

impl OpenLoras {
    /// The LoRA at `path`, and the SHA-256 of its file.
    ///
    /// # Errors
    /// When it cannot be read or used.
    pub(crate) fn open(&mut self, path: &Path) -> Result<(Arc<Lora>, String), Error> {
        let lora = Lora::open(path)?;
        let file = lora.path().to_owned();
        let unreadable = |source: io::Error| Error::File { path: file.clone(), source };
        let metadata = file.metadata().map_err(unreadable)?;
        let state = (metadata.len(), metadata.modified().map_err(unreadable)?);
        if let Some(known) = self.0.get(&file).filter(|known| known.state == state) {
            return Ok((known.lora.clone(), known.sha256.clone()));
        }
        let (lora, sha256) = (Arc::new(lora), sha256_of(&file).map_err(unreadable)?);
        self.0.insert(file, Opened { state, lora: lora.clone(), sha256: sha256.clone() });
        Ok((lora, sha256))
    }
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut part) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&part[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_and_lead_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("loras");
        fs::create_dir_all(dir.join("peft")).expect("a folder");
        fs::write(dir.join("lines.safetensors"), b"").expect("a file");
        fs::write(dir.join("notes.txt"), b"").expect("a file");
        fs::write(folder.path().join("other.safetensors"), b"").expect("a file");
        assert_eq!(find(&dir, "lines"), Ok(dir.join("lines.safetensors")));
        assert_eq!(find(&dir, "peft"), Ok(dir.join("peft")));
        for name in ["../other", "other", "notes", "lines.safetensors", ""] {
            let error = find(&dir, name).expect_err(name);
            assert!(error.contains("lines, peft"), "{error}");
        }
        assert!(find(&folder.path().join("none"), "lines").expect_err("no folder").contains("has none"));
        // Neither is a LoRA.
        assert!(offers(&dir).is_empty());
    }
}
