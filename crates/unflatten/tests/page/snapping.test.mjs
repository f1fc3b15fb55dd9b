import assert from "node:assert/strict";
import { test } from "node:test";

import { snapped } from "../../../../frontend/js/editor/snapping.js";

const box = (x, y, width = 100, height = 50) => ({ x, y, width, height });
const CANVAS = box(0, 0, 800, 600);

test("edges and middles meet those of what is beside", () => {
  const by = (moved, others = [CANVAS]) => {
    const { dx, dy } = snapped(moved, others, 6);
    return [dx, dy];
  };
  assert.deepEqual(by(box(4, 300)), [-4, 0]);
  assert.deepEqual(by(box(697, 100)), [3, 0], "the right edge");
  assert.deepEqual(by(box(346, 272)), [4, 3], "both middles");
  assert.deepEqual(by(box(200, 100)), [0, 0], "nothing is near");
  assert.deepEqual(by(box(305, 100), [box(0, 400), box(300, 300)]), [-5, 0], "another layer's edge");
  assert.deepEqual(by(box(303, 100), [box(299, 300), box(304, 300)]), [1, 0], "the nearest");
  assert.deepEqual(by(box(10, 10), []), [0, 0]);
});

test("guides lead from one to the other", () => {
  const { guides } = snapped(box(3, 300), [box(0, 100)], 6);
  assert.deepEqual(guides, [{ axis: "x", at: 0, from: 100, to: 350 }]);
  const both = snapped(box(346, 272), [CANVAS], 6).guides;
  assert.deepEqual(both.map(({ axis, at }) => [axis, at]), [["x", 400], ["y", 300]]);
  assert.deepEqual(snapped(box(200, 120), [CANVAS], 6).guides, []);
});

test("what is moved stays on whole pixels", () => {
  const { dx } = snapped(box(3, 100, 101), [box(0, 0, 108, 10)], 6);
  assert.ok(Number.isInteger(dx), String(dx));
});
