//! Trees of results, inside the layers that were split again the trees of their parts; and the documents of them.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;

use super::results::StoredResult;
use super::{Store, StoreError};
use crate::document::Document;
use crate::edits::Edits;
use crate::tree::{Child, MAX_DEPTH, Tree, TreeLayer};
use crate::{JobId, Metadata};

/// A tree, and the results that it was read from, which are still open.
#[derive(Debug, Clone)]
pub struct StoredTree {
    pub tree: Tree,
    /// Those of the result at the top.
    pub edits: Edits,
    pub results: HashMap<JobId, StoredResult>,
    /// What is known of each of them.
    pub metadata: HashMap<JobId, Metadata>,
}

impl StoredTree {
    /// The document of the result at the top as it is now.
    pub fn document(&self) -> Document {
        self.edits.shown(&self.tree)
    }
}

/// What is shown of a result.
#[derive(Debug, Clone)]
pub struct StoredDocument {
    /// Of the outermost result, which the document belongs to.
    pub stored: StoredTree,
    /// The result that was asked for: the outermost one, or one that a layer was split into.
    pub job_id: JobId,
    /// What is shown of it.
    pub document: Document,
}

impl StoredDocument {
    /// Whether the result was made from a layer of another one, which the document belongs to.
    pub fn is_part(&self) -> bool {
        self.stored.tree.job_id != self.job_id
    }

    /// The same after a change of the outermost result's edits.
    pub fn with(mut self, edits: Edits) -> Self {
        self.stored.edits = edits;
        Self { document: shown_of(&self.stored, self.job_id), ..self }
    }

    /// The tree of the result that was asked for.
    pub fn tree(&self) -> &Tree {
        self.stored.tree.find(self.job_id).map_or(&self.stored.tree, |(tree, _)| tree)
    }
}

/// What the document shows of one of its results.
fn shown_of(stored: &StoredTree, job_id: JobId) -> Document {
    let whole = stored.document();
    if stored.tree.job_id == job_id {
        return whole;
    }
    let group = whole.elements.iter().find(|element| element.child == Some(job_id)).map(|group| group.id);
    match (group, stored.tree.find(job_id)) {
        (Some(group), Some((_, origin))) => whole.inside(group).seen_from(origin),
        (Some(group), None) => whole.inside(group),
        (None, Some((tree, _))) => Document::unedited(tree),
        (None, None) => Document::default(),
    }
}

impl Store {
    /// The tree of a result; `None` when there is no such result.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn tree(&self, id: JobId) -> Result<Option<Tree>, StoreError> {
        let Some(result) = self.result(id).await? else { return Ok(None) };
        Ok(self.tree_of(&result).await?.map(|stored| stored.tree))
    }

    /// The tree of an open result; `None` when it was deleted meanwhile.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn tree_of(&self, result: &StoredResult) -> Result<Option<StoredTree>, StoreError> {
        let mut reader = TreeReader {
            store: self,
            seen: HashSet::from([result.id()]),
            results: HashMap::new(),
            metadata: HashMap::new(),
            edits: None,
        };
        let tree = reader.read(result.clone(), MAX_DEPTH).await?;
        let TreeReader { results, metadata, edits, .. } = reader;
        Ok(tree.map(|tree| StoredTree { tree, results, metadata, edits: edits.unwrap_or_default() }))
    }

    /// What is shown of an open result: its document or, where it was made from a layer, the part of that result's document
    /// which stands for the layer. `None` when it was deleted meanwhile.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn document_of(&self, result: &StoredResult) -> Result<Option<StoredDocument>, StoreError> {
        let job_id = result.id();
        let Some(mut stored) = self.tree_of(result).await? else { return Ok(None) };
        let is_part = stored.metadata.get(&job_id).is_some_and(|metadata| metadata.input.parent.is_some());
        if is_part {
            let Some(whole) = self.tree_of(&self.outermost(result).await?).await? else { return Ok(None) };
            stored = whole;
        }
        let document = shown_of(&stored, job_id);
        Ok(Some(StoredDocument { stored, job_id, document }))
    }

    /// The result that this one was split from, and so on up to the first that is no part of another.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn outermost(&self, result: &StoredResult) -> Result<StoredResult, StoreError> {
        let mut found = result.clone();
        for _ in 0..=MAX_DEPTH {
            let Some(parent) = found.metadata().await?.and_then(|metadata| metadata.input.parent) else { break };
            let Some(above) = self.result(parent.job_id).await? else { break };
            // A damaged record may name a result that knows nothing of it.
            if above.edits().await?.children.get(&parent.layer) != Some(&found.id()) {
                break;
            }
            found = above;
        }
        Ok(found)
    }

    /// How many splits lie between a result and the one at the top, which no layer was split for; at most [`MAX_DEPTH`].
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn depth(&self, metadata: &Metadata) -> Result<usize, StoreError> {
        let mut parent = metadata.input.parent.clone();
        for depth in 0..MAX_DEPTH {
            let Some(above) = parent else { return Ok(depth) };
            let Some(metadata) = self.metadata(above.job_id).await? else { return Ok(depth) };
            parent = metadata.input.parent;
        }
        Ok(MAX_DEPTH)
    }
}

struct TreeReader<'a> {
    store: &'a Store,
    /// The results that are in the tree already: in a damaged record one may name another twice.
    seen: HashSet<JobId>,
    results: HashMap<JobId, StoredResult>,
    metadata: HashMap<JobId, Metadata>,
    /// Those of the first result.
    edits: Option<Edits>,
}

impl TreeReader<'_> {
    fn read(
        &mut self,
        result: StoredResult,
        depth: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Tree>, StoreError>> + Send + '_>> {
        Box::pin(async move {
            let (metadata, edits) = tokio::try_join!(result.metadata(), result.edits())?;
            let Some(metadata) = metadata else { return Ok(None) };
            let children = edits.children.clone();
            self.edits.get_or_insert(edits);
            let mut layers = Vec::new();
            for (number, info) in (0..).zip(&metadata.layers) {
                let child = match (children.get(&number), info.bounding_box) {
                    (Some(job_id), Some(area)) if depth > 0 && self.seen.insert(*job_id) => {
                        let tree = match self.store.result(*job_id).await? {
                            Some(part) => self.read(part, depth - 1).await?,
                            None => None,
                        };
                        Some(Child { job_id: *job_id, x: area.x, y: area.y, tree })
                    }
                    _ => None,
                };
                layers.push(TreeLayer {
                    layer: number,
                    name: info.name.clone(),
                    kind: info.kind,
                    text: info.text.clone(),
                    live_text: info.live_text.clone(),
                    group: info.group,
                    bounding_box: info.bounding_box,
                    child,
                    file: info.file.clone(),
                });
            }
            let (width, height) = metadata.canvas();
            let (title, density) = (metadata.title().to_owned(), metadata.density());
            let tree = Tree { job_id: result.id(), width, height, layers, title, density };
            self.metadata.insert(result.id(), metadata);
            self.results.insert(result.id(), result);
            Ok(Some(tree))
        })
    }
}
