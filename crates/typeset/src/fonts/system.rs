//! Where operating systems keep fonts. Their own libraries would be asked only for this list.

use std::env;
use std::path::PathBuf;

/// The folders, whether or not they are there.
pub(super) fn folders() -> Vec<PathBuf> {
    let under = |variable: &str, rest: &str| env::var_os(variable).map(|folder| PathBuf::from(folder).join(rest));
    let fixed = |path: &str| Some(PathBuf::from(path));
    let folders = if cfg!(target_os = "macos") {
        vec![fixed("/System/Library/Fonts"), fixed("/Library/Fonts"), under("HOME", "Library/Fonts")]
    } else if cfg!(windows) {
        vec![under("WINDIR", "Fonts"), under("LOCALAPPDATA", "Microsoft/Windows/Fonts")]
    } else {
        let own = under("XDG_DATA_HOME", "fonts").or_else(|| under("HOME", ".local/share/fonts"));
        vec![fixed("/usr/share/fonts"), fixed("/usr/local/share/fonts"), own, under("HOME", ".fonts")]
    };
    folders.into_iter().flatten().collect()
}
