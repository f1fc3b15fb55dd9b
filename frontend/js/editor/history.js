// @ts-check
import { signal } from "../lib/signal.js";
import { doc, layersNow } from "./document.js";
import { saveEdits } from "./kept.js";

/** @typedef {import("../types.js").Layer} Layer */

/** Whether there is anything to undo or redo. */
export const history = signal({ undo: false, redo: false });

const HISTORY_MAX = 100;

/** @type {Layer[][]} */
let past = [];
/** @type {Layer[][]} */
let future = [];
/**
 * What the latest edit merges with.
 * @type {string | null}
 */
let lastMerge = null;

/**
 * Begins anew; `steps` are what can be undone from the start.
 * @param {Layer[][]} [steps]
 */
export function startHistory(steps = []) {
  past = steps;
  future = [];
  lastMerge = null;
  tell();
}

/**
 * Replaces the layers. Edits in a row with the same `merge` are undone as one
 * (a slider, a nudged layer).
 * @param {Layer[]} layers
 * @param {string | null} [merge]
 */
export function edit(layers, merge = null) {
  if (merge === null || merge !== lastMerge) past = [...past, layersNow()].slice(-HISTORY_MAX);
  lastMerge = merge;
  future = [];
  put(layers);
}

/** Ends a row of merged edits. */
export function endEdit() {
  lastMerge = null;
}

/**
 * The layers as they were before the row of edits with this `merge` began.
 * @param {string} merge
 */
export function beforeMerged(merge) {
  return (merge === lastMerge && past.at(-1)) || layersNow();
}

export function undo() {
  const layers = past.at(-1);
  if (!layers) return;
  future = [layersNow(), ...future];
  past = past.slice(0, -1);
  lastMerge = null;
  put(layers);
}

export function redo() {
  const [layers, ...rest] = future;
  if (!layers) return;
  past = [...past, layersNow()];
  future = rest;
  lastMerge = null;
  put(layers);
}

/**
 * Changes the document and its whole history, so that undo does not revert this.
 * @param {(layers: Layer[]) => Layer[]} change
 */
export function rewrite(change) {
  if (!doc.value) return;
  past = past.map(change);
  future = future.map(change);
  put(change(doc.value.layers), change(doc.value.delivered));
}

/**
 * @param {Layer[]} layers
 * @param {Layer[]} [delivered]
 */
function put(layers, delivered = doc.value?.delivered ?? []) {
  if (!doc.value) return;
  doc.value = { ...doc.value, layers, delivered };
  saveEdits(doc.value.id, layers, delivered);
  tell();
}

function tell() {
  history.value = { undo: past.length > 0, redo: future.length > 0 };
}
