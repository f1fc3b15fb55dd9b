// @ts-check

/**
 * A line around a picture, and its shadow, as the service draws them (`layers::Effects`).
 *
 * @typedef {import("../types.js").Effects} Effects
 * @typedef {import("./turn.js").Pixels} Pixels
 * @typedef {{ width: number, height: number, values: Float32Array }} Plane how much of each pixel is covered, 0 to 1
 */

/** Stands for the square of a distance where nothing is covered. */
const FAR = 1e12;

/**
 * How far to each side three averages reach that together are hardly different from a Gaussian of half of `blur` as its
 * deviation (Kovesi, "Fast Almost-Gaussian Filtering", 2010).
 * @param {number} blur
 */
export function boxes(blur) {
  const variance = (blur / 2) ** 2;
  const small = Math.max(0, Math.floor((Math.sqrt(4 * variance + 1) - 1) / 2));
  const size = 2 * small + 1;
  const smaller = (12 * variance - 3 * size * size - 12 * size - 9) / (-4 * size - 4);
  return [0, 1, 2].map((n) => small + (n >= Math.floor(smaller + 0.5) ? 1 : 0));
}

/** @param {NonNullable<Effects["shadow"]>} shadow */
const offset = ({ dx, dy }) => ({ dx: Math.floor(Math.fround(dx) + 0.5), dy: Math.floor(Math.fround(dy) + 0.5) });

/**
 * How many pixels effects add to the left, above, to the right and below.
 * @param {Effects} effects
 */
export function margins({ outline, shadow }) {
  const around = outline ? Math.ceil(Math.max(0, Math.fround(outline.width))) + 1 : 0;
  if (!shadow) return { left: around, above: around, right: around, below: around };
  const { dx, dy } = offset(shadow);
  const reach = around + boxes(Math.fround(shadow.blur)).reduce((sum, one) => sum + one, 0);
  // As much on the other side: what a blur loses there would be missing.
  /** @type {(by: number) => number} */
  const side = (by) => reach + Math.max(0, by);
  return { left: side(-dx), above: side(-dy), right: side(dx), below: side(dy) };
}

/** @type {(colour: string) => number[]} red, green, blue and alpha, 0 to 1 */
const parts = (colour) => [1, 3, 5, 7].map((at) => (at < colour.length ? parseInt(colour.slice(at, at + 2), 16) / 255 : 1));

/**
 * A picture with its effects.
 * @param {Pixels} picture
 * @param {Effects} effects
 * @returns {Pixels & { left: number, above: number }} larger by that much to the left and above
 */
export function withEffects(picture, effects) {
  const { left, above, right, below } = margins(effects);
  const [width, height] = [picture.width + left + right, picture.height + above + below];
  /** @type {Plane} */
  const cover = { width, height, values: new Float32Array(width * height) };
  each(picture, (from, x, y) => (cover.values[(y + above) * width + x + left] = picture.data[from + 3] / 255));
  let out = new Float32Array(4 * width * height);
  if (effects.outline) {
    const line = grown(cover, Math.fround(effects.outline.width));
    put(out, line, parts(effects.outline.colour), 1, { dx: 0, dy: 0 });
    line.values.forEach((value, at) => (cover.values[at] += value * (1 - cover.values[at])));
  }
  if (effects.shadow) {
    const line = out;
    out = new Float32Array(line.length);
    const { colour, opacity, blur } = effects.shadow;
    put(out, blurred(cover, Math.fround(blur)), parts(colour), Math.fround(opacity), offset(effects.shadow));
    for (let at = 0; at < out.length; at += 4) over(out, at, line[at], line[at + 1], line[at + 2], line[at + 3]);
  }
  each(picture, (from, x, y) => {
    const alpha = picture.data[from + 3] / 255;
    const [red, green, blue] = [0, 1, 2].map((channel) => (picture.data[from + channel] / 255) * alpha);
    if (alpha > 0) over(out, 4 * ((y + above) * width + x + left), red, green, blue, alpha);
  });
  const data = new Uint8ClampedArray(out.length);
  for (let at = 0; at < out.length; at += 4) {
    const alpha = out[at + 3];
    if (alpha * 255 < 0.5) continue;
    for (let channel = 0; channel < 3; channel += 1) data[at + channel] = (out[at + channel] / alpha) * 255;
    data[at + 3] = alpha * 255;
  }
  return { width, height, data, left, above };
}

/**
 * @param {Pixels} picture
 * @param {(from: number, x: number, y: number) => void} visit
 */
function each({ width, height }, visit) {
  for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) visit(4 * (y * width + x), x, y);
}

/**
 * Puts a premultiplied colour over one pixel.
 * @param {Float32Array} out
 * @param {number} at
 * @param {number} red
 * @param {number} green
 * @param {number} blue
 * @param {number} alpha
 */
function over(out, at, red, green, blue, alpha) {
  const rest = 1 - alpha;
  out[at] = red + out[at] * rest;
  out[at + 1] = green + out[at + 1] * rest;
  out[at + 2] = blue + out[at + 2] * rest;
  out[at + 3] = alpha + out[at + 3] * rest;
}

/**
 * Puts one colour over `out` as far as a plane says, moved by whole pixels.
 * @param {Float32Array} out
 * @param {Plane} cover
 * @param {number[]} colour
 * @param {number} opacity
 * @param {{ dx: number, dy: number }} by
 */
function put(out, { width, height, values }, [red, green, blue, alpha], opacity, { dx, dy }) {
  for (let y = Math.max(0, dy); y < Math.min(height, height + dy); y += 1) {
    for (let x = Math.max(0, dx); x < Math.min(width, width + dx); x += 1) {
      const share = values[(y - dy) * width + x - dx] * alpha * opacity;
      if (share > 0) over(out, 4 * (y * width + x), red * share, green * share, blue * share, share);
    }
  }
}

/**
 * What lies within `wide` of what is covered: of the nearest pixel that is covered by half or more, whose edge lies as far
 * from its middle as it is covered (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", 2012).
 * @param {Plane} cover
 * @param {number} wide
 * @returns {Plane}
 */
function grown(cover, wide) {
  const { width, height, values } = cover;
  const rows = nearestRows(cover);
  const out = new Float32Array(values.length);
  const [squares, places, starts] = [new Float64Array(width), new Int32Array(width), new Float64Array(width)];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) squares[x] = rows[y * width + x] < 0 ? FAR : (rows[y * width + x] - y) ** 2;
    envelope(squares, places, starts);
    for (let x = 0, at = 0; x < width; x += 1) {
      while (at + 1 < width && starts[at + 1] <= x) at += 1;
      const place = places[at];
      const near = rows[y * width + place];
      if (near < 0) continue;
      const edge = Math.fround(wide + values[near * width + place]);
      out[y * width + x] = Math.min(1, Math.max(0, edge - Math.sqrt((x - place) ** 2 + squares[place])));
    }
  }
  return { width, height, values: out };
}

/**
 * The row of the nearest pixel of each one's column that is covered by half or more; -1 where there is none.
 * @param {Plane} cover
 */
function nearestRows({ width, height, values }) {
  const rows = new Int32Array(values.length).fill(-1);
  for (let x = 0; x < width; x += 1) {
    let last = -1;
    for (let y = 0; y < height; y += 1) {
      if (values[y * width + x] >= 0.5) last = y;
      rows[y * width + x] = last;
    }
    let next = -1;
    for (let y = height - 1; y >= 0; y -= 1) {
      if (values[y * width + x] >= 0.5) next = y;
      const above = rows[y * width + x];
      if (above < 0 || (next >= 0 && next - y < y - above)) rows[y * width + x] = next;
    }
  }
  return rows;
}

/**
 * The lower envelope of the parabolas that stand in a row: where they stand, and from where on each of them is lowest.
 * @param {Float64Array} heights
 * @param {Int32Array} places
 * @param {Float64Array} starts beyond the last one infinite
 */
function envelope(heights, places, starts) {
  let count = 0;
  for (let n = 0; n < heights.length; n += 1) {
    let start = -Infinity;
    while (count > 0) {
      const last = places[count - 1];
      start = (heights[n] + n * n - heights[last] - last * last) / (2 * (n - last));
      if (start > starts[count - 1]) break;
      count -= 1;
      start = -Infinity;
    }
    places[count] = n;
    starts[count] = start;
    count += 1;
  }
  starts.fill(Infinity, count);
}

/**
 * A Gaussian blur; what lies outside counts as not covered.
 * @param {Plane} cover
 * @param {number} blur
 * @returns {Plane}
 */
function blurred({ width, height, values }, blur) {
  const line = new Float32Array(Math.max(width, height));
  for (const reach of boxes(blur)) {
    if (reach === 0) continue;
    for (let y = 0; y < height; y += 1) average(values, line, y * width, 1, width, reach);
    for (let x = 0; x < width; x += 1) average(values, line, x, width, height, reach);
  }
  return { width, height, values };
}

/**
 * The mean of so many values to each side, along one row or column.
 * @param {Float32Array} values
 * @param {Float32Array} line
 * @param {number} first
 * @param {number} step
 * @param {number} length
 * @param {number} reach
 */
function average(values, line, first, step, length, reach) {
  for (let n = 0; n < length; n += 1) line[n] = values[first + n * step];
  const size = 2 * reach + 1;
  let sum = 0;
  for (let n = 0; n < Math.min(reach, length); n += 1) sum += line[n];
  for (let n = 0; n < length; n += 1) {
    if (n + reach < length) sum += line[n + reach];
    values[first + n * step] = sum / size;
    if (n >= reach) sum -= line[n - reach];
  }
}
