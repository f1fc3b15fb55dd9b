//! Exports opened by programs that are not ours: psd-tools, python-pptx and Pillow (`check.py`), ag-psd
//! (`check.mjs`), LibreOffice.
//!
//! `cargo xtask test` installs the first two kinds into `target/readers`, and LibreOffice in CI. What is missing is
//! skipped with a word; in CI that is a failure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use image::RgbaImage;
use layers::{Difference, write_png};
use serde_json::Value;

/// LibreOffice keeps 8 bits between pictures: so much may any channel be off.
pub(crate) const RENDERED_MOST: u8 = 2;

/// How often LibreOffice is started before its silence counts.
const ATTEMPTS: usize = 3;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Writes what `check.py` and `check.mjs` compare with; the exports are beside it as `document.psd` and so on.
///
/// `nodes` are described in `check.py`.
#[allow(dead_code, reason = "used by some of the tests that include this file")]
pub(crate) fn write_expected(folder: &Path, composite: &RgbaImage, nodes: &Value) {
    let (width, height) = composite.dimensions();
    let expected = serde_json::json!({ "width": width, "height": height, "nodes": nodes });
    std::fs::write(folder.join("expected.json"), expected.to_string()).expect("the folder is there");
    std::fs::write(folder.join("composite.rgba"), composite.as_raw()).expect("the folder is there");
    let file = std::fs::File::create(folder.join("composite.png")).expect("the folder is there");
    write_png(file, composite).expect("the picture has pixels");
}

/// Lets every reader that is there open the exports in `folder`.
///
/// # Panics
/// When one finds something else than what is expected.
#[allow(dead_code, reason = "used by some of the tests that include this file")]
pub(crate) fn check(folder: &Path) {
    run_readers(folder, "check");
    render(folder);
}

/// Runs the scripts of a name on the exports in `folder`.
///
/// # Panics
/// When one finds something else than what is expected.
pub(crate) fn run_readers(folder: &Path, script: &str) {
    let tools = std::env::var_os("UNFLATTEN_READERS").map_or_else(default_tools, PathBuf::from);
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../layers/tests/readers");
    let python = tools.join("venv/bin/python");
    match python.is_file() {
        true => run(Command::new(python).arg(scripts.join(format!("{script}.py"))).arg(folder)),
        false => skip("psd-tools, python-pptx and Pillow are not there", "run `cargo xtask test`"),
    }
    let modules = tools.join("node_modules");
    match modules.join("ag-psd").is_dir() {
        true => {
            run(Command::new("node").env("NODE_PATH", modules).arg(scripts.join(format!("{script}.mjs"))).arg(folder))
        }
        false => skip("ag-psd is not there", "run `cargo xtask test`"),
    }
}

/// The Python with psd-tools, python-pptx and Pillow.
#[allow(dead_code, reason = "used by some of the tests that include this file")]
pub(crate) fn python() -> Option<PathBuf> {
    let tools = std::env::var_os("UNFLATTEN_READERS").map_or_else(default_tools, PathBuf::from);
    Some(tools.join("venv/bin/python")).filter(|python| python.is_file())
}

fn default_tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/readers")
}

pub(crate) fn skip(what: &str, advice: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}; {advice}");
    eprintln!("SKIPPED: {what}; {advice}");
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}");
    assert!(output.status.success(), "{command:?}\n{out}{error}");
}

/// LibreOffice draws the slide, pixel for pixel, as the composite.
fn render(folder: &Path) {
    let composite = image::open(folder.join("composite.png")).expect("it was written before").into_rgba8();
    let Some(rendered) = rendered(folder, composite.dimensions()) else { return };
    let difference = Difference::between(&rendered, &composite).expect("the size that was asked for");
    println!("LibreOffice: {difference:?}");
    assert!(difference.max <= RENDERED_MOST, "{difference:?}");
}

/// The slide as LibreOffice draws it; `None` where that is not there.
pub(crate) fn rendered(folder: &Path, (width, height): (u32, u32)) -> Option<RgbaImage> {
    // It was seen to crash as it started beside another one.
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let soffice: OsString = std::env::var_os("UNFLATTEN_SOFFICE").unwrap_or_else(|| "soffice".into());
    let is_there = Command::new(&soffice).arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        skip("LibreOffice is not there", "apt install libreoffice-impress, or set UNFLATTEN_SOFFICE");
        return None;
    }
    let size = serde_json::json!({
        "PixelWidth": { "type": "long", "value": width.to_string() },
        "PixelHeight": { "type": "long", "value": height.to_string() },
    });
    let filter = format!("png:impress_png_Export:{size}");
    let (slide, picture) = (folder.join("document.pptx"), folder.join("document.png"));
    // A file that it cannot open fails each time.
    let mut said = String::new();
    for _ in 0..ATTEMPTS {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let output = Command::new(&soffice)
            .arg(format!("-env:UserInstallation=file://{}", profile.path().display()))
            .args(["--headless", "--convert-to", &filter, "--outdir"])
            .args([folder, &slide])
            .output()
            .expect("soffice runs");
        if picture.is_file() {
            break;
        }
        said = format!("{}, {}", output.status, String::from_utf8_lossy(&output.stderr));
        eprintln!("LibreOffice made no picture: {said}");
    }
    Some(image::open(&picture).unwrap_or_else(|error| panic!("{error}: {said}")).into_rgba8())
}

/// Shapes may be drawn in place of pixels: channels are within `most`, or have what the pixels beside them have.
///
/// # Panics
/// When one is farther off.
#[allow(dead_code, reason = "used by some of the tests that include this file")]
pub(crate) fn assert_looks_like(rendered: &RgbaImage, wanted: &RgbaImage, most: u8) {
    let (width, height) = wanted.dimensions();
    let around = |x: u32, y: u32| {
        let rows = y.saturating_sub(1)..(y + 2).min(height);
        rows.flat_map(move |y| (x.saturating_sub(1)..(x + 2).min(width)).map(move |x| (x, y)))
    };
    let (mut edge, mut off) = (0_u32, 0_u64);
    for (x, y, pixel) in rendered.enumerate_pixels() {
        let own = wanted.get_pixel(x, y);
        let difference = (0..3).map(|c| pixel[c].abs_diff(own[c])).max().unwrap_or(0);
        if difference <= most {
            continue;
        }
        (edge, off) = (edge + 1, off + u64::from(difference));
        for channel in 0..3 {
            let beside = || around(x, y).map(|(x, y)| wanted.get_pixel(x, y)[channel]);
            let least = beside().min().unwrap_or(0).saturating_sub(most);
            let highest = beside().max().unwrap_or(255).saturating_add(most);
            assert!((least..=highest).contains(&pixel[channel]), "at {x}, {y}: {pixel:?} instead of {own:?}");
        }
    }
    println!("{edge} pixels of edges are off by {:.1} on average", off as f64 / f64::from(edge.max(1)));
}
