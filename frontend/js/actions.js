import * as api from "./lib/api.js";
import { t } from "./lib/i18n.js";
import { follow } from "./lib/live.js";
import { jobParams } from "./capabilities.js";
import { problemWith } from "./files.js";
import { forget, job, notify, recent, remember, result, screen, upload, waiting } from "./state.js";

const ENDS = new Set(["succeeded", "failed", "cancelled"]);

let stopFollowing = () => {};
let opened = 0;
let sending = null;

/** Shows an error; an aborted upload needs no words. */
function report(error, name = "") {
  if (error.code === "aborted") return;
  notify("error", name ? `“${name}”: ${error.message}` : error.message);
}

/** Takes files that were dropped, pasted or picked: checks them, then sends one after another. */
export async function takeFiles(files) {
  const good = [];
  for (const file of files) {
    const problem = await problemWith(file);
    if (problem) notify("error", problem);
    else good.push(file);
  }
  if (good.length === 0) return;
  waiting.value = [...waiting.value, ...good];
  if (!sending) await sendWaiting();
}

// The first file of a batch comes to the front, the rest goes into the list of jobs.
async function sendWaiting() {
  let front = true;
  while (waiting.value.length > 0) {
    const [file, ...rest] = waiting.value;
    waiting.value = rest;
    await send(file, front);
    front = false;
  }
}

async function send(file, front) {
  sending = new AbortController();
  const name = file.name || t("file.pasted");
  const url = URL.createObjectURL(file);
  if (front) {
    opened += 1;
    stopFollowing();
    show("uploading");
    upload.value = { name, url, fraction: 0 };
  }
  try {
    const onProgress = (fraction) => {
      if (front) upload.value = { name, url, fraction };
    };
    const sent = await api.upload(file, { onProgress, signal: sending.signal });
    const id = await submit(sent.upload_id, name);
    if (front) goTo(id);
    else notify("info", t("notice.queued", { name }));
  } catch (error) {
    report(error, name);
    if (front) {
      const back = hashId();
      if (back) open(back);
      else show("empty");
    }
  } finally {
    sending = null;
    if (front) upload.value = null;
    URL.revokeObjectURL(url);
  }
}

async function submit(uploadId, name) {
  const answer = await api.decompose(uploadId, jobParams());
  remember({ id: answer.job_id, uploadId, name, state: "queued" });
  return answer.job_id;
}

/** Stops an upload that is on its way, and those that wait. */
export function abortUpload() {
  waiting.value = [];
  sending?.abort();
}

/** Makes layers of the same picture again, with the options as they are now. */
export async function runAgain() {
  const { uploadId, name } = job.value;
  try {
    goTo(await submit(uploadId, name));
  } catch (error) {
    report(error);
  }
}

/** Asks the service to stop the job on the page. */
export async function cancelJob() {
  const { id } = job.value;
  change(id, { cancelling: true });
  try {
    await api.remove(id);
  } catch (error) {
    change(id, { cancelling: false });
    report(error);
  }
}

/** Deletes a finished job on the service and from this browser's list. */
export async function removeJob(id) {
  try {
    await api.remove(id);
  } catch (error) {
    if (error.status !== 404) return report(error);
  }
  forget(id);
  if (hashId() === id) goHome();
}

const HASH = /^#job=([0-9a-f-]{36})$/i;

const hashId = () => HASH.exec(location.hash)?.[1] ?? null;

function goTo(id) {
  if (hashId() === id) open(id);
  else location.hash = `job=${id}`;
}

export function goHome() {
  if (location.hash) location.hash = "";
  else route();
}

/** Shows what the address asks for. */
export function route() {
  const id = hashId();
  if (id) return open(id);
  opened += 1;
  stopFollowing();
  job.value = null;
  result.value = null;
  show("empty");
}

function show(name) {
  screen.value = name;
}

/** Brings a job to the page and follows it to its end. */
async function open(id) {
  const turn = ++opened;
  stopFollowing();
  result.value = null;
  const known = recent.value.find((one) => one.id === id);
  job.value = { id, name: known?.name ?? "", uploadId: known?.uploadId ?? null, state: "queued", notes: [], stages: [], linked: true };
  show("job");
  try {
    if (settle(id, await api.status(id))) return;
  } catch (error) {
    if (error.status === 404) return gone(id, error);
    // The connection below keeps trying; the page says so meanwhile.
    change(id, { linked: false });
  }
  if (turn !== opened) return;
  stopFollowing = follow(id, {
    onEvent: (event) => receive(id, event),
    onStatus: (state) => settle(id, state),
    onLink: (linked) => change(id, { linked }),
    onGone: (error) => gone(id, error),
  });
}

/** Takes over where the service says that a job stands; whether that is its end. */
function settle(id, state) {
  if (job.value?.id !== id) return false;
  change(id, fromStatus(state));
  if (!ENDS.has(state.state)) return false;
  if (recent.value.some((one) => one.id === id)) remember({ id, state: state.state });
  if (state.state === "succeeded") showResult(id);
  return true;
}

function fromStatus(state) {
  return {
    uploadId: state.upload_id,
    state: state.state === "succeeded" ? "finishing" : state.state,
    position: state.position,
    progress: state.progress,
    progressAt: Date.now(),
    engine: state.engine,
    error: state.error,
    cancelling: state.cancel_requested,
  };
}

function change(id, fields) {
  if (job.value?.id === id) job.value = { ...job.value, ...fields };
}

function gone(id, error) {
  if (job.value?.id !== id) return;
  forget(id);
  const code = error.code === "removed" ? "removed" : "gone";
  change(id, { state: "gone", error: { code, message: error.message } });
}

/** What each event changes of the job on the page. */
const CHANGES = {
  queued: () => ({ state: "queued" }),
  position: (event) => ({ state: "queued", position: event.position }),
  started: (event) => ({
    state: "running", position: null, engine: event.engine, reason: event.reason,
    progress: null, stages: [],
  }),
  progress: ({ stage, step, total, percent, eta_ms }, now) => ({
    state: "running",
    progress: { stage, step, total, percent, eta_ms },
    progressAt: Date.now(),
    stages: now.stages.includes(stage) ? now.stages : [...now.stages, stage],
  }),
  note: (event, now) => ({ notes: [...now.notes, event.message] }),
  requeued: (event, now) => ({ state: "queued", progress: null, stages: [], notes: [...now.notes, event.reason] }),
  cancel_requested: () => ({ cancelling: true }),
  succeeded: () => ({ state: "finishing" }),
  failed: (event) => ({ state: "failed", error: event.error }),
  cancelled: () => ({ state: "cancelled" }),
};

function receive(id, event) {
  if (job.value?.id !== id) return;
  const fields = CHANGES[event.type]?.(event, job.value);
  if (fields) change(id, fields);
  if (recent.value.some((one) => one.id === id)) {
    const state = ENDS.has(event.type) ? event.type : job.value.state;
    if (recent.value.find((one) => one.id === id).state !== state) remember({ id, state });
  }
  if (event.type === "succeeded") showResult(id);
}

async function showResult(id) {
  try {
    const metadata = await api.metadata(id);
    if (job.value?.id !== id) return;
    const name = metadata.input.filename ?? job.value.name;
    remember({ id, uploadId: job.value.uploadId, name, state: "succeeded" });
    change(id, { state: "succeeded", name });
    result.value = metadata;
    show("result");
  } catch (error) {
    change(id, { state: "failed", error: { code: error.code, message: error.message } });
  }
}

let lookedAtAll = false;

/** Brings this browser's list up to date: once all of it, then the unfinished jobs. */
export async function refreshRecent() {
  const stale = recent.value.filter((one) => one.id !== job.value?.id && (!lookedAtAll || !ENDS.has(one.state)));
  const ids = stale.map((one) => one.id);
  if (ids.length === 0) return;
  try {
    const found = await api.statuses(ids);
    lookedAtAll = true;
    for (const { id, state } of found) remember({ id, state });
    for (const id of ids) if (!found.some((one) => one.id === id)) forget(id);
  } catch {
    // Not reachable at the moment: the next look will tell.
  }
}
