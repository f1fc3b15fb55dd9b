// @ts-check

/**
 * Pictures in another size, as the service makes them (`layers::resize`): Lanczos's kernel of three lobes, wider where the
 * picture gets smaller, over premultiplied colours.
 *
 * @typedef {import("../types.js").Size} Size
 * @typedef {import("./turn.js").Pixels} Pixels
 */

const LOBES = 3;

/** @param {number} x */
const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
/** @param {number} x */
const lanczos = (x) => (x >= -LOBES && x < LOBES ? sinc(x) * sinc(x / LOBES) : 0);

/**
 * Which of `from` pixels in a row each of `to` is made of, and their shares.
 * @param {number} from
 * @param {number} to
 */
function kernels(from, to) {
  const scale = from / to;
  const wide = Math.max(1, scale);
  return Array.from({ length: to }, (_, at) => {
    const centre = (at + 0.5) * scale;
    const start = Math.max(0, Math.floor(centre - LOBES * wide));
    const end = Math.min(from, Math.ceil(centre + LOBES * wide));
    const shares = Float64Array.from({ length: end - start }, (__, n) => lanczos((start + n + 0.5 - centre) / wide));
    const sum = shares.reduce((total, share) => total + share, 0);
    return { start, shares: shares.map((share) => share / sum) };
  });
}

/**
 * @param {Pixels} picture
 * @param {Size} size in whole pixels, at least one a side
 * @returns {Pixels}
 */
export function resize(picture, { width, height }) {
  let sums = premultiplied(picture.data);
  if (width !== picture.width) sums = rowsResized(sums, picture, width);
  if (height !== picture.height) sums = columnsResized(sums, { width, height: picture.height }, height);
  return { width, height, data: straight(sums) };
}

/** @param {Uint8ClampedArray} data */
function premultiplied(data) {
  const sums = new Float32Array(data.length);
  for (let at = 0; at < data.length; at += 4) {
    const alpha = data[at + 3] / 255;
    for (let channel = 0; channel < 3; channel += 1) sums[at + channel] = data[at + channel] * alpha;
    sums[at + 3] = data[at + 3];
  }
  return sums;
}

/** @param {Float32Array} sums */
function straight(sums) {
  const data = new Uint8ClampedArray(sums.length);
  for (let at = 0; at < sums.length; at += 4) {
    const alpha = sums[at + 3];
    if (alpha <= 0) continue;
    for (let channel = 0; channel < 3; channel += 1) data[at + channel] = (sums[at + channel] / alpha) * 255;
    data[at + 3] = alpha;
  }
  return data;
}

/** @param {number} value */
const limited = (value) => (value < 0 ? 0 : value > 255 ? 255 : value);

/**
 * @param {Float32Array} sums
 * @param {Size} size
 * @param {number} width
 */
function rowsResized(sums, { width: before, height }, width) {
  const out = new Float32Array(4 * width * height);
  kernels(before, width).forEach(({ start, shares }, x) => {
    for (let y = 0; y < height; y += 1) {
      let [red, green, blue, alpha] = [0, 0, 0, 0];
      for (let n = 0, from = 4 * (y * before + start); n < shares.length; n += 1, from += 4) {
        red += sums[from] * shares[n];
        green += sums[from + 1] * shares[n];
        blue += sums[from + 2] * shares[n];
        alpha += sums[from + 3] * shares[n];
      }
      const at = 4 * (y * width + x);
      out[at] = limited(red);
      out[at + 1] = limited(green);
      out[at + 2] = limited(blue);
      out[at + 3] = limited(alpha);
    }
  });
  return out;
}

/**
 * @param {Float32Array} sums
 * @param {Size} size
 * @param {number} height
 */
function columnsResized(sums, { width }, height) {
  const length = 4 * width;
  const out = new Float32Array(length * height);
  kernels(sums.length / length, height).forEach(({ start, shares }, y) => {
    const row = out.subarray(y * length, (y + 1) * length);
    shares.forEach((share, n) => {
      const from = (start + n) * length;
      for (let at = 0; at < length; at += 1) row[at] += sums[from + at] * share;
    });
    for (let at = 0; at < length; at += 1) row[at] = limited(row[at]);
  });
  return out;
}
