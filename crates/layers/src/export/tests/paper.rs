//! How large exports are on paper.

use super::*;

#[test]
fn a_psd_says_how_large_its_picture_is_and_carries_a_profile() {
    let resource = |bytes: &[u8], id: u16| {
        let mark = [&b"8BIM"[..], &id.to_be_bytes(), &[0, 0]].concat();
        let at = bytes.windows(mark.len()).position(|part| part == mark).expect("the resource") + mark.len();
        let length = u32::from_be_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
        bytes[at + 4..at + 4 + length].to_vec()
    };
    let mut document = Document::from_stack("", &stack());
    for (density, [x, y]) in [(None, [72, 72]), (Density::new(300.0, 150.0), [300, 150])] {
        document.density = density;
        let bytes = written(&document, Format::Psd);
        assert_eq!(resource(&bytes, 1005), [x, 0, 1, 1, y, 0, 1, 1].map(u16::to_be_bytes).concat());
        assert!(moxcms::ColorProfile::new_from_slice(&resource(&bytes, 1039)).is_ok());
    }
}

#[test]
fn exports_are_as_large_on_paper_as_the_picture() {
    // 300 pixels per inch: 64 x 48 pixels are 0.2133 x 0.16 inches; slides have at least an inch.
    let density = Density::new(300.0, 300.0);
    let document = Document { density, ..Document::from_stack("", &stack()) };
    let png_density = |bytes: &[u8]| decode(Cursor::new(bytes), &Limits::default()).unwrap().density;
    let svg = String::from_utf8(written(&document, Format::Svg)).unwrap();
    assert!(svg.contains("width=\"0.2133in\" height=\"0.16in\" viewBox=\"0 0 64 48\""), "{svg:.400}");
    let mut ora = archive(&document, Format::Ora);
    let xml = String::from_utf8(entry(&mut ora, "stack.xml")).unwrap();
    assert!(xml.contains("xres=\"300\" yres=\"300\""), "{xml}");
    for name in ["data/layer1.png", "mergedimage.png"] {
        assert_eq!(png_density(&entry(&mut ora, name)), density, "{name}");
    }
    let mut zip = archive(&document, Format::Zip);
    let manifest: serde_json::Value = serde_json::from_slice(&entry(&mut zip, "manifest.json")).unwrap();
    assert_eq!(manifest["density"], serde_json::json!({ "x": 300.0, "y": 300.0 }));
    for name in ["layer_1.png", "trimmed/layer_1.png"] {
        assert_eq!(png_density(&entry(&mut zip, name)), density, "{name}");
    }
    // A4: 210 x 297 mm are 7560000 x 10692000 EMU.
    let page = Document { density, width: 2480, height: 3508, ..Document::from_stack("", &stack()) };
    let mut pptx = archive(&page, Format::Pptx);
    let text = String::from_utf8(entry(&mut pptx, "ppt/presentation.xml")).unwrap();
    let xml = roxmltree::Document::parse(&text).unwrap();
    let size = xml.descendants().find(|node| node.tag_name().name() == "sldSz").unwrap();
    for (side, expected) in [("cx", 7_560_000_i64), ("cy", 10_692_000)] {
        let found: i64 = size.attribute(side).unwrap().parse().unwrap();
        assert!((found - expected).abs() < 3048, "{side}: {found}");
    }
    assert_eq!(png_density(&entry(&mut pptx, "ppt/media/image1.png")), density);
}
