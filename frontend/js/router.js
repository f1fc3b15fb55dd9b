// @ts-check

/**
 * The address says which job is on the page: `#job=` and its id, or none for
 * the start page.
 */
const HASH = /^#job=([0-9a-f-]{36})$/i;

/** @type {{ openJob: (id: string) => void, closeJob: () => void }} */
let screens = { openJob: () => {}, closeJob: () => {} };

/**
 * Shows the screen that the address names, now and whenever it changes.
 * @param {typeof screens} handlers
 */
export function startRouter(handlers) {
  screens = handlers;
  addEventListener("hashchange", route);
  route();
}

/** Shows the screen that the address names. */
export function route() {
  const id = jobInAddress();
  if (id) screens.openJob(id);
  else screens.closeJob();
}

/** The id of the job that the address names, or `null`. */
export const jobInAddress = () => HASH.exec(location.hash)?.[1] ?? null;

/** @param {string} id */
export function goToJob(id) {
  if (jobInAddress() === id) route();
  else location.hash = `job=${id}`;
}

export function goHome() {
  if (location.hash) location.hash = "";
  else route();
}
