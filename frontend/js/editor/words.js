// @ts-check

/**
 * The words of layers as data. Nothing is changed in place.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Text} Text
 * @typedef {import("../types.js").TextLine} TextLine
 * @typedef {import("../types.js").TextStyle} TextStyle
 * @typedef {import("../types.js").TextBlock} TextBlock
 */

/**
 * A block of words of a layer: as it is now, and what was read in its place.
 * @typedef {{ number: number, text: Text, read: TextBlock | null }} Block
 */

/**
 * @param {Pick<Layer, "info" | "text">} layer
 * @returns {Block[]}
 */
export function blocksOf({ info, text }) {
  const read = info.live_text?.blocks ?? [];
  const blocks = read.map((block, number) => ({ number, text: text?.[number] ?? block.text, read: block }));
  return blocks.length === 0 && text?.[0] ? [{ number: 0, text: text[0], read: null }] : blocks;
}

/** @type {(line: TextLine) => string} */
const wordsOfLine = (line) => line.runs.map((run) => run.text).join("");

/**
 * What a block says, line by line.
 * @param {Text} text
 */
export const wordsOf = (text) => text.lines.map(wordsOfLine).join("\n");

/**
 * All that a layer says now; `null` for one without words.
 * @param {Pick<Layer, "info" | "text">} layer
 */
export function wordsIn(layer) {
  if (!layer.text) return layer.info.text ?? null;
  const pixels = layer.info.live_text?.pixel_lines ?? [];
  return [...blocksOf(layer).map(({ text }) => wordsOf(text)), ...pixels.map((line) => line.words)].join("\n");
}

/**
 * Other words, each line in the style of the line that was in its place, further ones in that of the last.
 * @param {Text} text
 * @param {string} words
 * @returns {Text}
 */
export function reworded(text, words) {
  let style = styleOf(text);
  const lines = words.split(/\r?\n/).map((line, at) => {
    const before = text.lines[at];
    style = before?.runs[0]?.style ?? style;
    if (before && wordsOfLine(before) === line) return before;
    return { runs: [{ text: line.replace(/\t/g, " ").replace(/\p{Cc}/gu, ""), style }] };
  });
  return { ...text, lines };
}

/**
 * The style of a block's first words.
 * @param {Text} text
 */
export function styleOf(text) {
  const [run] = text.lines.flatMap((line) => line.runs);
  return run.style;
}

/**
 * A block with fields of every style changed.
 * @param {Text} text
 * @param {(style: TextStyle) => Partial<TextStyle>} change
 * @returns {Text}
 */
export function restyled(text, change) {
  /** @type {(run: TextLine["runs"][0]) => TextLine["runs"][0]} */
  const one = (run) => ({ ...run, style: { ...run.style, ...change(run.style) } });
  return { ...text, lines: text.lines.map((line) => ({ runs: line.runs.map(one) })) };
}

/**
 * A block with letters of another size; spaces between letters and lines, outline and gradient go with it.
 * @param {Text} text
 * @param {number} size of its first words, in px
 */
export function resized(text, size) {
  const factor = size / styleOf(text).size;
  /** @type {(point: import("../types.js").Point) => import("../types.js").Point} */
  const scaled = ({ x, y }) => ({ x: x * factor, y: y * factor });
  return restyled(text, ({ size: before, line_height, letter_spacing, outline, fill }) => ({
    size: before * factor,
    line_height: line_height * factor,
    letter_spacing: letter_spacing * factor,
    ...(outline ? { outline: { ...outline, width: outline.width * factor } } : {}),
    ...("gradient" in fill ? { fill: { gradient: { ...fill.gradient, start: scaled(fill.gradient.start), end: scaled(fill.gradient.end) } } } : {}),
  }));
}

/**
 * How often `wanted` stands in a block.
 * @param {Text} text
 * @param {string} wanted
 */
export const countIn = (text, wanted) => (wanted === "" ? 0 : text.lines.reduce((sum, line) => sum + wordsOfLine(line).split(wanted).length - 1, 0));

/**
 * A block with other words in place of `wanted`. Where that is in words of several styles, the line gets the first.
 * @param {Text} text
 * @param {string} wanted
 * @param {string} by
 * @returns {Text}
 */
export function replaced(text, wanted, by) {
  // `replaceAll` would read "$&" in the new words as a sign.
  const swap = (/** @type {string} */ words) => words.split(wanted).join(by);
  const lines = text.lines.map((line) => {
    const runs = line.runs.map((run) => ({ ...run, text: swap(run.text) }));
    const whole = swap(wordsOfLine(line));
    return { runs: wordsOfLine({ runs }) === whole ? runs : [{ text: whole, style: line.runs[0].style }] };
  });
  return { ...text, lines };
}

/** @type {(fill: TextStyle["fill"]) => string} */
export const colourOf = (fill) => ("gradient" in fill ? fill.gradient.stops[0].colour : fill.colour);
