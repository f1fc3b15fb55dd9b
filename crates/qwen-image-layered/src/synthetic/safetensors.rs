//! Writes safetensors files with an index beside them, as the published folders have them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use candle_core::DType;
use serde_json::{Map, Value, json};

use super::unwritable;
use super::values::{Generator, Planned};
use crate::Result;
use crate::weights::Stored;

/// Most bytes of one file.
const SHARD: usize = 5_000_000_000;
/// Bytes that are made at a time.
const CHUNK: usize = 16 << 20;

/// Writes `planned` as `{stem}.safetensors`, or as numbered pieces of it with their index.
pub fn write(
    folder: &Path,
    stem: &str,
    planned: Vec<Planned>,
    report: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<()> {
    let shards = shards(planned);
    let count = shards.len();
    let mut places = Map::new();
    for (index, shard) in shards.into_iter().enumerate() {
        let name = match count {
            1 => format!("{stem}.safetensors"),
            _ => format!("{stem}-{:05}-of-{count:05}.safetensors", index + 1),
        };
        places.extend(shard.iter().map(|tensor| (tensor.name.clone(), Value::from(name.as_str()))));
        one_file(&folder.join(name), shard, report)?;
    }
    if count > 1 {
        let path = folder.join(format!("{stem}.safetensors.index.json"));
        let index = json!({ "metadata": {}, "weight_map": places });
        std::fs::write(&path, index.to_string()).map_err(|error| unwritable(&path, error))?;
    }
    Ok(())
}

fn shards(planned: Vec<Planned>) -> Vec<Vec<Planned>> {
    let mut shards = vec![Vec::new()];
    let mut size = 0;
    for tensor in planned {
        if size > 0 && size + tensor.bytes() > SHARD {
            shards.push(Vec::new());
            size = 0;
        }
        size += tensor.bytes();
        if let Some(last) = shards.last_mut() {
            last.push(tensor);
        }
    }
    shards
}

fn one_file(path: &Path, planned: Vec<Planned>, report: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
    let (mut header, mut end) = (Map::new(), 0);
    for tensor in &planned {
        let start = end;
        end += tensor.bytes();
        let dtype = match tensor.stored() {
            Stored::Plain(DType::F32) => "F32",
            Stored::Plain(DType::F8E4M3) => "F8_E4M3",
            _ => "BF16",
        };
        let info = json!({"dtype": dtype, "shape": tensor.shape, "data_offsets": [start, end]});
        header.insert(tensor.name.clone(), info);
    }
    let mut header = Value::Object(header).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let failed = |error| unwritable(path, error);
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    file.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
    file.write_all(header.as_bytes()).map_err(failed)?;
    let generator = Generator::new(planned);
    for tensor in generator.tensors() {
        stream(&generator, tensor, path, &mut file, report)?;
    }
    file.flush().map_err(failed)
}

/// Appends the values of a tensor, a little at a time.
pub fn stream(
    generator: &Generator,
    tensor: &Planned,
    path: &Path,
    file: &mut impl Write,
    report: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; CHUNK.min(tensor.bytes())];
    let mut at = 0;
    while at < tensor.bytes() {
        let count = CHUNK.min(tensor.bytes() - at);
        generator.fill(tensor, at..at + count, &mut buffer[..count])?;
        file.write_all(&buffer[..count]).map_err(|error: io::Error| unwritable(path, error))?;
        at += count;
        report(count as u64)?;
    }
    Ok(())
}
