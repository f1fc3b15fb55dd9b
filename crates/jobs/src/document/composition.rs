//! Documents as groups and layers to export.

use layers::{DocumentGroup, Node};

use super::{Document, Element, layer_in};
use crate::tree::{Composition, Leaf, Output, Tree, words};

impl Document {
    /// What an export writes of the document: it must be settled, or checked against the same tree.
    pub fn composition(&self, tree: &Tree, output: &Output) -> Composition {
        let (mut leaves, mut elements) = (Vec::new(), Vec::new());
        let nodes = self.nodes((tree, output), None, &mut leaves, &mut elements);
        let times = f64::from(output.scale);
        let document = layers::Document {
            title: tree.title.clone(),
            width: tree.width.saturating_mul(output.scale),
            height: tree.height.saturating_mul(output.scale),
            // On the same paper.
            density: output.density.or_else(|| tree.density?.scaled(times, times)),
            nodes,
        };
        Composition { document, leaves, elements }
    }

    /// `shown` gets the element of each leaf.
    fn nodes(
        &self,
        (tree, output): (&Tree, &Output),
        parent: Option<u64>,
        leaves: &mut Vec<Leaf>,
        shown: &mut Vec<u64>,
    ) -> Vec<Node> {
        let mut nodes = Vec::new();
        for element in self.children(parent) {
            if element.is_group() {
                let children = self.nodes((tree, output), Some(element.id), leaves, shown);
                if !children.is_empty() {
                    let edit = &element.edit;
                    let (name, visible, opacity) = (element.name(tree), edit.visible, edit.opacity);
                    let blend = edit.blend;
                    nodes.push(Node::Group(DocumentGroup { name, visible, opacity, blend, children }));
                }
            } else if let Some(picture) = &element.picture {
                let info = element.layer.and_then(|layer| layer_in(tree, layer));
                let kind = info.map_or(picture.kind, |info| info.kind);
                nodes.push(picture.leaf((element.name(tree), kind), &element.edit, output, leaves));
                shown.push(element.id);
            } else if let Some(layer) = element.layer
                && let Some((owner, origin)) = tree.find(layer.job_id)
                && let Some(info) = owner.layers.iter().find(|one| one.layer == layer.layer)
            {
                nodes.push(info.leaf((layer.job_id, origin), &element.edit, output, leaves));
                shown.push(element.id);
            }
        }
        nodes
    }
}

impl Element {
    /// Its name: the given one, or else what it says or what the engine called it.
    pub fn name(&self, tree: &Tree) -> String {
        match self.layer.and_then(|layer| layer_in(tree, layer)) {
            Some(info) if self.picture.is_some() => self.edit.name.clone().unwrap_or_else(|| info.name.clone()),
            Some(info) => words::shown_name(&info.name, info.live_text.as_ref(), &self.edit),
            None => {
                let made = || match &self.picture {
                    Some(picture) => picture.plain_name(),
                    None => self.group.map_or("Group", |group| group.name()).to_owned(),
                };
                self.edit.name.clone().unwrap_or_else(made)
            }
        }
    }
}
