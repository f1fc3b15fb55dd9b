// @ts-check
import * as api from "./lib/api.js";
import { t } from "./lib/i18n.js";
import { leaveJob, submit } from "./current-job.js";
import { problemWith } from "./files.js";
import { failureOf, notify, report } from "./notices.js";
import { goToJob, route } from "./router.js";
import { screen, upload, waiting } from "./state.js";

/**
 * Ends the upload that is under way.
 * @type {AbortController | null}
 */
let sending = null;

/**
 * Takes files that were dropped, pasted or picked: checks them, then sends one after another.
 * @param {File[]} files
 */
export async function takeFiles(files) {
  const good = [];
  for (const file of files) {
    const problem = await problemWith(file);
    if (problem) notify("error", problem);
    else good.push(file);
  }
  if (good.length === 0) return;
  // What could not be sent before comes after what was just taken.
  waiting.value = sending ? [...waiting.value, ...good] : [...good, ...waiting.value];
  if (!sending) await sendWaiting();
}

// The page shows the first file of a batch; the others go into the list of jobs.
async function sendWaiting() {
  let front = true;
  while (waiting.value.length > 0) {
    const [file, ...rest] = waiting.value;
    waiting.value = rest;
    if (!(await send(file, front))) return;
    front = false;
  }
}

/**
 * Sends a file and starts its job. Answers with whether the next one may follow: not while the service cannot be reached.
 * @param {File} file
 * @param {boolean} front whether the page shows it
 */
async function send(file, front) {
  sending = new AbortController();
  const name = file.name || t("file.pasted");
  const url = URL.createObjectURL(file);
  /** @param {number} fraction */
  const onProgress = (fraction) => {
    if (front) upload.value = { name, url, fraction };
  };
  if (front) {
    leaveJob();
    screen.value = "uploading";
  }
  onProgress(0);
  let isKept = false;
  try {
    const sent = await api.upload(file, { onProgress, signal: sending.signal });
    const id = await submit(sent.upload_id, name);
    if (front) goToJob(id);
    else notify("info", t("notice.queued", { name }));
  } catch (error) {
    isKept = failureOf(error).code === "offline";
    if (isKept) keepUnsent(file, front, error);
    else report(error, name);
    // Back to where the page was before.
    if (front && !isKept) route();
  } finally {
    sending = null;
    if (front && !isKept) upload.value = null;
    if (!(front && isKept)) URL.revokeObjectURL(url);
  }
  return !isKept;
}

/**
 * Puts back a file that could not be sent: it is still here, and can be sent when the service can be reached.
 * @param {File} file
 * @param {boolean} front
 * @param {unknown} error
 */
function keepUnsent(file, front, error) {
  waiting.value = [file, ...waiting.value];
  const { message } = failureOf(error);
  if (front && upload.value) upload.value = { ...upload.value, fraction: 0, error: message };
  else notify("error", `“${file.name || t("file.pasted")}”: ${message}`, { words: t("end.again"), run: sendAgain });
}

/** Sends the files that could not be sent. */
export function sendAgain() {
  forgetPicture();
  if (!sending) sendWaiting();
}

/** Stops an upload that is on its way, and those that wait. */
export function abortUpload() {
  waiting.value = [];
  if (sending) return sending.abort();
  forgetPicture();
  route();
}

function forgetPicture() {
  if (upload.value) URL.revokeObjectURL(upload.value.url);
  upload.value = null;
}
