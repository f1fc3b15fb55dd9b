//! Memory under an allocator that counts: of files whose profiles, texts and tags are bombs, and of exports.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Cursor, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, RgbaImage};
use layers::{
    Blend, DecodeError, Document, DocumentGroup, DocumentLayer, ExportOptions, Format, Kind, Limits, Node, Picture,
    PixelSource, SourceError, decode, export,
};

/// The system's allocator, and the most bytes that were taken at once.
struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code, reason = "an allocator can be written in no other way")]
// SAFETY: every call is passed on to the system's allocator as it came; only numbers are kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = TAKEN.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(taken, Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        TAKEN.fetch_sub(layout.size(), Relaxed);
        let taken = TAKEN.fetch_add(size, Relaxed) + size;
        PEAK.fetch_max(taken, Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What decoding a 16 x 16 picture may take beside its file: a profile of 4 MiB, twice while it grows, and tables.
const BOUND: usize = 40 << 20;

/// One test, since what others allocate meanwhile would be counted too.
#[test]
fn memory_stays_within_its_bounds() {
    exports();
    png_bombs();
    jpeg_bombs();
    webp_bombs();
    gif_bombs();
    tiff_bombs();
}

fn measured(what: &str, file: &[u8]) -> (Result<Picture, DecodeError>, usize) {
    let before = TAKEN.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = decode(Cursor::new(file), &Limits::default());
    let peak = PEAK.load(Relaxed) - before;
    println!("{what}: {} bytes, peak {} KB", file.len(), peak >> 10);
    (result, peak)
}

/// The picture is taken, and what decoding needed stayed within `bound`.
fn assert_taken(what: &str, file: &[u8], bound: usize) {
    let (result, peak) = measured(what, file);
    let picture = result.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(picture.pixels.dimensions(), (16, 16), "{what}");
    assert!(picture.pixels.get_pixel(3, 3)[0].abs_diff(200) < 8, "{what}: {:?}", picture.pixels.get_pixel(3, 3));
    assert!(peak < bound, "{what}: {peak} bytes, more than {bound}");
}

fn encoded(format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let picture = RgbImage::from_pixel(16, 16, Rgb([200, 100, 50]));
    DynamicImage::ImageRgb8(picture).write_to(&mut out, format).expect("the picture is small");
    out.into_inner()
}

fn zeros_deflated(bytes: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let block = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        encoder.write_all(&block).expect("memory takes everything");
    }
    encoder.finish().expect("memory takes everything")
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(data);
    // No chunk here comes near the limit of a length.
    [&(data.len() as u32).to_be_bytes(), &kind[..], data, &crc.sum().to_be_bytes()].concat()
}

fn png_bombs() {
    let png = encoded(ImageFormat::Png);
    // Behind the signature and IHDR.
    let with = |chunks: &[Vec<u8>]| [&png[..33], &chunks.concat(), &png[33..]].concat();
    let bomb = zeros_deflated(1 << 30);
    let profile = chunk(b"iCCP", &[b"p\0\0", &bomb[..]].concat());
    assert_taken("png iCCP of 1 GiB", &with(std::slice::from_ref(&profile)), BOUND);
    assert_taken("png many iCCP", &with(&[profile.clone(), profile.clone(), profile]), BOUND);
    assert_taken("png zTXt", &with(&[chunk(b"zTXt", &[b"k\0\0", &bomb[..]].concat())]), BOUND);
    let xmp = [b"XML:com.adobe.xmp\0\x01\0\0\0", &bomb[..]].concat();
    assert_taken("png iTXt", &with(&[chunk(b"iTXt", &xmp)]), BOUND);
    let large = vec![b'x'; 40 << 20];
    assert_taken("png tEXt", &with(&[chunk(b"tEXt", &[b"k\0", &large[..]].concat())]), BOUND);
    assert_taken("png eXIf", &with(&[chunk(b"eXIf", &large)]), BOUND);
    assert_taken("png unknown", &with(&[chunk(b"xxXx", &large)]), BOUND);
    let texts = vec![chunk(b"tEXt", b"k\0v"); 400_000];
    assert_taken("png many tEXt", &with(&texts), BOUND);
    let parts = vec![[chunk(b"tEXt", b"k\0v"), chunk(b"bKGD", &[0; 6])].concat(); 200_000];
    let (result, peak) = measured("png metadata in many parts", &with(&parts));
    assert!(matches!(result, Err(DecodeError::Unsupported { .. })) && peak < BOUND);
}

fn segments(marker: u8, head: &[u8], count: usize) -> Vec<u8> {
    let mut data = head.to_vec();
    data.resize(65_533, b'x');
    [&[0xFF, marker, 0xFF, 0xFF], &data[..]].concat().repeat(count)
}

fn jpeg_bombs() {
    let jpeg = encoded(ImageFormat::Jpeg);
    let with = |segments: Vec<u8>| [&jpeg[..2], &segments, &jpeg[2..]].concat();
    for (what, marker, head) in [
        ("jpeg ICC", 0xE2, &b"ICC_PROFILE\0\x01\xFF"[..]),
        ("jpeg EXIF", 0xE1, b"Exif\0\0"),
        ("jpeg XMP", 0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
        ("jpeg IPTC", 0xED, b"Photoshop 3.0\0"),
        ("jpeg comments", 0xFE, b""),
    ] {
        let file = with(segments(marker, head, 600));
        // The file is read whole, into a buffer that grows by doubling.
        assert_taken(what, &file, 2 * file.len() + BOUND);
    }
    let pieces: Vec<u8> =
        (1..=255).flat_map(|n| segments(0xE2, &[b"ICC_PROFILE\0", &[n, 255][..]].concat(), 1)).collect();
    let file = with(pieces);
    assert_taken("jpeg ICC of 16 MB", &file, 2 * file.len() + BOUND);
}

fn webp_bombs() {
    let webp = encoded(ImageFormat::WebP);
    let large = vec![b'x'; 40 << 20];
    let chunk = |kind: &[u8; 4], data: &[u8]| [&kind[..], &(data.len() as u32).to_le_bytes(), data].concat();
    for (what, flags, kind) in [
        ("webp ICCP", 0x20, b"ICCP"),
        ("webp EXIF", 0x08, b"EXIF"),
        ("webp XMP", 0x04, b"XMP "),
        ("webp other", 0, b"junk"),
    ] {
        let body = [
            b"WEBP".to_vec(),
            chunk(b"VP8X", &[flags, 0, 0, 0, 15, 0, 0, 15, 0, 0]),
            chunk(kind, &large),
            webp[12..].to_vec(),
        ];
        assert_taken(what, &chunk(b"RIFF", &body.concat()), BOUND);
    }
}

fn gif_bombs() {
    let gif = encoded(ImageFormat::Gif);
    let start = 13 + if gif[10] & 0x80 == 0 { 0 } else { 3 << ((gif[10] & 7) + 1) };
    let blocks = [&[255][..], &[b'x'; 255]].concat().repeat(160_000);
    for (what, head) in [
        ("gif comment", &[0x21, 0xFE][..]),
        ("gif ICC", b"\x21\xFF\x0BICCRGBG1012"),
        ("gif XMP", b"\x21\xFF\x0BXMP DataXMP"),
        ("gif other", b"\x21\xFF\x0BNETSCAPE2.0"),
    ] {
        let file = [&gif[..start], head, &blocks, &[0], &gif[start..]].concat();
        assert_taken(what, &file, BOUND);
    }
}

/// A grey TIFF of 16 x 16 pixels with one more tag, whose values are `data`.
fn tiff(tag: u16, kind: u16, count: u32, data: &[u8]) -> Vec<u8> {
    let pixels_at = 8;
    let data_at = pixels_at + 256;
    let directory_at = data_at + data.len() as u32;
    let mut entries =
        vec![(256, 3, 1, 16), (257, 3, 1, 16), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, pixels_at)];
    entries.extend([(278, 3, 1, 16), (279, 4, 1, 256)]);
    entries.retain(|entry: &(u16, u16, u32, u32)| entry.0 != tag);
    entries.push((tag, kind, count, data_at));
    entries.sort_unstable();
    let mut out = [&b"II\x2a\0"[..], &directory_at.to_le_bytes(), &[200; 256], data].concat();
    out.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        out.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        out.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    out.extend([0; 4]);
    out
}

fn tiff_bombs() {
    let bytes = 40 << 20;
    let data = vec![0; bytes];
    for (what, tag) in [("tiff ICC", 34_675), ("tiff XMP", 700), ("tiff Photoshop", 34_377), ("tiff EXIF", 34_665)] {
        assert_taken(what, &tiff(tag, 7, bytes as u32, &data), BOUND);
    }
    for (what, tag, kind) in [("tiff strips", 273, 4), ("tiff strip lengths", 279, 4), ("tiff tables", 347, 7)] {
        let count = if kind == 4 { bytes / 4 } else { bytes };
        let (result, peak) = measured(what, &tiff(tag, kind, count as u32, &data));
        assert!(matches!(result, Err(DecodeError::Unsupported { .. })), "{what}: {:?}", result.err());
        assert!(peak < BOUND, "{what}: {peak}");
    }
    // A count without its values costs nothing either.
    let (result, peak) = measured("tiff empty count", &tiff(273, 4, 900_000, &[]));
    assert!(result.is_err() && peak < 80 << 20, "{peak}");
}

/// Noise, which no format compresses: source 0 as large as the canvas, source 1 larger.
struct Noise;

const CANVAS: (u32, u32) = (800, 700);
const LARGE: (u32, u32) = (1000, 1100);

impl PixelSource for Noise {
    fn load(&self, source: usize) -> Result<RgbaImage, SourceError> {
        let (width, height) = if source == 0 { CANVAS } else { LARGE };
        let mut state = 1_u32;
        let bytes = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        let mut picture = RgbaImage::new(width, height);
        picture.iter_mut().zip(bytes).for_each(|(target, byte)| *target = byte);
        Ok(picture)
    }
}

fn exports() {
    let layer = |source, x| {
        let (name, kind) = (String::new(), Kind::Unknown);
        Node::Layer(DocumentLayer {
            name,
            kind,
            text: None,
            visible: true,
            opacity: 0.7,
            blend: Blend::Normal,
            x,
            y: -x,
            turn: 0.0,
            effects: layers::Effects::default(),
            source,
            live_text: Vec::new(),
        })
    };
    let group = |children| {
        Node::Group(DocumentGroup { name: String::new(), visible: true, opacity: 0.5, blend: Blend::Normal, children })
    };
    let inner = group(vec![layer(0, 0), group(vec![layer(1, -30), group(vec![layer(0, 5)])])]);
    for nodes in [vec![layer(0, 0)], vec![layer(1, 40), layer(0, 0)], vec![layer(0, 0), inner, layer(1, 900)]] {
        let document = Document { title: String::new(), width: CANVAS.0, height: CANVAS.1, density: None, nodes };
        let bound = document.compose_memory(u64::from(LARGE.0 * LARGE.1));
        for format in Format::ALL {
            let file = tempfile::tempfile().expect("a temporary file");
            let before = TAKEN.load(Relaxed);
            PEAK.store(before, Relaxed);
            let options = ExportOptions { trim: true, ..ExportOptions::default() };
            export(&document, &Noise, format, &options, &file).expect("the document is small");
            let peak = (PEAK.load(Relaxed) - before) as u64;
            println!("{format:?}: peak {} KB of {} KB", peak >> 10, bound >> 10);
            // Tables and buffers that do not grow with the pictures come on top.
            assert!(peak < bound + (2 << 20), "{format:?}: {peak} bytes, more than {bound}");
        }
    }
}
