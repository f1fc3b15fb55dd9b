import * as api from "../lib/api.js";
import { jobParams } from "../capabilities.js";
import { t } from "../lib/i18n.js";
import { follow } from "../lib/live.js";
import { signal } from "../lib/signal.js";
import { notify } from "../state.js";
import { doc, layerOf, partsOf, replaceWithParts } from "./document.js";

/** Layers that are being split: `{ [key]: { job, percent } }`. */
export const splitting = signal({});

function note(key, fields) {
  const { [key]: before, ...others } = splitting.value;
  splitting.value = fields === null ? others : { ...others, [key]: { ...before, ...fields } };
}

/** Splits a layer again with the options as they are now, and puts its parts in its place. */
export async function splitLayer(key) {
  const layer = layerOf(key);
  if (!layer || splitting.value[key]) return;
  const open = doc.value.id;
  note(key, { percent: 0 });
  try {
    // The parts have the layer's size.
    const { output_size: _, ...params } = jobParams();
    const { job_id: job } = await api.split(layer.job, layer.info.z_index, params);
    note(key, { job });
    const failure = await end(job, (percent) => note(key, { percent }));
    if (doc.value?.id !== open) return;
    if (failure) return notify("error", t("split.failed", { name: layer.name, message: failure }));
    const parts = await partsOf(layerOf(key) ?? layer, job);
    if (doc.value?.id !== open) return;
    if (!parts) return notify("error", t("split.failed", { name: layer.name, message: t("error.offline") }));
    replaceWithParts(key, parts);
    notify("info", t(parts.length > 1 ? "split.done" : "split.one", { name: layer.name, count: parts.length }));
  } catch (error) {
    notify("error", t("split.failed", { name: layer.name, message: error.message }));
  } finally {
    note(key, null);
  }
}

/** Stops a layer's job. */
export async function stopSplitting(key) {
  const { job } = splitting.value[key] ?? {};
  if (job) await api.remove(job).catch((error) => notify("error", error.message));
}

/** Waits for the end of a job: `null` for success, otherwise why not. */
function end(job, onPercent) {
  return new Promise((resolve) => {
    let stop = () => {};
    const finish = (failure) => {
      stop();
      resolve(failure);
    };
    const look = ({ state, error }) => {
      if (state === "succeeded") finish(null);
      if (state === "failed") finish(error?.message ?? t("failure.other"));
      if (state === "cancelled") finish(t("end.cancelled"));
    };
    stop = follow(job, {
      onEvent: (event) => {
        if (event.type === "progress") onPercent(event.percent);
        look({ state: event.type, error: event.error });
      },
      onStatus: look,
      onLink: () => {},
      onGone: (error) => finish(error.message),
    });
  });
}
