import assert from "node:assert/strict";
import { test } from "node:test";

import { aligned, distributed } from "../../../../frontend/js/editor/align.js";
import { boxOf } from "../../../../frontend/js/editor/geometry.js";
import { group, layer } from "./layers.mjs";

const CANVAS = { width: 640, height: 480 };
const places = (layers) => layers.map((one) => [boxOf(one).x, boxOf(one).y]);

test("one layer is aligned with the canvas", () => {
  const found = (edge) => places(aligned([layer(0), layer(1)], [1], edge, CANVAS));
  assert.deepEqual(found("left"), [[10, 20], [0, 20]]);
  assert.deepEqual(found("centre")[1], [270, 20]);
  assert.deepEqual(found("right")[1], [540, 20]);
  assert.deepEqual([found("top")[1], found("middle")[1], found("bottom")[1]], [[10, 0], [10, 215], [10, 430]]);
});

test("several are aligned with each other, groups as a whole", () => {
  const layers = [layer(0), layer(1, { x: 50, y: 7, groups: [group(9)] }), layer(2, { x: 90, groups: [group(9)] }), layer(3, { x: -5, scale_x: 0.5 })];
  // The group reaches from 60 to 200, the narrow one from 30 to 80.
  assert.deepEqual(places(aligned(layers, [0, 9, 3], "left", CANVAS)).map(([x]) => x), [10, 10, 50, 10]);
  assert.deepEqual(places(aligned(layers, [0, 9, 3, 1], "right", CANVAS)).map(([x]) => x), [100, 60, 100, 150]);
  assert.deepEqual(aligned(layers, [3, 77], "left", CANVAS)[3].x, -35, "with the canvas: it is alone");
});

test("gaps between three become equal, and the outermost stay", () => {
  const layers = [layer(0, { x: 400 }), layer(1), layer(2, { x: 110, scale_x: 0.5 }), layer(3, { x: 130 })];
  const found = distributed(layers, [0, 1, 2, 3], "x");
  // From 10 to 510 with 350 pixels of layers: gaps of 50.
  assert.deepEqual(places(found).map(([x]) => x), [410, 10, 160, 260]);
  assert.deepEqual(distributed(layers.slice(0, 2), [0, 1], "x"), layers.slice(0, 2), "two have one gap");
  assert.deepEqual(places(distributed(layers, [0, 1, 2], "y")), places(layers), "they overlap as much already");
});
