// @ts-check
import { html } from "./html.js";

// Drawn on a 20 x 20 grid with a 1.5 line.
/** @type {Record<string, string[]>} */
const PATHS = {
  plus: ["M10 4v12", "M4 10h12"],
  minus: ["M4 10h12"],
  close: ["M5 5l10 10", "M15 5L5 15"],
  eye: ["M1.8 10S5 4.5 10 4.5 18.2 10 18.2 10 15 15.5 10 15.5 1.8 10 1.8 10Z", "M10 7.6a2.4 2.4 0 1 1 0 4.8 2.4 2.4 0 0 1 0-4.8Z"],
  eyeOff: ["M3 3l14 14", "M8.2 4.7c.6-.1 1.2-.2 1.8-.2 5 0 8.2 5.5 8.2 5.5a15 15 0 0 1-2.3 2.9", "M5.2 6.2A14 14 0 0 0 1.8 10S5 15.5 10 15.5c1.4 0 2.7-.4 3.8-1"],
  solo: ["M10 3.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13Z", "M10 8.5a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3Z"],
  download: ["M10 3v9.5", "M6 9l4 4 4-4", "M4 16.5h12"],
  sun: ["M10 6.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7Z", "M10 1.8v1.7M10 16.5v1.7M1.8 10h1.7M16.5 10h1.7M4.2 4.2l1.2 1.2M14.6 14.6l1.2 1.2M4.2 15.8l1.2-1.2M14.6 5.4l1.2-1.2"],
  moon: ["M16.5 11.8A7 7 0 0 1 8.2 3.5a7 7 0 1 0 8.3 8.3Z"],
  history: ["M3.5 10a6.5 6.5 0 1 0 2-4.7L3.5 7.2", "M3.5 3.5v3.7h3.7", "M10 6.5V10l2.5 1.8"],
  check: ["M4 10.5l4 4 8-9"],
  alert: ["M10 3L1.8 16.8h16.4L10 3Z", "M10 8v4", "M10 14.3v.2"],
  info: ["M10 2.8a7.2 7.2 0 1 1 0 14.4 7.2 7.2 0 0 1 0-14.4Z", "M10 9.2v4.3", "M10 6.4v.2"],
  redo: ["M16.5 8H8a4.5 4.5 0 0 0 0 9h3", "M13 4.5L16.5 8 13 11.5"],
  undo: ["M3.5 8H12a4.5 4.5 0 0 1 0 9H9", "M7 4.5L3.5 8 7 11.5"],
  fit: ["M3.5 7V3.5H7M13 3.5h3.5V7M16.5 13v3.5H13M7 16.5H3.5V13"],
  up: ["M10 16V4.5", "M5 9l5-5 5 5"],
  down: ["M10 4v11.5", "M5 11l5 5 5-5"],
  fold: ["M5 7.5l5 5 5-5"],
  lock: ["M5 9h10v7.5H5Z", "M7 9V6.5a3 3 0 0 1 6 0V9"],
  sliders: ["M3 6h7M14 6h3M3 14h3M10 14h7", "M12 4.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6Z", "M8 12.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6Z"],
  layers: ["M10 3.5l7 3.8-7 3.8-7-3.8Z", "M3 10.6l7 3.8 7-3.8", "M3 13.6l7 3.4 7-3.4"],
  reset: ["M4 10a6 6 0 1 1 1.8 4.3", "M4 15.5V11.8h3.7"],
};

/**
 * A decorative icon: the control around it carries the name.
 * @param {string} name
 */
export function icon(name) {
  const paths = PATHS[name].map((d) => html`<path d="${d}"/>`);
  return html`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">${paths}</svg>`;
}
