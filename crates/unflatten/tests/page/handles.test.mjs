import assert from "node:assert/strict";
import { test } from "node:test";

import { doc, layerOf, layersNow } from "../../../../frontend/js/editor/document.js";
import { scaleAbout } from "../../../../frontend/js/editor/edits.js";
import { boxOf } from "../../../../frontend/js/editor/geometry.js";
import { startHistory, undo } from "../../../../frontend/js/editor/history.js";
import { growth } from "../../../../frontend/js/elements/canvas/handles.js";
import { layer } from "./layers.mjs";

const BOX = { x: 10, y: 20, width: 100, height: 50 };

test("a handle that is dragged outwards lets the box grow as far", () => {
  assert.equal(growth(BOX, [1, 1], { x: 100, y: 50 }), 2);
  assert.equal(growth(BOX, [0, 0], { x: -50, y: -25 }), 1.5);
  assert.equal(growth(BOX, [1, 0.5], { x: 50, y: 300 }), 1.5, "along its own way alone");
  assert.equal(growth(BOX, [0.5, 0], { x: 40, y: 25 }), 0.5);
  assert.equal(growth(BOX, [1, 1], { x: -9000, y: -9000 }), 0.001, "never inside out");
  assert.equal(growth({ ...BOX, width: 0 }, [1, 0.5], { x: 5, y: 0 }), 1);
});

test("the opposite corner stays where it is, and the whole drag is one step", () => {
  doc.value = { id: "job", width: 800, height: 600, layers: [layer(1)] };
  startHistory();
  for (const factor of [1.2, 1.7, 2]) scaleAbout(1, factor, { x: 10, y: 20 }, "handle 1");
  assert.deepEqual(boxOf(layerOf(1)), { x: 10, y: 20, width: 200, height: 100 });
  undo();
  assert.deepEqual(layersNow(), [layer(1)]);
  doc.value = null;
});
