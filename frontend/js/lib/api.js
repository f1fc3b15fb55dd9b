import { refusal, t } from "./i18n.js";

/** A refusal by the service, or no answer at all, in words for people. */
export class ApiError extends Error {
  constructor(code, message, status = 0) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

function fromBody(status, body, retryAfter) {
  const message = refusal(body?.error ?? {}) ?? t("error.unexpected", { status });
  const seconds = Number(retryAfter);
  const words = seconds > 0 ? `${message.replace(/\.?$/, ".")} ${t("error.retryIn", { seconds })}` : message;
  return new ApiError(body?.error?.code ?? "unexpected", words, status);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function request(path, init) {
  let response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new ApiError("offline", t("error.offline"));
  }
  const body = response.status === 204 ? null : parse(await response.text());
  if (!response.ok) throw fromBody(response.status, body, response.headers.get("Retry-After"));
  return body;
}

// crypto.randomUUID exists only on secure origins; services at home often have none.
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Sends a file with progress, which `fetch` cannot report.
 * `onProgress(fraction)` is called with 0 to 1; aborting `signal` stops it.
 */
export function upload(file, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    const form = new FormData();
    form.append("image", file, file.name || "pasted.png");
    xhr.open("POST", "/api/upload");
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

export function decompose(uploadId, params) {
  return request("/api/decompose", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": randomKey() },
    body: JSON.stringify({ upload_id: uploadId, ...params }),
  });
}

function postJson(body) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

/** Starts a job that splits one layer of a result again. */
export const split = (id, n, params) => request(`/api/jobs/${id}/layers/${n}/decompose`, postJson(params));

/** A stack of layers as a file: a `Blob`. */
export async function compose(id, body) {
  let response;
  try {
    response = await fetch(`/api/jobs/${id}/compose`, postJson(body));
  } catch {
    throw new ApiError("offline", t("error.offline"));
  }
  if (!response.ok) throw fromBody(response.status, parse(await response.text()), response.headers.get("Retry-After"));
  return response.blob();
}

export const capabilities = () => request("/api/capabilities");
export const status = (id) => request(`/api/status/${id}`, { headers: { Accept: "application/json" } });
export const statuses = (ids) => request(`/api/jobs?ids=${ids.join()}`);
export const metadata = (id) => request(`/api/jobs/${id}/metadata.json`);
/** The result with the edits that the service keeps, and those of its layers that were split again. */
export const tree = (id) => request(`/api/jobs/${id}/document`);
export const remove = (id) => request(`/api/jobs/${id}`, { method: "DELETE" });

export const urls = {
  input: (uploadId) => `/api/uploads/${uploadId}.png`,
  layer: (id, n) => `/api/jobs/${id}/layers/${n}.png`,
  preview: (id) => `/api/jobs/${id}/preview.jpg`,
  zip: (id) => `/api/download/${id}`,
  live(id, after) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    return `${scheme}//${location.host}/api/status/${id}?after=${after}`;
  },
};
