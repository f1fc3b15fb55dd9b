//! The faults, and what the error has to say of each.

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use crate::faults::{Fault, cut, edit, remove, set, tensor, with_value, write};

const VAE: &str = "vae/diffusion_pytorch_model.safetensors";
const SHARD: &str = "transformer/diffusion_pytorch_model-00002-of-00005.safetensors";
const INDEX: &str = "transformer/diffusion_pytorch_model.safetensors.index.json";
const TEXT: &str = "text_encoder/model.safetensors";
const BLOCK: &str = "transformer_blocks.0.img_mlp.net.2.weight";
const LAYER: &str = "model.layers.1.mlp.up_proj.weight";

/// A name, what is done to a good checkpoint, and words of the error.
pub(crate) struct Case(pub &'static str, pub Fault, pub &'static [&'static str]);

pub(crate) fn cases() -> Vec<Case> {
    let transformer = "transformer/config.json";
    let vae = "vae/config.json";
    let text = "text_encoder/config.json";
    let scheduler = "scheduler/scheduler_config.json";
    let processor = "processor/preprocessor_config.json";
    vec![
        // Files.
        Case("a shard is missing", remove(SHARD), &["00002-of-00005"]),
        Case("a shard is empty", write(SHARD, b""), &["00002-of-00005"]),
        Case("a shard is cut", cut(SHARD, 0.7), &["00002-of-00005", "truncated"]),
        Case("a shard's header is cut", cut(SHARD, 0.01), &["00002-of-00005", "truncated"]),
        Case("a shard is a web page", write(SHARD, b"<!DOCTYPE html><html>Not found</html>"), &["00002-of-00005"]),
        Case(
            "a shard is a pointer of Git LFS",
            write(SHARD, b"version https://git-lfs.github.com/spec/v1\n"),
            &["00002"],
        ),
        Case("the index is missing", remove(INDEX), &["index.json"]),
        Case("the index is empty", write(INDEX, b""), &["index.json"]),
        Case("the index is a list", write(INDEX, b"[]"), &["index.json"]),
        Case("the index names no file", write(INDEX, br#"{"weight_map": {}}"#), &["transformer"]),
        Case(
            "the index names a missing file",
            set(INDEX, "/weight_map/img_in.weight", json!("gone.safetensors")),
            &["gone.safetensors"],
        ),
        Case(
            "the index leaves the folder",
            set(INDEX, "/weight_map/img_in.weight", json!("../vae/x.safetensors")),
            &["index.json", ".."],
        ),
        Case(
            "the index puts a tensor elsewhere",
            set(INDEX, "/weight_map/proj_out.bias", json!("diffusion_pytorch_model-00001-of-00005.safetensors")),
            &["proj_out.bias"],
        ),
        Case("the autoencoder's weights are missing", remove(VAE), &["vae", "diffusion_pytorch_model.safetensors"]),
        Case("the autoencoder's weights are cut", cut(VAE, 0.5), &["vae", "truncated"]),
        Case("the text encoder's weights are cut", cut(TEXT, 0.9), &["text_encoder", "truncated"]),
        Case("a config is missing", remove(transformer), &["transformer/config.json"]),
        Case("a config is not JSON", write(vae, b"{\"base_dim\": 8,"), &["vae/config.json"]),
        Case("the scheduler's config is missing", remove(scheduler), &["scheduler_config.json"]),
        Case("the processor's config is missing", remove(processor), &["preprocessor_config.json"]),
        // Tensors.
        Case(
            "a tensor is missing",
            edit(VAE, |t| drop(t.remove("decoder.conv_in.bias").unwrap())),
            &["vae", "decoder.conv_in.bias", "missing"],
        ),
        Case(
            "a tensor of a shard is missing",
            edit(SHARD, |t| drop(t.remove(BLOCK).unwrap())),
            &["00002-of-00005", BLOCK, "missing"],
        ),
        Case(
            "a tensor too many",
            edit(VAE, |t| {
                drop(t.insert("decoder.more".to_owned(), Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap()))
            }),
            &["vae", "decoder.more"],
        ),
        Case(
            "a matrix lies on its side",
            tensor(SHARD, BLOCK, |t| t.t()?.contiguous()),
            &["00002-of-00005", BLOCK, "[192, 48]", "[48, 192]"],
        ),
        Case(
            "a bias is too short",
            tensor(VAE, "decoder.conv_out.bias", |t| t.narrow(0, 0, 3)),
            &["decoder.conv_out.bias", "[3]", "[4]"],
        ),
        Case(
            "a kernel is of another size",
            tensor(VAE, "decoder.conv_in.weight", |t| t.narrow(4, 0, 2)),
            &["decoder.conv_in.weight", "[32, 16, 3, 3, 3]"],
        ),
        Case(
            "weights are integers",
            tensor(VAE, "decoder.conv_in.weight", |t| t.to_dtype(DType::I64)),
            &["decoder.conv_in.weight", "i64"],
        ),
        Case(
            "a matrix holds NaN",
            tensor(SHARD, BLOCK, |t| with_value(t, f32::NAN)),
            &["00002-of-00005", BLOCK, "not finite"],
        ),
        Case(
            "a kernel holds infinity",
            tensor(VAE, "encoder.conv_in.weight", |t| with_value(t, f32::INFINITY)),
            &["vae", "encoder.conv_in.weight", "not finite"],
        ),
        Case(
            "a bf16 matrix holds NaN",
            tensor(TEXT, LAYER, |t| with_value(t, f32::NAN)),
            &["text_encoder", LAYER, "not finite"],
        ),
        // Configs that the weights contradict.
        Case(
            "a layer more than there is",
            set(transformer, "/num_layers", json!(3)),
            &["transformer", "transformer_blocks.2", "missing"],
        ),
        Case(
            "a layer less than there is",
            set(transformer, "/num_layers", json!(1)),
            &["transformer", "transformer_blocks.1"],
        ),
        Case("no layer", set(transformer, "/num_layers", json!(0)), &["transformer/config.json", "num_layers"]),
        Case(
            "layers without end",
            set(transformer, "/num_layers", json!(u64::MAX)),
            &["transformer/config.json", "num_layers"],
        ),
        Case(
            "no heads",
            set(transformer, "/num_attention_heads", json!(0)),
            &["transformer/config.json", "num_attention_heads"],
        ),
        Case(
            "heads without end",
            set(transformer, "/num_attention_heads", json!(1_u64 << 62)),
            &["transformer/config.json", "num_attention_heads"],
        ),
        Case(
            "a negative size",
            set(transformer, "/attention_head_dim", json!(-16)),
            &["transformer/config.json", "-16"],
        ),
        Case(
            "a size in words",
            set(transformer, "/attention_head_dim", json!("sixteen")),
            &["transformer/config.json", "sixteen"],
        ),
        Case(
            "rotations wider than a head",
            set(transformer, "/axes_dims_rope", json!([4, 6, 8])),
            &["transformer/config.json", "axes_dims_rope"],
        ),
        Case(
            "a field is missing",
            set(transformer, "/use_layer3d_rope", Value::Null),
            &["transformer/config.json", "use_layer3d_rope"],
        ),
        Case(
            "plain Qwen-Image",
            set(transformer, "/use_additional_t_cond", json!(false)),
            &["transformer/config.json", "plain Qwen-Image"],
        ),
        Case(
            "text of another width",
            set(transformer, "/joint_attention_dim", json!(128)),
            &["transformer", "[64]", "[128]"],
        ),
        Case(
            "another number of latent channels",
            set(transformer, "/out_channels", json!(8)),
            &["transformer/config.json", "in_channels"],
        ),
        Case(
            "an autoencoder without alpha",
            set(vae, "/input_channels", json!(3)),
            &["vae/config.json", "input_channels"],
        ),
        Case("an autoencoder of no width", set(vae, "/base_dim", json!(0)), &["vae/config.json", "base_dim"]),
        Case("an autoencoder without end", set(vae, "/base_dim", json!(u64::MAX)), &["vae/config.json", "base_dim"]),
        Case("statistics are missing", set(vae, "/latents_mean", Value::Null), &["vae/config.json", "latents_mean"]),
        Case("statistics are too few", set(vae, "/latents_std", json!([1.0])), &["vae/config.json", "latents_std"]),
        Case("a deviation is 0", set(vae, "/latents_std/3", json!(0.0)), &["vae/config.json", "latents_std"]),
        Case("levels without end", set(vae, "/dim_mult", json!(vec![1; 70])), &["vae/config.json", "dim_mult"]),
        Case(
            "a schedule without its shift",
            set(scheduler, "/time_shift_type", Value::Null),
            &["scheduler_config.json", "time_shift_type"],
        ),
        Case(
            "a schedule of another kind",
            set(scheduler, "/use_beta_sigmas", json!(true)),
            &["scheduler_config.json", "use_beta_sigmas"],
        ),
        Case(
            "a schedule without time",
            set(scheduler, "/num_train_timesteps", json!(0)),
            &["scheduler_config.json", "num_train_timesteps"],
        ),
        Case(
            "a schedule that ends where it begins",
            set(scheduler, "/shift_terminal", json!(true)),
            &["scheduler_config.json", "shift_terminal"],
        ),
        Case(
            "no text heads",
            set(text, "/text_config/num_attention_heads", json!(0)),
            &["text_encoder/config.json", "num_attention_heads"],
        ),
        Case(
            "no text key heads",
            set(text, "/text_config/num_key_value_heads", json!(0)),
            &["text_encoder/config.json", "num_key_value_heads"],
        ),
        Case(
            "a vocabulary without end",
            set(text, "/text_config/vocab_size", json!(u64::MAX)),
            &["text_encoder/config.json", "vocab_size"],
        ),
        Case(
            "a text field is missing",
            set(text, "/text_config/rms_norm_eps", Value::Null),
            &["text_encoder/config.json", "rms_norm_eps"],
        ),
        Case(
            "text rotations of another model",
            set(text, "/text_config/rope_parameters/mrope_section", json!([1, 2, 3])),
            &["text_encoder/config.json", "mrope_section"],
        ),
        Case(
            "another kind of text rotation",
            set(text, "/text_config/rope_parameters/rope_type", json!("yarn")),
            &["text_encoder/config.json", "yarn"],
        ),
        Case(
            "a text layer less",
            set(text, "/text_config/num_hidden_layers", json!(2)),
            &["text_encoder", "model.layers.2"],
        ),
        Case(
            "a vision block that is not there",
            set(text, "/vision_config/fullatt_block_indexes", json!([7])),
            &["text_encoder/config.json", "fullatt_block_indexes"],
        ),
        Case(
            "vision heads that do not divide",
            set(text, "/vision_config/num_heads", json!(5)),
            &["text_encoder/config.json", "vision_config"],
        ),
        Case(
            "a vision tower of another text model",
            set(text, "/vision_config/out_hidden_size", json!(32)),
            &["vision tower", "32"],
        ),
        Case("patches of another size", set(processor, "/patch_size", json!(16)), &["preprocessor_config.json", "16"]),
        Case(
            "pictures without end",
            set(processor, "/size/shortest_edge", json!(1_u64 << 50)),
            &["preprocessor_config.json"],
        ),
        // Tokenizer.
        Case("no tokenizer", remove("tokenizer/vocab.json"), &["tokenizer", "vocab.json"]),
        Case("no merges", remove("tokenizer/merges.txt"), &["merges.txt"]),
        Case(
            "merges of another vocabulary",
            write("tokenizer/merges.txt", "#version: 0.2\n漢 字\n".as_bytes()),
            &["merges.txt"],
        ),
        Case("a tokenizer that is not JSON", write("tokenizer/tokenizer.json", b"{"), &["tokenizer.json"]),
        Case("a tokenizer of another model", write("tokenizer/tokenizer_config.json", b"{}"), &["tokenizer"]),
        Case("a picture's token elsewhere", set(text, "/image_token_id", json!(7)), &["image", "7"]),
    ]
}
