use std::fs;

use service::Failure;
use worker::model::{SEGMENTER, Variant};

use super::hub::{Commit, Hub, ListedFile, is_hex};
use super::transfer::part_path;

/// The parts of the published folder; the rest of the repository is documentation.
const FOLDERS: [&str; 6] = ["scheduler/", "text_encoder/", "tokenizer/", "processor/", "transformer/", "vae/"];
const INDEX: &str = "model_index.json";

/// The files of a pull.
#[derive(Debug)]
pub(super) struct Plan {
    /// The published repository first, each at one commit.
    pub commits: Vec<Commit>,
    /// In the order in which they are fetched.
    pub files: Vec<PlannedFile>,
}

/// A file of a pull.
#[derive(Debug)]
pub(super) struct PlannedFile {
    /// The commit that has it.
    pub commit: Commit,
    /// The path in the repository.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its checksum.
    pub checksum: Checksum,
}

/// The checksum of a file in hexadecimal; also the name of the blob in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checksum {
    /// SHA-256 of the content, for files in Git LFS.
    Sha256(String),
    /// SHA-1 as Git computes it for blobs.
    Git(String),
}

impl Checksum {
    /// The hexadecimal digits.
    pub(super) fn text(&self) -> &str {
        let (Self::Sha256(text) | Self::Git(text)) = self;
        text
    }
}

impl Plan {
    /// Lists the files that `variant` of `model` needs.
    ///
    /// # Errors
    /// When a repository cannot be listed or lacks what the variant needs.
    pub(super) fn make(hub: &Hub, model: &str, variant: Variant) -> Result<Self, Failure> {
        let (base, listed) = hub.list(model)?;
        let mut files = Vec::new();
        for file in listed.into_iter().filter(|file| is_wanted(&file.path, variant)) {
            files.push(PlannedFile::new(&base, file)?);
        }
        for part in [INDEX, "transformer/config.json", "text_encoder/config.json", "vae/config.json"] {
            if !files.iter().any(|file| file.path == part) {
                let text = format!("{model} has no {part}, so it is not a Qwen-Image-Layered model; check MODEL_NAME");
                return Err(Failure::Failed(text));
            }
        }
        let mut commits = vec![base];
        for source in variant.sources() {
            let (commit, listed) = hub.list(source.repository)?;
            let name = source.choose(listed.iter().map(|file| file.path.as_str())).map(str::to_owned);
            let file = listed.into_iter().find(|file| Some(&file.path) == name.as_ref()).ok_or_else(|| {
                let ending = source.ending;
                Failure::Failed(format!(
                    "{} no longer has a file *{ending}; choose another --variant",
                    source.repository
                ))
            })?;
            files.push(PlannedFile::new(&commit, file)?);
            if !commits.contains(&commit) {
                commits.push(commit);
            }
        }
        // Small files first, so that errors show early; the index last, since it marks the folder as complete.
        files.sort_by_key(|file| (file.path == INDEX, file.bytes));
        Ok(Self { commits, files })
    }

    /// Lists the files of the segmenter.
    ///
    /// # Errors
    /// When the repository cannot be listed or lacks one of them.
    pub(super) fn segmenter(hub: &Hub) -> Result<Self, Failure> {
        let repository = SEGMENTER[0].sources[0].repository;
        let (commit, mut listed) = hub.list(repository)?;
        let mut files = Vec::with_capacity(SEGMENTER.len());
        for part in SEGMENTER {
            let chosen = part.sources.iter().find_map(|source| source.choose(listed.iter().map(|f| f.path.as_str())));
            let chosen = chosen.map(str::to_owned);
            let place = listed.iter().position(|file| Some(&file.path) == chosen.as_ref()).ok_or_else(|| {
                let ending = part.sources[0].ending;
                Failure::Failed(format!("{repository} has no file *{ending}; check HF_ENDPOINT"))
            })?;
            let file = PlannedFile::new(&commit, listed.swap_remove(place))?;
            if file.checksum.text() != part.known_sha256 {
                println!("{} is another version than the one that was tested with this program", file.path);
            }
            files.push(file);
        }
        Ok(Self { commits: vec![commit], files })
    }

    /// The size of all files in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The bytes that are not on the disk yet.
    pub(super) fn missing_bytes(&self, hub: &Hub) -> u64 {
        let length = |path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let missing = |file: &PlannedFile| {
            let blob = hub.blob(&file.commit, file.checksum.text());
            let there = length(hub.place(&file.commit, &file.path)).max(length(part_path(&blob))).max(length(blob));
            file.bytes.saturating_sub(there)
        };
        self.files.iter().map(missing).sum()
    }
}

impl PlannedFile {
    pub(super) fn new(commit: &Commit, listed: ListedFile) -> Result<Self, Failure> {
        let incomplete = || {
            Failure::Failed(format!(
                "the hub lists no size and checksum for {} of {}; use another HF_ENDPOINT",
                listed.path, commit.repository
            ))
        };
        // The paths come from the server and become files on this disk.
        if listed
            .path
            .split('/')
            .any(|part| part.is_empty() || part == "." || part == ".." || part.contains(['\\', '\0', ':']))
        {
            return Err(Failure::Failed(format!(
                "{} lists the impossible file {:?}; check HF_ENDPOINT",
                commit.repository, listed.path
            )));
        }
        let (bytes, checksum) = match (&listed.lfs, listed.size, &listed.blob_id) {
            (Some(large), ..) => (large.size, Checksum::Sha256(large.sha256.to_ascii_lowercase())),
            (None, Some(size), Some(id)) => (size, Checksum::Git(id.to_ascii_lowercase())),
            _ => return Err(incomplete()),
        };
        if !is_hex(checksum.text()) {
            return Err(incomplete());
        }
        Ok(Self { commit: commit.clone(), path: listed.path, bytes, checksum })
    }
}

fn is_wanted(path: &str, variant: Variant) -> bool {
    if path == INDEX {
        return true;
    }
    if !FOLDERS.iter().any(|folder| path.starts_with(folder)) {
        return false;
    }
    let replaced = variant != Variant::Bf16 && (path.starts_with("transformer/") || path.starts_with("text_encoder/"));
    !(replaced && path.contains(".safetensors"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_leaves_out_what_it_replaces() {
        for (path, bf16, other) in [
            ("model_index.json", true, true),
            ("README.md", false, false),
            ("assets/poster.png", false, false),
            ("tokenizer/vocab.json", true, true),
            ("vae/diffusion_pytorch_model.safetensors", true, true),
            ("transformer/config.json", true, true),
            ("transformer/diffusion_pytorch_model-00001-of-00005.safetensors", true, false),
            ("transformer/diffusion_pytorch_model.safetensors.index.json", true, false),
            ("text_encoder/model-00001-of-00004.safetensors", true, false),
        ] {
            assert_eq!(is_wanted(path, Variant::Bf16), bf16, "{path}");
            assert_eq!(is_wanted(path, Variant::Q4KM), other, "{path}");
        }
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        let commit = Commit { repository: "a/b".to_owned(), sha: "c".to_owned() };
        let listed = |path: &str| ListedFile {
            path: path.to_owned(),
            size: Some(1),
            blob_id: Some("ab12".to_owned()),
            lfs: None,
        };
        assert!(PlannedFile::new(&commit, listed("vae/config.json")).is_ok());
        for path in ["vae/../../x", "/etc/passwd", "vae//x", "vae/..", "vae/a\\b", "vae/a\0b", "C:x"] {
            assert!(PlannedFile::new(&commit, listed(path)).is_err(), "{path}");
        }
        let unnamed = ListedFile { blob_id: None, ..listed("vae/config.json") };
        assert!(PlannedFile::new(&commit, unnamed).is_err());
    }
}
