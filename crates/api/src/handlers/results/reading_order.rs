//! The words of layers in the order in which people read them.

use engine::{PixelLine, TextBlock};
use jobs::LayerInfo;
use layers::{Kind, Rect};

/// Words that stand together.
pub(super) struct Passage<'a> {
    pub layer: &'a LayerInfo,
    pub words: String,
    pub bounding_box: Option<Rect>,
    /// The live text, if there is any.
    pub block: Option<&'a TextBlock>,
}

impl<'a> Passage<'a> {
    fn of_block(layer: &'a LayerInfo, block: &'a TextBlock) -> Self {
        Self { layer, words: block.words(), bounding_box: Some(block.bounding_box), block: Some(block) }
    }

    fn of_pixels(layer: &'a LayerInfo, line: &PixelLine) -> Self {
        Self { layer, words: line.words.clone(), bounding_box: Some(line.bounding_box), block: None }
    }

    /// Height of its letters: px an em, or of its box for a line.
    pub(super) fn size(&self) -> f32 {
        let styles = self.block.iter().flat_map(|block| &block.text.lines).flat_map(|line| &line.runs);
        let largest = styles.map(|run| run.style.size).fold(0.0, f32::max);
        let lines = self.words.lines().count().max(1) as f32;
        let height = self.bounding_box.map_or(0.0, |found| found.height as f32 / lines);
        if largest > 0.0 { largest } else { height }
    }
}

/// All words of a result, in reading order.
pub(super) fn passages(layers: &[LayerInfo]) -> Vec<Passage<'_>> {
    let mut found = Vec::new();
    for layer in layers {
        match (&layer.live_text, &layer.text) {
            (Some(live), _) => {
                found.extend(live.blocks.iter().map(|block| Passage::of_block(layer, block)));
                found.extend(live.pixel_lines.iter().map(|line| Passage::of_pixels(layer, line)));
            }
            (None, Some(words)) if layer.kind == Kind::Text && !words.trim().is_empty() => {
                let words = words.clone();
                found.push(Passage { layer, words, bounding_box: layer.bounding_box, block: None });
            }
            _ => {}
        }
    }
    // Somebody may have deleted the words of a block.
    found.retain(|passage| !passage.words.trim().is_empty());
    let boxes: Vec<Rect> = found.iter().map(|passage| passage.bounding_box.unwrap_or(NOWHERE)).collect();
    let mut order = Vec::new();
    read((0..found.len()).collect(), &boxes, &mut order);
    let mut found: Vec<Option<Passage<'_>>> = found.into_iter().map(Some).collect();
    order.into_iter().filter_map(|index| found.get_mut(index)?.take()).collect()
}

/// Of an empty layer: at the top.
const NOWHERE: Rect = Rect { x: 0, y: 0, width: 0, height: 0 };

/// Cuts between boxes, first into rows, then each row into columns, and so on (the XY cut of Nagy and Seth, 1984). What
/// no straight line divides is read by the middle of its boxes.
fn read(mut boxes: Vec<usize>, all: &[Rect], order: &mut Vec<usize>) {
    if boxes.len() < 2 {
        order.append(&mut boxes);
        return;
    }
    let down = |index: &usize| (all[*index].y, all[*index].height);
    let across = |index: &usize| (all[*index].x, all[*index].width);
    for side in [&down as &dyn Fn(&usize) -> (u32, u32), &across] {
        let groups = cut(&boxes, side);
        if groups.len() > 1 {
            groups.into_iter().for_each(|group| read(group, all, order));
            return;
        }
    }
    boxes.sort_by_key(|index| (all[*index].y + all[*index].height / 2, all[*index].x));
    order.append(&mut boxes);
}

/// Groups between which a straight line can pass, by their places on one side.
fn cut(boxes: &[usize], side: &dyn Fn(&usize) -> (u32, u32)) -> Vec<Vec<usize>> {
    let mut sorted = boxes.to_vec();
    sorted.sort_by_key(|index| (side(index), *index));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut end = 0;
    for index in sorted {
        let (start, length) = side(&index);
        match groups.last_mut() {
            Some(group) if start < end => group.push(index),
            _ => groups.push(vec![index]),
        }
        end = end.max(start.saturating_add(length));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(boxes: &[(u32, u32, u32, u32)]) -> Vec<usize> {
        let boxes: Vec<Rect> = boxes.iter().map(|&(x, y, width, height)| Rect { x, y, width, height }).collect();
        let mut order = Vec::new();
        read((0..boxes.len()).collect(), &boxes, &mut order);
        order
    }

    #[test]
    fn titles_come_first_and_columns_are_read_one_after_the_other() {
        // A footer, the right column's two blocks, the left column's, a title.
        let found = order(&[
            (20, 500, 400, 20),
            (300, 100, 100, 90),
            (300, 210, 100, 90),
            (20, 120, 200, 100),
            (20, 230, 200, 60),
            (20, 20, 400, 50),
        ]);
        assert_eq!(found, [5, 3, 4, 1, 2, 0]);
    }

    #[test]
    fn words_side_by_side_are_read_from_the_left() {
        assert_eq!(order(&[(200, 12, 50, 20), (20, 10, 100, 20), (20, 40, 100, 20)]), [1, 0, 2]);
        assert!(order(&[]).is_empty());
    }

    #[test]
    fn what_overlaps_is_read_by_its_middle() {
        assert_eq!(order(&[(10, 40, 100, 60), (50, 20, 100, 60)]), [1, 0]);
    }
}
