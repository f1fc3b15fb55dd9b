//! Trees of results: each with its edits and, inside the layers that were split again, the trees of their parts.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;

use super::results::StoredResult;
use super::{Store, StoreError};
use crate::tree::{Child, MAX_DEPTH, Tree, TreeLayer, words};
use crate::{JobId, Metadata};

/// A tree, and the results that it was read from, which are still open.
#[derive(Debug, Clone)]
pub struct StoredTree {
    pub tree: Tree,
    pub results: HashMap<JobId, StoredResult>,
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
        self.read_tree(result, true).await
    }

    /// The tree of an open result with every layer as the engines made it.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn unedited_tree_of(&self, result: &StoredResult) -> Result<Option<StoredTree>, StoreError> {
        self.read_tree(result, false).await
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

    async fn read_tree(&self, result: &StoredResult, edited: bool) -> Result<Option<StoredTree>, StoreError> {
        let mut reader =
            TreeReader { store: self, edited, seen: HashSet::from([result.id()]), results: HashMap::new() };
        let tree = reader.read(result.clone(), MAX_DEPTH).await?;
        Ok(tree.map(|tree| StoredTree { tree, results: reader.results }))
    }
}

struct TreeReader<'a> {
    store: &'a Store,
    /// Whether layers are shown as people edited them.
    edited: bool,
    /// The results that are in the tree already: in a damaged record one may name another twice.
    seen: HashSet<JobId>,
    results: HashMap<JobId, StoredResult>,
}

impl TreeReader<'_> {
    fn read(
        &mut self,
        result: StoredResult,
        depth: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Tree>, StoreError>> + Send + '_>> {
        Box::pin(async move {
            let (metadata, edits) = tokio::try_join!(result.metadata(), result.edits())?;
            let (Some(metadata), mut edits) = (metadata, edits) else { return Ok(None) };
            if !self.edited {
                edits.layers.clear();
                edits.order.clear();
            }
            let count = u32::try_from(metadata.layers.len()).unwrap_or(u32::MAX);
            let mut layers = Vec::new();
            for number in edits.stacked(count) {
                let Some(info) = metadata.layers.get(number as usize) else { continue };
                let edit = edits.layers.remove(&number).unwrap_or_default();
                let child = match (edits.children.get(&number), info.bounding_box) {
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
                    name: words::shown_name(&info.name, info.live_text.as_ref(), &edit),
                    kind: info.kind,
                    text: words::shown_words(info.text.as_deref(), info.live_text.as_ref(), &edit.text),
                    live_text: info.live_text.clone(),
                    made: (info.name.clone(), info.text.clone()),
                    group: info.group,
                    label: info.label.clone(),
                    bounding_box: info.bounding_box,
                    edit,
                    child,
                    file: info.file.clone(),
                });
            }
            let (width, height) = metadata.canvas();
            let title = metadata.title().to_owned();
            let density = metadata.density();
            let tree = Tree { job_id: result.id(), width, height, revision: edits.revision, layers, title, density };
            self.results.insert(result.id(), result);
            Ok(Some(tree))
        })
    }
}
