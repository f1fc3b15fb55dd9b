// @ts-check
// The words of layers, as the service has them.

/** @typedef {import("./types.js").Rect} Rect */
/** @typedef {import("./types.js").Point} Point */

/**
 * Words of a layer that can be edited. Lengths are in px of the result's canvas.
 * @typedef {{ blocks: TextBlock[], pixel_lines?: { words: string, bounding_box: Rect }[], overlap: number }} LiveText
 */
/** @typedef {{ text: Text, bounding_box: Rect, lines: LineInfo[] }} TextBlock */
/**
 * What is known of a line: how alike its pixels and its words in the best font are, from 0 to 1.
 * @typedef {{ words: string, similarity: number, weakest: number, font: FontMatch & { approximate: boolean }, alternatives?: FontMatch[] }} LineInfo
 */
/** @typedef {{ family: string, weight: number, similarity?: number }} FontMatch */
/** @typedef {"left" | "centre" | "right"} Align */
/**
 * A block of words. `position` is where the first line's baseline is held: at its left end, middle or right end.
 * @typedef {{ lines: TextLine[], align: Align, angle: number, position: Point }} Text
 */
/** @typedef {{ runs: { text: string, style: TextStyle }[] }} TextLine */
/**
 * @typedef {object} TextStyle
 * @property {string} family
 * @property {number} weight
 * @property {"upright" | "italic"} slant
 * @property {number} size px an em
 * @property {number} line_height px
 * @property {number} letter_spacing px
 * @property {{ colour: string } | { gradient: Gradient }} fill
 * @property {{ width: number, colour: string } | null} [outline]
 * @property {{ dx: number, dy: number, blur: number, colour: string, opacity: number } | null} [shadow]
 */
/** @typedef {{ start: Point, end: Point, stops: { offset: number, colour: string }[] }} Gradient */
/**
 * Blocks that were edited, by their number in `live_text.blocks`.
 * @typedef {Record<string, Text>} TextEdits
 */
/**
 * Answer of `GET /api/fonts`.
 * @typedef {{ families: FontFamily[] }} FontList
 */
/** @typedef {{ family: string, korean_family?: string | null, scripts: Record<string, boolean>, faces: FontFace_[] }} FontFamily */
/** @typedef {{ weight: number, slant: "upright" | "italic", url?: string | null }} FontFace_ */

export {};
