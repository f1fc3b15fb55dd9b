//! `unflatten export`: exports a result folder as one file.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use image::RgbaImage;
use jobs::{Metadata, Typefaces};
use layers::{ExportError, ExportOptions, Format, Limits, PixelSource, SourceError};
use service::{Failure, Settings, error_chain};

use crate::arguments::ExportArguments;

/// Runs the command.
///
/// # Errors
/// When the folder has no valid result, or the file cannot be written.
pub(crate) fn export(arguments: &ExportArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let result = ResultFolder::open(&arguments.dir)?;
    let named = arguments.output.as_deref().and_then(Path::extension).and_then(|e| e.to_str()?.parse().ok());
    let format = arguments.format.or(named).unwrap_or(Format::Zip);
    let output = arguments.output.clone().unwrap_or_else(|| default_output(&arguments.dir, format));
    let mut extra_files = vec![("metadata.json".to_owned(), result.text.clone())];
    for name in result.metadata.other_files() {
        let path = result.dir.join(name);
        let content = std::fs::read(&path).map_err(|error| Failure::BadUse(format!("{}: {error}", path.display())))?;
        extra_files.push((name.to_owned(), content));
    }
    let needs_fonts = ExportOptions::needs_fonts(&result.metadata.document(), format, arguments.text);
    let fonts = needs_fonts.then(|| Arc::clone(Typefaces::from_settings(settings).fonts()));
    let options = ExportOptions {
        trim: arguments.trim,
        names: arguments.names,
        text: arguments.text,
        shapes: arguments.shapes,
        fonts,
        extra_files,
    };
    write(&result, format, &options, &output)?;
    let count = service::counted(result.metadata.layers.len(), "layer");
    println!("{} -> {}: {count}", arguments.dir.display(), output.display());
    Ok(ExitCode::SUCCESS)
}

fn default_output(dir: &Path, format: Format) -> PathBuf {
    let stem = dir.file_name().unwrap_or_else(|| "layers".as_ref());
    let mut name = stem.to_owned();
    name.push(".");
    name.push(format.extension());
    dir.parent().unwrap_or(Path::new("")).join(name)
}

/// A folder with a result. Its layers are loaded one at a time.
struct ResultFolder {
    dir: PathBuf,
    text: Vec<u8>,
    metadata: Metadata,
}

impl ResultFolder {
    fn open(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join("metadata.json");
        let text = std::fs::read(&path).map_err(|error| {
            let advice = "name a folder that unflatten decompose wrote";
            Failure::BadUse(format!("{} cannot be read: {error}; {advice}", path.display()))
        })?;
        let metadata: Metadata = serde_json::from_slice(&text).map_err(|error| {
            Failure::BadUse(format!(
                "{} is not from Unflatten: {error}; name a folder that unflatten decompose wrote",
                path.display()
            ))
        })?;
        for file in metadata.layers.iter().map(|layer| layer.file.as_str()).chain(metadata.other_files()) {
            // The file may come from anywhere: never pack anything outside the folder.
            let plain = Path::new(file).file_name().is_some_and(|plain| plain == file);
            if !plain || !dir.join(file).is_file() {
                let path = path.display();
                return Err(Failure::BadUse(format!(
                    "{path} lists {file}, which is missing; decompose the picture again"
                )));
            }
        }
        Ok(Self { dir: dir.to_owned(), text, metadata })
    }
}

impl PixelSource for ResultFolder {
    fn load(&self, source: usize) -> Result<RgbaImage, SourceError> {
        let wrap = |error: Box<dyn std::error::Error + Send + Sync>| SourceError(error);
        let layer =
            self.metadata.layers.get(source).ok_or_else(|| wrap("the result has no layer with this index".into()))?;
        let path = self.dir.join(&layer.file);
        let file = File::open(&path).map_err(|error| wrap(format!("{}: {error}", path.display()).into()))?;
        let (width, height) = self.metadata.canvas();
        let limits = Limits { max_pixels: u64::from(width) * u64::from(height) };
        let picture = layers::decode(BufReader::new(file), &limits)
            .map_err(|error| wrap(format!("{}: {error}", path.display()).into()))?;
        Ok(picture.pixels)
    }
}

/// Writes beside the target and renames, so that a failed run leaves no partial file.
fn write(result: &ResultFolder, format: Format, options: &ExportOptions, output: &Path) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::Failed(format!("{} cannot be written: {}", output.display(), error_chain(error)))
    };
    let parent = output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::NamedTempFile::new_in(parent).map_err(|error| failed(&error))?;
    let mut writer = BufWriter::new(temporary.as_file());
    layers::export(&result.metadata.document(), result, format, options, &mut writer).map_err(|error| match error {
        ExportError::Io(_) => Failure::Failed(format!("{}: {error}; check the free space", output.display())),
        other => failed(&other),
    })?;
    writer.flush().map_err(|error| failed(&error))?;
    drop(writer);
    readable_by_others(temporary.as_file()).map_err(|error| failed(&error))?;
    temporary.persist(output).map_err(|error| failed(&error.error))?;
    Ok(())
}

/// Temporary files are private; the result gets the usual permissions.
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
    fn the_file_is_named_after_the_folder() {
        assert_eq!(default_output(Path::new("out/poster"), Format::Zip), Path::new("out/poster.zip"));
        assert_eq!(default_output(Path::new("poster.v2"), Format::Psd), Path::new("poster.v2.psd"));
    }
}
