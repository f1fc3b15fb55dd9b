// @ts-check
import { pick, picked } from "./display.js";
import { doc, layersNow } from "./document.js";
import { edit } from "./history.js";
import { copyOf, outermost, removePicked } from "./arrange.js";
import { membersOf, pathOf, pathTo } from "./tree.js";

/**
 * Layers and groups that were copied, which the page keeps.
 *
 * @typedef {import("../types.js").Layer} Layer
 */

/** How far each further copy lies from the one before, in pixels. */
const ASIDE = 16;

/**
 * The layers of each thing that was copied, as if it were in no group.
 * @type {{ document: string, things: { key: number, members: Layer[] }[], pasted: number } | null}
 */
let held = null;

/** Whether there is something to paste. */
export const canPaste = () => held !== null && held.document === doc.value?.id;

/** Keeps what is selected. Answers with whether that is anything. */
export function copyPicked() {
  const layers = layersNow();
  if (!doc.value || picked.value.length === 0) return false;
  const keys = outermost(layers, picked.value).sort((a, b) => layers.indexOf(membersOf(layers, a)[0]) - layers.indexOf(membersOf(layers, b)[0]));
  const things = keys.map((key) => {
    const depth = pathTo(layers, key).length - 1;
    return { key, members: membersOf(layers, key).map((layer) => ({ ...layer, groups: layer.groups.slice(depth) })) };
  });
  held = { document: doc.value.id, things, pasted: 0 };
  return true;
}

/** Keeps what is selected, and deletes it. */
export function cutPicked() {
  if (!copyPicked() || !held) return false;
  // Pasted where it was.
  held.pasted = -1;
  removePicked();
  return true;
}

/**
 * `layers` with copies above what the last of `keys` stands for, inside the group that that is in, or above all.
 * @param {Layer[]} layers
 * @param {{ key: number, members: Layer[] }[]} things
 * @param {number[]} keys
 * @param {number} by how far they are moved, in pixels
 * @returns {{ layers: Layer[], keys: number[] }}
 */
export function pasted(layers, things, keys, by) {
  const above = keys.at(-1);
  const below = above === undefined ? [] : membersOf(layers, above);
  const at = below.length > 0 ? layers.indexOf(below[below.length - 1]) + 1 : layers.length;
  const groups = below[0]?.groups.slice(0, pathOf(below[0]).indexOf(above ?? -1)) ?? [];
  const copies = things.map(({ key, members }) => copyOf(members, key, by));
  const fresh = copies.flatMap((copy) => copy.members.map((layer) => ({ ...layer, groups: [...groups, ...layer.groups] })));
  return { layers: [...layers.slice(0, at), ...fresh, ...layers.slice(at)], keys: copies.map((copy) => copy.key) };
}

/** Pastes what was copied. Answers with whether that is anything. */
export function paste() {
  if (!held || !canPaste()) return false;
  held.pasted += 1;
  const { layers, keys } = pasted(layersNow(), held.things, picked.value, ASIDE * held.pasted);
  edit(layers);
  pick(keys);
  return true;
}
