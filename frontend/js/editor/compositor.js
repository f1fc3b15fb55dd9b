import { bitmapOf, boxOf, doc, isShown } from "./document.js";

// Of 255: what is fainter is not what a person meant to touch.
const TOUCH_ALPHA = 24;

const recoloured = new WeakMap();

function filterOf({ hue, saturation, lightness }) {
  if (hue === 0 && saturation === 1 && lightness === 1) return null;
  return `hue-rotate(${hue}deg) saturate(${saturation}) brightness(${lightness})`;
}

/** A layer's pixels in the colours it has now. Kept, because filters are slow. */
function pixelsOf(layer) {
  const bitmap = bitmapOf(layer.key);
  const filter = filterOf(layer);
  if (!bitmap || filter === null) return bitmap;
  const kept = recoloured.get(bitmap);
  if (kept?.filter === filter) return kept.pixels;
  const pixels = sheet(bitmap);
  const context = pixels.getContext("2d");
  context.filter = filter;
  context.drawImage(bitmap, 0, 0);
  recoloured.set(bitmap, { filter, pixels });
  return pixels;
}

function drawLayer(context, layer) {
  const pixels = pixelsOf(layer);
  if (!pixels) return;
  const { x, y, width, height } = boxOf(layer);
  context.globalAlpha = layer.opacity;
  context.imageSmoothingQuality = "high";
  context.drawImage(pixels, x, y, width, height);
}

function sheet({ width, height }) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

/**
 * Paints the document's shown layers onto a canvas of the document's size.
 *
 * While one layer is dragged, what is below and above it does not change: both
 * are painted once, and each frame draws three pictures however many layers there are,
 * and only where the layer is and was.
 */
export class Compositor {
  #canvas;
  #frame = 0;
  #drag = null;

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Paints before the next frame, once however often it is asked for. */
  request() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.paint();
    });
  }

  paint() {
    if (!doc.value) return;
    const { width, height, layers } = doc.value;
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    const context = this.#canvas.getContext("2d");
    context.globalAlpha = 1;
    if (this.#drag) return this.#paintDrag(context);
    context.clearRect(0, 0, width, height);
    for (const layer of layers) if (isShown(layer)) drawLayer(context, layer);
  }

  beginDrag(key) {
    const at = doc.value.layers.findIndex((layer) => layer.key === key);
    this.#drag = {
      key,
      below: this.#flatten(doc.value.layers.slice(0, at)),
      above: this.#flatten(doc.value.layers.slice(at + 1)),
    };
  }

  endDrag() {
    this.#drag = null;
    this.request();
  }

  #flatten(layers) {
    const shown = layers.filter(isShown);
    if (shown.length === 0) return null;
    const target = sheet(doc.value);
    const context = target.getContext("2d");
    for (const layer of shown) drawLayer(context, layer);
    return target;
  }

  #paintDrag(context) {
    const { key, below, above, painted } = this.#drag;
    const layer = doc.value.layers.find((one) => one.key === key);
    const box = boxOf(layer);
    const { left, top, right, bottom } = around(painted ?? { x: 0, y: 0, ...doc.value }, box);
    this.#drag.painted = box;
    context.save();
    context.beginPath();
    context.rect(left, top, right - left, bottom - top);
    context.clip();
    context.clearRect(left, top, right - left, bottom - top);
    if (below) context.drawImage(below, 0, 0);
    if (isShown(layer)) drawLayer(context, layer);
    context.globalAlpha = 1;
    if (above) context.drawImage(above, 0, 0);
    context.restore();
  }
}

/** Whole pixels that hold two boxes, with a rim for what smoothing touches. */
function around(one, other) {
  return {
    left: Math.floor(Math.min(one.x, other.x)) - 1,
    top: Math.floor(Math.min(one.y, other.y)) - 1,
    right: Math.ceil(Math.max(one.x + one.width, other.x + other.width)) + 1,
    bottom: Math.ceil(Math.max(one.y + one.height, other.y + other.height)) + 1,
  };
}

let probe = null;

/** Key of the highest shown, unlocked layer with a visible pixel at a point of the canvas, or `null`. */
export function layerAt(x, y) {
  probe ??= Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  for (const layer of doc.value.layers.toReversed()) {
    const box = boxOf(layer);
    const bitmap = bitmapOf(layer.key);
    if (!bitmap || !isShown(layer) || layer.locked) continue;
    const [left, top] = [Math.floor((x - box.x) / layer.scale), Math.floor((y - box.y) / layer.scale)];
    if (left < 0 || top < 0 || left >= bitmap.width || top >= bitmap.height) continue;
    probe.clearRect(0, 0, 1, 1);
    probe.drawImage(bitmap, -left, -top);
    if (probe.getImageData(0, 0, 1, 1).data[3] * layer.opacity > TOUCH_ALPHA) return layer.key;
  }
  return null;
}

/** Draws a layer, trimmed and centred, into a square thumbnail. */
export function drawThumbnail(canvas, layer) {
  const pixels = pixelsOf(layer);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!pixels) return;
  const side = canvas.width;
  const scale = Math.min(side / pixels.width, side / pixels.height);
  const [width, height] = [Math.max(1, pixels.width * scale), Math.max(1, pixels.height * scale)];
  context.imageSmoothingQuality = "high";
  context.drawImage(pixels, (side - width) / 2, (side - height) / 2, width, height);
}
