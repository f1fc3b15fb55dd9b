// @ts-check
import { layerOf, layersNow } from "./document.js";
import { editLayer } from "./edits.js";
import { edit } from "./history.js";
import { isShown } from "./display.js";
import { placeOf } from "./geometry.js";
import { blocksOf, countIn, replaced, wordsIn, wordsOf } from "./words.js";

/**
 * Edits of words.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Text} Text
 */

/**
 * Puts a block in place of its pixels; as it was read, it is its pixels again.
 * @param {number} key
 * @param {number} number
 * @param {Text} text
 * @param {string | null} [merge]
 */
export function setBlock(key, number, text, merge = null) {
  const layer = layerOf(key);
  if (!layer) return;
  const read = layer.info.live_text?.blocks[number]?.text;
  const isRead = read && JSON.stringify(read) === JSON.stringify(text);
  editLayer(key, { text: isRead ? without(layer, number) : { ...layer.text, [number]: text } }, merge);
}

/**
 * Shows the pixels of a block again.
 * @param {number} key
 * @param {number} number
 */
export function restoreBlock(key, number) {
  const layer = layerOf(key);
  if (layer?.text?.[number]) editLayer(key, { text: without(layer, number) });
}

/**
 * @param {Layer} layer
 * @param {number} number
 */
function without(layer, number) {
  const left = Object.entries(layer.text ?? {}).filter(([one]) => one !== String(number));
  return left.length > 0 ? Object.fromEntries(left) : null;
}

/**
 * How often words stand in the document's texts.
 * @param {string} wanted
 */
export const count = (wanted) => layersNow().flatMap(blocksOf).reduce((sum, { text }) => sum + countIn(text, wanted), 0);

/**
 * Puts other words in place of `wanted` in all texts, as one step. Answers with how often.
 * @param {string} wanted
 * @param {string} by
 */
export function replaceAll(wanted, by) {
  const found = count(wanted);
  if (found === 0) return 0;
  edit(layersNow().map((layer) => {
    const changed = blocksOf(layer).filter(({ text }) => countIn(text, wanted) > 0);
    if (changed.length === 0) return layer;
    return { ...layer, text: { ...layer.text, ...Object.fromEntries(changed.map(({ number, text }) => [number, replaced(text, wanted, by)])) } };
  }));
  return found;
}

/** All words that are shown, from the top to the bottom. */
export function allWords() {
  const passages = layersNow().filter(isShown).flatMap((layer) => {
    const blocks = blocksOf(layer).map(({ text, read }) => ({ words: wordsOf(text), at: placeOf(layer, read?.bounding_box ?? text.position) }));
    const words = wordsIn(layer);
    return blocks.length > 0 || !words ? blocks : [{ words, at: placeOf(layer, layer.info.bounding_box ?? { x: 0, y: 0 }) }];
  });
  return passages.sort((a, b) => a.at.y - b.at.y || a.at.x - b.at.x).map(({ words }) => words).join("\n\n");
}
