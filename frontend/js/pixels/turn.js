// @ts-check

/**
 * Pictures turned about their middle, pixel for pixel as the service does it (`layers::turn`).
 *
 * @typedef {import("../types.js").Size} Size
 * @typedef {import("../types.js").Rect} Rect
 * @typedef {Size & { data: Uint8ClampedArray }} Pixels RGBA, straight alpha
 */

/** Edges that a rounding error moved over a pixel's edge are not taken for more pixels. */
const SLACK = 1e-6;

/**
 * The quarter turns clockwise that an angle is, 0 to 3; `null` for other angles.
 * @param {number} degrees
 */
function quarters(degrees) {
  const turned = ((degrees % 360) + 360) % 360;
  return turned % 90 === 0 ? (turned / 90) % 4 : null;
}

/** @param {number} degrees */
const radians = (degrees) => (degrees * Math.PI) / 180;

/**
 * What a picture covers after it was turned by `degrees` clockwise, from the corner that it had before.
 * @param {Size} size
 * @param {number} degrees
 * @returns {Rect}
 */
export function turnedBox({ width, height }, degrees) {
  const quarter = quarters(degrees);
  if (quarter === 0 || quarter === 2) return { x: 0, y: 0, width, height };
  if (quarter !== null) return { x: Math.floor((width - height) / 2), y: Math.floor((height - width) / 2), width: height, height: width };
  const [sin, cos] = [Math.abs(Math.sin(radians(degrees))), Math.abs(Math.cos(radians(degrees)))];
  /** @type {(side: number, reach: number) => [start: number, length: number]} */
  const span = (side, reach) => {
    const start = Math.floor(side / 2 - reach + SLACK);
    return [start, Math.ceil(side / 2 + reach - SLACK) - start];
  };
  const [x, across] = span(width, (width * cos + height * sin) / 2);
  const [y, down] = span(height, (width * sin + height * cos) / 2);
  return { x, y, width: across, height: down };
}

/**
 * A picture turned by `degrees` clockwise, as large as `turnedBox` says. Quarter turns move pixels; others are cubic
 * convolutions (Catmull-Rom) of premultiplied colours.
 * @param {Pixels} picture
 * @param {number} degrees
 * @returns {Pixels}
 */
export function turn(picture, degrees) {
  const quarter = quarters(degrees);
  if (quarter === 0) return picture;
  return quarter === null ? convolved(picture, degrees) : permuted(picture, quarter);
}

/**
 * @param {Pixels} picture
 * @param {number} quarter
 * @returns {Pixels}
 */
function permuted({ data, width, height }, quarter) {
  const from = new Uint32Array(data.buffer, data.byteOffset, width * height);
  const to = new Uint32Array(width * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const at = quarter === 1 ? x * height + height - 1 - y : quarter === 2 ? (height - 1 - y) * width + width - 1 - x : (width - 1 - x) * height + y;
      to[at] = from[y * width + x];
    }
  }
  const size = quarter === 2 ? { width, height } : { width: height, height: width };
  return { ...size, data: new Uint8ClampedArray(to.buffer) };
}

/**
 * @param {Pixels} picture
 * @param {number} degrees
 * @returns {Pixels}
 */
function convolved(picture, degrees) {
  const box = turnedBox(picture, degrees);
  const [sin, cos] = [Math.sin(radians(degrees)), Math.cos(radians(degrees))];
  const [w, h] = [picture.width / 2, picture.height / 2];
  const data = new Uint8ClampedArray(4 * box.width * box.height);
  for (let row = 0; row < box.height; row += 1) {
    for (let column = 0; column < box.width; column += 1) {
      const [x, y] = [box.x + column + 0.5 - w, box.y + row + 0.5 - h];
      // From the middles of pixels, back to where this one was.
      sample(picture, x * cos + y * sin + w - 0.5, y * cos - x * sin + h - 0.5, data, 4 * (row * box.width + column));
    }
  }
  return { width: box.width, height: box.height, data };
}

/** Shares of the four columns, then of the four rows, around a place. */
const shares = new Float64Array(8);

/**
 * What a picture shows between its pixels, whose middles are at whole numbers.
 * @param {Pixels} picture
 * @param {number} x
 * @param {number} y
 * @param {Uint8ClampedArray} out
 * @param {number} at
 */
function sample({ data, width, height }, x, y, out, at) {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  if (left < -2 || top < -2 || left > width || top > height) return;
  weigh(x - left, 0);
  weigh(y - top, 4);
  let [red, green, blue, sum] = [0, 0, 0, 0];
  for (let row = 0; row < 4; row += 1) {
    const line = top - 1 + row;
    if (line < 0 || line >= height) continue;
    for (let column = 0; column < 4; column += 1) {
      const place = left - 1 + column;
      if (place < 0 || place >= width) continue;
      const from = 4 * (line * width + place);
      const alpha = data[from + 3] * shares[column] * shares[4 + row];
      red += data[from] * alpha;
      green += data[from + 1] * alpha;
      blue += data[from + 2] * alpha;
      sum += alpha;
    }
  }
  const alpha = Math.min(255, Math.floor(sum + 0.5));
  if (alpha <= 0) return;
  // The array cuts off what is below 0 and above 255, and rounds.
  out[at] = red / sum;
  out[at + 1] = green / sum;
  out[at + 2] = blue / sum;
  out[at + 3] = alpha;
}

/**
 * Catmull and Rom's cubic at the four pixels around a place that lies `t` after the second.
 * @param {number} t
 * @param {number} from
 */
function weigh(t, from) {
  shares[from] = (((2 - t) * t - 1) * t) / 2;
  shares[from + 1] = ((3 * t - 5) * t * t + 2) / 2;
  shares[from + 2] = (((4 - 3 * t) * t + 1) * t) / 2;
  shares[from + 3] = ((t - 1) * t * t) / 2;
}
