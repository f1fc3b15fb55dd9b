// @ts-check
import { reasonOf } from "./lib/i18n.js";

/**
 * How events and status change the job on the page. Nothing here talks to the
 * service or to the page.
 *
 * @typedef {import("./types.js").CurrentJob} CurrentJob
 * @typedef {import("./types.js").JobEvent} JobEvent
 */

const ENDS = new Set(["succeeded", "failed", "cancelled"]);

/**
 * Whether nothing more will happen to a job in this state.
 * @param {string} state
 */
export const isOver = (state) => ENDS.has(state);

/**
 * A job of which only the address is known, and what this browser remembers.
 * @param {string} id
 * @param {{ name: string, uploadId: string | null }} [known]
 * @returns {CurrentJob}
 */
export function newJob(id, known) {
  return { id, name: known?.name ?? "", uploadId: known?.uploadId ?? null, state: "queued", notes: [], stages: [], linked: true };
}

/**
 * The changes that an answer of `GET /api/status/{id}` makes.
 * @param {import("./types.js").JobStatus} status
 * @param {number} [now]
 * @returns {Partial<CurrentJob>}
 */
export function afterStatus(status, now = Date.now()) {
  return {
    uploadId: status.upload_id,
    state: status.state === "succeeded" ? "finishing" : status.state,
    position: status.position,
    progress: status.progress,
    progressAt: now,
    engine: status.engine,
    error: status.error,
    cancelling: status.cancel_requested,
  };
}

/**
 * The changes that an event makes; none for an event of a newer service.
 * @param {CurrentJob} job
 * @param {JobEvent} event
 * @param {number} [now]
 * @returns {Partial<CurrentJob>}
 */
export function afterEvent(job, event, now = Date.now()) {
  switch (event.type) {
    case "queued":
      return { state: "queued" };
    case "position":
      return { state: "queued", position: event.position };
    case "started":
      return { state: "running", position: null, engine: event.engine, reason: reasonOf(event), progress: null, stages: [] };
    case "progress": {
      const { stage, step, total, percent, eta_ms } = event;
      const stages = job.stages.includes(stage) ? job.stages : [...job.stages, stage];
      return { state: "running", progress: { stage, step, total, percent, eta_ms }, progressAt: now, stages };
    }
    case "note":
      return { notes: [...job.notes, noteOf(event)] };
    case "requeued":
      return { state: "queued", progress: null, stages: [], notes: [...job.notes, reasonOf(event)] };
    case "cancel_requested":
      return { cancelling: true };
    case "succeeded":
      return { state: "finishing" };
    case "failed":
      return { state: "failed", error: event.error };
    case "cancelled":
      return { state: "cancelled" };
    default:
      return {};
  }
}

/**
 * @param {Extract<JobEvent, { type: "note" }>} event
 * @returns {import("./types.js").Message}
 */
function noteOf({ code, text, message, data }) {
  return { code, text: text ?? message, data };
}

/** From here on a job may be called almost done. */
const ALMOST_PERCENT = 90;

/**
 * The time left of a running job, counted down since its last event; null while nothing is known.
 *
 * @param {import("./types.js").CurrentJob} job
 * @param {number} now in milliseconds, as `progressAt`
 * @returns {{ ms: number, almost: boolean } | null}
 */
export function timeLeft({ state, progress, progressAt }, now) {
  const eta = progress?.eta_ms;
  if (state !== "running" || eta === null || eta === undefined) return null;
  const ms = Math.max(0, eta - (now - (progressAt ?? 0)));
  return { ms, almost: ms < 1000 && (progress?.percent ?? 0) >= ALMOST_PERCENT };
}
