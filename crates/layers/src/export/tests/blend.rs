//! Blend modes, composed and in the words of each format.

use super::*;

/// An even ground and above it an even layer that mixes with it.
fn mixing(blend: Blend, opacity: f32, in_group: bool) -> (Document, LayerStack) {
    let even =
        |name: &str, colour: [u8; 4]| Layer::new(name, Kind::Object, image::RgbaImage::from_pixel(4, 4, Rgba(colour)));
    let stack = LayerStack::new(4, 4, vec![even("ground", [51, 204, 128, 255]), even("top", [153, 153, 40, 255])]);
    let stack = stack.unwrap();
    let mut document = Document::from_stack("Plakat", &stack);
    if let Some(Node::Layer(top)) = document.nodes.last_mut() {
        (top.blend, top.opacity) = (blend, opacity);
    }
    if in_group {
        let children = document.nodes.split_off(1);
        let group = DocumentGroup { name: "g".into(), visible: true, opacity: 1.0, blend: Blend::Normal, children };
        document.nodes.push(Node::Group(group));
    }
    (document, stack)
}

#[test]
fn blend_modes_are_composed_and_written_in_the_words_of_each_format() {
    for (blend, expected, key, word) in [
        (Blend::Multiply, [31, 122, 20, 255], b"8BIMmul ", "multiply"),
        (Blend::Screen, [173, 235, 148, 255], b"8BIMscrn", "screen"),
        (Blend::Overlay, [61, 214, 41, 255], b"8BIMover", "overlay"),
        (Blend::Darken, [51, 153, 40, 255], b"8BIMdark", "darken"),
        (Blend::Lighten, [153, 204, 128, 255], b"8BIMlite", "lighten"),
    ] {
        for in_group in [false, true] {
            let (document, stack) = mixing(blend, 1.0, in_group);
            let pixel = document.compose(&stack).unwrap().get_pixel(1, 1).0;
            let apart = pixel.iter().zip(expected).map(|(one, other)| one.abs_diff(other)).max();
            assert!(apart <= Some(1), "{blend:?}: {pixel:?} instead of {expected:?}");
            let of = |format| {
                let mut out = Cursor::new(Vec::new());
                export(&document, &stack, format, &ExportOptions::default(), &mut out).unwrap();
                out.into_inner()
            };
            let psd = of(Format::Psd);
            assert!(psd.windows(8).any(|bytes| bytes == key), "{blend:?}");
            // A group is none of its own for layers that mix with what is below it.
            assert_eq!(psd.windows(8).filter(|bytes| *bytes == b"8BIMpass").count(), 2 * usize::from(in_group));
            let mut ora = ZipArchive::new(Cursor::new(of(Format::Ora))).unwrap();
            let mut xml = String::new();
            ora.by_name("stack.xml").unwrap().read_to_string(&mut xml).unwrap();
            assert!(xml.contains(&format!("composite-op=\"svg:{word}\"")), "{xml}");
            assert_eq!(xml.contains("isolation=\"auto\""), in_group, "{xml}");
            let svg = String::from_utf8(of(Format::Svg)).unwrap();
            assert!(svg.contains(&format!("mix-blend-mode:{word}")), "{svg}");
        }
        // Half of it: halfway between the mixture and the ground.
        let (document, stack) = mixing(blend, 0.5, false);
        let pixel = document.compose(&stack).unwrap().get_pixel(1, 1).0;
        for (channel, ground) in [51, 204, 128].into_iter().enumerate() {
            let halfway = (f32::from(expected[channel]) + f32::from(ground as u8)) / 2.0;
            assert!((f32::from(pixel[channel]) - halfway).abs() <= 1.0, "{blend:?}: {pixel:?}");
        }
    }
    // Over nothing, all modes are alike, and a translucent group keeps its layers to itself.
    let (mut document, stack) = mixing(Blend::Multiply, 1.0, true);
    if let Some(Node::Group(group)) = document.nodes.last_mut() {
        group.opacity = 0.5;
    }
    let pixel = document.compose(&stack).unwrap().get_pixel(1, 1).0;
    assert!(pixel.iter().zip([102_u8, 179, 84, 255]).all(|(one, other)| one.abs_diff(other) <= 1), "{pixel:?}");
}
