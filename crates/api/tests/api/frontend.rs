//! The page stays small: in what a browser fetches, and in each file's length.

use std::fs;
use std::path::{Path, PathBuf};

use crate::app::TestApp;

const MOST_LINES: usize = 400;
const MOST_BYTES: usize = 180_000;

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn no_file_is_long_and_all_of_them_are_a_small_transfer() {
    let app = TestApp::start().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../frontend").canonicalize().unwrap();
    let files = files(&root);
    assert!(files.len() > 20, "{files:?}");
    let mut total = 0;
    for path in files {
        let lines = fs::read_to_string(&path).map_or(0, |text| text.lines().count());
        assert!(lines <= MOST_LINES, "{} has {lines} lines", path.display());
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        let response =
            app.client.get(app.url(&format!("/{name}"))).header("accept-encoding", "gzip").send().await.unwrap();
        assert_eq!(response.status(), 200, "{name}");
        let bytes = response.bytes().await.unwrap().len();
        // A sample is loaded when somebody takes it; its button has a small picture.
        let on_demand = name.ends_with(".webp") && !name.ends_with("-small.webp");
        total += if on_demand { 0 } else { bytes };
    }
    assert!(total < MOST_BYTES, "the page transfers {total} bytes");
}
