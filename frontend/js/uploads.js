// @ts-check
import * as api from "./lib/api.js";
import { t } from "./lib/i18n.js";
import { leaveJob, submit } from "./current-job.js";
import { problemWith } from "./files.js";
import { notify, report } from "./notices.js";
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
  waiting.value = [...waiting.value, ...good];
  if (!sending) await sendWaiting();
}

// The page shows the first file of a batch; the others go into the list of jobs.
async function sendWaiting() {
  let front = true;
  while (waiting.value.length > 0) {
    const [file, ...rest] = waiting.value;
    waiting.value = rest;
    await send(file, front);
    front = false;
  }
}

/**
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
  try {
    const sent = await api.upload(file, { onProgress, signal: sending.signal });
    const id = await submit(sent.upload_id, name);
    if (front) goToJob(id);
    else notify("info", t("notice.queued", { name }));
  } catch (error) {
    report(error, name);
    // Back to where the page was before.
    if (front) route();
  } finally {
    sending = null;
    if (front) upload.value = null;
    URL.revokeObjectURL(url);
  }
}

/** Stops an upload that is on its way, and those that wait. */
export function abortUpload() {
  waiting.value = [];
  sending?.abort();
}
