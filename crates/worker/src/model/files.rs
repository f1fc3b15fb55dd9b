//! Finds the weights: in a folder, or in a cache with Hugging Face's layout
//! (`models--OWNER--NAME/{refs/main, snapshots/COMMIT/...}`).

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, CacheRepo};
use qwen_image_layered::ModelFiles;

use super::variant::{Source, Variant};
use super::{MODEL_VARIANT, ModelConfig};

/// The file that marks the root of the published repository.
const INDEX: &str = "model_index.json";

/// Weights on this machine. Complete by their file names; the content is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalWeights {
    /// Where the files are.
    pub files: ModelFiles,
    /// `None` for a folder, whose files state their own format.
    pub variant: Option<Variant>,
    /// The commit of the published repository; `None` for a folder.
    pub revision: Option<String>,
}

/// Why there are no usable weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingWeights {
    /// The reason.
    pub why: String,
    /// What to do about it.
    pub fix: String,
}

impl ModelConfig {
    /// Finds the most precise weights that are complete, without opening them.
    ///
    /// # Errors
    /// When none are complete, or the selected variant is not.
    pub fn locate(&self) -> Result<LocalWeights, MissingWeights> {
        Ok(self.locate_all()?.remove(0))
    }

    /// Finds all weights that are complete, the most precise first; at least one.
    ///
    /// # Errors
    /// When none are complete, or the selected variant is not.
    pub fn locate_all(&self) -> Result<Vec<LocalWeights>, MissingWeights> {
        let named = Path::new(&self.name);
        if named.is_dir() {
            return Ok(vec![in_folder(named)?]);
        }
        let cache = Cache::new(self.cache_dir.clone());
        let wanted = self.variant.map_or(Variant::ALL.to_vec(), |variant| vec![variant]);
        let mut found: Vec<_> = wanted.iter().filter_map(|&variant| in_cache(&cache, &self.name, variant)).collect();
        if self.fp8_products && self.device.supports_float8_matmul() {
            only_float8(&mut found);
        }
        if found.is_empty() { Err(self.missing_weights(&cache)) } else { Ok(found) }
    }

    fn missing_weights(&self, cache: &Cache) -> MissingWeights {
        let (name, dir) = (&self.name, self.cache_dir.display());
        let begun = snapshot(&repository(cache, name)).is_some();
        match self.variant {
            Some(variant) => MissingWeights {
                why: format!("the {variant} weights of {name} are not complete in {dir}"),
                fix: format!(
                    "fetch them with `unflatten pull --variant {variant}`, or set another {}",
                    MODEL_VARIANT.name
                ),
            },
            None if begun => MissingWeights {
                why: format!("the weights of {name} in {dir} are not complete"),
                fix: "run `unflatten pull` again: it resumes where it stopped".to_owned(),
            },
            None => MissingWeights {
                why: format!("the weights of {name} are not in {dir}"),
                fix: "fetch them with `unflatten pull`, or name a folder that has them with --model".to_owned(),
            },
        }
    }
}

impl LocalWeights {
    /// Size of all weight files in bytes.
    pub fn bytes(&self) -> u64 {
        let ModelFiles { folder, transformer, vae, text_model, vision_model, .. } = &self.files;
        let part = |single: &Option<PathBuf>, name: &str| match single {
            Some(file) => size(file),
            None => weight_files(&folder.join(name)).iter().map(|file| size(file)).sum(),
        };
        let vision = vision_model.as_deref().map_or(0, size);
        part(transformer, "transformer") + part(text_model, "text_encoder") + part(vae, "vae") + vision
    }
}

/// Keeps only the fp8 weights, where there are any.
fn only_float8(found: &mut Vec<LocalWeights>) {
    let float8 = |located: &LocalWeights| located.variant == Some(Variant::Fp8);
    if found.iter().any(float8) {
        found.retain(float8);
    }
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

fn repository(cache: &Cache, name: &str) -> CacheRepo {
    cache.model(name.to_owned())
}

/// The published folder in the cache.
fn snapshot(repository: &CacheRepo) -> Option<PathBuf> {
    Some(repository.get(INDEX)?.parent()?.to_owned())
}

fn in_cache(cache: &Cache, name: &str, variant: Variant) -> Option<LocalWeights> {
    let folder = snapshot(&repository(cache, name))?;
    let revision = folder.file_name().map(|commit| commit.to_string_lossy().into_owned());
    let mut files = published(&folder);
    if !has_weights(&folder.join("vae")) {
        return None;
    }
    match variant.parts() {
        None => {
            if !has_weights(&folder.join("transformer")) || !has_weights(&folder.join("text_encoder")) {
                return None;
            }
        }
        Some(parts) => {
            files.transformer = Some(single(cache, &parts.transformer)?);
            files.text_model = Some(single(cache, &parts.text_model)?);
            files.vision_model = match &parts.vision_model {
                Some(source) => Some(single(cache, source)?),
                None => None,
            };
        }
    }
    Some(LocalWeights { files, variant: Some(variant), revision })
}

/// The file of a source, in any folder of its repository.
pub(super) fn single(cache: &Cache, source: &Source) -> Option<PathBuf> {
    let repository = cache.path().join(format!("models--{}", source.repository.replace('/', "--")));
    let commit = fs::read_to_string(repository.join("refs/main")).ok()?;
    let mut files = Vec::new();
    collect(&repository.join("snapshots").join(commit.trim()), &mut files);
    let names: Vec<&str> = files.iter().filter_map(|path| path.to_str()).collect();
    source.choose(names).map(PathBuf::from)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.is_file() {
            files.push(path);
        }
    }
}

/// Sorted, so that the result does not depend on the file system.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn weight_files(part: &Path) -> Vec<PathBuf> {
    let is_weights = |path: &PathBuf| {
        path.extension().is_some_and(|e| e == "safetensors" || e == "gguf") || stands_for_weights(path)
    };
    entries(part).into_iter().filter(|path| path.is_file() && is_weights(path)).collect()
}

/// The published folder; its weights may be generated at load time.
#[cfg(feature = "synthetic")]
fn published(folder: &Path) -> ModelFiles {
    ModelFiles { source: qwen_image_layered::synthetic::source(), ..ModelFiles::folder(folder) }
}

#[cfg(not(feature = "synthetic"))]
fn published(folder: &Path) -> ModelFiles {
    ModelFiles::folder(folder)
}

/// Whether a file stands for generated weights (`unflatten synth-checkpoint --in-memory`).
fn stands_for_weights(path: &Path) -> bool {
    #[cfg(feature = "synthetic")]
    return path.ends_with(qwen_image_layered::synthetic::MARKER);
    #[cfg(not(feature = "synthetic"))]
    {
        let _ = path;
        false
    }
}

/// Whether a part has every file that its index lists, or weights without an index.
fn has_weights(part: &Path) -> bool {
    let is_index = |path: &&PathBuf| path.to_string_lossy().ends_with(".safetensors.index.json");
    match entries(part).iter().find(is_index) {
        Some(index) => shards(index).is_some_and(|shards| shards.iter().all(|shard| part.join(shard).is_file())),
        None => !weight_files(part).is_empty(),
    }
}

fn shards(index: &Path) -> Option<Vec<String>> {
    let index: serde_json::Value = serde_json::from_slice(&fs::read(index).ok()?).ok()?;
    let mut shards: Vec<String> =
        index["weight_map"].as_object()?.values().filter_map(|shard| Some(shard.as_str()?.to_owned())).collect();
    shards.dedup();
    Some(shards)
}

/// A folder in the published layout; its parts may hold GGUF files in place of safetensors.
fn in_folder(folder: &Path) -> Result<LocalWeights, MissingWeights> {
    let missing = |what: String| MissingWeights {
        why: format!("{} {what}", folder.display()),
        fix:
            "name a folder in the published layout: model_index.json (or the parts alone), scheduler/, text_encoder/, \
              tokenizer/, transformer/, vae/"
                .to_owned(),
    };
    for part in ["transformer", "text_encoder", "vae"] {
        if !folder.join(part).join("config.json").is_file() {
            return Err(missing(format!("has no {part}/config.json")));
        }
        if !has_weights(&folder.join(part)) {
            return Err(missing(format!("has no complete weights in {part}/")));
        }
    }
    let (text_model, vision_model) = gguf(&folder.join("text_encoder"));
    let (transformer, _) = gguf(&folder.join("transformer"));
    let files = ModelFiles { transformer, text_model, vision_model, ..published(folder) };
    Ok(LocalWeights { files, variant: None, revision: None })
}

/// The GGUF file of a part and its vision tower, where the part has no safetensors.
fn gguf(part: &Path) -> (Option<PathBuf>, Option<PathBuf>) {
    let files = weight_files(part);
    if files.iter().any(|file| file.extension().is_none_or(|e| e != "gguf")) {
        return (None, None);
    }
    let is_vision = |file: &PathBuf| file.to_string_lossy().to_ascii_lowercase().contains("mmproj");
    let (vision, model): (Vec<_>, Vec<_>) = files.into_iter().partition(is_vision);
    (model.into_iter().next(), vision.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DeviceChoice;
    use service::Settings;

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn config(cache: &Path, variant: &str) -> ModelConfig {
        let cache = cache.to_string_lossy();
        let pairs = [("MODEL_CACHE_DIR", cache.as_ref()), ("MODEL_VARIANT", variant)];
        ModelConfig::from_settings(&Settings::from_pairs(pairs)).expect("good settings")
    }

    fn in_repository(cache: &Path, name: &str, files: &[(&str, &str)]) {
        let folder = cache.join(format!("models--{}", name.replace('/', "--")));
        write(folder.join("refs/main"), "c0ffee");
        for (file, text) in files {
            write(folder.join("snapshots/c0ffee").join(file), text);
        }
    }

    #[test]
    fn the_published_folder_counts_when_every_shard_is_there() {
        let cache = tempfile::tempdir().expect("a folder");
        let config = config(cache.path(), "");
        assert!(config.locate().expect_err("empty").fix.contains("pull"));
        let index = r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
        let shard = ("transformer/1.safetensors", "x");
        let files = [
            (INDEX, "{}"),
            ("vae/diffusion_pytorch_model.safetensors", "x"),
            ("text_encoder/model.safetensors", "x"),
            ("transformer/diffusion_pytorch_model.safetensors.index.json", index),
            shard,
        ];
        in_repository(cache.path(), "Qwen/Qwen-Image-Layered", &files);
        assert!(config.locate().expect_err("one shard is missing").why.contains("not complete"));
        in_repository(cache.path(), "Qwen/Qwen-Image-Layered", &[("transformer/2.safetensors", "xy")]);
        let located = config.locate().expect("complete");
        assert_eq!(located.variant, Some(Variant::Bf16));
        assert_eq!(located.revision.as_deref(), Some("c0ffee"));
        assert_eq!(located.bytes(), 5);
    }

    #[test]
    fn single_files_take_the_place_of_parts() {
        let cache = tempfile::tempdir().expect("a folder");
        let base = [(INDEX, "{}"), ("vae/diffusion_pytorch_model.safetensors", "x")];
        in_repository(cache.path(), "Qwen/Qwen-Image-Layered", &base);
        in_repository(cache.path(), "QuantStack/Qwen-Image-Layered-GGUF", &[("Qwen_Image_Layered-Q4_K_M.gguf", "x")]);
        let any = config(cache.path(), "");
        assert!(any.locate().is_err(), "no text encoder yet");
        let text = [("Qwen2.5-VL-7B-Instruct-Q4_K_M.gguf", "x"), ("mmproj-F16.gguf", "x")];
        in_repository(cache.path(), "unsloth/Qwen2.5-VL-7B-Instruct-GGUF", &text);
        let located = any.locate().expect("complete");
        assert_eq!(located.variant, Some(Variant::Q4KM));
        assert!(located.files.transformer.expect("a file").ends_with("Qwen_Image_Layered-Q4_K_M.gguf"));
        assert!(located.files.vision_model.expect("a file").ends_with("mmproj-F16.gguf"));
        let missing = config(cache.path(), "bf16").locate().expect_err("not pulled");
        assert!(missing.why.contains("bf16") && missing.fix.contains("pull --variant bf16"), "{missing:?}");
    }

    #[test]
    fn float8_matmul_takes_float8_weights_if_there_are_any() {
        let cache = tempfile::tempdir().expect("a folder");
        let config = ModelConfig { fp8_products: true, ..config(cache.path(), "") };
        let weights = |part: &'static str| format!("{part}/model.safetensors");
        let parts = ["vae", "transformer", "text_encoder"].map(weights);
        let published: Vec<_> =
            [INDEX].into_iter().chain(parts.iter().map(String::as_str)).map(|f| (f, "{}")).collect();
        in_repository(cache.path(), "Qwen/Qwen-Image-Layered", &published);
        let variants = |found: &[LocalWeights]| found.iter().map(|located| located.variant).collect::<Vec<_>>();
        let mut found = config.locate_all().expect("complete");
        only_float8(&mut found);
        assert_eq!(variants(&found), [Some(Variant::Bf16)]);
        for Source { repository, ending } in Variant::Fp8.sources() {
            in_repository(cache.path(), repository, &[(ending, "x")]);
        }
        // A device without fp8 matmul widens the weights, so it keeps all variants.
        let config = ModelConfig { device: DeviceChoice::Cpu, ..config };
        let mut found = config.locate_all().expect("complete");
        assert_eq!(variants(&found), [Some(Variant::Bf16), Some(Variant::Fp8)]);
        only_float8(&mut found);
        assert_eq!(variants(&found), [Some(Variant::Fp8)]);
    }

    #[test]
    fn a_folder_may_hold_gguf_files() {
        let dir = tempfile::tempdir().expect("a folder");
        let named = ModelConfig { name: dir.path().to_string_lossy().into_owned(), ..config(dir.path(), "") };
        assert!(named.locate().expect_err("empty").why.contains("transformer/config.json"));
        for part in ["transformer", "text_encoder", "vae"] {
            write(dir.path().join(part).join("config.json"), "{}");
        }
        write(dir.path().join("vae/model.safetensors"), "x");
        write(dir.path().join("transformer/any.gguf"), "x");
        assert!(named.locate().expect_err("no text encoder").why.contains("text_encoder/"));
        write(dir.path().join("text_encoder/any.gguf"), "x");
        write(dir.path().join("text_encoder/mmproj-F16.gguf"), "x");
        let files = named.locate().expect("complete").files;
        assert!(files.text_model.expect("a file").ends_with("any.gguf"));
        assert!(files.vision_model.expect("a file").ends_with("mmproj-F16.gguf"));
    }
}
