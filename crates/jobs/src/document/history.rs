//! Steps that can be taken back and taken again, and versions that have a name.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Document, Element, PictureId};
use crate::edits::Edits;

/// What turns a document into the one beside it in its history.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// Elements as they are on the other side; `None` for those that are not there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    elements: BTreeMap<u64, Option<Element>>,
    /// The ids of all elements in their order, where that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Vec<u64>>,
}

/// A document that somebody gave a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Never used again for another one.
    pub number: u32,
    pub name: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    pub document: Document,
}

impl Step {
    /// The way from `from` to `to`.
    fn between(from: &Document, to: &Document) -> Self {
        let by_id = |document: &Document| -> BTreeMap<u64, Element> {
            document.elements.iter().map(|element| (element.id, element.clone())).collect()
        };
        let (before, mut after) = (by_id(from), by_id(to));
        let ids: BTreeSet<u64> = before.keys().chain(after.keys()).copied().collect();
        let changed = |id: &u64| before.get(id) != after.get(id);
        let changed: Vec<u64> = ids.into_iter().filter(changed).collect();
        let elements = changed.into_iter().map(|id| (id, after.remove(&id))).collect();
        let order = |document: &Document| document.elements.iter().map(|element| element.id).collect::<Vec<_>>();
        let order = Some(order(to)).filter(|to| *to != order(from));
        Self { elements, order }
    }

    /// The document on its other side.
    fn taken(&self, from: &Document) -> Document {
        let mut elements: Vec<Element> = Vec::new();
        for element in &from.elements {
            match self.elements.get(&element.id) {
                None => elements.push(element.clone()),
                Some(Some(changed)) => elements.push(changed.clone()),
                Some(None) => {}
            }
        }
        let here: BTreeSet<u64> = from.elements.iter().map(|element| element.id).collect();
        elements.extend(self.elements.iter().filter(|(id, _)| !here.contains(id)).filter_map(|(_, one)| one.clone()));
        if let Some(order) = &self.order {
            let places: BTreeMap<u64, usize> = order.iter().enumerate().map(|(at, id)| (*id, at)).collect();
            elements.sort_by_key(|element| places.get(&element.id).copied().unwrap_or(usize::MAX));
        }
        let mut document = Document { elements };
        document.sort();
        document
    }

    /// The pictures on its other side.
    pub(crate) fn pictures(&self) -> impl Iterator<Item = PictureId> {
        self.elements.values().filter_map(|element| Some(element.as_ref()?.picture.as_ref()?.id))
    }

    /// The bytes that it takes.
    fn size(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }
}

impl Edits {
    /// The most steps that can be taken back.
    pub const MAX_STEPS: usize = 100;
    /// The most bytes that steps take.
    const MAX_STEP_BYTES: usize = 1 << 20;
    /// The most versions of a document.
    pub const MAX_VERSIONS: usize = 20;

    /// Makes `after` the document, where `before` was shown. `amends`: it belongs to the latest step.
    pub fn put(&mut self, before: &Document, after: Document, amends: bool) {
        if *before == after {
            return;
        }
        let start = if amends { self.past.pop().map(|step| step.taken(before)) } else { None };
        self.past.push(Step::between(&after, start.as_ref().unwrap_or(before)));
        self.future.clear();
        self.document = Some(after);
        self.layers.clear();
        self.order.clear();
        self.forget();
    }

    /// Takes the latest step back, or the latest that was taken back again; `false` where there is none.
    pub fn walk(&mut self, shown: &Document, back: bool) -> bool {
        let (from, to) = if back { (&mut self.past, &mut self.future) } else { (&mut self.future, &mut self.past) };
        let Some(step) = from.pop() else { return false };
        let other = step.taken(shown);
        to.push(Step::between(&other, shown));
        self.document = Some(other);
        self.forget();
        true
    }

    /// Gives the document that is shown a name, which it keeps beside the others; `None` where there are too many.
    pub fn name_version(&mut self, shown: &Document, name: String, now: OffsetDateTime) -> Option<&Version> {
        if self.versions.len() >= Self::MAX_VERSIONS {
            return None;
        }
        self.versions_made += 1;
        let document = shown.clone();
        self.versions.push(Version { number: self.versions_made, name, created_at: now, document });
        self.versions.last()
    }

    /// Drops the oldest steps beyond the limits.
    fn forget(&mut self) {
        for steps in [&mut self.past, &mut self.future] {
            let mut bytes = 0;
            let kept = steps.iter().rev().take(Self::MAX_STEPS).take_while(|step| {
                bytes += step.size();
                bytes <= Self::MAX_STEP_BYTES
            });
            let dropped = steps.len() - kept.count();
            steps.drain(..dropped);
        }
    }
}
