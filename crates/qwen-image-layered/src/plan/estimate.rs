use super::{BlockPlace, DeviceInfo, Footprint, Kind, Passes, Placement, TextPlace, WORDS, Workload};
use crate::nn::{CONV_COLUMNS_BYTES, DEVICE_SCORES};
use crate::stream::STAGED;

/// What a GPU's libraries and compiled kernels take besides everything that is allocated here, including the 32 MiB
/// workspace of cuBLASLt.
const LIBRARIES: u64 = 300 << 20;

/// The most bytes that a job takes, by what it is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Need {
    /// On the device while prompt and picture are encoded by the text encoder.
    pub text: u64,
    /// On the device while the transformer works.
    pub denoise: u64,
    /// On the device while pictures are decoded (and encoded, which takes less).
    pub decode: u64,
    /// In the computer's own memory, throughout.
    pub host: u64,
}

impl Need {
    /// The most on the device at any time.
    pub fn peak(&self) -> u64 {
        self.text.max(self.denoise).max(self.decode)
    }
}

/// The memory that a job takes under `placement`.
pub fn estimate(
    device: &DeviceInfo,
    footprint: &Footprint,
    workload: &Workload,
    placement: Placement,
    passes: Passes,
) -> Need {
    // The captioning side is loaded with the rest: it is one model.
    let text = footprint.text + footprint.caption;
    // LoRAs are on the device as a whole, also those of streamed blocks.
    let loras = workload.lora_values * footprint.value;
    let transformer = footprint.transformer + blocks(footprint, placement.blocks) + footprint.vae + loras;
    let libraries = if device.kind == Kind::Cpu { 0 } else { LIBRARIES };
    let (beside_text, beside_transformer) = match placement.text {
        TextPlace::Resident => (transformer, text),
        TextPlace::Staged | TextPlace::Host => (0, 0),
    };
    let on_device = placement.text != TextPlace::Host;
    let encode = if on_device { text + beside_text + text_activations(device, footprint, workload) } else { 0 };
    Need {
        text: libraries + encode,
        denoise: libraries + transformer + beside_transformer + activations(device, footprint, workload, passes),
        decode: libraries + transformer + beside_transformer + decoder(device, footprint, workload),
        host: if on_device { 0 } else { text } + staged(device, footprint, placement.blocks),
    }
}

/// Page-locked bytes of the computer's memory that streamed blocks go through.
fn staged(device: &DeviceInfo, footprint: &Footprint, place: BlockPlace) -> u64 {
    match (device.kind, place) {
        (Kind::Cuda { .. }, BlockPlace::Streamed { .. }) => STAGED as u64 * footprint.largest_block(),
        _ => 0,
    }
}

/// Bytes of the blocks that are on the device at a time.
fn blocks(footprint: &Footprint, place: BlockPlace) -> u64 {
    match place {
        BlockPlace::Resident => footprint.streamed(0),
        BlockPlace::Streamed { resident, in_flight } => {
            let resident = resident.min(footprint.blocks.len());
            let streamed = footprint.blocks.len() - resident;
            let kept: u64 = footprint.blocks[..resident].iter().sum();
            kept + footprint.largest_block() * in_flight.min(streamed) as u64
        }
    }
}

/// Activations of the transformer, in rows of tokens of its width.
///
/// The most is in the MLP: tokens before and after the modulation, and what is four times as wide before and after
/// its bias (then its GELU). The other pass of a guided step waits with its tokens, or has as many rows of its own.
fn activations(device: &DeviceInfo, footprint: &Footprint, workload: &Workload, passes: Passes) -> u64 {
    let tokens = (workload.image_tokens() + WORDS) as u64;
    let row = tokens * footprint.dimensions.transformer * footprint.value;
    let count = if workload.guided { 2 } else { 1 };
    let at_once = if passes == Passes::Batched { count } else { 1 };
    let kept = if workload.cached { CACHE_ROWS * count * row } else { 0 };
    let waiting = (count - at_once) * row + kept;
    if device.kind == Kind::Cpu {
        // Fused there; products are made in f32. Measured, with a rest for the packed panels.
        return waiting + at_once * 12 * tokens * footprint.dimensions.transformer * 4;
    }
    let added = if workload.lora_values > 0 { ADDED_ROWS } else { 0 };
    let mlp = at_once * (MLP_ROWS + added) * row + footprint.widened;
    let scores = if device.fused_attention { 0 } else { scores(footprint) + 3 * row };
    waiting + mlp.max((at_once * ATTENTION_ROWS + JOINED_ROWS) * row + scores)
}

/// Rows of each pass that step caching keeps: what the first block added, the tokens after it, and what the others added.
const CACHE_ROWS: u64 = 3;
/// Rows of each pass alive in the MLP.
const MLP_ROWS: u64 = 10;
/// Rows of what a LoRA adds in the MLP, four times as wide as a token.
const ADDED_ROWS: u64 = 4;
/// Rows of each pass alive when queries, keys and values of both streams are joined: tokens and projections.
const ATTENTION_ROWS: u64 = 4;
/// Rows of the pass whose attention is computed: joined, and what comes of it.
const JOINED_ROWS: u64 = 4;

/// A tile of attention scores in f32, as they come, before and after the softmax.
fn scores(footprint: &Footprint) -> u64 {
    DEVICE_SCORES as u64 * (2 * 4 + 2 * footprint.value)
}

/// Activations of the text encoder: its MLP over all tokens, and scores of the vision tower.
fn text_activations(device: &DeviceInfo, footprint: &Footprint, workload: &Workload) -> u64 {
    let widths = &footprint.dimensions;
    let picture = if workload.captioned { (workload.width / 28 * (workload.height / 28)) as u64 } else { 0 };
    let tokens = WORDS as u64 + picture;
    let mlp = tokens * (3 * widths.text_inner + 4 * widths.text) * footprint.value;
    // Keys and values of a caption in the making; grouped, a seventh of the width.
    let cache =
        if workload.captioned { 2 * widths.text_layers * 2 * tokens * widths.text / 7 * footprint.value } else { 0 };
    let scores = if workload.captioned && device.kind != Kind::Cpu { scores(footprint) } else { 0 };
    mlp.max(scores) + cache + footprint.text_widened
}

/// Activations of the decoder at its last level, in maps of `base_dim` channels of the whole picture.
fn decoder(device: &DeviceInfo, footprint: &Footprint, workload: &Workload) -> u64 {
    let pixels = (workload.width * workload.height) as u64;
    let map = pixels * footprint.dimensions.vae * footprint.value;
    if device.kind == Kind::Cpu {
        return pixels * footprint.dimensions.vae * 4 * 5;
    }
    DECODER_MAPS * map + CONV_COLUMNS_BYTES as u64
}

/// Maps alive in the decoder's last levels.
const DECODER_MAPS: u64 = 8;

/// Estimated seconds of a job, good enough to order plans and to compare them. Batched passes are not counted: they must
/// not decide which weights run, or how many blocks stay.
pub fn seconds(device: &DeviceInfo, footprint: &Footprint, workload: &Workload, placement: Placement) -> f64 {
    let speed = Speed::of(device);
    let widths = &footprint.dimensions;
    let tokens = (workload.image_tokens() + WORDS / 4) as f64;
    let dim = widths.transformer as f64;
    let blocks = footprint.blocks.len() as f64;
    // Four projections and an MLP of twice four times the width, and the products of attention.
    let operations = blocks * (2.0 * tokens * 12.0 * dim * dim + 4.0 * tokens * tokens * dim);
    let passes = if workload.guided { 2.0 } else { 1.0 };
    // Read compressed, written and read wide.
    let widening = footprint.compressed_values as f64 * 10.0 / speed.memory;
    let compute = passes * (operations / speed.products + widening);
    let transfer = match placement.blocks {
        BlockPlace::Resident => 0.0,
        BlockPlace::Streamed { resident, .. } => {
            let bytes = footprint.streamed(resident);
            // What the computer cannot keep comes from the disk, at every step again.
            bytes as f64 / if bytes <= device.host_free { speed.link } else { DISK }
        }
    };
    let loading = |bytes: u64| bytes as f64 / speed.link;
    let text = (footprint.text + footprint.caption) as f64;
    let written = if workload.captioned { 200.0 } else { 0.0 };
    // A token of a caption reads the whole text model.
    let text = match placement.text {
        TextPlace::Resident => written * text / speed.memory,
        TextPlace::Staged => {
            let again = footprint.transformer + footprint.streamed(0);
            written * text / speed.memory + loading(footprint.text + footprint.caption) + loading(again)
        }
        TextPlace::Host => (written + 20.0) * text / HOST_MEMORY,
    };
    // Copies beside computation are never all hidden: they share the device's memory, and wait for room.
    let step = compute.max(transfer) + UNHIDDEN * compute.min(transfer);
    text + workload.calls as f64 * step
}

/// What a device does in a second.
struct Speed {
    /// Operations of products in 16 bit.
    products: f64,
    /// Bytes of its memory.
    memory: f64,
    /// Bytes from the computer's memory, as slow as they come from pages of a mapped file: that page-locked memory is
    /// faster was not measured.
    link: f64,
}

/// Bytes a second from a disk without moving parts.
const DISK: f64 = 2e9;

/// Share of a transfer beside computation that takes time all the same.
const UNHIDDEN: f64 = 0.25;

/// Bytes a second from the computer's own memory, read by a few cores.
const HOST_MEMORY: f64 = 20e9;

impl Speed {
    /// By generation: sustained, not what the data sheet says.
    fn of(device: &DeviceInfo) -> Self {
        let (products, memory, link) = match device.kind {
            Kind::Cpu => (0.2e12, HOST_MEMORY, 2e9),
            Kind::Metal => (12e12, 300e9, 20e9),
            Kind::Cuda { capability: (8, 0) } => (220e12, 1500e9, 8e9),
            Kind::Cuda { capability: (8, 9) } => (140e12, 850e9, 8e9),
            Kind::Cuda { capability: (9, _) } => (650e12, 3500e9, 12e9),
            Kind::Cuda { capability: (10 | 11, _) } => (1200e12, 6000e9, 12e9),
            Kind::Cuda { capability: (12.., _) } => (200e12, 1400e9, 12e9),
            Kind::Cuda { .. } => (60e12, 750e9, 8e9),
        };
        Self { products, memory, link }
    }
}
