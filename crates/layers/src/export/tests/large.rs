//! Exports of large pictures.

use super::*;

/// Noise as large as its document, over and over.
struct Noise(RgbaImage);

impl PixelSource for Noise {
    fn load(&self, _: usize) -> Result<RgbaImage, SourceError> {
        Ok(self.0.clone())
    }
}

fn noise(width: u32, height: u32) -> Noise {
    let mut state = 1_u32;
    let mut picture = RgbaImage::new(width, height);
    for pixel in picture.pixels_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *pixel = Rgba([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8, 128 | (state >> 25) as u8]);
    }
    Noise(picture)
}

fn of_noise(width: u32, height: u32, layers: usize) -> Document {
    let pixels = RgbaImage::from_pixel(1, 1, Rgba([255; 4]));
    let stack = LayerStack::new(1, 1, vec![Layer::new("", Kind::Unknown, pixels)]).unwrap();
    let layer = Document::from_stack("", &stack).nodes.remove(0);
    Document { title: String::new(), width, height, density: None, nodes: vec![layer; layers] }
}

#[test]
fn a_psd_of_more_than_2_gb_is_refused_before_anything_is_written() {
    /// Counts what is written.
    #[derive(Default)]
    struct Count(u64);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Seek for Count {
        fn seek(&mut self, _: io::SeekFrom) -> io::Result<u64> {
            Ok(self.0)
        }
    }
    // 4 MB each, of which noise keeps all.
    let document = of_noise(1024, 1024, 520);
    let mut count = Count::default();
    let options = ExportOptions { shapes: ShapeMode::Pixels, ..ExportOptions::default() };
    let error = export(&document, &noise(1024, 1024), Format::Psd, &options, &mut count).unwrap_err();
    assert!(error.to_string().contains("2 GB") && count.0 == 0, "{error}, {} bytes", count.0);
}

#[test]
fn a_large_picture_is_cut_for_svg() {
    // 2000 x 1500 pixels of noise are 12 MB: libxml2 reads no attribute of more than 10 million bytes.
    let (document, noise) = (of_noise(2000, 1500, 1), noise(2000, 1500));
    let mut out = Cursor::new(Vec::new());
    export(&document, &noise, Format::Svg, &ExportOptions::default(), &mut out).unwrap();
    let text = String::from_utf8(out.into_inner()).unwrap();
    let xml = roxmltree::Document::parse(&text).unwrap();
    let mut whole = RgbaImage::new(2000, 1500);
    let images: Vec<_> = xml.descendants().filter(|node| node.has_tag_name("image")).collect();
    assert!(images.len() > 1);
    for image in images {
        let href = image.attribute(("http://www.w3.org/1999/xlink", "href")).unwrap();
        assert!(href.len() < 10_000_000, "{}", href.len());
        let png = href.strip_prefix("data:image/png;base64,").unwrap();
        let tile = picture(&base64::engine::general_purpose::STANDARD.decode(png).unwrap());
        let number = |name| image.attribute(name).unwrap().parse::<u32>().unwrap();
        assert_eq!((number("width"), number("height")), tile.dimensions());
        image::imageops::replace(&mut whole, &tile, number("x").into(), number("y").into());
    }
    assert!(whole == noise.0);
}
