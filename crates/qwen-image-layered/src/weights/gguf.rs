//! The header of a GGUF file.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. Read here
//! rather than with candle because a broken header has to become a message
//! with the tensor's name in it, and the vocabularies inside need no copy.

use std::collections::BTreeMap;

use candle_core::DType;
use candle_core::quantized::GgmlDType;

use super::file::{Entry, Stored};

/// Metadata of the kinds that matter here; arrays of numbers are kept, others skipped.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Integer(u64),
    Float(f64),
    Text(String),
    Integers(Vec<u64>),
    /// A bool, or an array of something else than integers.
    Skipped,
}

#[derive(Debug)]
pub struct Header {
    pub metadata: BTreeMap<String, Value>,
    pub tensors: BTreeMap<String, Entry>,
}

impl Header {
    /// The text under `key`, such as `general.architecture`.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn integer(&self, key: &str) -> Option<u64> {
        match self.metadata.get(key) {
            Some(Value::Integer(value)) => Some(*value),
            _ => None,
        }
    }
}

/// Reads the header and checks that every tensor lies within the file.
pub fn parse(data: &[u8]) -> Result<Header, String> {
    let mut reader = Reader { data, at: 0 };
    if reader.take(4)? != b"GGUF" {
        return Err("not a GGUF file (its first bytes are not `GGUF`); check the path".to_owned());
    }
    let version = reader.u32()?;
    if !(2..=3).contains(&version) {
        return Err(format!("GGUF version {version} is not supported, only 2 and 3; take a newer conversion"));
    }
    let tensor_count = reader.u64()?;
    let metadata_count = reader.u64()?;
    let mut metadata = BTreeMap::new();
    for _ in 0..metadata_count {
        let key = reader.text()?;
        let kind = reader.u32()?;
        metadata.insert(key, reader.value(kind, 0)?);
    }
    let mut found = Vec::new();
    for _ in 0..tensor_count {
        found.push(Declared::read(&mut reader)?);
    }
    let alignment = match metadata.get("general.alignment") {
        Some(Value::Integer(value)) if value.is_power_of_two() => *value,
        Some(_) => return Err("`general.alignment` is not a power of two; download the file again".to_owned()),
        None => 32,
    };
    let start = (reader.at as u64).next_multiple_of(alignment);
    let mut tensors = BTreeMap::new();
    for tensor in found {
        let shape = original_shape(&metadata, &tensor);
        let entry = tensor.place(start, data.len(), shape)?;
        if tensors.insert(tensor.name.clone(), entry).is_some() {
            return Err(format!("tensor `{}` is declared twice; download the file again", tensor.name));
        }
    }
    Ok(Header { metadata, tensors })
}

/// Converters for image models flatten tensors that ggml cannot hold and note the real shape.
fn original_shape(metadata: &BTreeMap<String, Value>, tensor: &Declared) -> Option<Vec<usize>> {
    match metadata.get(&format!("comfy.gguf.orig_shape.{}", tensor.name)) {
        Some(Value::Integers(shape)) => shape.iter().map(|&n| usize::try_from(n).ok()).collect(),
        _ => None,
    }
}

/// A tensor as the header declares it.
struct Declared {
    name: String,
    shape: Vec<usize>,
    kind: GgmlDType,
    offset: u64,
}

impl Declared {
    fn read(reader: &mut Reader) -> Result<Self, String> {
        let name = reader.text()?;
        let rank = reader.u32()?;
        if !(1..=4).contains(&rank) {
            return Err(format!("tensor `{name}` has {rank} dimensions; download the file again"));
        }
        let mut shape = Vec::new();
        for _ in 0..rank {
            let size = usize::try_from(reader.u64()?).map_err(|_| format!("tensor `{name}` is too large"))?;
            shape.push(size);
        }
        // GGUF lists the innermost dimension first.
        shape.reverse();
        let kind = reader.u32()?;
        let kind = block_type(kind).ok_or_else(|| {
            format!(
                "tensor `{name}` has block type {}, which is not supported; take a variant with \
                 Q2_K to Q6_K, Q4_0 to Q8_0, F16, BF16 or F32",
                unsupported(kind)
            )
        })?;
        Ok(Self { name, shape, kind, offset: reader.u64()? })
    }

    fn place(&self, start: u64, file_length: usize, original: Option<Vec<usize>>) -> Result<Entry, String> {
        let name = &self.name;
        let row = self.shape[self.shape.len() - 1];
        let block = self.kind.block_size();
        let count = |shape: &[usize]| shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
        let elements = count(&self.shape).ok_or_else(|| format!("tensor `{name}` is too large"))?;
        if !row.is_multiple_of(block) {
            return Err(format!("tensor `{name}`: rows of {row} values do not divide into blocks of {block}"));
        }
        let length = (elements / block).checked_mul(self.kind.type_size());
        let begin = start.checked_add(self.offset).and_then(|n| usize::try_from(n).ok());
        let end = begin.zip(length).and_then(|(begin, length)| begin.checked_add(length));
        let (Some(begin), Some(end)) = (begin, end) else { return Err(format!("tensor `{name}` is too large")) };
        if end > file_length {
            return Err(format!(
                "truncated: tensor `{name}` ends at byte {end}, the file has {file_length}; delete it and download it again"
            ));
        }
        if !begin.is_multiple_of(4) {
            return Err(format!("tensor `{name}` starts at the odd byte {begin}; take another conversion"));
        }
        let shape = match original {
            Some(shape) if count(&shape) == Some(elements) => shape,
            Some(shape) => {
                return Err(format!("tensor `{name}`: the noted shape {shape:?} does not fit {:?}", self.shape));
            }
            None => self.shape.clone(),
        };
        let stored = match self.kind {
            GgmlDType::F32 => Stored::Plain(DType::F32),
            GgmlDType::F16 => Stored::Plain(DType::F16),
            GgmlDType::BF16 => Stored::Plain(DType::BF16),
            kind => Stored::Blocks(kind),
        };
        Ok(Entry { stored, shape, range: begin..end })
    }
}

/// The number that stands for a type in the file (`enum ggml_type`).
fn block_type(number: u32) -> Option<GgmlDType> {
    Some(match number {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

/// A type that cannot be read, by its name where it is one that is in use.
fn unsupported(number: u32) -> String {
    let name = match number {
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return number.to_string(),
    };
    name.to_owned()
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.data.len());
        let Some(end) = end else {
            return Err("truncated: the file ends inside its header; delete it and download it again".to_owned());
        };
        let bytes = &self.data[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn number(&mut self, size: usize) -> Result<u64, String> {
        Ok(self.take(size)?.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(self.number(4)? as u32)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.number(8)
    }

    fn text(&mut self) -> Result<String, String> {
        let length = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn value(&mut self, kind: u32, depth: u32) -> Result<Value, String> {
        Ok(match kind {
            0 | 1 => Value::Integer(self.number(1)?),
            2 | 3 => Value::Integer(self.number(2)?),
            4 | 5 => Value::Integer(self.number(4)?),
            10 | 11 => Value::Integer(self.number(8)?),
            6 => Value::Float(f64::from(f32::from_bits(self.u32()?))),
            12 => Value::Float(f64::from_bits(self.u64()?)),
            7 => {
                self.take(1)?;
                Value::Skipped
            }
            8 => Value::Text(self.text()?),
            9 if depth < 8 => self.array(depth)?,
            _ => return Err(format!("metadata of unknown kind {kind}; download the file again")),
        })
    }

    fn array(&mut self, depth: u32) -> Result<Value, String> {
        let kind = self.u32()?;
        let length = self.u64()?;
        let mut integers = Vec::new();
        for _ in 0..length {
            // Each element takes at least a byte, so a false length ends at the end of the file.
            if let Value::Integer(value) = self.value(kind, depth + 1)? {
                integers.push(value);
            }
        }
        let complete = integers.len() as u64 == length;
        Ok(if complete { Value::Integers(integers) } else { Value::Skipped })
    }
}
