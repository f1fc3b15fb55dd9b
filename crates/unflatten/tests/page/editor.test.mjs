// The document on the page: edits and their history.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { filterOf } from "../../../../frontend/js/editor/filter.js";
import { isShown, mode, resetDisplay, selected, solo } from "../../../../frontend/js/editor/display.js";
import { boxAt, doc, layerOf, layersNow, nameOf, partsAt } from "../../../../frontend/js/editor/document.js";
import { editLayer, isEdited, isLocked, isVisible, moveBy, rename, restore, shift, showAll, toggleVisible, transform } from "../../../../frontend/js/editor/edits.js";
import { edit, endEdit, history, redo, reset, startHistory, undo } from "../../../../frontend/js/editor/history.js";
import { closeDocument } from "../../../../frontend/js/editor/open.js";
import { scaled } from "../../../../frontend/js/editor/transform.js";
import { groupOf } from "../../../../frontend/js/editor/tree.js";
import { keysOf, layer, nested } from "./layers.mjs";

/** Shows layers as a document that was just opened. */
function open(layers) {
  doc.value = { id: "job", width: 800, height: 600, layers };
  startHistory();
}

beforeEach(() => {
  closeDocument();
  localStorage.clear();
});

test("without a document there is nothing to ask for and nothing to do", () => {
  assert.deepEqual(layersNow(), []);
  assert.equal(layerOf(0), null);
  assert.equal(nameOf(0), "");
  assert.equal(boxAt(0), null);
  assert.equal(boxAt(null), null);
  assert.deepEqual(partsAt(null), []);
  for (const act of [undo, redo, reset, showAll, endEdit, () => edit([]), () => moveBy(0, 1, 1), () => shift(0, 1)]) act();
  assert.equal(doc.value, null);
});

test("an edit is undone and redone", () => {
  open([layer(0), layer(1)]);
  const before = layersNow();
  editLayer(1, { opacity: 0.5 });
  moveBy(0, 3, -4);
  assert.deepEqual(history.value, { undo: true, redo: false });
  assert.deepEqual([layerOf(0).x, layerOf(0).y, layerOf(1).opacity], [3, -4, 0.5]);
  undo();
  undo();
  assert.equal(layersNow(), before);
  assert.deepEqual(history.value, { undo: false, redo: true });
  undo();
  redo();
  redo();
  redo();
  assert.deepEqual([layerOf(0).x, layerOf(1).opacity], [3, 0.5]);
  undo();
  editLayer(0, { locked: true });
  assert.deepEqual(history.value, { undo: true, redo: false }, "a new edit ends what could be redone");
});

test("a slider that is drawn is undone at once, and two are not", () => {
  open([layer(0)]);
  for (const opacity of [0.9, 0.8, 0.7]) editLayer(0, { opacity }, "opacity 0");
  endEdit();
  for (const opacity of [0.6, 0.5]) editLayer(0, { opacity }, "opacity 0");
  undo();
  assert.equal(layerOf(0).opacity, 0.7);
  undo();
  assert.equal(layerOf(0).opacity, 1);
});

test("no more than a hundred edits are kept", () => {
  open([layer(0)]);
  for (let i = 0; i < 150; i += 1) moveBy(0, 1, 0);
  for (let i = 0; i < 150; i += 1) undo();
  assert.equal(layerOf(0).x, 50);
});

test("a group moves, hides, and is renamed as a whole", () => {
  open(nested());
  moveBy(1, 10, 0);
  assert.deepEqual(partsAt(1).map(({ x }) => x), [10, 10, 10]);
  assert.equal(layerOf(9).x, 0);
  assert.equal(layerOf(1), null, "a group is no layer");
  rename(4, "안쪽 그룹", "name 4");
  assert.equal(nameOf(4), "안쪽 그룹");
  assert.equal(nameOf(1), "Group 1");
  rename(9, "글자", "name 9");
  assert.equal(nameOf(9), "글자");
});

test("a group that is scaled back and forth in one go is as it was", () => {
  open(nested());
  const before = boxAt(1);
  for (const scale of [1.37, 0.21, 3.3, 1]) transform([1], (members) => scaled(members, { x: scale, y: scale }, { x: 7, y: 9 }), "scale 1");
  assert.deepEqual(boxAt(1), before);
  undo();
  assert.deepEqual(history.value, { undo: false, redo: true });
});

test("groups are hidden and let through what is below them by themselves", () => {
  open(nested());
  toggleVisible(4);
  assert.deepEqual(keysOf(layersNow().filter(isShown)), [0, 3, 9]);
  assert.equal(isVisible(4), false);
  assert.ok(layersNow().every(({ visible }) => visible), "the layers in it are as they were");
  editLayer(1, { opacity: 0.5, hue: 90 });
  assert.deepEqual(partsAt(1).map(({ opacity, hue }) => [opacity, hue]), [[1, 90], [1, 90], [1, 90]]);
  assert.equal(groupOf(layersNow(), 1).opacity, 0.5);
  assert.equal(isEdited(1), true);
  assert.equal(isEdited(9), false);
  showAll();
  assert.deepEqual(keysOf(layersNow().filter(isShown)), [0, 3, 5, 6, 9]);
  restore(1);
  assert.equal(isEdited(1), false);
});

test("what is shown alone is a layer or a group", () => {
  open([...nested(), layer(10, { visible: false })]);
  const shown = () => keysOf(layersNow().filter(isShown));
  assert.deepEqual(shown(), [0, 3, 5, 6, 9]);
  solo.value = 4;
  assert.deepEqual(shown(), [5, 6]);
  solo.value = 10;
  assert.deepEqual(shown(), [10], "a hidden layer too");
  selected.value = 3;
  mode.value = "compare";
  resetDisplay();
  assert.deepEqual([solo.value, selected.value, mode.value], [null, null, "layers"]);
});

test("a layer without colours of its own needs no filter", () => {
  assert.equal(filterOf({ hue: 0, saturation: 1, lightness: 1 }), null);
  assert.equal(filterOf({ hue: -90, saturation: 0, lightness: 4 }), "hue-rotate(-90deg) saturate(0) brightness(4)");
});

test("a layer goes back to what the service made, and keeps its place", () => {
  open([layer(0), layer(1), layer(2)]);
  assert.equal(isEdited(1), false);
  editLayer(1, { opacity: 0.5, name: "Sun", x: 7, locked: true, visible: false });
  shift(1, 1);
  assert.equal(isEdited(1), true);
  restore(1);
  assert.equal(isEdited(1), false);
  assert.equal(isLocked(1), true, "the lock is not part of how it looks");
  assert.deepEqual(keysOf(layersNow()), [0, 2, 1]);
  undo();
  assert.equal(layerOf(1).x, 7);
});
