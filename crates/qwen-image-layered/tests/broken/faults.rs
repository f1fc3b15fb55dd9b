//! Ways to spoil a checkpoint.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

pub(crate) type Fault = Box<dyn Fn(&Path)>;

pub(crate) fn remove(file: &'static str) -> Fault {
    Box::new(move |folder| std::fs::remove_file(folder.join(file)).unwrap())
}

pub(crate) fn write(file: &'static str, bytes: &'static [u8]) -> Fault {
    Box::new(move |folder| std::fs::write(folder.join(file), bytes).unwrap())
}

/// Leaves the first `share` of a file.
pub(crate) fn cut(file: &'static str, share: f64) -> Fault {
    Box::new(move |folder| {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        std::fs::write(folder.join(file), &bytes[..(bytes.len() as f64 * share) as usize]).unwrap();
    })
}

/// Sets the value at `pointer` (RFC 6901) of a JSON file; null takes the field out.
pub(crate) fn set(file: &'static str, pointer: &'static str, value: Value) -> Fault {
    Box::new(move |folder| {
        let path = folder.join(file);
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent = config.pointer_mut(parent).unwrap();
        match (parent, &value) {
            (Value::Object(fields), Value::Null) => drop(fields.remove(field).expect("a field to take out")),
            (Value::Object(fields), value) => drop(fields.insert(field.to_owned(), value.clone())),
            (Value::Array(items), value) => items[field.parse::<usize>().unwrap()] = value.clone(),
            _ => panic!("nothing at {pointer}"),
        }
        std::fs::write(path, config.to_string()).unwrap();
    })
}

pub(crate) type Tensors = HashMap<String, Tensor>;

pub(crate) fn edit(file: &'static str, change: impl Fn(&mut Tensors) + 'static) -> Fault {
    Box::new(move |folder| {
        let path = folder.join(file);
        let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        change(&mut tensors);
        candle_core::safetensors::save(&tensors, &path).unwrap();
    })
}

/// Replaces tensor `name` by what `change` makes of it.
pub(crate) fn tensor(
    file: &'static str,
    name: &'static str,
    change: fn(&Tensor) -> candle_core::Result<Tensor>,
) -> Fault {
    edit(file, move |tensors| {
        let changed = change(&tensors[name]).unwrap();
        tensors.insert(name.to_owned(), changed);
    })
}

/// The same tensor with its middle value replaced.
pub(crate) fn with_value(tensor: &Tensor, value: f32) -> candle_core::Result<Tensor> {
    let mut values = tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    let middle = values.len() / 2;
    values[middle] = value;
    Tensor::from_vec(values, tensor.dims(), &Device::Cpu)?.to_dtype(tensor.dtype())
}
