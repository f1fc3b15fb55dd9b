// @ts-check
import { signal, stored } from "../lib/signal.js";
import { pathOf } from "./tree.js";

/**
 * @template T
 * @typedef {import("../lib/signal.js").Signal<T>} Signal
 */

/** How the document is shown, and what in it is worked on. None of this is part of the document. */

/**
 * What the canvas shows.
 * @type {Signal<"layers" | "input" | "compare">}
 */
export const mode = signal("layers");

/**
 * What is behind the layers.
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
 * What is being dragged on the canvas and how far it is from its place, or `null`.
 * @type {Signal<{ key: number, dx: number, dy: number } | null>}
 */
export const dragged = signal(null);

/**
 * Whether a layer is among those that the canvas shows.
 * @param {import("../types.js").Layer} layer
 */
export function isShown(layer) {
  return solo.value === null ? layer.visible : pathOf(layer).includes(solo.value);
}

/** Back to how a document is first shown. */
export function resetDisplay() {
  solo.value = null;
  selected.value = null;
  dragged.value = null;
  mode.value = "layers";
}
