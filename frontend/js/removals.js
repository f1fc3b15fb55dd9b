// @ts-check
import * as api from "./lib/api.js";
import { signal } from "./lib/signal.js";
import { removeJob } from "./current-job.js";
import { forget } from "./recent-jobs.js";

/**
 * Jobs of the list that are about to be deleted: for a moment that can be taken back. The service hears of it only then,
 * or when the page is left.
 */

const UNDO_MS = 6000;

/** @type {Map<string, ReturnType<typeof setTimeout>>} */
const timers = new Map();

/**
 * Ids of the jobs that are about to be deleted.
 * @type {import("./lib/signal.js").Signal<string[]>}
 */
export const removing = signal([]);

const tell = () => (removing.value = [...timers.keys()]);

/**
 * Deletes a job in a moment.
 * @param {string} id
 */
export function removeSoon(id) {
  if (timers.has(id)) return;
  timers.set(id, setTimeout(() => finish(id), UNDO_MS));
  tell();
}

/**
 * Keeps a job that was about to be deleted.
 * @param {string} id
 */
export function keep(id) {
  clearTimeout(timers.get(id));
  timers.delete(id);
  tell();
}

/** @param {string} id */
async function finish(id) {
  await removeJob(id);
  keep(id);
}

// A page that is left says so at once; the browser sends it after the page is gone.
addEventListener("pagehide", () => {
  for (const id of timers.keys()) {
    api.removeOnLeave(id);
    forget(id);
    keep(id);
  }
});
