//! The header of a safetensors file.

use std::collections::BTreeMap;

use candle_core::DType;
use safetensors::{SafeTensorError, SafeTensors};

use super::file::{Entry, Stored};

/// Reads the header and checks that the file is exactly as long as it says.
pub fn parse(data: &[u8]) -> Result<BTreeMap<String, Entry>, String> {
    let (header, metadata) = SafeTensors::read_metadata(data).map_err(|error| explain(data, &error))?;
    let start = 8 + header;
    let entries = metadata.tensors().into_iter().map(|(name, info)| {
        let stored = DType::try_from(info.dtype).map_or(Stored::Other(info.dtype), Stored::Plain);
        let range = start + info.data_offsets.0..start + info.data_offsets.1;
        (name, Entry { stored, shape: info.shape.clone(), range })
    });
    Ok(entries.collect())
}

fn explain(data: &[u8], error: &SafeTensorError) -> String {
    let again = "delete it and download it again";
    match (error, declared_length(data)) {
        (SafeTensorError::MetadataIncompleteBuffer | SafeTensorError::InvalidHeaderLength, Some(declared))
            if declared > data.len() as u64 =>
        {
            format!("truncated: the file has {} bytes, its header declares {declared}; {again}", data.len())
        }
        (SafeTensorError::MetadataIncompleteBuffer, Some(declared)) => {
            format!("the file has {} bytes, its header declares only {declared}; {again}", data.len())
        }
        _ => format!("not a valid safetensors file ({error}); {again}"),
    }
}

/// How long the file should be, as far as the header can tell.
fn declared_length(data: &[u8]) -> Option<u64> {
    let header = u64::from_le_bytes(data.get(..8)?.try_into().ok()?);
    let start = header.checked_add(8)?;
    let Some(text) = usize::try_from(start).ok().and_then(|start| data.get(8..start)) else {
        return Some(start);
    };
    let header: serde_json::Value = serde_json::from_slice(text).ok()?;
    let ends = header.as_object()?.values().filter_map(|info| info["data_offsets"][1].as_u64());
    start.checked_add(ends.max().unwrap_or(0))
}
