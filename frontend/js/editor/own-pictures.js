// @ts-check
import * as api from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { failureOf, notify } from "../notices.js";
import { newKey } from "./arrange.js";
import { hold } from "./bitmaps.js";
import { contextOf, drawStack, sheet } from "./compositor.js";
import { isShown, pick, picked } from "./display.js";
import { doc, layerOf, layersNow } from "./document.js";
import { pictureLayer } from "./elements.js";
import { around, frameOf, middleOf, seenOf } from "./geometry.js";
import { edit } from "./history.js";
import { mergeable, mergedInto } from "./merging.js";
import { layerTitle } from "./names.js";
import { isComplete } from "./pixels.js";
import { LEAST, MOST } from "./transform.js";

/**
 * Pictures that people bring into a document, and those that are made of its layers.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Size} Size
 * @typedef {import("../types.js").Picture} Picture
 */

/**
 * Stores a picture with the document. Answers with nothing if that fails, which people are told, or the document was closed.
 * @param {Blob} file
 * @returns {Promise<(Size & { id: string }) | null>}
 */
async function store(file) {
  const open = doc.value?.id;
  if (!open) return null;
  try {
    const picture = await api.addPicture(open, file);
    return doc.value?.id === open ? picture : null;
  } catch (error) {
    notify("error", failureOf(error).message);
    return null;
  }
}

/**
 * A canvas as a file.
 * @param {HTMLCanvasElement} canvas
 * @returns {Promise<Blob>}
 */
const fileOf = (canvas) => new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error(t("pictures.tooLarge"))))));

/**
 * The factor by which a picture fits into a box, or covers it.
 * @param {Size} size
 * @param {Size} box
 * @param {boolean} [covers]
 */
export function fitting({ width, height }, box, covers = false) {
  const [across, down] = [box.width / width, box.height / height];
  return Math.min(MOST, Math.max(LEAST, covers ? Math.max(across, down) : Math.min(across, down)));
}

/**
 * Where a picture lies whose middle is at a point, in whole pixels, and how it is scaled.
 * @param {Size & { id: string }} picture
 * @param {import("../types.js").Rect} box
 * @param {boolean} [covers]
 */
export function placedIn({ id, width, height }, box, covers = false) {
  const [middle, scale] = [middleOf(box), fitting({ width, height }, box, covers)];
  return { picture: { id, x: Math.round(middle.x - width / 2), y: Math.round(middle.y - height / 2) }, edit: { x: 0, y: 0, scale_x: scale, scale_y: scale } };
}

/**
 * Puts a picture in the place of a layer's pixels, as large as fits into its box. It keeps the layer's turn, opacity and
 * effects.
 * @param {number} key
 * @param {Blob} file
 * @param {boolean} [covers] whether it covers the box and reaches beyond it
 */
export async function replacePixels(key, file, covers = false) {
  const stored = await store(file);
  const layer = layerOf(key);
  const box = layer && frameOf(layer);
  if (!stored || !layer || !box) return;
  const upright = { ...layer, rotation: 0 };
  const { picture, edit: place } = placedIn(stored, frameOf(upright) ?? box, covers);
  const plain = { hue: 0, saturation: 1, lightness: 1, text: null };
  const kind = layer.picture?.kind;
  edit(layersNow().map((one) => (one.key === key ? pictureLayer({ ...one, ...plain, ...place }, kind ? { ...picture, kind } : picture) : one)));
}

/**
 * Brings a picture into the document, above all, as large as fits.
 * @param {Blob & { name?: string }} file
 */
export async function addPicture(file) {
  const stored = await store(file);
  if (!stored || !doc.value) return;
  const { width, height } = doc.value;
  const { picture, edit: place } = placedIn(stored, { x: 0, y: 0, width, height });
  if (place.scale_x > 1) place.scale_x = place.scale_y = 1;
  const name = (file.name ?? "").replace(/\.[^.]*$/, "").replace(/\p{Cc}/gu, "").slice(0, 200).trim();
  const layer = pictureLayer({ ...blank(), ...place }, picture);
  edit([...layersNow(), name ? { ...layer, name } : layer]);
  pick([layer.key]);
}

/** A layer of a picture as nobody edited it. */
function blank() {
  return {
    key: newKey(), job: "", groups: [], made: null, locked: false, visible: true, opacity: 1, blend: /** @type {const} */ ("normal"), x: 0, y: 0,
    scale_x: 1, scale_y: 1, rotation: 0, effects: null, hue: 0, saturation: 1, lightness: 1, text: null, name: null,
  };
}

/** Whether what is selected can be merged. */
export const canMerge = () => mergeable(layersNow(), picked.value).length > 1 && isComplete();

/** Makes one picture of what is selected and shown, in the place of the highest of it. */
export async function mergePicked() {
  const [layers, keys] = [layersNow(), picked.value];
  const members = mergeable(layers, keys);
  const box = around(members.filter(isShown).map(seenOf));
  if (!canMerge() || !box) return;
  const canvas = sheet(box);
  const context = contextOf(canvas);
  context.translate(-box.x, -box.y);
  drawStack(context, members);
  try {
    const [file, bitmap] = await Promise.all([fileOf(canvas), createImageBitmap(canvas)]);
    const stored = await store(file);
    if (!stored || layersNow() !== layers) return bitmap.close();
    const highest = members[members.length - 1];
    const picture = { id: stored.id, x: box.x, y: box.y, ...(highest.info.kind === "unknown" ? {} : { kind: highest.info.kind }) };
    const made = { ...pictureLayer(blank(), picture), name: layerTitle(highest) };
    hold(made, bitmap);
    edit(mergedInto(layers, members, made));
    pick([made.key]);
  } catch (error) {
    notify("error", failureOf(error).message);
  }
}

/**
 * Fills a layer with colours, as large as the canvas: from the first to the second, along an angle clockwise from the top.
 * @param {number} key
 * @param {string[]} colours one, or two
 * @param {number} [angle] in degrees
 */
export async function fill(key, colours, angle = 180) {
  if (!doc.value) return;
  const { width, height } = doc.value;
  const canvas = sheet({ width, height });
  const context = contextOf(canvas);
  const { from, to } = gradientLine({ width, height }, angle);
  const gradient = context.createLinearGradient(from.x, from.y, to.x, to.y);
  gradient.addColorStop(0, colours[0]);
  gradient.addColorStop(1, colours[colours.length - 1]);
  context.fillStyle = gradient;
  context.fillRect(0, 0, width, height);
  try {
    const stored = await store(await fileOf(canvas));
    const layer = layerOf(key);
    if (!stored || !layer) return;
    const plain = { x: 0, y: 0, scale_x: 1, scale_y: 1, rotation: 0, hue: 0, saturation: 1, lightness: 1, text: null };
    edit(layersNow().map((one) => (one.key === key ? pictureLayer({ ...one, ...plain }, { id: stored.id, x: 0, y: 0 }) : one)));
  } catch (error) {
    notify("error", failureOf(error).message);
  }
}

/**
 * The line of a gradient that reaches the corners of a box, as CSS has it.
 * @param {Size} size
 * @param {number} angle in degrees, clockwise from the top
 */
export function gradientLine({ width, height }, angle) {
  const [sin, cos] = [Math.sin((angle * Math.PI) / 180), Math.cos((angle * Math.PI) / 180)];
  const half = (Math.abs(width * sin) + Math.abs(height * cos)) / 2;
  const [dx, dy] = [sin * half, -cos * half];
  return { from: { x: width / 2 - dx, y: height / 2 - dy }, to: { x: width / 2 + dx, y: height / 2 + dy } };
}

/**
 * Lets a person choose a picture of their own.
 * @param {(file: File) => void} take
 */
export function choosePicture(take) {
  const input = Object.assign(document.createElement("input"), { type: "file", accept: "image/*" });
  input.addEventListener("change", () => {
    const [file] = input.files ?? [];
    if (file) take(file);
  });
  input.click();
}
