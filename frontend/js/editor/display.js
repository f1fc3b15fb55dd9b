// @ts-check
import { signal, stored } from "../lib/signal.js";
import { pathOf } from "./tree.js";

/**
 * @template T
 * @typedef {import("../lib/signal.js").Signal<T>} Signal
 */

/** How the document is shown and which layer is selected. None of this is part of the document. */

/**
 * The canvas shows the layers, the input, or both beside each other.
 * @type {Signal<"layers" | "input" | "compare">}
 */
export const mode = signal("layers");

/**
 * The ground behind the layers.
 * @type {Signal<"checker" | "white" | "black" | "magenta">}
 */
export const ground = stored("unflatten.ground", "checker");

/**
 * Key of the one layer or group that is shown alone, or `null`.
 * @type {Signal<number | null>}
 */
export const solo = signal(null);

/**
 * Key of the layer or group that is worked on, or `null`.
 * @type {Signal<number | null>}
 */
export const selected = signal(null);

/**
 * Keys of all layers and groups that are worked on: `selected` is one of them.
 * @type {Signal<number[]>}
 */
export const picked = signal(/** @type {number[]} */ ([]));

selected.subscribe((key) => {
  if (key === null) picked.value = [];
  else if (!picked.value.includes(key)) picked.value = [key];
});

/**
 * Chooses these and no others.
 * @param {number[]} keys
 */
export function pick(keys) {
  picked.value = keys;
  selected.value = keys.at(-1) ?? null;
}

/**
 * Chooses one more, or one less.
 * @param {number} key
 */
export function pickAlso(key) {
  pick(picked.value.includes(key) ? picked.value.filter((one) => one !== key) : [...picked.value, key]);
}

/**
 * Key of the layer or group that the pointer is over, on the canvas or in the list, or `null`.
 * @type {Signal<number | null>}
 */
export const hovered = signal(null);

/**
 * Key of the layer or group whose name is being typed in the list, or `null`.
 * @type {Signal<number | null>}
 */
export const renaming = signal(null);

/**
 * What the pointer does on the canvas: moves layers or the view, or picks what is seen.
 * @typedef {"move" | "hand" | "pick" | "wand" | "lasso" | "brush" | "eraser"} Tool
 * @type {Signal<Tool>}
 */
export const tool = signal("move");

/**
 * The drag on the canvas: which layer or group, how far from its place; or `null`.
 * @type {Signal<{ key: number, dx: number, dy: number } | null>}
 */
export const dragged = signal(null);

/**
 * Lines that what is dragged was drawn to.
 * @type {Signal<import("./snapping.js").Guide[]>}
 */
export const guides = signal(/** @type {import("./snapping.js").Guide[]} */ ([]));

/**
 * The block of words that somebody types over on the canvas, or `null`.
 * @type {Signal<{ key: number, number: number } | null>}
 */
export const typing = signal(null);

/**
 * Keys of the groups whose parts the list does not show.
 * @type {Signal<Set<number>>}
 */
export const folded = signal(new Set());

// More layers than fit on a screen.
const LONG_LIST = 20;

/**
 * Folds the groups that the service made, where the list would be long.
 * @param {import("../types.js").Layer[]} layers
 */
export function foldLong(layers) {
  const named = layers.flatMap(({ groups }) => groups.filter((group) => group.code).map((group) => group.key));
  folded.value = new Set(layers.length > LONG_LIST ? named : []);
}

/**
 * Shows or hides the parts of a group in the list.
 * @param {number} key
 */
export function fold(key) {
  const keys = new Set(folded.value);
  if (!keys.delete(key)) keys.add(key);
  folded.value = keys;
}

/**
 * Unfolds groups.
 * @param {number[]} keys
 */
export function unfold(keys) {
  if (keys.some((key) => folded.value.has(key))) folded.value = new Set([...folded.value].filter((key) => !keys.includes(key)));
}

/**
 * Whether a layer is among those that the canvas shows.
 * @param {import("../types.js").Layer} layer
 */
export function isShown(layer) {
  if (solo.value !== null) return pathOf(layer).includes(solo.value);
  return layer.visible && layer.groups.every((group) => group.visible);
}

/** Back to how a document is first shown. */
export function resetDisplay() {
  solo.value = null;
  selected.value = null;
  hovered.value = null;
  renaming.value = null;
  tool.value = "move";
  dragged.value = null;
  typing.value = null;
  folded.value = new Set();
  mode.value = "layers";
}
