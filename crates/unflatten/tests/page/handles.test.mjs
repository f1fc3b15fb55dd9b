import assert from "node:assert/strict";
import { test } from "node:test";

import { doc, layerOf, layersNow } from "../../../../frontend/js/editor/document.js";
import { transform } from "../../../../frontend/js/editor/edits.js";
import { boxOf } from "../../../../frontend/js/editor/geometry.js";
import { startHistory, undo } from "../../../../frontend/js/editor/history.js";
import { scaled } from "../../../../frontend/js/editor/transform.js";
import { growth, turnBy } from "../../../../frontend/js/elements/canvas/handles.js";
import { layer } from "./layers.mjs";

const BOX = { x: 10, y: 20, width: 100, height: 50 };

test("a corner that is dragged outwards lets the box grow as far, in its proportions", () => {
  assert.deepEqual(growth(BOX, [1, 1], { x: 100, y: 50 }), { x: 2, y: 2 });
  assert.deepEqual(growth(BOX, [0, 0], { x: -50, y: -25 }), { x: 1.5, y: 1.5 });
  assert.deepEqual(growth(BOX, [1, 1], { x: -9000, y: -9000 }), { x: 0.001, y: 0.001 }, "never inside out");
  assert.deepEqual(growth(BOX, [1, 1], { x: 50, y: 100 }, true), { x: 1.5, y: 3 }, "freely with Shift");
});

test("a side that is dragged changes one length", () => {
  assert.deepEqual(growth(BOX, [1, 0.5], { x: 50, y: 300 }), { x: 1.5, y: 1 });
  assert.deepEqual(growth(BOX, [0.5, 0], { x: 40, y: 25 }), { x: 1, y: 0.5 });
  assert.deepEqual(growth(BOX, [0.5, 0], { x: 40, y: 25 }, true), { x: 0.5, y: 0.5 }, "both with Shift");
  assert.deepEqual(growth({ ...BOX, width: 0 }, [1, 0.5], { x: 5, y: 0 }), { x: 1, y: 1 });
});

test("turns are in whole degrees, or in steps of 15 of what the layer has then", () => {
  assert.equal(turnBy(0, 31.4, false), 31);
  assert.equal(turnBy(10, 12, true), 5);
  assert.equal(turnBy(10.5, 0.2, false), 0.5);
  assert.equal(turnBy(170, 20, false), 20);
  assert.equal(turnBy(0, -359, false), 1);
});

test("the opposite corner stays where it is, and the whole drag is one step", () => {
  doc.value = { id: "job", width: 800, height: 600, layers: [layer(1)] };
  startHistory();
  for (const factor of [1.2, 1.7, 2]) {
    transform([1], (members) => scaled(members, { x: factor, y: factor }, { x: 10, y: 20 }), "handle 1");
  }
  assert.deepEqual(boxOf(layerOf(1)), { x: 10, y: 20, width: 200, height: 100 });
  undo();
  assert.deepEqual(layersNow(), [layer(1)]);
  doc.value = null;
});
