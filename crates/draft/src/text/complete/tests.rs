use super::*;
use crate::monitor::monitor;

/// Bars of letters from x = 100 on, 20 apart.
fn bar(x: usize, y: usize, from: usize, to: usize) -> bool {
    (40..70).contains(&y) && x >= 100 && (from..to).contains(&((x - 100) / 20)) && (x - 100) % 20 < 7
}

fn completed(picture: impl Fn(usize, usize) -> bool + Sync) -> Plane<bool> {
    let image = Plane::from_fn(420, 110, |x, y| if picture(x, y) { [20, 20, 70] } else { [240, 230, 220] });
    let rect = Rect { x0: 100, y0: 42, x1: 200, y1: 68 };
    let marked = Plane::new(rect.width(), rect.height(), true);
    let known = Rect { x0: 98, y0: 38, x1: 200, y1: 72 };
    let mask = Plane::from_fn(known.width(), known.height(), |x, y| bar(x + known.x0, y + known.y0, 0, 5));
    let line = Found { marked: &marked, marked_rect: rect, reach: 12.0, mask: &mask, rect: known, rough: false };
    let (monitor, _reporter) = monitor();
    let whole = complete(&image, &[line], &monitor).expect("nobody stops it").remove(0);
    let mut all = Plane::new(420, 110, false);
    all.paste(whole.rect, &whole.mask, &whole.mask);
    all
}

#[test]
fn the_last_letters_and_the_full_stop_join_the_line() {
    let dot = |x: usize, y: usize| (244..249).contains(&x) && (65..70).contains(&y);
    let all = completed(|x, y| bar(x, y, 0, 7) || dot(x, y));
    assert!(all.at(222, 50) && all.at(246, 67), "letters and dot");
    let wrong = (0..110).any(|y| (0..420).any(|x| all.at(x, y) && !bar(x, y, 0, 7) && !dot(x, y)));
    assert!(!wrong, "the background stays");
}

#[test]
fn the_dots_of_small_print_join_it() {
    // Stems of one pixel with soft edges, as in small print; above every second one a dot.
    let ink = |x: usize, y: usize| -> f32 {
        if !(100..300).contains(&x) || x % 8 > 2 {
            return 0.0;
        }
        let (stem, dot) = ((50..64).contains(&y), (46..48).contains(&y) && x % 16 < 8);
        if stem || dot { [0.4, 1.0, 0.5][x % 8] } else { 0.0 }
    };
    let image = Plane::from_fn(420, 110, |x, y| [40.0, 75.0, 98.0].map(|v: f32| (v + ink(x, y) * (255.0 - v)) as u8));
    let rect = Rect { x0: 98, y0: 42, x1: 302, y1: 66 };
    let marked = Plane::new(rect.width(), rect.height(), true);
    let mask =
        Plane::from_fn(rect.width(), rect.height(), |x, y| y + rect.y0 >= 50 && ink(x + rect.x0, y + rect.y0) > 0.0);
    let line = Found { marked: &marked, marked_rect: rect, reach: 8.0, mask: &mask, rect, rough: false };
    let (monitor, _reporter) = monitor();
    let whole = complete(&image, &[line], &monitor).expect("nobody stops it").remove(0);
    let dots = (0..12).map(|k| 113 + 16 * k);
    assert!(whole.rect.y0 <= 46, "{:?}", whole.rect);
    assert!(dots.clone().all(|x| whole.mask.at(x - whole.rect.x0, 46 - whole.rect.y0)));
}

/// A shadow shifted to the right and down, as dark as a shade of the background.
#[test]
fn a_hard_shadow_joins_its_letters() {
    let shadow = |x: usize, y: usize| x >= 103 && y >= 3 && bar(x - 3, y - 3, 0, 5);
    let image = Plane::from_fn(420, 110, |x, y| match (bar(x, y, 0, 5), shadow(x, y)) {
        (true, _) => [250, 160, 30],
        (_, true) => [20, 10, 35],
        _ => [50, 30, 90],
    });
    let rect = Rect { x0: 98, y0: 38, x1: 200, y1: 72 };
    let mask = Plane::from_fn(rect.width(), rect.height(), |x, y| bar(x + rect.x0, y + rect.y0, 0, 5));
    let marked = Plane::new(rect.width(), rect.height(), true);
    let line = Found { marked: &marked, marked_rect: rect, reach: 12.0, mask: &mask, rect, rough: false };
    let (monitor, _reporter) = monitor();
    let whole = complete(&image, &[line], &monitor).expect("nobody stops it").remove(0);
    let at = |x: usize, y: usize| {
        (whole.mask.at(x - whole.rect.x0, y - whole.rect.y0), whole.edging.at(x - whole.rect.x0, y - whole.rect.y0))
    };
    assert_eq!(at(123, 50), (true, false));
    assert_eq!(at(128, 60), (true, true));
    assert!(!at(135, 60).0, "the gap between the letters");
}

/// What letters 24 px thick take in of a shadow beside them that is blurred by `sigma` px, as a share of themselves.
fn taken_of_a_shadow(sigma: f32) -> f32 {
    let letter = |x: usize, y: usize| {
        (40..120).contains(&y) && (100..400).contains(&x) && ((x - 100) % 60 < 24 || (y < 60 && (x - 100) % 60 < 48))
    };
    let cast = Plane::from_fn(520, 170, |x, y| [if x >= 5 && y >= 6 && letter(x - 5, y - 6) { 0.5 } else { 0.0 }]);
    let cast = if sigma > 0.0 { crate::filter::gaussian(&cast, sigma) } else { cast };
    let image = Plane::from_fn(520, 170, |x, y| {
        let shade = 1.0 - cast.at(x, y)[0];
        if letter(x, y) { [205, 160, 80] } else { [210.0, 110.0, 220.0].map(|v: f32| (v * shade).round() as u8) }
    });
    let rect = Rect { x0: 96, y0: 36, x1: 392, y1: 124 };
    let mask = Plane::from_fn(rect.width(), rect.height(), |x, y| letter(x + rect.x0, y + rect.y0));
    let marked = Plane::new(rect.width(), rect.height(), true);
    let line = Found { marked: &marked, marked_rect: rect, reach: 30.0, mask: &mask, rect, rough: false };
    let (monitor, _reporter) = monitor();
    let whole = complete(&image, &[line], &monitor).expect("nobody stops it").remove(0);
    let letters = (0..170).flat_map(|y| (0..520).map(move |x| (x, y))).filter(|&(x, y)| letter(x, y)).count();
    (whole.mask.count() as f32 - letters as f32) / letters as f32
}

#[test]
fn a_soft_shadow_is_no_part_of_the_letters() {
    for sigma in [2.5, 3.5, 6.0] {
        assert!(taken_of_a_shadow(sigma) < 0.03, "sigma {sigma}: {}", taken_of_a_shadow(sigma));
    }
    assert!(taken_of_a_shadow(0.0) > 0.1, "a hard one is: {}", taken_of_a_shadow(0.0));
    assert!(taken_of_a_shadow(0.6) > 0.1, "also where its edge is smoothed: {}", taken_of_a_shadow(0.6));
}

#[test]
fn an_icon_and_what_is_far_away_do_not() {
    let icon = |x: usize, y: usize| x.abs_diff(225).pow(2) + y.abs_diff(55).pow(2) < 18 * 18;
    assert!(!completed(|x, y| bar(x, y, 0, 5) || icon(x, y)).at(225, 55));
    let far = completed(|x, y| bar(x, y, 0, 5) || bar(x, y, 9, 12));
    assert!(!far.at(283, 50) && far.at(183, 50));
}

#[test]
fn small_print_beside_a_headline_is_not_cut_into_it() {
    // Letters of another line, which begin above what the headline may have.
    let small = |x: usize, y: usize| (14..30).contains(&y) && (100..200).contains(&x) && x % 12 < 4;
    let all = completed(|x, y| bar(x, y, 0, 5) || small(x, y));
    assert!((100..200).all(|x| (0..38).all(|y| !all.at(x, y))));
}

#[test]
fn stars_do_not_lead_from_one_to_the_next() {
    let star = |x: usize, y: usize| {
        x > 210 && [215usize, 240, 265, 290, 315].iter().any(|&cx| x.abs_diff(cx) < 4 && y.abs_diff(45 + cx % 20) < 3)
    };
    let all = completed(|x, y| bar(x, y, 0, 5) || star(x, y));
    assert!((245..420).all(|x| (0..110).all(|y| !all.at(x, y))));
}
