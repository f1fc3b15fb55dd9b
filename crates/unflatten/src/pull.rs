//! `unflatten pull`: the weights of Qwen-Image-Layered.

use std::path::PathBuf;
use std::process::ExitCode;

use jobs::settings::Settings;
use worker::free_disk_bytes;

use crate::arguments::{PullArguments, Variant};
use crate::failure::Failure;

/// Says what would be fetched. The transfer itself comes with the engine that uses it.
pub async fn pull(arguments: &PullArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let model = worker::ModelConfig::from_settings(settings)?;
    let gigabytes = gigabytes(arguments.variant);
    println!("Model:   {} ({}, about {gigabytes} GB)", model.name, variant_name(arguments.variant));
    println!("Folder:  {}", model.cache_dir.display());
    if let Some(free) = free_disk_bytes(&absolute(&model.cache_dir)) {
        let enough = if free / 1_000_000_000 >= gigabytes { "enough" } else { "too little" };
        println!("Free:    {} GB there, {enough}", free / 1_000_000_000);
    }
    Err(Failure::Failed(
        "nothing was fetched: this release has no engine that uses these weights; \
         the draft engine needs none: unflatten decompose IMAGE --engine draft"
            .to_owned(),
    ))
}

fn absolute(path: &std::path::Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Download size: transformer, text encoder (the same variant where there is one) and VAE.
fn gigabytes(variant: Variant) -> u64 {
    match variant {
        Variant::Bf16 => 54 + 4,
        Variant::Fp8 => 30,
        Variant::Q8_0 => 31,
        Variant::Q5KM => 21,
        Variant::Q4KM => 18,
    }
}

fn variant_name(variant: Variant) -> &'static str {
    match variant {
        Variant::Bf16 => "bf16, as published",
        Variant::Fp8 => "fp8",
        Variant::Q8_0 => "GGUF Q8_0",
        Variant::Q5KM => "GGUF Q5_K_M",
        Variant::Q4KM => "GGUF Q4_K_M",
    }
}
