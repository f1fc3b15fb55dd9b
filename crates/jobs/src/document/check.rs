//! Documents as clients send them.

use std::collections::{HashMap, HashSet};

use super::{Document, Element, PictureId, layer_in};
use crate::edits::LayerEdit;
use crate::tree::Tree;
use crate::tree::words::{self, UnknownBlock};
use crate::{JobId, ParamsError};

/// The largest integer up to which JavaScript has all.
const MAX_ID: u64 = (1 << 53) - 1;

/// Why a document cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DocumentError {
    #[error("elements has {0} entries, and at most {max} are allowed; leave some out", max = Document::MAX_ELEMENTS)]
    TooMany(usize),
    #[error("the id {0} is used by two elements; give each a number of its own, at most {MAX_ID}")]
    Id(u64),
    #[error("element {0} is in group {1}, which is not there; leave \"parent\" out or add that group before it")]
    NoGroup(u64, u64),
    #[error("element {0} is in {1} groups, and at most {max} are allowed; put it into fewer", max = Document::MAX_DEPTH)]
    TooDeep(u64, usize),
    #[error("element {0} is in itself; change its parent or that of a group around it")]
    Cycle(u64),
    #[error("layer {layer} of job {job_id} is not part of this result")]
    UnknownLayer { job_id: JobId, layer: u32 },
    #[error(
        "element {0} is a group and has no layer that was split, but names a job that split it; leave \"child\" out"
    )]
    NoSplit(u64),
    #[error("element {id} cannot be: {problem}")]
    Element { id: u64, problem: ParamsError },
    #[error("the job has no picture {0}; send it to POST /api/jobs/{{id}}/pictures first")]
    UnknownPicture(PictureId),
    #[error(transparent)]
    Words(#[from] UnknownBlock),
    #[error("the document has more than {max} lines and runs of words; shorten some", max = Document::MAX_TEXT_RUNS)]
    TooManyWords,
}

impl Document {
    /// The same document in order, if a client may have it of the result with this tree.
    ///
    /// # Errors
    /// The first that is wrong with it.
    pub fn checked(mut self, tree: &Tree) -> Result<Self, DocumentError> {
        if self.elements.len() > Self::MAX_ELEMENTS {
            return Err(DocumentError::TooMany(self.elements.len()));
        }
        let mut ids = HashSet::new();
        for element in &self.elements {
            if element.id > MAX_ID || !ids.insert(element.id) {
                return Err(DocumentError::Id(element.id));
            }
        }
        self.check_groups()?;
        for element in &mut self.elements {
            element.check(tree)?;
        }
        if self.text_runs() > Self::MAX_TEXT_RUNS {
            return Err(DocumentError::TooManyWords);
        }
        self.sort();
        Ok(self)
    }

    pub(crate) fn text_runs(&self) -> usize {
        self.elements.iter().map(|element| element.edit.text_runs()).sum()
    }

    fn check_groups(&self) -> Result<(), DocumentError> {
        let groups = self.elements.iter().filter(|element| element.is_group());
        let parents: HashMap<u64, Option<u64>> = groups.map(|group| (group.id, group.parent)).collect();
        for element in &self.elements {
            let (mut depth, mut parent) = (0, element.parent);
            while let Some(group) = parent {
                depth += 1;
                if group == element.id || depth > self.elements.len() {
                    return Err(DocumentError::Cycle(element.id));
                }
                parent = *parents.get(&group).ok_or(DocumentError::NoGroup(element.id, group))?;
            }
            if depth > Self::MAX_DEPTH {
                return Err(DocumentError::TooDeep(element.id, depth));
            }
        }
        Ok(())
    }
}

impl Element {
    fn check(&mut self, tree: &Tree) -> Result<(), DocumentError> {
        let id = self.id;
        self.edit.validate().map_err(|problem| DocumentError::Element { id, problem })?;
        if self.is_group() {
            let LayerEdit { name, visible, opacity, blend, .. } = std::mem::take(&mut self.edit);
            self.edit = LayerEdit { name, visible, opacity, blend, ..LayerEdit::default() };
        }
        if let Some(problem) = self.picture_problem() {
            return Err(DocumentError::Element { id, problem });
        }
        let Some(layer) = self.layer else {
            return if self.child.is_some() { Err(DocumentError::NoSplit(id)) } else { Ok(()) };
        };
        let unknown = DocumentError::UnknownLayer { job_id: layer.job_id, layer: layer.layer };
        let found = layer_in(tree, layer).ok_or(unknown)?;
        Ok(words::check_blocks(layer.layer, found.live_text.as_ref(), &self.edit.text)?)
    }

    /// What is wrong with its picture beside others of its fields.
    fn picture_problem(&self) -> Option<ParamsError> {
        let picture = self.picture.as_ref()?;
        if let Some(problem) = picture.problem() {
            return Some(ParamsError::new("picture", problem));
        }
        if self.child.is_some() {
            let problem = "cannot be on an element whose layer was split; leave \"picture\" or \"child\" out";
            return Some(ParamsError::new("picture", problem.to_owned()));
        }
        let problem = "cannot be edited where the element shows a picture; leave \"text\" or \"picture\" out";
        (!self.edit.text.is_empty()).then(|| ParamsError::new("text", problem.to_owned()))
    }
}
