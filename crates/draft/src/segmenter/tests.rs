use super::*;

/// A red disk and a blue square on sand.
fn scene() -> RgbImage {
    RgbImage::from_fn(300, 200, |x, y| {
        let grain = ((x * 31 + y * 17) % 7) as u8;
        if x.abs_diff(90).pow(2) + y.abs_diff(100).pow(2) < 45 * 45 {
            image::Rgb([200 + grain, 40, 30])
        } else if (190..260).contains(&x) && (60..140).contains(&y) {
            image::Rgb([30, 60, 170 + grain])
        } else {
            image::Rgb([225 + grain, 205 + grain, 160])
        }
    })
}

fn overlap(mask: &GrayImage, inside: impl Fn(u32, u32) -> bool) -> f32 {
    let (mut both, mut either) = (0, 0);
    for (x, y, value) in mask.enumerate_pixels() {
        let (a, b) = (value[0] >= 128, inside(x, y));
        both += u32::from(a && b);
        either += u32::from(a || b);
    }
    both as f32 / either as f32
}

fn disk(x: u32, y: u32) -> bool {
    x.abs_diff(90).pow(2) + y.abs_diff(100).pow(2) < 45 * 45
}

fn square(x: u32, y: u32) -> bool {
    (190..260).contains(&x) && (60..140).contains(&y)
}

#[test]
fn points_and_boxes_outline_what_they_show() {
    let embedding = Segmenter::built_in().embed(&scene(), &|| false).expect("an embedding");
    let point = Prompt { points: vec![(90.0, 100.0, true)], ..Default::default() };
    let found = embedding.segment(&point, &|| false).expect("a mask");
    assert_eq!((found.mask.width(), found.mask.height()), (300, 200));
    assert!(overlap(&found.mask, disk) > 0.93, "{}", overlap(&found.mask, disk));
    let both = Prompt { points: Vec::new(), boxes: vec![[43.0, 53.0, 137.0, 147.0], [186.0, 56.0, 264.0, 144.0]] };
    let found = embedding.segment(&both, &|| false).expect("a mask");
    let overlap = overlap(&found.mask, |x, y| disk(x, y) || square(x, y));
    assert!(overlap > 0.93 && found.score > 0.7, "{overlap}, {}", found.score);
    let again = embedding.segment(&both, &|| false).expect("a mask");
    assert!(again.mask == found.mask, "the same prompt gives the same mask");
    assert_eq!(embedding.offers(&point, &|| false).expect("masks").len(), 3);
    let nothing = Prompt { points: vec![(90.0, 100.0, false)], ..Default::default() };
    assert_eq!(embedding.segment(&nothing, &|| false).err(), Some(SegmentError::NoPrompt));
    assert_eq!(embedding.segment(&point, &|| true).err(), Some(SegmentError::Stopped));
}

#[test]
fn pictures_of_any_size_can_be_looked_at() {
    let segmenter = Segmenter::built_in();
    assert_eq!(segmenter.embed(&RgbImage::new(0, 3), &|| false).err(), Some(SegmentError::Empty));
    let embedding = segmenter.embed(&RgbImage::new(1, 3), &|| false).expect("an embedding");
    let prompt = Prompt { points: vec![(0.0, 1.0, true)], ..Default::default() };
    let found = embedding.segment(&prompt, &|| false).expect("a mask");
    assert_eq!((found.mask.width(), found.mask.height()), (1, 3));
}

#[test]
fn files_that_are_no_networks_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("encoder.onnx");
    std::fs::write(&file, b"no network").expect("written");
    assert!(matches!(Segmenter::from_files(&file, &file), Err(SegmentError::Network(_))));
}

#[test]
fn the_files_of_the_crate_can_be_loaded_from_disk() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let (encoder, decoder) = (models.join("segment-encoder.onnx"), models.join("segment-decoder.onnx"));
    assert!(Segmenter::from_files(&encoder, &decoder).is_ok());
    assert!(matches!(Segmenter::from_files(&decoder, &encoder), Err(SegmentError::Network(_))));
}
