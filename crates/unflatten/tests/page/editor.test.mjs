// The document: edits, their history, and what outlives a reload.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { filterOf } from "../../../../frontend/js/editor/compositor.js";
import { fold, folded, isShown, mode, resetDisplay, selected, solo, unfold } from "../../../../frontend/js/editor/display.js";
import { boxAt, doc, layerOf, layersNow, nameOf, partsAt } from "../../../../frontend/js/editor/document.js";
import { editLayer, isEdited, isLocked, land, moveBy, rename, reset, restore, scaleTo, shift, showAll, toggleLocked } from "../../../../frontend/js/editor/edits.js";
import { edit, endEdit, history, redo, startHistory, undo } from "../../../../frontend/js/editor/history.js";
import { flushEdits, loadEdits, saveEdits } from "../../../../frontend/js/editor/kept.js";
import { closeDocument, openDocument, replaceWithParts } from "../../../../frontend/js/editor/open.js";
import { notices } from "../../../../frontend/js/notices.js";
import { group, keysOf, layer, nested } from "./layers.mjs";

/** Shows layers as a document that was just opened. */
function open(layers) {
  doc.value = { id: "job", width: 800, height: 600, layers, delivered: layers };
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
  for (const scale of [1.37, 0.21, 3.3, 1]) scaleTo(1, scale, "scale 1");
  assert.deepEqual(boxAt(1), before);
  undo();
  assert.deepEqual(history.value, { undo: false, redo: true });
});

test("everything goes back to what was delivered, and that can be undone", () => {
  open([layer(0), layer(1)]);
  shift(0, 1);
  editLayer(1, { visible: false });
  reset();
  assert.equal(layersNow(), doc.value.delivered);
  undo();
  assert.deepEqual(keysOf(layersNow()), [1, 0]);
  showAll();
  assert.ok(layersNow().every(({ visible }) => visible));
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

test("a layer that is split leaves its edits and its key to its parts, before and after each edit", () => {
  open([layer(0), layer(1)]);
  editLayer(1, { name: "원", visible: false, x: 5, scale: 2 });
  const parts = [5, 6].map((key) => layer(key, { job: "child", groups: [group(1, "Layer 1")] }));
  replaceWithParts(1, parts);
  assert.deepEqual(keysOf(layersNow()), [0, 5, 6]);
  assert.deepEqual(keysOf(doc.value.delivered), [0, 5, 6]);
  for (const part of partsAt(1)) {
    assert.equal(part.visible, false);
    assert.equal(part.scale, 2);
    assert.deepEqual(part.groups, [group(1, "원")]);
  }
  undo();
  assert.deepEqual(keysOf(layersNow()), [0, 5, 6], "undoing does not bring the layer back");
  assert.deepEqual(partsAt(1).map(({ visible, x, scale }) => [visible, x, scale]), [[true, 0, 1], [true, 0, 1]]);
});

test("edits outlive a reload, of groups and of order as well", () => {
  const delivered = nested();
  const edited = delivered.map((one) => (one.key === 9 ? { ...one, name: "여름 세일", hue: -90 } : one))
    .map((one) => ({ ...one, groups: one.groups.map((own) => (own.key === 4 ? { ...own, name: "안쪽" } : own)) }));
  const [background, ...others] = edited;
  const reordered = [...others, background];
  saveEdits("job", reordered, delivered);
  flushEdits();
  assert.deepEqual(loadEdits("job", nested()), reordered);
  const layers = nested();
  assert.equal(loadEdits("another job", layers), layers, "the very same");
});

test("what was taken back is kept no longer", () => {
  const delivered = nested();
  saveEdits("job", delivered.map((one) => ({ ...one, x: 1 })), delivered);
  flushEdits();
  saveEdits("job", delivered, delivered);
  flushEdits();
  const layers = nested();
  assert.equal(loadEdits("job", layers), layers);
});

test("edits of the 24 results that were worked on last are kept", () => {
  const delivered = [layer(0)];
  for (let i = 0; i < 30; i += 1) {
    saveEdits(`job ${i}`, [layer(0, { x: i + 1 })], delivered);
    flushEdits();
  }
  assert.equal(loadEdits("job 5", delivered), delivered);
  assert.equal(loadEdits("job 6", delivered)[0].x, 7);
  assert.equal(loadEdits("job 29", delivered)[0].x, 30);
});

test("parts of a layer that was split since stay beside their neighbours", () => {
  const delivered = [layer(0), layer(1), layer(2)];
  saveEdits("job", [delivered[2], delivered[0], delivered[1]], delivered);
  flushEdits();
  const parts = [7, 8].map((key) => layer(key, { job: "child", groups: [group(1)] }));
  assert.deepEqual(keysOf(loadEdits("job", [layer(0), ...parts, layer(2)])), [2, 0, 7, 8]);
});

test("a layer without colours of its own needs no filter", () => {
  assert.equal(filterOf({ hue: 0, saturation: 1, lightness: 1 }), null);
  assert.equal(filterOf({ hue: -90, saturation: 0, lightness: 4 }), "hue-rotate(-90deg) saturate(0) brightness(4)");
});

// Opening, with a service in its place.

const PARENT = { job_id: "job", layer: 1, x: 30, y: 40 };

function metadata(count, fields = {}) {
  const layers = Array.from({ length: count }, (_, at) => layer(at, { info: { z_index: at, name: `Layer ${at}`, bounding_box: null } }).info);
  return { input: { width: 640, height: 480, format: "png" }, layers, ...fields };
}

/** Answers by path; what has no answer is not found. */
function serve(answers) {
  globalThis.fetch = async (path) => {
    const body = answers[path];
    return new Response(JSON.stringify(body ?? { error: { code: "not_found", message: "nothing there" } }), { status: body ? 200 : 404 });
  };
}

const node = (number, fields = {}) => ({
  layer: number, name: `Layer ${number}`, bounding_box: null, ...fields,
  edit: { visible: true, opacity: 1, x: 0, y: 0, scale: 1, hue: 0, saturation: 1, lightness: 1, ...fields.edit },
});

test("a result is opened with what was edited over the API below what this browser kept", async () => {
  serve({ "api/jobs/job/document": { job_id: "job", layers: [node(1), node(0, { edit: { x: 7 } })] } });
  await openDocument("job", metadata(2));
  assert.deepEqual(keysOf(layersNow()), [1, 0]);
  assert.equal(layerOf(0).x, 7);
  assert.deepEqual([doc.value.width, doc.value.height], [640, 480]);
  assert.deepEqual(history.value, { undo: false, redo: false });

  editLayer(0, { x: 9 });
  closeDocument();
  await openDocument("job", metadata(2, { canvas: { width: 64, height: 48 } }));
  assert.equal(layerOf(0).x, 9);
  assert.deepEqual([doc.value.width, doc.value.height], [64, 48]);
  assert.deepEqual(history.value, { undo: true, redo: false }, "and can be undone");
});

test("layers that were split are opened as groups, those whose split failed as they are", async () => {
  const children = [{ layer: 1, job_id: "child" }, { layer: 0, job_id: "lost" }];
  serve({
    "api/jobs/job/document": { job_id: "job", layers: [node(0), node(1, { child: { job_id: "child", x: 30, y: 40, tree: { job_id: "child", layers: [node(0), node(1)] } } })] },
    "api/jobs/child/metadata.json": metadata(2, { input: { width: 9, height: 9, format: "png", parent: PARENT } }),
  });
  await openDocument("job", metadata(2, { children }));
  assert.deepEqual(keysOf(layersNow()), [0, 2, 3], "keys of the result itself come first");
  assert.deepEqual(partsAt(1).map(({ job, origin, groups }) => [job, origin, groups]), [
    ["child", { x: 30, y: 40 }, [group(1, "Layer 1")]],
    ["child", { x: 30, y: 40 }, [group(1, "Layer 1")]],
  ]);
});

test("a layer that could not be split stays a layer", async () => {
  const tree = { job_id: "child", layers: [node(0)] };
  serve({
    "api/jobs/job/document": { job_id: "job", layers: [node(0), node(1, { edit: { x: 7 }, child: { job_id: "child", x: 30, y: 40, tree } })] },
    "api/jobs/child/metadata.json": metadata(1, { input: { width: 9, height: 9, format: "png", parent: PARENT } }),
  });
  await openDocument("job", metadata(2, { children: [{ layer: 1, job_id: "child" }] }));
  assert.deepEqual(keysOf(layersNow()), [0, 1]);
  assert.deepEqual([layerOf(1).job, layerOf(1).x, layerOf(1).groups], ["job", 7, []]);
});

test("neighbours of one group are opened in a group that hides, moves and is renamed as one", async () => {
  const grouped = metadata(4);
  grouped.layers.slice(1).forEach((info) => (info.group = "text"));
  serve({ "api/jobs/job/document": { job_id: "job", layers: [0, 1, 2, 3].map((number) => node(number)) } });
  await openDocument("job", grouped);
  const key = layerOf(1).groups[0].key;
  assert.equal(nameOf(key), "Text");
  assert.deepEqual(keysOf(partsAt(key)), [1, 2, 3]);
  editLayer(key, { visible: false });
  moveBy(key, 5, 0);
  assert.deepEqual(layersNow().map(({ visible, x }) => [visible, x]), [[true, 0], [false, 5], [false, 5], [false, 5]]);
  rename(key, "글자", `name ${key}`);
  closeDocument();
  await openDocument("job", grouped);
  assert.equal(layerOf(1).groups[0].key, key, "its key is the same");
  assert.equal(nameOf(key), "글자");
  assert.equal(layerOf(2).visible, false);

  land(2, { parent: [], below: [] });
  assert.deepEqual(keysOf(layersNow()), [2, 0, 1, 3]);
  closeDocument();
  await openDocument("job", grouped);
  assert.deepEqual(keysOf(layersNow()), [2, 0, 1, 3], "it has left the group for good");
  assert.deepEqual(keysOf(partsAt(key)), [1, 3]);
});

test("a layer goes back to what was delivered, and keeps its place", () => {
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

test("the background of a result is locked, until somebody unlocks it", async () => {
  const made = metadata(2);
  made.layers[0].kind = "background";
  serve({ "api/jobs/job/document": { job_id: "job", layers: [node(0), node(1)] } });
  await openDocument("job", made);
  assert.deepEqual(layersNow().map(({ locked }) => locked), [true, false]);
  toggleLocked(0);
  closeDocument();
  await openDocument("job", made);
  assert.equal(isLocked(0), false, "it stays unlocked");

  toggleLocked(0);
  replaceWithParts(0, [layer(8, { groups: [group(0)], locked: true }), layer(9, { groups: [group(0)] })].map((part) => ({ ...part, info: { ...part.info } })));
  assert.deepEqual(layersNow().map(({ locked }) => locked), [true, false, false], "of what it was split into, only its background");
});

test("what was renamed over the API is not called after its codes", async () => {
  const labelled = metadata(2);
  labelled.layers.forEach((info) => (info.label = { thing: "circle", colour: "yellow" }));
  serve({ "api/jobs/job/document": { job_id: "job", layers: [node(0), node(1, { name: "해" })] } });
  await openDocument("job", labelled);
  assert.deepEqual([nameOf(0), nameOf(1)], ["Yellow circle", "해"]);
});

test("a long list begins with its groups folded", async () => {
  for (const [count, wanted] of [[20, 0], [21, 1]]) {
    const long = metadata(count);
    long.layers.slice(1).forEach((info) => (info.group = "objects"));
    serve({ "api/jobs/job/document": { job_id: "job", layers: long.layers.map((_, number) => node(number)) } });
    await openDocument("job", long);
    assert.equal(folded.value.size, wanted);
  }
  const [key] = folded.value;
  fold(key);
  assert.equal(folded.value.size, 0);
  fold(key);
  unfold([1, key]);
  assert.equal(folded.value.size, 0);
});

test("a service that does not know the edits is told of, and the result opens", async () => {
  notices.value = [];
  serve({});
  await openDocument("job", metadata(1));
  assert.deepEqual(keysOf(layersNow()), [0]);
  assert.equal(notices.value[0].kind, "error");
});

test("a result that is left while it loads does not come after another", async () => {
  serve({ "api/jobs/one/document": { job_id: "one", layers: [node(0)] }, "api/jobs/two/document": { job_id: "two", layers: [node(0)] } });
  const one = openDocument("one", metadata(1));
  const two = openDocument("two", metadata(1));
  await Promise.all([one, two]);
  assert.equal(doc.value.id, "two");
});
