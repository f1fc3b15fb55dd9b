// @ts-check
import * as api from "./lib/api.js";
import { stored } from "./lib/signal.js";
import { isOver } from "./job-progress.js";
import { job } from "./state.js";

/** @typedef {import("./types.js").RecentJob} RecentJob */

/**
 * This browser's jobs, the newest first.
 * @type {import("./lib/signal.js").Signal<RecentJob[]>}
 */
export const recent = stored("unflatten.jobs", []);

const RECENT_MAX = 24;

/** @param {string} id */
export const recentJob = (id) => recent.value.find((one) => one.id === id);

/**
 * Puts a job on top of the list.
 * @param {Omit<RecentJob, "at">} entry
 */
export function remember(entry) {
  if (recentJob(entry.id)) update(entry);
  else recent.value = [{ at: new Date().toISOString(), ...entry }, ...recent.value].slice(0, RECENT_MAX);
}

/**
 * Changes a job of the list, which keeps its place; other jobs are not taken in.
 * @param {{ id: string } & Partial<RecentJob>} entry
 */
export function update(entry) {
  const before = recentJob(entry.id);
  if (!before || isPartOf(entry, before)) return;
  recent.value = recent.value.map((one) => (one === before ? { ...one, ...entry } : one));
}

/**
 * @param {object} part
 * @param {Record<string, unknown>} whole
 */
const isPartOf = (part, whole) => Object.entries(part).every(([name, value]) => whole[name] === value);

/** @param {string} id */
export function forget(id) {
  recent.value = recent.value.filter((one) => one.id !== id);
}

let lookedAtAll = false;

/** Brings the list up to date: once all of it, then the unfinished jobs. */
export async function refreshRecent() {
  const stale = recent.value.filter((one) => one.id !== job.value?.id && (!lookedAtAll || !isOver(one.state)));
  const ids = stale.map((one) => one.id);
  if (ids.length === 0) return;
  try {
    const found = await api.statuses(ids);
    lookedAtAll = true;
    for (const { id, state } of found) update({ id, state });
    for (const id of ids) if (!found.some((one) => one.id === id)) forget(id);
  } catch {
    // Not reachable: the next refresh may succeed.
  }
}
