import assert from "node:assert/strict";
import { test } from "node:test";

import { around, boxOf, middleOf, scaledAbout } from "../../../../frontend/js/editor/geometry.js";
import { layer } from "./layers.mjs";

test("a layer's box moves with it and grows about its middle", () => {
  assert.deepEqual(boxOf(layer(0)), { x: 10, y: 20, width: 100, height: 50 });
  assert.deepEqual(boxOf(layer(0, { x: -30, y: 5 })), { x: -20, y: 25, width: 100, height: 50 });
  assert.deepEqual(boxOf(layer(0, { scale: 2 })), { x: -40, y: -5, width: 200, height: 100 });
  assert.deepEqual(boxOf(layer(0, { scale: 0.5 })), { x: 35, y: 32.5, width: 50, height: 25 });
  assert.deepEqual(boxOf(layer(0, { origin: { x: 300, y: 400 } })), { x: 310, y: 420, width: 100, height: 50 });
});

test("the middle stays where it is at any scale", () => {
  for (const scale of [0.01, 0.3, 1, 7, 16]) {
    assert.deepEqual(rounded(middleOf(boxOf(layer(0, { scale })))), { x: 60, y: 45 });
  }
});

test("an empty layer has no box", () => {
  for (const bounding_box of [null, undefined]) assert.equal(boxOf(layer(0, { info: { bounding_box } })), null);
});

test("a box around boxes", () => {
  const [a, b] = [{ x: 0, y: 10, width: 10, height: 10 }, { x: -5, y: 15, width: 8, height: 100 }];
  assert.deepEqual(around([a]), a);
  assert.deepEqual(around([a, null, b]), { x: -5, y: 10, width: 15, height: 105 });
  assert.deepEqual(around([a, { x: 2, y: 12, width: 1, height: 1 }]), a, "one inside the other");
  assert.equal(around([]), null);
  assert.equal(around([null, null]), null);
});

test("layers that are scaled as one keep their places to each other", () => {
  const layers = [layer(0), layer(1, { x: 200, y: 100, scale: 0.5 })];
  const before = around(layers.map(boxOf));
  const after = scaledAbout(layers, 3, middleOf(before));
  assert.deepEqual(after.map(({ scale }) => scale), [3, 1.5]);
  const box = around(after.map(boxOf));
  // A layer moves by whole pixels.
  assert.ok(Math.abs(box.width - 3 * before.width) <= 2, `${box.width} is not 3 x ${before.width}`);
  assert.ok(Math.abs(middleOf(box).x - middleOf(before).x) <= 1);
  assert.ok(Math.abs(middleOf(box).y - middleOf(before).y) <= 1);
});

test("scaling by 1 moves nothing, and empty layers never move", () => {
  const layers = [layer(0, { x: 7 }), layer(1, { info: { bounding_box: null } })];
  assert.deepEqual(scaledAbout(layers, 1, { x: 1000, y: -1000 }), layers);
  assert.equal(scaledAbout(layers, 5, { x: 0, y: 0 })[1], layers[1]);
  assert.deepEqual(scaledAbout([], 2, { x: 0, y: 0 }), []);
});

test("places are whole pixels, however odd the scale", () => {
  for (const factor of [0.01, 0.333, 1.0001, 15.99]) {
    const [{ x, y }] = scaledAbout([layer(0, { x: 3, y: -4 })], factor, { x: 12345.5, y: -999.25 });
    assert.ok(Number.isInteger(x) && Number.isInteger(y), `${x}, ${y}`);
  }
});

function rounded({ x, y }) {
  return { x: Math.round(1e6 * x) / 1e6, y: Math.round(1e6 * y) / 1e6 };
}
