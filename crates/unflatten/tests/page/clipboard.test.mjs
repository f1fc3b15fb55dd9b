import assert from "node:assert/strict";
import { test } from "node:test";

import { canPaste, copyPicked, cutPicked, paste, pasted } from "../../../../frontend/js/editor/clipboard.js";
import { pick, picked } from "../../../../frontend/js/editor/display.js";
import { doc, layersNow } from "../../../../frontend/js/editor/document.js";
import { startHistory, undo } from "../../../../frontend/js/editor/history.js";
import { group, keysOf, layer, nested, outline } from "./layers.mjs";

function open(layers, id = "job") {
  doc.value = { id, width: 800, height: 600, layers };
  startHistory();
  pick([]);
}

test("what was copied is pasted above what is selected, each time further aside", () => {
  open(nested());
  assert.equal(copyPicked(), false, "nothing is selected");
  pick([4, 5]);
  assert.equal(copyPicked(), true);
  pick([0]);
  assert.equal(paste(), true);
  assert.equal(outline(layersNow().slice(0, 1)), "0");
  const [five, six] = layersNow().slice(1, 3);
  assert.deepEqual([five.x, five.groups.map(({ name }) => name), five.groups[0].key], [16, ["Group 4"], picked.value[0]]);
  assert.equal(six.groups[0].key, five.groups[0].key);
  assert.equal(layersNow().length, 7);
  assert.equal(new Set(keysOf(layersNow())).size, 7);
  assert.equal(paste(), true);
  assert.equal(layersNow()[3].x, 32, "above the first copy");
  undo();
  undo();
  assert.deepEqual(layersNow(), nested());
});

test("into a group, if what is selected is in one", () => {
  const [outer] = [group(1)];
  const layers = [layer(0), layer(3, { groups: [outer] }), layer(5, { groups: [outer] })];
  const things = [{ key: 0, members: [layers[0]] }];
  const inside = pasted(layers, things, [3], 0);
  assert.equal(outline(inside.layers), `0 Group 1(3 ${inside.keys[0]} 5)`);
  const above = pasted(layers, things, [1], 0);
  assert.equal(outline(above.layers), `0 Group 1(3 5) ${above.keys[0]}`);
  const last = pasted(layers, things, [], 0);
  assert.equal(keysOf(last.layers).at(-1), last.keys[0]);
});

test("what was cut comes back where it was, and only into its own document", () => {
  open(nested());
  pick([9]);
  assert.equal(cutPicked(), true);
  assert.deepEqual(keysOf(layersNow()), [0, 3, 5, 6]);
  assert.equal(paste(), true);
  assert.equal(layersNow().at(-1).x, 0);
  open(nested(), "another");
  assert.equal(canPaste(), false);
  assert.equal(paste(), false);
  doc.value = null;
  assert.equal(canPaste(), false);
});
