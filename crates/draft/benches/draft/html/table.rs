//! The tables of the report, and the comparison of two runs.

use std::path::Path;

use anyhow::Context as _;

use super::measures::Measures;
use super::names::Errors;

/// A column: its title, decimals, whether more is better, and its value for a set of posters.
struct Column {
    title: &'static str,
    is_percent: bool,
    value: fn(&[&Measures]) -> Option<f64>,
}

const COLUMNS: [Column; 10] = [
    percent("left % ↓", |all| mean(all.iter().map(|m| Some(m.left)))),
    percent("ghost % ↓", |all| mean(all.iter().map(|m| Some(m.ghost)))),
    percent("wrong % ↓", |all| mean(all.iter().map(|m| Some(m.wrong)))),
    plain("subject IoU ↑", |all| mean(all.iter().map(|m| m.subject))),
    plain("object IoU ↑", |all| mean(all.iter().map(|m| m.object))),
    plain("hidden L1 ↓", |all| mean(all.iter().map(|m| m.hidden))),
    plain("Korean CER ↓", |all| rate(all.iter().map(|m| m.names.korean))),
    plain("other CER ↓", |all| rate(all.iter().map(|m| m.names.other))),
    plain("layers", |all| mean(all.iter().map(|m| Some(m.layers as f64)))),
    plain("seconds", |all| mean(all.iter().map(|m| Some(m.seconds)))),
];

const fn percent(title: &'static str, value: fn(&[&Measures]) -> Option<f64>) -> Column {
    Column { title, is_percent: true, value }
}

const fn plain(title: &'static str, value: fn(&[&Measures]) -> Option<f64>) -> Column {
    Column { title, is_percent: false, value }
}

fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let known: Vec<f64> = values.flatten().collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// Of all characters together: a mean of rates would weigh a poster of one word like a price list.
fn rate(values: impl Iterator<Item = Errors>) -> Option<f64> {
    let mut sum = Errors::default();
    values.for_each(|value| sum += value);
    sum.rate()
}

impl Column {
    fn text(&self, posters: &[&Measures]) -> String {
        match (self.value)(posters) {
            Some(value) if self.is_percent => format!("{:.1}", 100.0 * value),
            Some(value) => format!("{value:.3}"),
            None => "–".to_owned(),
        }
    }

    /// The change from one run to another.
    fn change(&self, before: &[&Measures], after: &[&Measures]) -> String {
        let (Some(before), Some(after)) = ((self.value)(before), (self.value)(after)) else { return "–".to_owned() };
        let change = after - before;
        match self.is_percent {
            true if change.abs() < 0.0005 => "·".to_owned(),
            true => format!("{:+.1}", 100.0 * change),
            false if change.abs() < 0.0005 => "·".to_owned(),
            false => format!("{change:+.3}"),
        }
    }
}

/// One row for each poster, then the means of sets of them.
pub(crate) fn print(all: &[Measures], is_tuning: impl Fn(&str) -> bool) {
    heading("poster");
    for one in all {
        row(&format!("{} ({}, {})", one.name, one.kind, one.script), |column| column.text(&[one]));
    }
    println!();
    heading("mean of");
    for (name, posters) in sets(all, is_tuning) {
        row(&format!("{name} ({})", posters.len()), |column| column.text(&posters));
    }
    println!();
}

/// What changed against an earlier run, on the posters that both have.
pub(crate) fn print_against(all: &[Measures], earlier: &Path, is_tuning: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let bytes = std::fs::read(earlier).with_context(|| earlier.display().to_string())?;
    let before: Vec<Measures> = serde_json::from_slice(&bytes)?;
    let counterpart = |one: &Measures| before.iter().find(|other| other.name == one.name);
    println!("Against {}:\n", earlier.display());
    heading("change of");
    let both: Vec<Measures> = all.iter().filter(|one| counterpart(one).is_some()).cloned().collect();
    for one in &both {
        let other: Vec<&Measures> = counterpart(one).into_iter().collect();
        row(&one.name, |column| column.change(&other, &[one]));
    }
    for (name, posters) in sets(&both, is_tuning) {
        let others: Vec<&Measures> = posters.iter().filter_map(|one| counterpart(one)).collect();
        row(&format!("**{name}**"), |column| column.change(&others, &posters));
    }
    println!();
    Ok(())
}

/// Tuning and final posters; the latter by kind and by script as well.
fn sets(all: &[Measures], is_tuning: impl Fn(&str) -> bool) -> Vec<(String, Vec<&Measures>)> {
    let (tuning, rest): (Vec<&Measures>, Vec<&Measures>) = all.iter().partition(|one| is_tuning(&one.name));
    let mut sets = vec![("tuning".to_owned(), tuning), ("final".to_owned(), rest.clone())];
    for trait_of in [|one: &Measures| one.kind.clone(), |one: &Measures| one.script.clone()] {
        let mut names: Vec<String> = rest.iter().map(|one| trait_of(one)).collect();
        names.sort();
        names.dedup();
        for name in names {
            let chosen = rest.iter().copied().filter(|one| trait_of(one) == name).collect();
            sets.push((format!("final, {name}"), chosen));
        }
    }
    sets.retain(|(_, posters)| !posters.is_empty());
    sets
}

fn heading(first: &str) {
    println!("| {first} | {} |", COLUMNS.map(|column| column.title).join(" | "));
    println!("|---{}|", "|---".repeat(COLUMNS.len()));
}

fn row(name: &str, value: impl Fn(&Column) -> String) {
    println!("| {name} | {} |", COLUMNS.each_ref().map(value).join(" | "));
}
