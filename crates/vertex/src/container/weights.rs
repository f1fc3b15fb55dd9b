//! Weights that Vertex AI names in Cloud Storage.

use std::path::{Component, Path, PathBuf};

use google::{ObjectUri, Storage};
use service::{ByteSize, Settings};

use worker::free_disk_bytes;
use worker::model::ModelConfig;

use crate::advice::advised;

/// Fetches every object below `uri` into `MODEL_CACHE_DIR/vertex`, which then has the published layout, and answers
/// with that folder. Files that are there in full are not fetched again.
pub(super) async fn fetch(storage: &Storage, uri: &str, settings: &Settings) -> Result<PathBuf, String> {
    let config = ModelConfig::from_settings(settings).map_err(|error| error.to_string())?;
    let folder = config.cache_dir.join("vertex");
    let mut root: ObjectUri = uri.parse()?;
    // Otherwise `gs://b/weights` would name `gs://b/weights-old` too.
    if !root.name.is_empty() && !root.name.ends_with('/') {
        root.name.push('/');
    }
    let objects = storage.list(&root).await.map_err(|error| advised(&error))?;
    let mut wanted = Vec::new();
    for object in objects {
        let name = object.uri.name.strip_prefix(&root.name).unwrap_or(&object.uri.name).to_owned();
        // Consoles make empty objects for folders.
        if name.is_empty() || name.ends_with('/') {
            continue;
        }
        let path = inside(&folder, &name).ok_or_else(|| format!("{} is not a valid file name", object.uri))?;
        if std::fs::metadata(&path).is_ok_and(|found| found.len() == object.size) {
            continue;
        }
        wanted.push((object, path));
    }
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let bytes: u64 = wanted.iter().map(|(object, _)| object.size).sum();
    if let Some(free) = free_disk_bytes(&folder).filter(|free| *free < bytes) {
        return Err(format!(
            "{} are to be fetched, {} are free at {}; give the machine a larger disk",
            ByteSize(bytes),
            ByteSize(free),
            folder.display()
        ));
    }
    tracing::info!(files = wanted.len(), bytes, %uri, "fetching the weights");
    for (object, path) in wanted {
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.map_err(|error| format!("{}: {error}", path.display()))?;
        // Renamed when it is whole, so that a container that is started again trusts what it finds.
        let partial = path.with_extension("partial");
        storage.download(&object.uri, &partial).await.map_err(|error| advised(&error))?;
        let length = std::fs::metadata(&partial).map_err(|error| error.to_string())?.len();
        if length != object.size {
            return Err(format!("{} has {} bytes, {length} came", object.uri, object.size));
        }
        std::fs::rename(&partial, &path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(folder)
}

/// `name` below `folder`, unless it leads out of it.
fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let relative = Path::new(name);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && relative.components().count() > 0).then(|| folder.join(relative))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_lead_out_of_the_folder() {
        let folder = Path::new("/w");
        assert_eq!(inside(folder, "vae/config.json"), Some(PathBuf::from("/w/vae/config.json")));
        for name in ["../x", "/etc/passwd", "a/../../x", ".."] {
            assert_eq!(inside(folder, name), None, "{name}");
        }
    }
}
