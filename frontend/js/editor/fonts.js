// @ts-check
import * as api from "../lib/api.js";
import { signal } from "../lib/signal.js";

/**
 * The fonts that the service sets words in. Those that ship with it are lent to the browser while somebody types; of others
 * the browser's own are taken.
 *
 * @typedef {import("../types.js").FontFamily} FontFamily
 */

/**
 * The families by name; none until they have arrived.
 * @type {import("../lib/signal.js").Signal<FontFamily[]>}
 */
export const families = signal(/** @type {FontFamily[]} */ ([]));

let isAsked = false;

/** Fetches the list, once. */
export async function listFonts() {
  if (isAsked) return;
  isAsked = true;
  try {
    families.value = (await api.fonts()).families;
    for (const { family, faces } of families.value) {
      for (const { weight, slant, url } of faces) {
        if (!url) continue;
        const style = slant === "italic" ? "italic" : "normal";
        // Fetched by the browser when a letter is first set in it.
        document.fonts.add(new FontFace(family, `url(${url})`, { weight: String(weight), style }));
      }
    }
  } catch {
    // The words can be edited without; the next layer asks again.
    isAsked = false;
  }
}

/**
 * @param {string} name
 */
export const familyOf = (name) => families.value.find(({ family, korean_family }) => family === name || korean_family === name);

/**
 * The font of a style in CSS, of this many px an em.
 * @param {import("../types.js").TextStyle} style
 * @param {number} px
 */
export function cssFont({ family, weight, slant }, px) {
  return `${slant === "italic" ? "italic " : ""}${weight} ${px}px ${JSON.stringify(family)}, "Noto Sans KR", sans-serif`;
}

/** @type {CanvasRenderingContext2D | null} */
let ruler = null;

/**
 * The width of the longest line, and how far letters rise above the baseline and fall below it, in px, as the
 * browser sets them.
 * @param {string[]} lines
 * @param {import("../types.js").TextStyle} style
 */
export function measured(lines, style) {
  ruler ??= document.createElement("canvas").getContext("2d");
  if (!ruler) return { width: 0, ascent: style.size, descent: 0 };
  ruler.font = cssFont(style, style.size);
  const found = lines.map((line) => (ruler?.measureText(line).width ?? 0) + style.letter_spacing * [...line].length);
  const { fontBoundingBoxAscent: ascent, fontBoundingBoxDescent: descent } = ruler.measureText("가");
  return { width: Math.max(1, ...found), ascent, descent };
}
