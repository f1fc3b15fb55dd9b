// @ts-check
import * as api from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { signal } from "../lib/signal.js";
import { notify, report } from "../notices.js";
import { doc, layersNow } from "./document.js";
import { elementsFrom, layersFrom } from "./elements.js";
import { flush, isSent, known, push } from "./outbox.js";

/** @typedef {import("../types.js").Layer} Layer */

/** Whether there is anything to undo or redo. */
export const history = signal({ undo: false, redo: false });

const HISTORY_MAX = 100;

/**
 * What this page has seen of the document; further steps are with the service.
 * @type {Layer[][]}
 */
let past = [];
/** @type {Layer[][]} */
let future = [];
/** How many steps there are that this page has not seen. */
let unseen = { undo: 0, redo: 0 };
/**
 * What the latest edit merges with.
 * @type {string | null}
 */
let lastMerge = null;

/**
 * Begins anew, with the steps that the service has.
 * @param {{ undo: number, redo: number }} [steps]
 */
export function startHistory(steps = { undo: 0, redo: 0 }) {
  [past, future, unseen, lastMerge] = [[], [], { undo: steps.undo, redo: steps.redo }, null];
  tell();
}

// While this page has no steps of its own, there are those of the service.
known.subscribe((info) => {
  if (!info || past.length + future.length > 0) return;
  unseen = { undo: info.undo, redo: info.redo };
  tell();
});

/**
 * Replaces the layers. Edits in a row with the same `merge` are undone as one
 * (a slider, a nudged layer).
 * @param {Layer[]} layers
 * @param {string | null} [merge]
 */
export function edit(layers, merge = null) {
  if (!doc.value) return;
  const amend = merge !== null && merge === lastMerge;
  if (!amend) past = [...past, layersNow()].slice(-HISTORY_MAX);
  lastMerge = merge;
  [future, unseen] = [[], { ...unseen, redo: 0 }];
  show(layers);
  push({ kind: "put", elements: elementsFrom(layers), amend });
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
  if (!layers) return walk("undo");
  future = [layersNow(), ...future];
  past = past.slice(0, -1);
  show(layers);
  push({ kind: "undo" });
}

export function redo() {
  const [layers, ...rest] = future;
  if (!layers) return walk("redo");
  past = [...past, layersNow()];
  future = rest;
  show(layers);
  push({ kind: "redo" });
}

/** Everything as the service made it. */
export async function reset() {
  const { job_id: id } = known.value ?? {};
  if (!id || !(await flush())) return;
  await takeFrom(async () => {
    await api.reset(id);
    return api.fetchDocument(id);
  });
}

/**
 * Takes a step that only the service knows.
 * @param {"undo" | "redo"} way
 */
async function walk(way) {
  if (unseen[way] === 0) return;
  // The next press comes before the answer.
  unseen = { ...unseen, [way]: 0 };
  if (!(await flush()) || !known.value) return notify("info", t("document.waiting"));
  const { job_id: id, revision } = known.value;
  await takeFrom(() => api.step(id, way, revision));
}

/**
 * Shows the document that the service answers with, whose history is the service's.
 * @param {() => Promise<import("../types.js").DocumentInfo>} ask
 */
export async function takeFrom(ask) {
  const { job_id: id } = known.value ?? {};
  try {
    const info = await ask();
    if (known.value?.job_id !== id) return;
    // What was edited meanwhile goes on top of the document before; it is sent with this revision.
    if (!isSent()) return void (known.value = info);
    known.value = info;
    take(info);
  } catch (error) {
    report(error);
  }
}

/** @param {import("../types.js").DocumentInfo} info */
export function take(info) {
  if (!doc.value) return;
  doc.value = { ...doc.value, layers: layersFrom(info) };
  startHistory(info);
}

/** @param {Layer[]} layers */
function show(layers) {
  if (doc.value) doc.value = { ...doc.value, layers };
  tell();
}

function tell() {
  history.value = { undo: past.length + unseen.undo > 0, redo: future.length + unseen.redo > 0 };
}
