import assert from "node:assert/strict";
import { test } from "node:test";

import { around, backOf, boxOf, frameOf, middleOf, placeOf, turned, uprightOf } from "../../../../frontend/js/editor/geometry.js";
import { canStretch, normal, rotated, scaled } from "../../../../frontend/js/editor/transform.js";
import { layer } from "./layers.mjs";

const both = (scale) => ({ scale_x: scale, scale_y: scale });

test("a layer's box moves with it and grows about its middle, in whole pixels", () => {
  assert.deepEqual(boxOf(layer(0)), { x: 10, y: 20, width: 100, height: 50 });
  assert.deepEqual(boxOf(layer(0, { x: -30, y: 5 })), { x: -20, y: 25, width: 100, height: 50 });
  assert.deepEqual(boxOf(layer(0, both(2))), { x: -40, y: -5, width: 200, height: 100 });
  assert.deepEqual(boxOf(layer(0, both(0.5))), { x: 35, y: 33, width: 50, height: 25 });
  assert.deepEqual(boxOf(layer(0, { scale_x: 2 })), { x: -40, y: 20, width: 200, height: 50 });
  assert.deepEqual(boxOf(layer(0, both(0.001))), { x: 60, y: 45, width: 1, height: 1 });
  assert.deepEqual(boxOf(layer(0, { origin: { x: 300, y: 400 } })), { x: 310, y: 420, width: 100, height: 50 });
});

test("a turned layer covers what its corners reach", () => {
  const quarter = layer(0, { rotation: 90 });
  assert.deepEqual(uprightOf(quarter), { x: 10, y: 20, width: 100, height: 50 });
  assert.deepEqual(frameOf(quarter), { x: 35, y: -5, width: 50, height: 100 });
  const { x, y, width, height } = frameOf(layer(0, { rotation: 30 }));
  // 100 cos 30 + 50 sin 30 is 111.6, 100 sin 30 + 50 cos 30 is 93.3; all pixels that are met count.
  assert.deepEqual([x, y, width, height], [4, -2, 112, 94]);
  assert.deepEqual(frameOf(layer(0, { rotation: -330 })), frameOf(layer(0, { rotation: 30 })));
});

test("a point of a layer is found where it lies, and back", () => {
  const one = layer(0, { x: 7, y: -3, scale_x: 2, scale_y: 0.5, rotation: 30, origin: { x: 100, y: 200 } });
  assert.deepEqual(placeOf(one, middleOf(one.info.bounding_box)), { x: 167, y: 242 });
  for (const point of [{ x: 10, y: 20 }, { x: 110, y: 70 }, { x: 0, y: 0 }]) {
    const back = backOf(one, placeOf(one, point));
    assert.ok(Math.hypot(back.x - point.x, back.y - point.y) < 1e-9);
  }
  assert.deepEqual(rounded(turned({ x: 2, y: 1 }, 90, { x: 1, y: 1 })), { x: 1, y: 2 }, "clockwise");
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
  const layers = [layer(0), layer(1, { x: 200, y: 100, ...both(0.5) })];
  const before = around(layers.map(boxOf));
  const after = scaled(layers, { x: 3, y: 3 }, middleOf(before));
  assert.deepEqual(after.map(({ scale_x, scale_y }) => [scale_x, scale_y]), [[3, 3], [1.5, 1.5]]);
  const box = around(after.map(boxOf));
  // A layer moves by whole pixels.
  assert.ok(Math.abs(box.width - 3 * before.width) <= 2, `${box.width} is not 3 x ${before.width}`);
  assert.ok(Math.abs(middleOf(box).x - middleOf(before).x) <= 1);
  assert.ok(Math.abs(middleOf(box).y - middleOf(before).y) <= 1);
});

test("one length of a layer changes along its own sides, and the opposite side stays", () => {
  const one = layer(0, { rotation: 90 });
  // Its right side is below now.
  const above = { x: 60, y: -5 };
  const [after] = scaled([one], { x: 1.5, y: 1 }, above, 90);
  assert.deepEqual([after.scale_x, after.scale_y, after.x, after.y], [1.5, 1, 0, 25]);
  assert.deepEqual(frameOf(after), { x: 35, y: -5, width: 50, height: 150 });
  // Among others, whose sides are the canvas's, its height is as wide.
  const [stretched] = scaled([one], { x: 2, y: 1 }, { x: 60, y: 45 });
  assert.deepEqual([stretched.scale_x, stretched.scale_y], [1, 2]);
});

test("what would be slanted keeps its proportions", () => {
  const layers = [layer(0), layer(1, { rotation: 30 })];
  assert.ok(canStretch(layers.slice(0, 1), 0) && canStretch(layers.slice(1), 30) && !canStretch(layers, 0));
  for (const { scale_x, scale_y } of scaled(layers, { x: 2, y: 1 }, { x: 0, y: 0 })) assert.deepEqual([scale_x, scale_y], [2, 2]);
});

test("layers turn about a point, and stay within half a turn", () => {
  const [one] = rotated([layer(0)], 90, { x: 10, y: 45 });
  assert.deepEqual([one.rotation, one.x, one.y], [90, -50, 50]);
  let turning = [layer(0)];
  for (let n = 0; n < 5; n += 1) turning = rotated(turning, 90, { x: 60, y: 45 });
  assert.deepEqual([turning[0].rotation, turning[0].x], [90, 0]);
  assert.deepEqual([normal(270), normal(-190), normal(720), normal(180), normal(0.1 + 0.2)], [-90, 170, 0, 180, 0.3]);
});

test("scaling by 1 moves nothing, empty layers never move, and limits are kept", () => {
  const layers = [layer(0, { x: 7 }), layer(1, { info: { bounding_box: null } })];
  assert.deepEqual(scaled(layers, { x: 1, y: 1 }, { x: 1000, y: -1000 }), layers);
  assert.equal(scaled(layers, { x: 5, y: 5 }, { x: 0, y: 0 })[1], layers[1]);
  assert.equal(rotated(layers, 5, { x: 0, y: 0 })[1], layers[1]);
  assert.deepEqual(scaled([], { x: 2, y: 2 }, { x: 0, y: 0 }), []);
  assert.equal(scaled(layers, { x: 99, y: 0.001 }, { x: 0, y: 0 })[0].scale_x, 16);
});

test("places are whole pixels, however odd the scale", () => {
  for (const factor of [0.01, 0.333, 1.0001, 15.99]) {
    const [{ x, y }] = scaled([layer(0, { x: 3, y: -4 })], { x: factor, y: factor }, { x: 12345.5, y: -999.25 });
    assert.ok(Number.isInteger(x) && Number.isInteger(y), `${x}, ${y}`);
  }
});

function rounded({ x, y }) {
  return { x: Math.round(1e6 * x) / 1e6, y: Math.round(1e6 * y) / 1e6 };
}
