// @ts-check
import * as api from "./lib/api.js";
import { follow } from "./lib/live.js";
import { jobParams } from "./capabilities.js";
import { afterEvent, afterStatus, isOver, newJob } from "./job-progress.js";
import { failureOf, report } from "./notices.js";
import { forget, recentJob, remember, update } from "./recent-jobs.js";
import { goHome, goToJob, jobInAddress } from "./router.js";
import { delivered, job, result, screen } from "./state.js";

/** The job on the page: opened, followed to its end, cancelled, run again. */

let stopFollowing = () => {};
let openings = 0;

/**
 * Brings a job to the page and follows it to its end.
 * @param {string} id
 */
export async function openJob(id) {
  const turn = leaveJob();
  result.value = null;
  job.value = newJob(id, recentJob(id));
  screen.value = "job";
  try {
    if (settle(id, await api.status(id), false)) return;
  } catch (error) {
    const failure = failureOf(error);
    if (error instanceof api.ApiError && error.status === 404) return gone(id, failure);
    // The connection below keeps trying; the page says so meanwhile.
    change(id, { linked: false });
  }
  if (turn !== openings) return;
  stopFollowing = follow(id, {
    onEvent: (event) => receive(id, event),
    onStatus: (status) => settle(id, status, true),
    onLink: (linked) => change(id, { linked }),
    onGone: (error) => gone(id, error),
  });
}

/** Stops following. Answers with the number of the opening that begins now. */
export function leaveJob() {
  stopFollowing();
  stopFollowing = () => {};
  return ++openings;
}

/** Shows the start page. */
export function closeJob() {
  leaveJob();
  job.value = null;
  result.value = null;
  screen.value = "empty";
}

/**
 * Takes over the status of a job. Answers with whether the job is over.
 * @param {string} id
 * @param {import("./types.js").JobStatus} status
 * @param {boolean} isNew whether somebody was waiting for it here
 */
function settle(id, status, isNew) {
  if (job.value?.id !== id) return false;
  change(id, afterStatus(status));
  if (!isOver(status.state)) return false;
  update({ id, state: status.state });
  if (status.state === "succeeded") showResult(id, isNew);
  return true;
}

/**
 * @param {string} id
 * @param {import("./types.js").JobEvent} event
 */
function receive(id, event) {
  if (job.value?.id !== id) return;
  change(id, afterEvent(job.value, event));
  update({ id, state: isOver(event.type) ? event.type : job.value.state });
  if (event.type === "succeeded") showResult(id, true);
}

/**
 * @param {string} id
 * @param {Partial<import("./types.js").CurrentJob>} fields
 */
function change(id, fields) {
  if (job.value?.id === id) job.value = { ...job.value, ...fields };
}

/**
 * @param {string} id
 * @param {import("./types.js").Failure} error
 */
function gone(id, { code, message }) {
  if (job.value?.id !== id) return;
  forget(id);
  change(id, { state: "gone", error: { code: code === "removed" ? "removed" : "gone", message } });
}

/**
 * @param {string} id
 * @param {boolean} isNew
 */
async function showResult(id, isNew) {
  try {
    const info = await api.fetchDocument(id);
    if (job.value?.id !== id) return;
    const [{ metadata }] = info.results;
    const name = metadata.input.filename ?? job.value.name;
    remember({ id, uploadId: job.value.uploadId, name, state: "succeeded" });
    change(id, { state: "succeeded", name, isNew });
    delivered.value = info;
    result.value = metadata;
    screen.value = "result";
  } catch (error) {
    change(id, { state: "failed", error: failureOf(error) });
  }
}

/**
 * Starts a job with the options as they are, and answers with its id.
 * @param {string} uploadId
 * @param {string} name
 */
export async function submit(uploadId, name) {
  const { job_id: id } = await api.decompose(uploadId, jobParams());
  remember({ id, uploadId, name, state: "queued" });
  return id;
}

/** Makes layers of the same picture again, with the options as they are now. */
export async function runAgain() {
  const { uploadId, name } = job.value ?? {};
  if (!uploadId) return;
  try {
    goToJob(await submit(uploadId, name ?? ""));
  } catch (error) {
    report(error);
  }
}

/** Asks the service to stop the job on the page. */
export async function cancelJob() {
  const id = job.value?.id;
  if (!id) return;
  change(id, { cancelling: true });
  try {
    await api.remove(id);
  } catch (error) {
    change(id, { cancelling: false });
    report(error);
  }
}

/**
 * Deletes a finished job on the service and from this browser's list.
 * @param {string} id
 */
export async function removeJob(id) {
  try {
    await api.remove(id);
  } catch (error) {
    if (!(error instanceof api.ApiError && error.status === 404)) return report(error);
  }
  forget(id);
  if (jobInAddress() === id) goHome();
}
