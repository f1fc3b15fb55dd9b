// @ts-check
import { contextOf, drawLayer } from "./compositor.js";
import { boxAt, partsAt } from "./document.js";

// Of 255: what is brighter on average cannot be told from a light checkerboard.
const BRIGHT = 170;
// Of 255: fainter pixels are hardly seen.
const SEEN_ALPHA = 24;

/**
 * Draws a layer or group, trimmed and centred, into a square thumbnail, on a dark ground if it is bright.
 * @param {HTMLCanvasElement} canvas
 * @param {number} key
 */
export function drawThumbnail(canvas, key) {
  const box = boxAt(key);
  // Thumbnails ignore opacity.
  const shown = partsAt(key).map((layer) => ({ ...layer, opacity: 1, blend: /** @type {const} */ ("normal") }));
  const context = contextOf(canvas, { willReadFrequently: true });
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!box) return;
  const scale = Math.min(canvas.width / box.width, canvas.height / box.height);
  context.setTransform(scale, 0, 0, scale, canvas.width / 2, canvas.height / 2);
  context.translate(-box.x - box.width / 2, -box.y - box.height / 2);
  for (const layer of shown) drawLayer(context, layer);
  canvas.classList.toggle("dark", isBright(context.getImageData(0, 0, canvas.width, canvas.height).data));
}

/**
 * Whether what is seen of RGBA pixels is so bright that it needs a dark ground.
 * @param {ArrayLike<number>} pixels
 */
export function isBright(pixels) {
  let [sum, weight] = [0, 0];
  for (let at = 0; at < pixels.length; at += 4) {
    const alpha = pixels[at + 3];
    if (alpha < SEEN_ALPHA) continue;
    // Rec. 709
    sum += alpha * (0.2126 * pixels[at] + 0.7152 * pixels[at + 1] + 0.0722 * pixels[at + 2]);
    weight += alpha;
  }
  return weight > 0 && sum / weight > BRIGHT;
}
