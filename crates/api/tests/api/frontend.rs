//! The page stays small: in what a browser fetches, and in each file's length.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::app::TestApp;

const MOST_LINES: usize = 400;
/// Before a poster is on its way, and with the editor, which comes then.
const FIRST_BYTES: usize = 110_000;
const MOST_BYTES: usize = 210_000;

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The page's policy allows no inline code, so it must not have any.
#[test]
fn no_code_is_inline() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../frontend").canonicalize().unwrap();
    let inline =
        ["<script>", "javascript:", " style=\"", " onclick=", " onload=", " onerror=", "eval(", "new Function("];
    let texts = files(&root)
        .into_iter()
        .filter(|path| ["html", "js", "svg"].iter().any(|end| path.extension().is_some_and(|e| e == *end)));
    for path in texts {
        let text = fs::read_to_string(&path).unwrap();
        let found: Vec<_> = inline.iter().filter(|code| text.contains(**code)).collect();
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
}

/// What a browser may do with an answer.
#[tokio::test]
async fn answers_say_what_they_may_be_used_for() {
    let app = TestApp::start().await;
    for (path, scripts) in [
        ("/", "script-src 'self'"),
        ("/docs/", "default-src 'self'"),
        ("/api/capabilities", "sandbox"),
        ("/none", "sandbox"),
    ] {
        let response = app.get(path).await;
        let header = |name: &str| {
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let policy = header("content-security-policy");
        assert!(policy.contains(scripts) && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("script-src 'unsafe") && !policy.contains("eval"), "{path}: {policy}");
        let rest =
            ["x-content-type-options", "x-frame-options", "referrer-policy", "cross-origin-opener-policy"].map(header);
        assert_eq!(rest, ["nosniff", "DENY", "no-referrer", "same-origin"], "{path}");
    }
}

/// The scripts that a script imports before it runs, itself among them: what is imported later stands in brackets.
fn imported(script: &Path, found: &mut BTreeSet<PathBuf>) {
    if !found.insert(script.to_owned()) {
        return;
    }
    let text = fs::read_to_string(script).unwrap();
    let imports = text.lines().filter(|line| line.starts_with("import ") || line.starts_with("} from "));
    for name in imports.filter_map(|line| line.split('"').nth(1)) {
        imported(&script.parent().unwrap().join(name).canonicalize().unwrap(), found);
    }
}

#[tokio::test]
async fn no_file_is_long_and_what_comes_first_is_a_small_transfer() {
    let app = TestApp::start().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../frontend").canonicalize().unwrap();
    let files = files(&root);
    assert!(files.len() > 20, "{files:?}");
    let mut first_scripts = BTreeSet::new();
    imported(&root.join("js/main.js"), &mut first_scripts);
    assert!(first_scripts.len() > 20, "{first_scripts:?}");
    let (mut first, mut total) = (0, 0);
    for path in files {
        let lines = fs::read_to_string(&path).map_or(0, |text| text.lines().count());
        assert!(lines <= MOST_LINES, "{} has {lines} lines", path.display());
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        let response =
            app.client.get(app.url(&format!("/{name}"))).header("accept-encoding", "gzip").send().await.unwrap();
        assert_eq!(response.status(), 200, "{name}");
        let bytes = response.bytes().await.unwrap().len();
        // A sample is loaded when somebody takes it; its button has a small picture. So are the tools that work on pixels,
        // and the shapes of data are for programs that check the code.
        let is_sample = name.ends_with(".webp") && !name.ends_with("-small.webp");
        let on_demand = is_sample || name.starts_with("js/tools/") || name.starts_with("js/types");
        let is_first = !on_demand && (!name.ends_with(".js") || first_scripts.contains(&path));
        total += if on_demand { 0 } else { bytes };
        first += if is_first { bytes } else { 0 };
    }
    assert!(first < FIRST_BYTES, "the page transfers {first} bytes before a poster is on its way");
    assert!(total < MOST_BYTES, "the page transfers {total} bytes in all");
}
