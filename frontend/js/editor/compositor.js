// @ts-check
import { dragged, isShown, typing } from "./display.js";
import { doc, partsAt, seenAt } from "./document.js";
import { drawnOf } from "./drawn.js";
import { filterOf } from "./filter.js";
import { boxOf, cornersOf, middleOf, middlesOf, placeOf, uprightOf } from "./geometry.js";
import { pixelsAt, placedOf } from "./pixels.js";
import { blocksOf } from "./words.js";

/**
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Rect} Rect
 */

/** @type {WeakMap<ImageBitmap, { filter: string, pixels: HTMLCanvasElement }>} */
const recoloured = new WeakMap();

/**
 * Pixels in the colours that a layer has now. Kept, because filters are slow.
 * @param {Layer} layer
 * @param {ImageBitmap} bitmap
 */
function colouredAs(layer, bitmap) {
  const filter = filterOf(layer);
  if (filter === null) return bitmap;
  const kept = recoloured.get(bitmap);
  if (kept?.filter === filter) return kept.pixels;
  const pixels = sheet(bitmap);
  const context = contextOf(pixels);
  context.filter = filter;
  context.drawImage(bitmap, 0, 0);
  recoloured.set(bitmap, { filter, pixels });
  return pixels;
}

/**
 * A blend mode in the words of a canvas.
 * @param {import("../types.js").Blend} blend
 */
const operationOf = (blend) => (blend === "normal" ? "source-over" : blend);

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Layer} layer
 */
export function drawLayer(context, layer) {
  const bitmap = pixelsAt(layer);
  const box = boxOf(layer);
  if (!bitmap || !box) return;
  context.save();
  if (typing.value?.key === layer.key) leaveOut(context, layer, typing.value.number);
  context.globalAlpha = layer.opacity;
  context.globalCompositeOperation = operationOf(layer.blend);
  context.imageSmoothingQuality = "high";
  const placed = placedOf(layer);
  if (placed) context.drawImage(placed.isColoured ? placed.bitmap : colouredAs(layer, placed.bitmap), box.x - placed.left, box.y - placed.above);
  else drawMeanwhile(context, layer, colouredAs(layer, bitmap));
  context.restore();
}

/**
 * Draws pixels by the browser's own scaling and turning, which is as sharp but not the same as what files have.
 * @param {CanvasRenderingContext2D} context
 * @param {Layer} layer
 * @param {CanvasImageSource} pixels
 */
function drawMeanwhile(context, layer, pixels) {
  const upright = uprightOf(layer);
  const drawn = drawnOf(layer);
  if (drawn?.box) {
    const { before, now } = middlesOf(layer);
    context.translate(now.x, now.y);
    context.rotate((layer.rotation * Math.PI) / 180);
    context.scale(layer.scale_x / drawn.as.scale_x, layer.scale_y / drawn.as.scale_y);
    context.rotate((-drawn.as.rotation * Math.PI) / 180);
    context.drawImage(pixels, drawn.box.x - before.x, drawn.box.y - before.y);
  } else if (upright) {
    const { x, y } = middleOf(upright);
    context.translate(x, y);
    context.rotate((layer.rotation * Math.PI) / 180);
    context.drawImage(pixels, -upright.width / 2, -upright.height / 2, upright.width, upright.height);
  }
}

/**
 * Draws the shown ones of neighbouring layers, those in a group that lets through what is below it as one picture.
 * @param {CanvasRenderingContext2D} context
 * @param {Layer[]} layers
 * @param {number} [depth] how many groups around all of them are drawn already
 */
export function drawStack(context, layers, depth = 0) {
  for (let from = 0; from < layers.length;) {
    const group = layers[from].groups[depth];
    let to = from + 1;
    if (!group) {
      if (isShown(layers[from])) drawLayer(context, layers[from]);
    } else {
      while (layers[to]?.groups[depth]?.key === group.key) to += 1;
      drawGroup(context, layers.slice(from, to), group, depth + 1);
    }
    from = to;
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Layer[]} members
 * @param {import("../types.js").Group} group
 * @param {number} depth
 */
function drawGroup(context, members, { opacity, blend }, depth) {
  if ((opacity === 1 && blend === "normal") || !members.some(isShown)) return drawStack(context, members, depth);
  const whole = sheet(context.canvas);
  const inner = contextOf(whole);
  inner.setTransform(context.getTransform());
  drawStack(inner, members, depth);
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalAlpha = opacity;
  context.globalCompositeOperation = operationOf(blend);
  context.drawImage(whole, 0, 0);
  context.restore();
}

/**
 * Keeps the words that somebody types over from being drawn.
 * @param {CanvasRenderingContext2D} context
 * @param {Layer} layer
 * @param {number} number of the block
 */
function leaveOut(context, layer, number) {
  const blocks = blocksOf(layer);
  const area = blocks[number]?.read?.bounding_box;
  context.beginPath();
  if (blocks.length > 1 && area) {
    context.rect(-1e6, -1e6, 2e6, 2e6);
    const [first, ...rest] = cornersOf(area).map((corner) => placeOf(layer, corner));
    context.moveTo(first.x, first.y);
    for (const { x, y } of rest) context.lineTo(x, y);
    context.closePath();
  }
  context.clip("evenodd");
}

/**
 * A canvas of its own.
 * @param {import("../types.js").Size} size
 */
export function sheet({ width, height }) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 */
export function contextOf(canvas, settings) {
  const context = canvas.getContext("2d", settings);
  if (!context) throw new Error("this browser draws on no canvas");
  return context;
}

/**
 * The part of the document in `box` as a canvas of its own, with `density` pixels for each of the document's.
 * @param {Layer[]} layers
 * @param {Rect} box
 * @param {number} density
 */
export function flattened(layers, box, density) {
  const target = sheet({ width: Math.ceil(box.width * density) || 1, height: Math.ceil(box.height * density) || 1 });
  const context = contextOf(target);
  context.setTransform(target.width / box.width, 0, 0, target.height / box.height, 0, 0);
  context.translate(-box.x, -box.y);
  drawStack(context, layers);
  return target;
}

/**
 * Paints the document's shown layers onto a canvas of the document's size.
 *
 * While something is dragged, nothing is painted at all: three sheets lie on the
 * canvas, what is below it, itself and what is above it, and the browser moves
 * the one in the middle.
 */
export class Compositor {
  #canvas;
  #frame = 0;
  /** @type {{ key: number, holder: HTMLElement, moving: HTMLElement } | null} */
  #sheets = null;
  /** @type {HTMLElement | null} */
  #dropped = null;

  /**
   * `canvas` fills its parent, which takes the sheets while something is dragged.
   * @param {HTMLCanvasElement} canvas
   */
  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Schedules one repaint before the next frame. */
  request() {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.paint();
    });
  }

  paint() {
    if (!doc.value) return;
    if (this.#sheets) this.#lift(this.#sheets.key);
    const { width, height, layers } = doc.value;
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    const context = contextOf(this.#canvas);
    context.clearRect(0, 0, width, height);
    drawStack(context, layers);
    this.#dropped?.remove();
    this.#dropped = null;
  }

  /**
   * Begins to drag a layer or group, which `drag` then moves.
   * @param {number} key
   */
  beginDrag(key) {
    this.#lift(key);
    dragged.value = { key, dx: 0, dy: 0 };
  }

  /**
   * Shows the dragged layer or group (dx, dy) document pixels from its place.
   * @param {number} dx
   * @param {number} dy
   */
  drag(dx, dy) {
    if (!dragged.value) return;
    dragged.value = { ...dragged.value, dx, dy };
    this.#place();
  }

  endDrag() {
    dragged.value = null;
    // The sheets stay until the canvas below them has been painted.
    this.#dropped?.remove();
    this.#dropped = this.#sheets?.holder ?? null;
    this.#sheets = null;
    this.request();
  }

  /** @param {number} key */
  #lift(key) {
    const members = partsAt(key);
    const box = seenAt(key);
    if (!doc.value || !box) return;
    const { width, height, layers } = doc.value;
    const first = layers.indexOf(members[0]);
    // No finer than the screen shows it.
    const density = Math.min(1, (this.#canvas.clientWidth * devicePixelRatio) / width);
    const all = { x: 0, y: 0, width, height };
    const holder = document.createElement("div");
    holder.className = "dragged";
    const moving = flattened(members, box, density);
    // Several that mix differently mix with each other alone while they are dragged.
    const blends = new Set(members.map((layer) => layer.blend));
    if (blends.size === 1) moving.style.mixBlendMode = members[0].blend;
    holder.append(
      flattened(layers.slice(0, first), all, density), moving,
      flattened(layers.slice(first + members.length), all, density),
    );
    Object.assign(moving.style, {
      left: `${(100 * box.x) / width}%`, top: `${(100 * box.y) / height}%`,
      width: `${(100 * box.width) / width}%`, height: `${(100 * box.height) / height}%`,
    });
    this.#sheets?.holder.remove();
    this.#canvas.after(holder);
    this.#sheets = { key, holder, moving };
    this.#place();
  }

  #place() {
    const { dx, dy } = dragged.value ?? { dx: 0, dy: 0 };
    if (!doc.value || !this.#sheets) return;
    const scale = this.#canvas.clientWidth / doc.value.width;
    this.#sheets.moving.style.transform = `translate(${dx * scale}px, ${dy * scale}px)`;
  }
}
