// @ts-check
import { refusal, t } from "./i18n.js";

const SESSION = "api/session";

/** An error that the service answered with, or no answer at all, in words for people. */
export class ApiError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {number} [status]
   */
  constructor(code, message, status = 0) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/**
 * @param {number} status
 * @param {{ error?: { code?: string, message?: string } } | null} body
 * @param {string | null} retryAfter
 */
function fromBody(status, body, retryAfter) {
  const message = refusal(body?.error ?? {}) ?? t("error.unexpected", { status });
  const seconds = Number(retryAfter);
  const words = seconds > 0 ? `${message.replace(/\.?$/, ".")} ${t("error.retryIn", { seconds })}` : message;
  return new ApiError(body?.error?.code ?? "unexpected", words, status);
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 */
async function fetched(path, init) {
  let response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new ApiError("offline", t("error.offline"));
  }
  if (response.status === 401 && path !== SESSION) document.dispatchEvent(new Event("signed-out"));
  if (!response.ok) throw fromBody(response.status, parse(await response.text()), response.headers.get("Retry-After"));
  return response;
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 */
async function request(path, init) {
  const response = await fetched(path, init);
  return response.status === 204 ? null : parse(await response.text());
}

// crypto.randomUUID exists only on secure origins; services at home often have none.
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Sends a file with progress, which `fetch` cannot report.
 * `onProgress(fraction)` is called with 0 to 1; aborting `signal` stops it.
 * @param {File} file
 * @param {{ onProgress: (fraction: number) => void, signal: AbortSignal }} options
 * @returns {Promise<import("../types.js").Uploaded>}
 */
export function upload(file, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    const form = new FormData();
    form.append("image", file, file.name || "pasted.png");
    xhr.open("POST", "api/upload");
    xhr.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    xhr.onload = () => {
      const body = parse(xhr.responseText);
      if (xhr.status >= 200 && xhr.status < 300 && body) resolve(body);
      else reject(fromBody(xhr.status, body, xhr.getResponseHeader("Retry-After")));
    };
    xhr.onerror = () => reject(new ApiError("offline", t("error.offline")));
    xhr.onabort = () => reject(new ApiError("aborted", t("error.aborted")));
    signal.addEventListener("abort", () => xhr.abort());
    xhr.send(form);
  });
}

/**
 * @param {string} uploadId
 * @param {import("../types.js").Params} params
 * @returns {Promise<import("../types.js").Accepted>}
 */
export function decompose(uploadId, params) {
  return request("api/decompose", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": randomKey() },
    body: JSON.stringify({ upload_id: uploadId, ...params }),
  });
}

/**
 * @param {unknown} body
 * @returns {RequestInit}
 */
function postJson(body) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

/**
 * Starts a job that splits one layer of a result again.
 * @type {(id: string, n: number, params: import("../types.js").Params) => Promise<import("../types.js").Accepted>}
 */
export const split = (id, n, params) => request(`api/jobs/${id}/layers/${n}/decompose`, postJson(params));

/**
 * A stack of layers as a file.
 * @param {string} id
 * @param {Record<string, unknown>} body
 */
export async function compose(id, body) {
  const response = await fetched(`api/jobs/${id}/compose`, postJson(body));
  return response.blob();
}

/**
 * Stores a picture with a document.
 * @param {string} id
 * @param {Blob} file
 * @returns {Promise<import("../types.js").Size & { id: string }>}
 */
export function addPicture(id, file) {
  const form = new FormData();
  form.append("image", file, file instanceof File ? file.name : "picture.png");
  return request(`api/jobs/${id}/pictures`, { method: "POST", body: form });
}

/** @type {() => Promise<import("../types.js").Session>} */
export const session = () => request(SESSION);
/** @type {(token: string) => Promise<import("../types.js").Session>} */
export const signIn = (token) => request(SESSION, postJson({ token }));
/** @type {() => Promise<null>} */
export const signOut = () => request(SESSION, { method: "DELETE" });
/** @type {() => Promise<import("../types.js").FontList>} */
export const fonts = () => request("api/fonts");
/** @type {() => Promise<import("../types.js").Capabilities>} */
export const capabilities = () => request("api/capabilities");
/** @type {(id: string) => Promise<import("../types.js").JobStatus>} */
export const status = (id) => request(`api/status/${id}`, { headers: { Accept: "application/json" } });
/** @type {(ids: string[]) => Promise<import("../types.js").JobSummary[]>} */
export const statuses = (ids) => request(`api/jobs?ids=${ids.join()}`);
/**
 * The document of a result, and the results that its layers are of.
 * @type {(id: string) => Promise<import("../types.js").DocumentInfo>}
 */
export const fetchDocument = (id) => request(`api/jobs/${id}/document`);
/**
 * @typedef {{ elements: import("../types.js").Element_[], amend: boolean }} NewDocument
 * @type {(revision: number, body: object) => RequestInit}
 */
const putInit = (revision, body) => ({ ...postJson(body), method: "PUT", headers: { "Content-Type": "application/json", "If-Match": `"${revision}"` } });
/** @type {(id: string, revision: number, body: NewDocument) => Promise<import("../types.js").DocumentInfo>} */
export const putDocument = (id, revision, body) => request(`api/jobs/${id}/document`, putInit(revision, body));
/**
 * The same for a page that is being left: nothing waits for the answer.
 * @type {(id: string, revision: number, body: NewDocument) => void}
 */
export const putOnLeave = (id, revision, body) => void fetch(`api/jobs/${id}/document`, { ...putInit(revision, body), keepalive: true }).catch(() => {});
/** @type {(id: string, way: "undo" | "redo", revision: number) => Promise<import("../types.js").DocumentInfo>} */
export const step = (id, way, revision) => request(`api/jobs/${id}/document/${way}`, { method: "POST", headers: { "If-Match": `"${revision}"` } });
/**
 * What prompts show on the document.
 * @type {(id: string, prompts: object, signal: AbortSignal) => Promise<import("../types.js").PickPreview>}
 */
export const previewPick = (id, prompts, signal) => request(`api/jobs/${id}/pick`, { ...postJson({ ...prompts, preview: true }), signal });
/**
 * Makes a layer of a part of what is seen.
 * @type {(id: string, revision: number, body: object) => Promise<import("../types.js").Picked>}
 */
export const pick = (id, revision, body) => request(`api/jobs/${id}/pick`, { ...putInit(revision, body), method: "POST" });
/**
 * Moves pixels between layers.
 * @type {(id: string, revision: number, stroke: object) => Promise<import("../types.js").DocumentInfo>}
 */
export const paint = (id, revision, stroke) => request(`api/jobs/${id}/strokes`, { ...putInit(revision, stroke), method: "POST" });
/** @type {(id: string) => Promise<null>} */
export const reset = (id) => request(`api/jobs/${id}/document`, { method: "DELETE" });
/** @type {(id: string, name: string) => Promise<import("../types.js").DocumentInfo>} */
export const nameVersion = (id, name) => request(`api/jobs/${id}/versions`, postJson({ name }));
/** @type {(id: string, number: number) => Promise<import("../types.js").DocumentInfo>} */
export const restoreVersion = (id, number) => request(`api/jobs/${id}/versions/${number}/restore`, { method: "POST" });
/** @type {(id: string, number: number) => Promise<null>} */
export const removeVersion = (id, number) => request(`api/jobs/${id}/versions/${number}`, { method: "DELETE" });
/** @type {(id: string, hours: number) => Promise<{ kept_until?: string | null }>} */
export const keep = (id, hours) => request(`api/jobs/${id}/keep`, postJson({ hours }));
/** @type {(id: string) => Promise<null>} */
export const remove = (id) => request(`api/jobs/${id}`, { method: "DELETE" });
/**
 * The same for a page that is being left: nothing waits for the answer.
 * @type {(id: string) => void}
 */
export const removeOnLeave = (id) => void fetch(`api/jobs/${id}`, { method: "DELETE", keepalive: true }).catch(() => {});

export const urls = {
  /** @type {(uploadId: string) => string} */
  input: (uploadId) => `api/uploads/${uploadId}.png`,
  /** @type {(id: string, n: number) => string} */
  layer: (id, n) => `api/jobs/${id}/layers/${n}.png`,
  /** @type {(id: string, element: number) => string} one layer or group as it is seen */
  element: (id, element) => `api/download/${id}?format=png&trim=true&element=${element}`,
  /** @type {(id: string, picture: string) => string} */
  picture: (id, picture) => `api/jobs/${id}/pictures/${picture}.png`,
  /** @type {(id: string) => string} */
  preview: (id) => `api/jobs/${id}/preview.jpg`,
  /** @type {(id: string) => string} */
  zip: (id) => `api/download/${id}`,
  /** @type {(id: string, after: number) => string} */
  live(id, after) {
    const url = new URL(`api/status/${id}?after=${after}`, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.hash = "";
    return url.href;
  },
};
