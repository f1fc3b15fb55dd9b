//! What is measured of one poster, and the means over many.

use anyhow::{Context as _, ensure};
use image::RgbaImage;
use layers::metrics::{PairScore, evaluate, pair_score};
use layers::{Kind, LayerStack, flatten, flatten_pictures};

/// Merges that LayerD's protocol allows at most.
const MOST_EDITS: usize = 5;

/// Position of the true layers: background, shapes, subject, text.
const SHAPES: usize = 1;
const SUBJECT: usize = 2;
const TEXT: usize = 3;

/// What is known of a poster besides its layers.
#[derive(Debug, Clone)]
pub(crate) struct Traits {
    /// Kind of background, script, and what casts shadows, in words.
    pub groups: [String; 3],
    pub photo: bool,
    /// Whether its text casts a shadow.
    pub shadowed_text: bool,
}

/// The measures of one decomposition.
#[derive(Debug, Clone)]
pub(crate) struct Measures {
    traits: Traits,
    /// Mean soft IoU of the true layers, each with the predicted one that an
    /// order-keeping matching gives it (0 where it gives none).
    matched: f64,
    shapes: f64,
    subject: f64,
    /// Of the union of all predicted text layers.
    text: PairScore,
    /// Soft IoU of all that is neither text nor background.
    foreground: f64,
    /// Mean difference of the background where the truth hides it.
    hidden: f64,
    /// LayerD: RGB L1 and soft IoU with 0 to 5 merges.
    layerd: Vec<(f64, f64)>,
}

impl Measures {
    /// How good the decomposition is on the whole, to find the worst.
    pub(crate) fn overall(&self) -> f64 {
        self.matched + self.text.alpha_iou - self.hidden
    }
}

/// Scores a decomposition against the four true layers.
pub(crate) fn measure(found: &LayerStack, truth: &LayerStack, traits: Traits) -> anyhow::Result<Measures> {
    ensure!(truth.layers().len() == 4, "a poster has background, shapes, subject and text");
    let of = |k: usize| &truth.layers()[k].pixels;
    let partners = matching(found, truth)?;
    let union = |wanted: &dyn Fn(Kind) -> bool| {
        let chosen = found.iter().filter(|layer| wanted(layer.kind)).cloned().collect();
        flatten(&LayerStack::new(found.width(), found.height(), chosen).expect("layers of one stack"))
    };
    let text = union(&|kind| kind == Kind::Text);
    let foreground = union(&|kind| kind != Kind::Text && kind != Kind::Background);
    let figures = flatten_pictures(truth.width(), truth.height(), &[of(SHAPES), of(SUBJECT)])?;
    let background = found.layers().first().context("a decomposition has a background")?;
    let background = background.on_canvas(found.width(), found.height());
    Ok(Measures {
        traits,
        matched: partners.iter().sum::<f64>() / partners.len() as f64,
        shapes: partners[SHAPES],
        subject: partners[SUBJECT],
        text: pair_score(&text, of(TEXT))?,
        foreground: pair_score(&foreground, &figures)?.alpha_iou,
        hidden: hidden_difference(&background, truth),
        layerd: evaluate(found, truth, MOST_EDITS)?.iter().map(|s| (s.rgb_l1, s.alpha_iou)).collect(),
    })
}

/// Soft IoU of each true layer with its partner, by the order-keeping one-to-one
/// matching that maximises their sum.
fn matching(found: &LayerStack, truth: &LayerStack) -> anyhow::Result<Vec<f64>> {
    let (rows, columns) = (found.layers().len(), truth.layers().len());
    let mut iou = vec![vec![0.0; columns]; rows];
    for (row, layer) in iou.iter_mut().zip(found.layers()) {
        let whole = layer.on_canvas(found.width(), found.height());
        for (value, other) in row.iter_mut().zip(truth.layers()) {
            *value = pair_score(&whole, &other.pixels)?.alpha_iou;
        }
    }
    let mut best = vec![vec![0.0f64; columns + 1]; rows + 1];
    for i in 1..=rows {
        for j in 1..=columns {
            best[i][j] = best[i - 1][j].max(best[i][j - 1]).max(best[i - 1][j - 1] + iou[i - 1][j - 1]);
        }
    }
    let mut partners = vec![0.0; columns];
    let (mut i, mut j) = (rows, columns);
    while i > 0 && j > 0 {
        if best[i][j] == best[i - 1][j] {
            i -= 1;
        } else if best[i][j] == best[i][j - 1] {
            j -= 1;
        } else {
            partners[j - 1] = iou[i - 1][j - 1];
            (i, j) = (i - 1, j - 1);
        }
    }
    Ok(partners)
}

/// Mean difference (0 to 1) of a background from the true one, weighted by how far the
/// true layers hide it.
fn hidden_difference(background: &RgbaImage, truth: &LayerStack) -> f64 {
    let (mut sum, mut weight) = (0.0, 0.0);
    for (x, y, found) in background.enumerate_pixels() {
        let shown: f64 =
            truth.layers()[1..].iter().map(|l| 1.0 - f64::from(l.pixels.get_pixel(x, y)[3]) / 255.0).product();
        let real = truth.layers()[0].pixels.get_pixel(x, y);
        let difference: f64 = (0..3).map(|c| f64::from(found[c].abs_diff(real[c]))).sum::<f64>() / 765.0;
        sum += (1.0 - shown) * difference;
        weight += 1.0 - shown;
    }
    if weight > 0.0 { sum / weight } else { 0.0 }
}

/// A column of the table: its title, whether more is better, and its value for a set of posters.
type Column = (&'static str, bool, fn(&[Measures]) -> f64);

const COLUMNS: [Column; 10] = [
    ("match IoU", true, |all| mean(all.iter().map(|m| m.matched))),
    ("shapes", true, |all| mean(all.iter().map(|m| m.shapes))),
    ("subject", true, |all| mean(all.iter().map(|m| m.subject))),
    ("text IoU", true, |all| mean(all.iter().map(|m| m.text.alpha_iou))),
    ("text L1", false, |all| mean(all.iter().map(|m| m.text.rgb_l1))),
    ("foreground IoU", true, |all| mean(all.iter().map(|m| m.foreground))),
    ("hidden L1", false, |all| mean(all.iter().map(|m| m.hidden))),
    ("shadowed text IoU", true, |all| mean(all.iter().filter(|m| m.traits.shadowed_text).map(|m| m.text.alpha_iou))),
    ("photo subject", true, |all| mean(all.iter().filter(|m| m.traits.photo).map(|m| m.subject))),
    ("photo text IoU", true, |all| mean(all.iter().filter(|m| m.traits.photo).map(|m| m.text.alpha_iou))),
];

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for value in values {
        sum += value;
        count += 1;
    }
    if count == 0 { f64::NAN } else { sum / f64::from(count) }
}

/// Prints a table with a row for each engine.
pub(crate) fn print(rows: &[(&str, &[Measures])]) {
    println!(
        "| | {} |",
        COLUMNS.map(|(title, more, _)| format!("{title} {}", if more { "↑" } else { "↓" })).join(" | ")
    );
    println!("|---{}|", "|---".repeat(COLUMNS.len()));
    for (name, all) in rows {
        let values = COLUMNS.map(|(_, _, value)| format!("{:.3}", value(all)));
        println!("| {name} | {} |", values.join(" | "));
    }
    println!();
    println!("LayerD, RGB L1 ↓ / alpha soft IoU ↑ with 0 to {MOST_EDITS} merges:");
    println!("| | {} |", (0..=MOST_EDITS).map(|e| e.to_string()).collect::<Vec<_>>().join(" | "));
    println!("|---{}|", "|---".repeat(MOST_EDITS + 1));
    for (name, all) in rows {
        let cell = |e: usize| {
            let (l1, iou) = (mean(all.iter().map(|m| m.layerd[e].0)), mean(all.iter().map(|m| m.layerd[e].1)));
            format!("{l1:.3} / {iou:.3}")
        };
        println!("| {name} | {} |", (0..=MOST_EDITS).map(cell).collect::<Vec<_>>().join(" | "));
    }
    println!();
}

/// Prints the means of each kind of background, script and shadow by themselves.
pub(crate) fn print_groups(all: &[Measures]) {
    println!("| | posters | {} |", COLUMNS[..7].iter().map(|c| c.0).collect::<Vec<_>>().join(" | "));
    println!("|---|---{}|", "|---".repeat(7));
    for trait_number in 0..3 {
        let mut names: Vec<&String> = all.iter().map(|m| &m.traits.groups[trait_number]).collect();
        names.sort();
        names.dedup();
        for name in names {
            let group: Vec<Measures> = all.iter().filter(|m| &m.traits.groups[trait_number] == name).cloned().collect();
            let values: Vec<String> = COLUMNS[..7].iter().map(|c| format!("{:.3}", c.2(&group))).collect();
            println!("| {name} | {} | {} |", group.len(), values.join(" | "));
        }
    }
    println!();
}

/// One line for one poster.
pub(crate) fn line(name: &str, m: &Measures) -> String {
    format!(
        "{name}: match {:.3} shapes {:.3} subject {:.3} text {:.3} L1 {:.3} foreground {:.3} hidden {:.3}",
        m.matched, m.shapes, m.subject, m.text.alpha_iou, m.text.rgb_l1, m.foreground, m.hidden
    )
}
