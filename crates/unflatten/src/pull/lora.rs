//! `unflatten pull --lora`: fetches one LoRA into `LORA_DIR`, by the same transfer.

use std::process::ExitCode;

use service::Failure;

use super::hub::{Hub, ListedFile};
use super::plan::{Plan, PlannedFile};
use super::run;

/// The names of LoRAs in repositories that hold one, the first that is there.
const USUAL: [&str; 3] = ["adapter_model.safetensors", "pytorch_lora_weights.safetensors", "model.safetensors"];

/// Beside PEFT's files: without it their scale is not known.
const CONFIG: &str = "adapter_config.json";

/// `wanted` is `owner/name`, with the path of a file behind it where the repository has several.
pub(super) async fn pull(wanted: &str, hub: Hub, endpoint: &str) -> Result<ExitCode, Failure> {
    let mut parts = wanted.splitn(3, '/');
    let (Some(owner), Some(name)) =
        (parts.next().filter(|part| is_name(part)), parts.next().filter(|part| is_name(part)))
    else {
        return Err(Failure::BadUse(format!("--lora={wanted} is not a repository; name it as owner/name")));
    };
    let (repository, file) = (format!("{owner}/{name}"), parts.next().map(str::to_owned));
    println!("{repository} from {endpoint}, which jobs name as {owner}--{name}");
    run(hub, move |hub| plan(hub, &repository, file.as_deref())).await
}

/// It becomes a part of addresses and of the name of a folder.
fn is_name(part: &str) -> bool {
    !part.is_empty() && !part.starts_with('.') && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn plan(hub: &Hub, repository: &str, wanted: Option<&str>) -> Result<Plan, Failure> {
    let (commit, listed) = hub.list(repository)?;
    let chosen = choose(repository, wanted, &listed)?;
    let mut files = Vec::new();
    for file in listed.into_iter().filter(|file| file.path == chosen || file.path == CONFIG) {
        files.push(PlannedFile::new(&commit, file)?);
    }
    files.sort_by_key(|file| file.bytes);
    Ok(Plan { commits: vec![commit], files })
}

/// The path of the LoRA in the repository.
fn choose(repository: &str, wanted: Option<&str>, listed: &[ListedFile]) -> Result<String, Failure> {
    let is_lora = |path: &&str| path.ends_with(".safetensors") && !path.contains('/');
    let mut all: Vec<_> = listed.iter().map(|file| file.path.as_str()).filter(is_lora).collect();
    all.sort_unstable();
    if let Some(wanted) = wanted {
        let found = all.iter().find(|path| **path == wanted);
        let missing = || Failure::Failed(format!("{repository} has no {wanted}; it has {}", all.join(", ")));
        return found.map(|path| (*path).to_owned()).ok_or_else(missing);
    }
    if let Some(usual) = USUAL.iter().find(|usual| all.contains(usual)) {
        return Ok((*usual).to_owned());
    }
    match &all[..] {
        [only] => Ok((*only).to_owned()),
        [] => Err(Failure::Failed(format!("{repository} has no safetensors file, so there is no LoRA to use"))),
        several => {
            let text = format!("{repository} has several files; name one of them behind it: {}", several.join(", "));
            Err(Failure::BadUse(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(wanted: Option<&str>, paths: &[&str]) -> Result<String, String> {
        let file = |path: &&str| ListedFile { path: (*path).to_owned(), size: Some(1), blob_id: None, lfs: None };
        choose("a/b", wanted, &paths.iter().map(file).collect::<Vec<_>>()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_file_is_the_usual_one_the_only_one_or_the_named_one() {
        let usual = ["README.md", "adapter_model.safetensors", "old/adapter_model.safetensors"];
        assert_eq!(chosen(None, &usual), Ok("adapter_model.safetensors".to_owned()));
        assert!(chosen(Some("old/adapter_model.safetensors"), &usual).is_err(), "folders are not looked into");
        assert_eq!(chosen(Some("b.safetensors"), &["b.safetensors", "a.safetensors"]), Ok("b.safetensors".to_owned()));
        assert_eq!(chosen(None, &["lines-v2.safetensors", "a.png"]), Ok("lines-v2.safetensors".to_owned()));
        for (wanted, paths) in [
            (None, &["x.safetensors", "y.safetensors"][..]),
            (Some("z.safetensors"), &["x.safetensors", "y.safetensors"]),
        ] {
            let error = chosen(wanted, paths).expect_err("no choice");
            assert!(error.contains("x.safetensors, y.safetensors"), "{error}");
        }
        assert!(chosen(None, &["a.png"]).is_err());
        assert!(["a/b", "", "..", "a b"].iter().all(|part| !is_name(part)) && is_name("stable-layers_1.0"));
    }
}
