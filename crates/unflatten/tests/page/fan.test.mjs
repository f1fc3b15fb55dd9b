import assert from "node:assert/strict";
import { test } from "node:test";

import { sheetsOf } from "../../../../frontend/js/elements/canvas/fan.js";

test("few layers have a sheet each", () => {
  assert.deepEqual(sheetsOf([]), []);
  assert.deepEqual(sheetsOf([1, 2, 3]), [[1], [2], [3]]);
});

test("many layers share sheets, in their order and about evenly", () => {
  const layers = Array.from({ length: 45 }, (_, at) => at);
  const sheets = sheetsOf(layers, 9);
  assert.deepEqual(sheets.flat(), layers);
  assert.deepEqual(sheets.map((some) => some.length), Array(9).fill(5));
  assert.deepEqual(sheetsOf([1, 2, 3, 4], 3).map((some) => some.length), [1, 2, 1]);
});
