//! The autoencoder against diffusers 0.42.1 (`reference/make.py vae`).
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use candle_core::{DType, Device, Tensor};
use common::{checkpoint, fixture, input, monitored, relative, tensors};
use qwen_image_layered::vae::{Vae, VaeConfig};
use qwen_image_layered::weights::{Checkpoint, Part, Weights, read_json};

/// Bar for f32; measured: at most 1.0e-6.
const F32_BAR: f64 = 1e-5;

struct Case {
    name: &'static str,
    salt: u64,
    image: [usize; 4],
    latents: [usize; 4],
}

const CASES: [Case; 2] = [
    Case { name: "vae-published", salt: 1, image: [1, 4, 40, 64], latents: [2, 16, 5, 8] },
    Case { name: "vae-other", salt: 2, image: [1, 4, 36, 28], latents: [2, 4, 9, 7] },
];

fn load(case: &Case, dtype: DType) -> Vae {
    let folder = checkpoint(case.name, case.salt);
    let config: VaeConfig = read_json(&folder.path().join("config.json")).unwrap();
    config.check(folder.path()).unwrap();
    let checkpoint = Checkpoint::open(folder.path(), Part::Vae).unwrap();
    Vae::load(&config, &Weights::new(std::sync::Arc::new(checkpoint), dtype, &Device::Cpu)).unwrap()
}

fn run(case: &Case, dtype: DType) -> (Tensor, Tensor) {
    let vae = load(case, dtype);
    let image = input("image", &case.image, case.salt, 1.0).to_dtype(dtype).unwrap();
    let latents = input("latents", &case.latents, case.salt, 3.0).to_dtype(dtype).unwrap();
    monitored(|monitor| (vae.moments(&image, monitor).unwrap(), vae.decode_raw(&latents, monitor).unwrap()))
}

#[test]
fn f32_matches_the_reference() {
    for case in &CASES {
        let expected = tensors(&format!("{}/expected.safetensors", case.name));
        let (moments, decoded) = run(case, DType::F32);
        for (found, name) in [(moments, "moments"), (decoded, "decoded")] {
            let error = relative(&found, &expected[name]);
            println!("{} {name}: {error:.1e}", case.name);
            assert!(error < F32_BAR, "{} {name}: {error}", case.name);
        }
    }
}

/// bf16 must not be further from the reference's f32 than 1.2 times what the reference's own bf16 is.
#[test]
fn bf16_is_as_good_as_the_reference() {
    for case in &CASES {
        let expected = tensors(&format!("{}/expected.safetensors", case.name));
        let (moments, decoded) = run(case, DType::BF16);
        for (found, name) in [(moments, "moments"), (decoded, "decoded")] {
            let error = relative(&found, &expected[name]);
            let allowed = 1.2 * relative(&expected[&format!("{name}_bf16")], &expected[name]);
            println!("{} {name}: {error:.1e} of {allowed:.1e}", case.name);
            assert!(error < allowed, "{} {name}: {error} > {allowed}", case.name);
        }
    }
}

#[test]
fn encoding_normalises_and_decoding_undoes_it() {
    let case = &CASES[1];
    let vae = load(case, DType::F32);
    let latents = input("latents", &case.latents, case.salt, 1.0);
    let config = vae.config();
    let view = |values: &[f64]| Tensor::new(values, &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
    let view = |values: &[f64]| view(values).reshape((1, config.z_dim, 1, 1)).unwrap();
    let raw = latents.broadcast_mul(&view(&config.latents_std)).unwrap();
    let raw = raw.broadcast_add(&view(&config.latents_mean)).unwrap();
    monitored(|monitor| {
        let error = relative(&vae.decode(&latents, monitor).unwrap(), &vae.decode_raw(&raw, monitor).unwrap());
        assert!(error < 1e-5, "{error}");
        let image = input("image", &case.image, case.salt, 1.0);
        let mode = vae.moments(&image, monitor).unwrap().narrow(1, 0, config.z_dim).unwrap();
        let normal = mode.broadcast_sub(&view(&config.latents_mean)).unwrap();
        let normal = normal.broadcast_div(&view(&config.latents_std)).unwrap();
        assert!(relative(&vae.encode(&image, monitor).unwrap(), &normal) < 1e-6);
    });
}

#[test]
fn a_config_of_another_model_is_refused() {
    let path = fixture("vae-published/config.json");
    let config: VaeConfig = read_json(&path).unwrap();
    let rgb = VaeConfig { input_channels: 3, ..config.clone() };
    assert!(rgb.check(&path).unwrap_err().to_string().contains("RGBA"));
    let odd = VaeConfig { latents_std: vec![0.0; config.z_dim], ..config };
    assert!(odd.check(&path).unwrap_err().to_string().contains("latents_std"));
}
