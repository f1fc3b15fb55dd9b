// @ts-check
import * as api from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { read, signal, write } from "../lib/signal.js";
import { failureOf, notify } from "../notices.js";
import { isSame, merged } from "./merge.js";

/**
 * Changes of the document on their way to the service, one after the other. What cannot be sent waits, in the browser's
 * storage too, and is sent when the service answers again.
 *
 * @typedef {import("../types.js").DocumentInfo} DocumentInfo
 * @typedef {import("../types.js").Element_} Element
 * @typedef {{ kind: "put", elements: Element[], amend: boolean } | { kind: "undo" | "redo" }} Change
 */

/** Sliders change the document many times a second. */
const WAIT_MS = 300;
const RETRY_MS = 3000;
const KEY = "unflatten.unsent";
const RESULTS_MAX = 8;
/** What will be refused again. All else may be over soon: no connection, too much to do, a login that has ended. */
const REFUSED = [400, 404, 409, 413, 415, 422, 428];

/**
 * Whether all changes are with the service.
 * @type {import("../lib/signal.js").Signal<"saved" | "saving" | "waiting">}
 */
export const saving = signal("saved");

/**
 * What the service says of the document beside its elements; `null` while none is open.
 * @type {import("../lib/signal.js").Signal<DocumentInfo | null>}
 */
export const known = signal(null);

/** @type {Change[]} */
let queue = [];
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** @type {Promise<void> | null} */
let sending = null;
/**
 * Takes over a document that is not what the page has.
 * @type {(info: DocumentInfo) => void}
 */
let receive = () => {};
/**
 * The document on the page.
 * @type {() => Element[]}
 */
let shown = () => [];

/**
 * Begins with what the service has. Answers with the document to show: with changes that an earlier page could not send.
 * @param {DocumentInfo} info
 * @param {{ onOther: (info: DocumentInfo) => void, elements: () => Element[] }} page takes over a document that is not what
 *   the page has, and says what it has
 * @returns {DocumentInfo}
 */
export function startOutbox(info, { onOther, elements: now }) {
  [queue, receive, shown, known.value, saving.value] = [[], onOther, now, info, "saved"];
  const kept = readAll().find((one) => one.id === info.job_id);
  if (!kept) return info;
  const elements = kept.revision === info.revision ? kept.elements : merged(kept.base, kept.elements, info.elements);
  if (isSame(elements, info.elements)) {
    keep();
    return info;
  }
  push({ kind: "put", elements, amend: false });
  return { ...info, elements };
}

/** Whether nothing waits to be sent. */
export const isSent = () => queue.length === 0;

/** Forgets the document; what is unsent stays in the browser's storage. */
export function stopOutbox() {
  keep();
  clearTimeout(timer);
  [queue, timer, known.value, saving.value] = [[], undefined, null, "saved"];
}

/**
 * Sends a change, a moment later.
 * @param {Change} change
 */
export function push(change) {
  const last = queue.at(-1);
  // The first one may be on its way.
  const waits = queue.length > (sending ? 1 : 0);
  if (change.kind === "put" && change.amend && last?.kind === "put" && waits) queue[queue.length - 1] = { ...last, elements: change.elements };
  else queue.push(change);
  if (saving.value === "saved") saving.value = "saving";
  timer ??= setTimeout(() => void flush(), WAIT_MS);
}

/** Sends what waits. Answers with whether all is with the service now. */
export async function flush() {
  clearTimeout(timer);
  timer = undefined;
  sending ??= sendAll().finally(() => (sending = null));
  await sending;
  return queue.length === 0;
}

async function sendAll() {
  while (queue.length > 0 && known.value) {
    const { job_id: id } = known.value;
    try {
      const info = await send(queue[0], known.value);
      if (known.value?.job_id !== id) return;
      queue.shift();
      known.value = info;
    } catch (error) {
      if (known.value?.job_id !== id) return;
      if (!(await recover(/** @type {api.ApiError} */ (error), id))) return;
    }
  }
  keep();
  saving.value = "saved";
}

/**
 * @param {Change} change
 * @param {DocumentInfo} from
 * @returns {Promise<DocumentInfo>}
 */
function send(change, { job_id: id, revision }) {
  if (change.kind !== "put") return api.step(id, change.kind, revision);
  return api.putDocument(id, revision, { elements: change.elements, amend: change.amend });
}

/**
 * Answers with whether to go on.
 * @param {api.ApiError} error
 * @param {string} id
 */
async function recover(error, id) {
  if (error.status === 412) return mergeTheirs(id);
  if (!REFUSED.includes(error.status)) {
    if (saving.value !== "waiting") notify("info", t("document.waiting"));
    saving.value = "waiting";
    keep();
    timer ??= setTimeout(() => void flush(), RETRY_MS);
    return false;
  }
  queue = [];
  keep();
  saving.value = "saved";
  notify("error", failureOf(error).message);
  // What is shown is what the service has.
  if (error.status === 422) await refresh(true);
  return false;
}

/**
 * Others changed the document meanwhile: both changes are put together.
 * @param {string} id
 */
async function mergeTheirs(id) {
  const from = known.value;
  const theirs = await api.fetchDocument(id).catch(() => null);
  if (!theirs || !from || known.value?.job_id !== id) return false;
  known.value = theirs;
  // A split changes the revision and no element.
  if (isSame(from.elements, theirs.elements)) return true;
  const elements = merged(from.elements, shown(), theirs.elements);
  queue = isSame(elements, theirs.elements) ? [] : [{ kind: "put", elements, amend: false }];
  receive({ ...theirs, elements });
  notify("info", t("document.merged"), { words: t("document.theirs"), run: () => takeOver(theirs) });
  return true;
}

/** @param {DocumentInfo} theirs */
function takeOver(theirs) {
  if (known.value?.job_id !== theirs.job_id) return;
  push({ kind: "put", elements: theirs.elements, amend: false });
  receive(theirs);
}

/**
 * Shows what others changed, if nothing waits to be sent.
 * @param {boolean} [always] even if nobody changed anything
 */
export async function refresh(always = false) {
  const { job_id: id, revision } = known.value ?? {};
  if (!id || queue.length > 0) return;
  const info = await api.fetchDocument(id).catch(() => null);
  if (!info || known.value?.job_id !== id || queue.length > 0 || (info.revision === revision && !always)) return;
  known.value = info;
  receive(info);
}

/**
 * @typedef {{ id: string, revision: number, base: Element[], elements: Element[] }} Unsent
 * @type {() => Unsent[]}
 */
const readAll = () => read(KEY) ?? [];

/** Keeps what is unsent in the browser's storage, or nothing if all is sent. */
function keep() {
  if (!known.value) return;
  const { job_id: id, revision, elements: base } = known.value;
  const before = readAll();
  const others = before.filter((one) => one.id !== id);
  if (queue.length > 0) write(KEY, [{ id, revision, base, elements: shown() }, ...others].slice(0, RESULTS_MAX));
  else if (others.length < before.length) write(KEY, others);
}

addEventListener("pagehide", () => {
  keep();
  const [change] = queue;
  // As far as it is small, it still arrives.
  if (change?.kind === "put" && queue.length === 1 && known.value && !sending) {
    api.putOnLeave(known.value.job_id, known.value.revision, { elements: change.elements, amend: change.amend });
  }
});
addEventListener("online", () => void flush());
addEventListener("visibilitychange", () => document.visibilityState === "visible" && void refresh());
