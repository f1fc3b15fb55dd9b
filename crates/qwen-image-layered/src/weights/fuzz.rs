//! Damaged headers of weight files: never a panic, and entries that lie within the file or words. `PROPTEST_CASES` sets
//! how many are tried.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{gguf, safetensors};

/// A safetensors file of two tensors.
fn whole_safetensors() -> Vec<u8> {
    let header = br#"{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"BF16","shape":[2,4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[3],"data_offsets":[16,28]}}"#;
    [&(header.len() as u64).to_le_bytes()[..], header, &[7; 28]].concat()
}

/// A GGUF file with a value of each kind and two tensors.
fn whole_gguf() -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let pair = |key: &str, kind: u32, value: Vec<u8>| [text(key), kind.to_le_bytes().to_vec(), value].concat();
    let metadata = [
        pair("general.architecture", 8, text("qwen_image")),
        pair("general.alignment", 4, 32_u32.to_le_bytes().to_vec()),
        pair("general.quantized", 7, vec![1]),
        pair("scale", 6, 1.5_f32.to_le_bytes().to_vec()),
        pair("count", 10, 9_u64.to_le_bytes().to_vec()),
        pair(
            "list",
            9,
            [&4_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &1_u32.to_le_bytes(), &2_u32.to_le_bytes()].concat(),
        ),
    ];
    let tensor = |name: &str, shape: &[u64], offset: u64| {
        let shape_bytes: Vec<u8> = shape.iter().flat_map(|side| side.to_le_bytes()).collect();
        let rank = u32::try_from(shape.len()).unwrap();
        [
            text(name),
            rank.to_le_bytes().to_vec(),
            shape_bytes,
            0_u32.to_le_bytes().to_vec(),
            offset.to_le_bytes().to_vec(),
        ]
        .concat()
    };
    let tensors = [tensor("a.weight", &[4, 2], 0), tensor("b", &[8], 32)];
    let counts = [&2_u64.to_le_bytes()[..], &(metadata.len() as u64).to_le_bytes()].concat();
    let mut file =
        [b"GGUF".to_vec(), 3_u32.to_le_bytes().to_vec(), counts, metadata.concat(), tensors.concat()].concat();
    file.resize(file.len().next_multiple_of(32) + 64, 7);
    file
}

/// `whole` with a few bytes changed, numbers put in, and perhaps its end cut off.
fn damaged(whole: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let byte = (any::<Index>(), any::<u8>());
    let number = prop_oneof![any::<u64>(), Just(u64::MAX), Just(1 << 63), Just(u64::from(u32::MAX)), 0..64_u64];
    let number = (any::<Index>(), number);
    (vec(byte, 0..6), vec(number, 0..3), proptest::option::of(any::<Index>())).prop_map(move |(bytes, numbers, cut)| {
        let mut file = whole.clone();
        for (at, number) in numbers {
            let at = at.index(file.len() - 8);
            file[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        for (at, byte) in bytes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        file
    })
}

#[test]
fn whole_files_are_read() {
    assert_eq!(safetensors::parse(&whole_safetensors()).unwrap().len(), 2);
    let header = gguf::parse(&whole_gguf()).unwrap();
    assert_eq!((header.tensors.len(), header.text("general.architecture")), (2, Some("qwen_image")));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_safetensors_are_refused_or_lie_within_the_file(file in damaged(whole_safetensors())) {
        match safetensors::parse(&file) {
            Ok(entries) => for (name, entry) in entries {
                prop_assert!(entry.range.start <= entry.range.end && entry.range.end <= file.len(), "{name}: {:?}", entry.range);
            },
            Err(problem) => prop_assert!(problem.contains("again"), "no advice in {problem}"),
        }
    }

    #[test]
    fn damaged_gguf_files_are_refused_or_lie_within_the_file(file in damaged(whole_gguf())) {
        match gguf::parse(&file) {
            Ok(header) => for (name, entry) in header.tensors {
                prop_assert!(entry.range.start <= entry.range.end && entry.range.end <= file.len(), "{name}: {:?}", entry.range);
            },
            Err(problem) => prop_assert!(!problem.is_empty()),
        }
    }

    #[test]
    fn noise_is_refused(noise in vec(any::<u8>(), 0..400)) {
        let of_gguf = [b"GGUF\x03\0\0\0", &noise[..]].concat();
        let _ = (safetensors::parse(&noise), gguf::parse(&noise), gguf::parse(&of_gguf));
    }
}
