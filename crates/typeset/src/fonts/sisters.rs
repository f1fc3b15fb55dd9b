//! Families that are one design under several names, of one size: BM DoHyeon, which is drawn four fifths as large as Do
//! Hyeon, is none.

/// Each under the name that its publisher gave it, as Google Fonts has it, and as systems ship it.
const SISTERS: &[&[&str]] = &[
    &["Noto Sans KR", "Noto Sans CJK KR", "Source Han Sans KR", "Source Han Sans K"],
    &["Noto Sans JP", "Noto Sans CJK JP", "Source Han Sans"],
    &["Noto Sans SC", "Noto Sans CJK SC", "Source Han Sans CN"],
    &["Noto Sans TC", "Noto Sans CJK TC", "Source Han Sans TW"],
    &["Noto Serif KR", "Noto Serif CJK KR", "Source Han Serif KR", "Source Han Serif K"],
    &["Noto Serif SC", "Noto Serif CJK SC", "Source Han Serif CN"],
    &["BM HANNA Pro", "BM HANNA 11yrs old"],
    &["Nanum Gothic", "NanumGothic"],
    &["Nanum Myeongjo", "NanumMyeongjo"],
];

/// The other names under which a machine may have the same letters.
pub fn sisters(family: &str) -> impl Iterator<Item = &'static str> + '_ {
    let group = SISTERS.iter().find(|group| group.contains(&family));
    group.into_iter().flat_map(|group| group.iter().copied()).filter(move |name| *name != family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_design_is_known_by_its_other_names() {
        assert_eq!(sisters("NanumGothic").collect::<Vec<_>>(), ["Nanum Gothic"]);
        assert_eq!(sisters("Nanum Gothic").collect::<Vec<_>>(), ["NanumGothic"]);
        assert!(sisters("Noto Sans KR").any(|name| name == "Noto Sans CJK KR"));
        assert_eq!(sisters("Pretendard").next(), None);
    }
}
