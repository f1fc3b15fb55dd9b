//! The fonts in the folder `fonts/`, which its README describes.

use std::sync::LazyLock;

use super::file::File;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../fonts/", $name)).as_slice())),*]
    };
}

/// Names and bytes, in the order in which they stand in for one another.
const FILES: &[(&str, &[u8])] = files![
    "NotoSansKR-400Regular.woff",
    "NotoSansKR-700Bold.woff",
    "NotoSansKR-300Light.woff",
    "NotoSansKR-500Medium.woff",
    "NotoSansKR-900Black.woff",
    "NotoSerifKR-400Regular.woff",
    "NotoSerifKR-700Bold.woff",
    "BlackHanSans-400Regular.woff",
    "DoHyeon-400Regular.woff",
    "Jua-400Regular.woff",
    "NotoSansHebrew-400Regular.woff",
    "NotoSansHebrew-700Bold.woff",
    "NotoSansArabic-400Regular.woff",
    "NotoSansArabic-700Bold.woff",
    "NotoEmoji-700Bold.woff",
];

/// The family that draws what no other has.
pub(super) const SANS: &str = "Noto Sans KR";
pub(super) const SERIF: &str = "Noto Serif KR";
pub(super) const DISPLAY: &str = "Black Han Sans";
pub(super) const SQUARE: &str = "Do Hyeon";
pub(super) const ROUND: &str = "Jua";
pub(super) const EMOJI: &str = "Noto Emoji";

/// Each file is unpacked once a process, whoever asks.
pub(super) fn files() -> &'static [File] {
    static SHIPPED: LazyLock<Vec<File>> =
        LazyLock::new(|| FILES.iter().map(|(name, bytes)| File::shipped(name, bytes)).collect());
    &SHIPPED
}

/// The file as it ships, for a page that shows it: WOFF, which every browser reads.
pub(super) fn bytes(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(file, _)| *file == name).map(|(_, bytes)| *bytes)
}
