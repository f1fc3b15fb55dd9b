// @ts-check
import * as api from "../lib/api.js";
import { jobParams } from "../capabilities.js";
import { messageOf, say, t } from "../lib/i18n.js";
import { follow } from "../lib/live.js";
import { signal } from "../lib/signal.js";
import { failureOf, notify } from "../notices.js";
import { doc, layerOf, partsAt } from "./document.js";
import { takeFrom } from "./history.js";
import { layerTitle } from "./names.js";
import { flush } from "./outbox.js";

/**
 * A layer's job, once there is one, and how far it is.
 * @typedef {{ job?: string, percent: number }} Splitting
 */

/**
 * Layers that are being split, by key.
 * @type {import("../lib/signal.js").Signal<Record<number, Splitting>>}
 */
export const splitting = signal({});

/**
 * @param {number} key
 * @param {Partial<Splitting> | null} fields
 */
function note(key, fields) {
  const { [key]: before = { percent: 0 }, ...others } = splitting.value;
  splitting.value = fields === null ? others : { ...others, [key]: { ...before, ...fields } };
}

/**
 * Whether there is something to split: a picture in a layer's place is none of an engine's layers.
 * @param {import("../types.js").Layer} layer
 */
export const canSplit = ({ info, picture }) => Boolean(info.bounding_box) && !picture;

/**
 * Splits a layer with the current options. The service puts its parts in its place, if there are any.
 * @param {number} key
 */
export async function splitLayer(key) {
  const layer = layerOf(key);
  const open = doc.value?.id;
  if (!layer || !canSplit(layer) || splitting.value[key]) return;
  const name = layerTitle(layer);
  /** @param {string} message */
  const fail = (message) => notify("error", t("split.failed", { name, message }));
  note(key, { percent: 0 });
  try {
    // The parts have the layer's place and size.
    await flush();
    // The parts have the layer's size.
    const { output_size: _, ...params } = jobParams();
    const { job_id: job } = await api.split(layer.job, layer.info.z_index, params);
    note(key, { job });
    const failure = await untilEnd(job, (percent) => note(key, { percent }));
    if (doc.value?.id !== open) return;
    if (failure) return fail(failure);
    if (!open || !(await flush())) return fail(t("error.offline"));
    await takeFrom(() => api.fetchDocument(open));
    if (doc.value?.id !== open) return;
    if (layerOf(key)) return notify("info", t("split.one", { name }));
    notify("info", t("split.done", { name, count: partsAt(key).length }));
  } catch (error) {
    fail(failureOf(error).message);
  } finally {
    note(key, null);
  }
}

/**
 * Stops a layer's job.
 * @param {number} key
 */
export async function stopSplitting(key) {
  const { job } = splitting.value[key] ?? {};
  if (job) await api.remove(job).catch((error) => notify("error", error.message));
}

/**
 * Waits for the end of a job: `null` for success, otherwise why not.
 * @param {string} job
 * @param {(percent: number) => void} onPercent
 * @returns {Promise<string | null>}
 */
function untilEnd(job, onPercent) {
  return new Promise((resolve) => {
    let stop = () => {};
    /** @param {string | null} failure */
    const finish = (failure) => {
      stop();
      resolve(failure);
    };
    /** @param {{ state: string, error?: import("../types.js").Failure | null }} job */
    const look = ({ state, error }) => {
      if (state === "succeeded") finish(null);
      if (state === "failed") finish(error ? say(messageOf(error)) : t("failure.other"));
      if (state === "cancelled") finish(t("end.cancelled"));
    };
    stop = follow(job, {
      onEvent: (event) => {
        if (event.type === "progress") onPercent(event.percent);
        look({ state: event.type, error: event.type === "failed" ? event.error : null });
      },
      onStatus: look,
      onLink: () => {},
      onGone: (error) => finish(error.message),
    });
  });
}
