// @ts-check
import { outermost } from "./arrange.js";
import { around, boxOf } from "./geometry.js";
import { membersOf } from "./tree.js";

/**
 * Layers and groups brought to a line, or to equal gaps. Keys name them; what is in a group stays together.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Rect} Rect
 * @typedef {"left" | "centre" | "right" | "top" | "middle" | "bottom"} Edge
 */

/**
 * By edge: the axis that things move along, and the share of their length at which they meet.
 * @type {Record<Edge, ["x" | "y", number]>}
 */
const EDGES = { left: ["x", 0], centre: ["x", 0.5], right: ["x", 1], top: ["y", 0], middle: ["y", 0.5], bottom: ["y", 1] };

/** @type {Edge[]} */
export const edges = ["left", "centre", "right", "top", "middle", "bottom"];

/** @type {(axis: "x" | "y") => "width" | "height"} */
const lengthAlong = (axis) => (axis === "x" ? "width" : "height");

/**
 * The boxes of what keys name, without what has none.
 * @param {Layer[]} layers
 * @param {number[]} keys
 */
function boxesOf(layers, keys) {
  return outermost(layers, keys).flatMap((key) => {
    const members = membersOf(layers, key);
    const box = around(members.map(boxOf));
    return box ? [{ members, box }] : [];
  });
}

/**
 * `layers` with each of `boxes` moved along an axis.
 * @param {Layer[]} layers
 * @param {{ members: Layer[], box: Rect }[]} boxes
 * @param {"x" | "y"} axis
 * @param {(box: Rect, at: number) => number} to where its left or top edge goes
 */
function moved(layers, boxes, axis, to) {
  /** @type {Map<Layer, number>} */
  const by = new Map();
  boxes.forEach(({ members, box }, at) => members.forEach((layer) => by.set(layer, Math.round(to(box, at) - box[axis]))));
  return layers.map((layer) => (by.get(layer) ? { ...layer, [axis]: layer[axis] + (by.get(layer) ?? 0) } : layer));
}

/**
 * Several things aligned with each other, or one with the canvas.
 * @param {Layer[]} layers
 * @param {number[]} keys
 * @param {Edge} edge
 * @param {import("../types.js").Size} canvas
 * @returns {Layer[]}
 */
export function aligned(layers, keys, edge, canvas) {
  const boxes = boxesOf(layers, keys);
  const all = boxes.length > 1 ? around(boxes.map(({ box }) => box)) : { x: 0, y: 0, ...canvas };
  const [axis, share] = EDGES[edge];
  const length = lengthAlong(axis);
  return all ? moved(layers, boxes, axis, (box) => all[axis] + share * (all[length] - box[length])) : layers;
}

/**
 * Three things or more with equal gaps between them; the outermost two stay.
 * @param {Layer[]} layers
 * @param {number[]} keys
 * @param {"x" | "y"} axis
 * @returns {Layer[]}
 */
export function distributed(layers, keys, axis) {
  const length = lengthAlong(axis);
  const boxes = boxesOf(layers, keys).sort((a, b) => 2 * (a.box[axis] - b.box[axis]) + a.box[length] - b.box[length]);
  const all = around(boxes.map(({ box }) => box));
  if (!all || boxes.length < 3) return layers;
  const sum = (/** @type {typeof boxes} */ some) => some.reduce((total, { box }) => total + box[length], 0);
  const [first, last] = [boxes[0].box, boxes[boxes.length - 1].box];
  const gap = (last[axis] + last[length] - first[axis] - sum(boxes)) / (boxes.length - 1);
  return moved(layers, boxes, axis, (_, at) => first[axis] + sum(boxes.slice(0, at)) + at * gap);
}
