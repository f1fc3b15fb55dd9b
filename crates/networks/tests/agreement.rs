//! Our own convolutions against the general runtime, on the weights that ship with the draft engine.

use networks::{Convolutional, Map, Network, NetworkError, U2Net};

static SALIENCY: &[u8] = include_bytes!("../../draft/models/saliency.onnx");
static DETECTION: &[u8] = include_bytes!("../../draft/models/text-detection.onnx");

static SALIENT: U2Net = U2Net::new(SALIENCY);
static DETECTED: Convolutional = Convolutional::new(DETECTION);

/// E, H and T, five dots wide and seven high.
const LETTERS: [u64; 3] = [
    0b11111_10000_10000_11110_10000_10000_11111,
    0b10001_10001_10001_11111_10001_10001_10001,
    0b11111_00100_00100_00100_00100_00100_00100,
];

/// A bright disk and rows of dark letters on waves, normalised.
fn picture(height: usize, width: usize) -> Map {
    let value = |y: usize, x: usize, c: usize| {
        let disk = (x.abs_diff(width / 2).pow(2) + y.abs_diff(height / 3).pow(2)) * 20 < width * height;
        let (row, column) = (y / 3 % 10, x / 3 % 7);
        let dot = row < 7 && column < 5 && LETTERS[x / 21 % 3] >> (34 - 5 * row - column) & 1 == 1;
        let letter = dot && y > height / 2 && (width / 8..width * 7 / 8).contains(&x);
        let wave = ((x + 20 * c) as f32 / 37.0).sin() + (y as f32 / 23.0).cos();
        if letter { -2.0 } else { wave + if disk { 1.5 } else { 0.0 } }
    };
    let places = (0..height * width).flat_map(|k| (0..3).map(move |c| (k / width, k % width, c)));
    Map { height, width, channels: 3, values: places.map(|(y, x, c)| value(y, x, c)).collect() }
}

fn by_runtime(network: &'static Network, picture: &Map) -> Vec<f32> {
    let planes = (0..3).flat_map(|c| picture.values.iter().skip(c).step_by(3).copied()).collect();
    let (shape, values) =
        network.run(&[1, 3, picture.height, picture.width], planes, &|| false).expect("the runtime runs");
    assert_eq!(shape, [1, 1, picture.height, picture.width]);
    values
}

fn assert_alike(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 2e-4, "{worst}");
    assert!(expected.iter().any(|&v| v > 0.3) && expected.iter().any(|&v| v < 0.1), "there is something to see");
}

/// At the size that the file names: its halvings leave something over.
#[test]
fn u2net_agrees_with_the_runtime() {
    static RUNTIME: Network = Network::new(SALIENCY);
    let picture = picture(320, 320);
    let expected = by_runtime(&RUNTIME, &picture);
    assert_alike(&SALIENT.run(picture, &|| false).expect("ours runs"), &expected);
}

#[test]
fn the_detector_agrees_with_the_runtime() {
    static RUNTIME: Network = Network::new(DETECTION);
    for (height, width) in [(192, 192), (96, 320)] {
        let picture = picture(height, width);
        let expected = by_runtime(&RUNTIME, &picture);
        let found = DETECTED.run(picture, &|| false).expect("ours runs");
        assert_eq!((found.height, found.width, found.channels), (height, width, 1));
        assert_alike(&found.values, &expected);
    }
}

#[test]
fn the_number_of_threads_does_not_reach_the_result() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let salient = pool.install(|| SALIENT.run(picture(64, 80), &|| false)).expect("ours runs");
        (salient, pool.install(|| DETECTED.run(picture(64, 96), &|| false)).expect("ours runs"))
    };
    let one = run(1);
    assert!(one == run(2) && one == run(5));
}

#[test]
fn they_stop_and_refuse_with_a_reason() {
    assert!(matches!(SALIENT.run(picture(64, 64), &|| true), Err(NetworkError::Stopped)));
    assert!(matches!(DETECTED.run(picture(64, 64), &|| true), Err(NetworkError::Stopped)));
    static OTHER: U2Net = U2Net::new(DETECTION);
    static NONE: U2Net = U2Net::new(b"no network");
    for network in [&OTHER, &NONE] {
        let answer = network.run(picture(64, 64), &|| false);
        assert!(matches!(&answer, Err(NetworkError::Failed(why)) if !why.is_empty()), "{answer:?}");
    }
    static READER: Convolutional = Convolutional::new(include_bytes!("../../draft/models/text-recognition.onnx"));
    static NOTHING: Convolutional = Convolutional::new(b"no network");
    for network in [&READER, &NOTHING] {
        let answer = network.run(picture(48, 64), &|| false);
        assert!(matches!(&answer, Err(NetworkError::Failed(why)) if !why.is_empty()), "{answer:?}");
    }
    // Sides that halving and doubling do not bring back.
    let answer = DETECTED.run(picture(50, 70), &|| false);
    assert!(matches!(&answer, Err(NetworkError::Failed(why)) if !why.is_empty()), "{answer:?}");
}
