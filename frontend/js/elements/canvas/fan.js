// @ts-check
import { contextOf, drawLayer, sheet } from "../../editor/compositor.js";
import { isShown } from "../../editor/display.js";
import { doc } from "../../editor/document.js";

/** More layers share sheets: each sheet is as large as the picture on the screen. */
const MOST_SHEETS = 9;
/** How far the lowest and the highest sheet are apart, in px. */
const DEPTH = 300;

/** What ends it early. */
const ENDS = ["pointerdown", "keydown", "wheel", "hashchange"];

/**
 * Layers in order as at most `most` neighbouring ones each.
 * @template T
 * @param {T[]} layers
 * @param {number} [most]
 * @returns {T[][]}
 */
export function sheetsOf(layers, most = MOST_SHEETS) {
  const count = Math.min(layers.length, most);
  return Array.from({ length: count }, (_, at) =>
    layers.slice(Math.round((at * layers.length) / count), Math.round(((at + 1) * layers.length) / count)));
}

/**
 * Lets the layers fan out in depth once, and come together again. Nothing is laid out anew, and whatever a person does
 * ends it.
 * @param {HTMLElement} stage what the layers lie on
 */
export function fanOut(stage) {
  const wantsLess = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!doc.value || wantsLess || doc.value.layers.length < 2) return;
  const { width, height, layers } = doc.value;
  const density = Math.min(1, stage.clientWidth / width);
  const fan = document.createElement("div");
  fan.className = "fan";
  const stack = fan.appendChild(document.createElement("div"));
  const sheets = sheetsOf(layers.filter(isShown));
  sheets.forEach((some, at) => {
    const canvas = sheet({ width: Math.ceil(width * density), height: Math.ceil(height * density) });
    const context = contextOf(canvas);
    context.scale(canvas.width / width, canvas.height / height);
    for (const layer of some) drawLayer(context, layer);
    canvas.style.setProperty("--lift", `${Math.round(DEPTH * (at / Math.max(1, sheets.length - 1) - 0.5))}px`);
    stack.append(canvas);
  });
  const end = () => {
    fan.remove();
    stage.classList.remove("fanned");
    for (const type of ENDS) removeEventListener(type, end, true);
  };
  for (const type of ENDS) addEventListener(type, end, true);
  stack.addEventListener("animationend", (event) => event.target === stack && end());
  stage.classList.add("fanned");
  stage.append(fan);
}
