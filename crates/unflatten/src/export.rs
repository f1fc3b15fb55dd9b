//! `unflatten export`: a result folder into one file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jobs::Metadata;
use layers::ArchiveEntry;

use crate::arguments::{ExportArguments, Format};
use crate::failure::{Failure, chain};

pub fn export(arguments: &ExportArguments) -> Result<ExitCode, Failure> {
    let names = files(&arguments.dir)?;
    let output = arguments.output.clone().unwrap_or_else(|| default_output(&arguments.dir, arguments.format));
    match arguments.format {
        Format::Zip => zip(&arguments.dir, &names, &output)?,
    }
    println!("{} -> {}: {} files", arguments.dir.display(), output.display(), names.len());
    Ok(ExitCode::SUCCESS)
}

fn default_output(dir: &Path, format: Format) -> PathBuf {
    let stem = dir.file_name().unwrap_or_else(|| "layers".as_ref());
    let mut name = stem.to_owned();
    name.push(".");
    name.push(format.ending());
    dir.parent().unwrap_or(Path::new("")).join(name)
}

/// The files of a result, all of which exist.
fn files(dir: &Path) -> Result<Vec<String>, Failure> {
    let path = dir.join("metadata.json");
    let text = std::fs::read(&path).map_err(|error| {
        let advice = "name a folder that unflatten decompose wrote";
        Failure::BadUse(format!("{} cannot be read: {error}; {advice}", path.display()))
    })?;
    let metadata: Metadata = serde_json::from_slice(&text)
        .map_err(|error| Failure::BadUse(format!("{} is not from Unflatten: {error}", path.display())))?;
    let mut names = vec!["metadata.json".to_owned(), "preview.jpg".to_owned()];
    names.extend(metadata.layers.into_iter().map(|layer| layer.file));
    for name in &names {
        // The file may come from anywhere: nothing outside the folder is packed.
        let plain = Path::new(name).file_name().is_some_and(|plain| plain == name.as_str());
        if !plain || !dir.join(name).is_file() {
            let text = format!("{} lists {name}, which is not there; decompose the picture again", path.display());
            return Err(Failure::BadUse(text));
        }
    }
    Ok(names)
}

/// Writes beside the target and renames, so that a failed run leaves no half archive.
fn zip(dir: &Path, names: &[String], output: &Path) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::Failed(format!("{} cannot be written: {}", output.display(), chain(error)))
    };
    let parent = output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::NamedTempFile::new_in(parent).map_err(|error| failed(&error))?;
    let entries = names
        .iter()
        .map(|name| -> io::Result<_> { Ok(ArchiveEntry { name: name.clone(), content: File::open(dir.join(name))? }) });
    layers::write_zip(temporary.as_file(), entries).map_err(|error| failed(&error))?;
    readable_by_others(temporary.as_file()).map_err(|error| failed(&error))?;
    temporary.persist(output).map_err(|error| failed(&error.error))?;
    Ok(())
}

/// Temporary files are private; a file that was asked for has the usual rights.
#[cfg(unix)]
fn readable_by_others(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_others(_file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_named_after_the_folder() {
        assert_eq!(default_output(Path::new("out/poster"), Format::Zip), Path::new("out/poster.zip"));
        assert_eq!(default_output(Path::new("poster.v2"), Format::Zip), Path::new("poster.v2.zip"));
    }
}
