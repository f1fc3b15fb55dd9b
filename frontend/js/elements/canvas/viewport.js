// @ts-check
const LARGEST = 16;
const SMALLEST = 0.02;
const MARGIN_PX = 24;

/** @typedef {import("../../types.js").Size} Size */

/** Zoom and pan: where the document lies in a frame, in CSS pixels. */
export class Viewport {
  scale = 1;
  x = 0;
  y = 0;
  /** Follows the frame's size until someone zooms or pans. */
  fits = true;

  /** @param {(view: Viewport) => void} onChange is told of each change */
  constructor(onChange) {
    this.onChange = onChange;
    /** @type {Size} */
    this.frame = { width: 0, height: 0 };
    /** @type {Size} */
    this.content = { width: 1, height: 1 };
  }

  /**
   * @param {Size} frame
   * @param {Size} content
   */
  resize(frame, content) {
    this.frame = frame;
    this.content = content;
    if (this.fits) this.fit();
    else this.#settle();
  }

  fit() {
    const margin = Math.min(MARGIN_PX, this.frame.width / 20, this.frame.height / 20);
    const width = (this.frame.width - 2 * margin) / this.content.width;
    const height = (this.frame.height - 2 * margin) / this.content.height;
    this.scale = Math.max(SMALLEST, Math.min(1, width, height));
    this.x = (this.frame.width - this.content.width * this.scale) / 2;
    this.y = (this.frame.height - this.content.height * this.scale) / 2;
    this.fits = true;
    this.#settle();
  }

  /**
   * Zooms to `scale`; the point at (x, y) of the frame stays where it is.
   * @param {number} scale
   * @param {number} [x]
   * @param {number} [y]
   */
  zoomTo(scale, x = this.frame.width / 2, y = this.frame.height / 2) {
    const next = Math.min(LARGEST, Math.max(SMALLEST, scale));
    this.x = x - ((x - this.x) * next) / this.scale;
    this.y = y - ((y - this.y) * next) / this.scale;
    this.scale = next;
    this.fits = false;
    this.#settle();
  }

  /**
   * @param {number} dx
   * @param {number} dy
   */
  panBy(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fits = false;
    this.#settle();
  }

  /** Whether the document is larger than the frame. */
  get overflows() {
    return this.content.width * this.scale > this.frame.width || this.content.height * this.scale > this.frame.height;
  }

  /**
   * The document's pixel at a point of the frame.
   * @param {number} x
   * @param {number} y
   */
  toContent(x, y) {
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  /**
   * The place in the frame of a point of the content.
   * @param {number} x
   * @param {number} y
   * @returns {import("../../types.js").Point}
   */
  toScreen(x, y) {
    return { x: x * this.scale + this.x, y: y * this.scale + this.y };
  }

  #settle() {
    this.x = keep(this.x, this.content.width * this.scale, this.frame.width);
    this.y = keep(this.y, this.content.height * this.scale, this.frame.height);
    this.onChange(this);
  }
}

/**
 * Some of the document always stays in the middle of the frame, or half of a small one in the frame.
 * @param {number} at
 * @param {number} size
 * @param {number} frame
 */
function keep(at, size, frame) {
  const [least, most] = size < frame ? [-size / 2, frame - size / 2] : [frame / 2 - size, frame / 2];
  return Math.min(most, Math.max(least, at));
}
