import assert from "node:assert/strict";
import { test } from "node:test";

import { en } from "../../../../frontend/js/i18n/en.js";
import { SHORTCUTS, actionOf, keysFor } from "../../../../frontend/js/editor/shortcuts.js";
import { isBright } from "../../../../frontend/js/editor/thumbnail.js";

const press = (key, held = {}, code = "") => actionOf({ key, code, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...held });

test("keys mean what they mean elsewhere", () => {
  assert.equal(press("v"), "move");
  assert.equal(press("h"), "hand");
  assert.equal(press(" "), "pan");
  assert.equal(press("0", { ctrlKey: true }), "fit");
  assert.equal(press("1", { metaKey: true }), "actual");
  assert.equal(press("0"), "fit");
  assert.equal(press("+", { shiftKey: true }), "zoomIn");
  assert.equal(press("="), "zoomIn");
  assert.equal(press("-"), "zoomOut");
  assert.equal(press("?", { shiftKey: true }), "help");
  assert.equal(press("]"), "raise");
  assert.equal(press("["), "lower");
  assert.equal(press("F2"), "rename");
  assert.equal(press("ArrowLeft"), "nudge");
  assert.equal(press("ArrowUp", { shiftKey: true }), "nudge");
  assert.equal(press("z", { ctrlKey: true }), "undo");
  assert.equal(press("Z", { ctrlKey: true, shiftKey: true }), "redo");
  assert.equal(press("y", { metaKey: true }), "redo");
});

test("other keys are the browser's", () => {
  assert.equal(press("s", { ctrlKey: true }), null);
  assert.equal(press("ArrowLeft", { altKey: true }), null);
  assert.equal(press("+", { ctrlKey: true }), null);
  assert.equal(press("ArrowLeft", { ctrlKey: true }), null);
  assert.equal(press("F5"), null);
  assert.equal(press("q"), null);
});

test("a keyboard that is switched to Korean has the same keys", () => {
  assert.equal(press("ㅍ", {}, "KeyV"), "move");
  assert.equal(press("ㅗ", {}, "KeyH"), "hand");
  assert.equal(press("ㅋ", { ctrlKey: true }, "KeyZ"), "undo");
});

test("each line of the sheet has words, and keys that do it", () => {
  for (const { group, shortcuts } of SHORTCUTS) {
    assert.ok(en[`shortcuts.${group}`]);
    for (const { action, keys } of shortcuts) {
      assert.ok(en[`shortcuts.${group}.${action}`], action);
      assert.ok(keys.length > 0);
    }
  }
  assert.equal(keysFor("fit"), "Ctrl+0");
});

test("a thumbnail is bright by what is seen of it", () => {
  assert.equal(isBright([255, 255, 255, 255, 0, 0, 0, 0]), true);
  assert.equal(isBright([255, 255, 255, 255, 0, 0, 0, 255]), false);
  assert.equal(isBright([255, 250, 230, 128]), true);
  assert.equal(isBright([240, 100, 70, 255]), false);
  assert.equal(isBright([0, 0, 0, 0]), false, "an empty layer");
});
