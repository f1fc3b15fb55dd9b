//! What the posters say. The fonts hold exactly these characters: run
//! `fonts/make_fonts.py` after a change.

use crate::Script;

/// Headlines of one or two lines.
pub(crate) fn headlines(script: Script) -> &'static [&'static [&'static str]] {
    match script {
        Script::Latin => &[
            &["SUMMER", "FESTIVAL"],
            &["Hello", "World"],
            &["Happy Birthday"],
            &["BIG SALE", "50% OFF"],
            &["Coffee Morning"],
            &["Jazz", "Night Live"],
            &["Winter Market"],
            &["RUN", "the City"],
            &["Open House"],
            &["GALAXY 2026"],
        ],
        Script::Korean => &[
            &["여름 축제"],
            &["봄맞이", "특가 세일"],
            &["한강 음악회"],
            &["새해 복", "많이 받으세요"],
            &["작은 책방"],
            &["가을 운동회"],
            &["도시의 밤"],
        ],
        Script::Chinese => &[
            &["新年快乐"],
            &["夏日音乐节"],
            &["中秋团圆"],
            &["城市之光", "摄影展"],
            &["咖啡时间"],
            &["春季", "新品上市"],
            &["冬日市集"],
        ],
    }
}

/// Small print.
pub(crate) fn details(script: Script) -> &'static [&'static str] {
    match script {
        Script::Latin => {
            &["Saturday 12 June, Main Street 5", "Doors open at 7 pm", "Free entry for members", "www.example.org"]
        }
        Script::Korean => &["6월 12일 토요일 오후 7시", "입장료 무료, 누구나 환영", "시민 공원 야외 무대"],
        Script::Chinese => &["6月12日 星期六 晚上7点", "免费入场 欢迎参加", "人民公园露天舞台"],
    }
}
