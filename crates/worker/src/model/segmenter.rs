//! MobileSAM as its authors publish it, which `unflatten pull segment` fetches. Without it, the draft engine uses the
//! smaller files that it ships with.

use std::path::{Path, PathBuf};

use hf_hub::Cache;

use super::Source;
use super::files::single;

/// A network of the segmenter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmenterPart {
    /// Where it is published; the first that the repository has.
    pub sources: &'static [Source],
    /// SHA-256 of the file that this version was written for.
    pub known_sha256: &'static str,
}

const REPOSITORY: &str = "Acly/MobileSAM";

const fn file(ending: &'static str) -> Source {
    Source { repository: REPOSITORY, ending }
}

/// Looks at a picture.
const ENCODER: SegmenterPart = SegmenterPart {
    sources: &[file("encoder.onnx")],
    known_sha256: "580f5fb648ea1062c0aabc26217aed56921985f03f0cbbd852bba81d760cc749",
};
/// Answers prompts; several masks for each are better than one.
const DECODER: SegmenterPart = SegmenterPart {
    sources: &[file("decoder_multi.onnx"), file("decoder_single.onnx"), file("decoder.onnx")],
    known_sha256: "93915fc7c993ab9d59ab8c9ccd3bce37f7509c81ab4150a74abd4d2abbd8570d",
};

/// The networks of the segmenter.
pub const SEGMENTER: [SegmenterPart; 2] = [ENCODER, DECODER];

/// Encoder and decoder in the cache, if both have been pulled.
pub fn pulled_segmenter(cache_dir: &Path) -> Option<(PathBuf, PathBuf)> {
    let cache = Cache::new(cache_dir.to_owned());
    let [encoder, decoder] = SEGMENTER.map(|part| part.sources.iter().find_map(|source| single(&cache, source)));
    encoder.zip(decoder)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn both_networks_are_found_or_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let repository = dir.path().join("models--Acly--MobileSAM");
        let snapshot = repository.join("snapshots/abcd");
        fs::create_dir_all(&snapshot).expect("made");
        fs::create_dir_all(repository.join("refs")).expect("made");
        fs::write(repository.join("refs/main"), "abcd").expect("written");
        let encoder = snapshot.join("mobile_sam_image_encoder.onnx");
        fs::write(&encoder, b"encoder").expect("written");
        assert_eq!(pulled_segmenter(dir.path()), None);
        let decoder = snapshot.join("sam_mask_decoder_single.onnx");
        fs::write(&decoder, b"decoder").expect("written");
        assert_eq!(pulled_segmenter(dir.path()), Some((encoder, decoder)));
    }
}
