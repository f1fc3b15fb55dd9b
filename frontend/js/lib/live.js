// @ts-check
import { ApiError, status, urls } from "./api.js";
import { say } from "./i18n.js";

/**
 * @typedef {object} Follower
 * @property {(event: import("../types.js").JobEvent) => void} onEvent
 * @property {(job: import("../types.js").JobStatus) => void} onStatus
 * @property {(up: boolean) => void} onLink
 * @property {(error: ApiError) => void} onGone
 */

const FIRST_DELAY_MS = 400;
const LONGEST_DELAY_MS = 8000;
const ENDS = new Set(["succeeded", "failed", "cancelled"]);

/**
 * Follows a job's events until it is over, through any number of lost
 * connections: each new one asks for what came after the last event seen.
 *
 *     const stop = follow(id, { onEvent, onStatus, onLink, onGone });
 *
 * `onEvent(event)` sees every numbered event once and in order, and un-numbered
 * `position` frames; `onStatus(job)` sees where the job stands before each new
 * connection, which alone carries the page where sockets do not get through;
 * `onLink(up)` hears when the connection goes or comes back;
 * `onGone(error)` when the service no longer knows the job; the error's code is
 * `removed` when it went while it was followed.
 * @param {string} id
 * @param {Follower} follower
 */
export function follow(id, { onEvent, onStatus, onLink, onGone }) {
  /** @type {WebSocket | null} */
  let socket = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let seen = 0;
  let delay = FIRST_DELAY_MS;
  let over = false;

  /** @param {string} text */
  function receive(text) {
    /** @type {import("../types.js").JobEvent} */
    const event = JSON.parse(text);
    delay = FIRST_DELAY_MS;
    if (event.seq !== undefined) {
      if (event.seq <= seen) return;
      seen = event.seq;
    }
    if (event.type === "removed") {
      over = true;
      onGone(new ApiError("removed", say({ code: "removed", text: event.message })));
      return;
    }
    over ||= ENDS.has(event.type);
    onEvent(event);
  }

  function open() {
    socket = new WebSocket(urls.live(id, seen));
    socket.onopen = () => onLink(true);
    socket.onmessage = (message) => receive(message.data);
    socket.onclose = () => over || retry();
  }

  function retry() {
    onLink(false);
    // Spread out, so that a restarted service is not met by all pages at once.
    timer = setTimeout(check, delay * (0.75 + Math.random() / 2));
    delay = Math.min(delay * 1.8, LONGEST_DELAY_MS);
  }

  // A refused socket does not say why; a plain request does.
  async function check() {
    timer = undefined;
    try {
      const state = await status(id);
      if (over) return;
      over = ENDS.has(state.state);
      onStatus(state);
      if (!over) open();
    } catch (error) {
      if (over) return;
      if (error instanceof ApiError && error.status === 404) onGone(error);
      else retry();
    }
  }

  const hurry = () => {
    if (over || !timer) return;
    clearTimeout(timer);
    delay = FIRST_DELAY_MS;
    check();
  };
  addEventListener("online", hurry);
  open();

  return () => {
    over = true;
    clearTimeout(timer);
    removeEventListener("online", hurry);
    socket?.close();
  };
}
