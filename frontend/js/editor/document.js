// @ts-check
import { t } from "../lib/i18n.js";
import { signal } from "../lib/signal.js";
import { around, boxOf, seenOf, uprightOf } from "./geometry.js";
import { groupTitle, layerTitle } from "./names.js";
import { groupOf, membersOf } from "./tree.js";

/**
 * The document on the page; `null` while there is none.
 * @type {import("../lib/signal.js").Signal<import("../types.js").Doc | null>}
 */
export const doc = signal(null);

/** The layers of the document, the lowest first; none while there is no document. */
export const layersNow = () => doc.value?.layers ?? [];

/**
 * The layer with a key; `null` for a group.
 * @param {number | null} key
 */
export const layerOf = (key) => layersNow().find((layer) => layer.key === key) ?? null;

/**
 * The layer or, where it was split, the parts that a key stands for.
 * @param {number | null} key
 */
export const partsAt = (key) => (key === null ? [] : membersOf(layersNow(), key));

/**
 * The name of a layer or group in the page's language.
 * @param {number} key
 */
export function nameOf(key) {
  const [layer, group] = [layerOf(key), groupOf(layersNow(), key)];
  if (layer) return layerTitle(layer);
  return group ? groupTitle(group) : "";
}

/**
 * The name that a layer or group has when nobody gives it one.
 * @param {number} key
 */
export const givenName = (key) => layerOf(key)?.info.name ?? groupOf(layersNow(), key)?.given ?? t("layers.unnamedGroup");

/**
 * Where a layer's or a group's pixels lie on the canvas; `null` where there are none.
 * @param {number | null} key
 */
export const boxAt = (key) => around(partsAt(key).map(boxOf));

/**
 * The same with effects.
 * @param {number} key
 */
export const seenAt = (key) => around(partsAt(key).map(seenOf));

/**
 * The place of several before they are turned, and how far they are turned about the middle of that, in degrees clockwise:
 * only a single layer is.
 * @param {number[]} keys
 * @returns {{ box: import("../types.js").Rect, turn: number } | null}
 */
export function shapeOf(keys) {
  const layer = keys.length === 1 ? layerOf(keys[0]) : null;
  const box = layer && layer.rotation !== 0 ? uprightOf(layer) : around(keys.map(boxAt));
  return box && { box, turn: layer?.rotation ?? 0 };
}
