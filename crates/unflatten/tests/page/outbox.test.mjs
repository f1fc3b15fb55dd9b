// Changes on their way to the service: sent in order, kept while nobody answers, put together with those of others.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { doc, layerOf } from "../../../../frontend/js/editor/document.js";
import { editLayer, moveBy } from "../../../../frontend/js/editor/edits.js";
import { history, redo, undo } from "../../../../frontend/js/editor/history.js";
import { closeDocument, openDocument } from "../../../../frontend/js/editor/open.js";
import { flush, refresh, saving } from "../../../../frontend/js/editor/outbox.js";
import { accept, notices } from "../../../../frontend/js/notices.js";
import { Service, element, info } from "./service.mjs";

beforeEach(() => {
  closeDocument();
  localStorage.clear();
  notices.value = [];
});

const opened = (fields) => {
  const service = new Service(info([element(0), element(1)], fields));
  openDocument(service.document);
  return service;
};
const xOf = (service, id) => service.elements.find((one) => one.id === id).edit.x;
/** What comes after an answer. */
const soon = () => new Promise((resolve) => setTimeout(resolve, 30));

test("an edit is with the service a moment later", async () => {
  const service = opened();
  moveBy(1, 5, 0);
  assert.equal(saving.value, "saving");
  assert.equal(await flush(), true);
  assert.deepEqual([xOf(service, 1), saving.value], [5, "saved"]);
  assert.equal(localStorage.getItem("unflatten.unsent"), null);
  await flush();
  assert.deepEqual(service.asked, ["PUT document"], "nothing is sent twice");
});

test("a slider that is drawn is one request and one step", async () => {
  const service = opened();
  for (const opacity of [0.9, 0.8, 0.7]) editLayer(1, { opacity }, "opacity 1");
  await flush();
  editLayer(1, { opacity: 0.6 }, "opacity 1");
  await flush();
  assert.deepEqual([service.asked.length, service.past.length, service.elements[1].edit.opacity], [2, 1, 0.6]);
});

test("undo and redo are the service's too", async () => {
  const service = opened();
  moveBy(1, 5, 0);
  moveBy(1, 5, 0);
  undo();
  undo();
  redo();
  assert.equal(layerOf(1).x, 5, "at once");
  await flush();
  assert.deepEqual([xOf(service, 1), service.past.length, service.future.length], [5, 1, 1]);
});

test("steps outlive the page", async () => {
  const service = opened();
  for (const _ of [1, 2, 3]) moveBy(1, 5, 0);
  await flush();
  closeDocument();
  assert.deepEqual(history.value, { undo: false, redo: false });
  openDocument(service.document);
  assert.deepEqual(history.value, { undo: true, redo: false });
  undo();
  await soon();
  undo();
  await soon();
  assert.deepEqual([layerOf(1).x, xOf(service, 1), history.value], [5, 5, { undo: true, redo: true }]);
  redo();
  await soon();
  assert.equal(layerOf(1).x, 10);
  moveBy(1, 1, 0);
  await flush();
  assert.deepEqual([history.value.redo, service.future.length, xOf(service, 1)], [false, 0, 11]);
});

test("what cannot be sent is kept and sent later", async () => {
  const service = opened();
  service.isOff = true;
  moveBy(1, 5, 0);
  assert.equal(await flush(), false);
  assert.equal(saving.value, "waiting");
  assert.equal(notices.value.length, 1);
  moveBy(1, 5, 0);
  undo();
  assert.equal(layerOf(1).x, 5);
  service.isOff = false;
  assert.equal(await flush(), true);
  assert.deepEqual([xOf(service, 1), service.future.length, saving.value], [5, 1, "saved"]);
});

test("what an earlier page could not send is sent when the result is opened again", async () => {
  const service = opened();
  service.isOff = true;
  moveBy(1, 5, 0);
  await flush();
  closeDocument();
  service.isOff = false;
  // Somebody else worked on it meanwhile.
  service.change([element(0, { edit: { x: 2 } }), element(1)]);
  openDocument(service.document);
  assert.deepEqual([layerOf(0).x, layerOf(1).x], [2, 5]);
  await flush();
  assert.deepEqual([xOf(service, 0), xOf(service, 1)], [2, 5]);
  assert.equal(history.value.undo, true);
  closeDocument();
  openDocument(service.document);
  await flush();
  assert.equal(service.asked.length, 1, "and only once");
});

test("changes that others made meanwhile are put together with one's own, and told", async () => {
  const service = opened();
  service.change([element(1, { edit: { name: "theirs" } }), element(0)]);
  moveBy(1, 5, 0);
  assert.equal(await flush(), true);
  assert.deepEqual(service.elements.map(({ id, edit }) => [id, edit.x, edit.name]), [[1, 5, "theirs"], [0, 0, undefined]]);
  assert.deepEqual(doc.value.layers.map(({ key }) => key), [1, 0]);
  const [notice] = notices.value;
  assert.match(notice.text, /put together/);
  accept(notice.id);
  await flush();
  assert.deepEqual([layerOf(1).x, xOf(service, 1)], [0, 0], "or theirs alone");
});

test("what is edited while an older step is taken back is not lost", async () => {
  const service = opened();
  moveBy(1, 5, 0);
  await flush();
  closeDocument();
  openDocument(service.document);
  undo();
  moveBy(0, 7, 0);
  await soon();
  await flush();
  assert.deepEqual([layerOf(0).x, xOf(service, 0)], [7, 7]);
  assert.equal(layerOf(1).x, xOf(service, 1), "the page shows what the service has");
});

test("a login that has ended loses nothing", async () => {
  const service = opened();
  const answer = globalThis.fetch;
  globalThis.fetch = async () => new Response(JSON.stringify({ error: { code: "login", message: "log in" } }), { status: 401 });
  moveBy(1, 5, 0);
  assert.equal(await flush(), false);
  assert.equal(saving.value, "waiting");
  globalThis.fetch = answer;
  assert.equal(await flush(), true);
  assert.equal(xOf(service, 1), 5);
});

test("a new revision without other elements is no conflict", async () => {
  const service = opened();
  service.change(service.elements);
  moveBy(1, 5, 0);
  await flush();
  assert.deepEqual([xOf(service, 1), notices.value], [5, []]);
});

test("what others changed is shown when somebody comes back, unless something is unsent", async () => {
  const service = opened();
  service.change([element(0, { edit: { x: 9 } }), element(1)]);
  await refresh();
  assert.equal(layerOf(0).x, 9);
  service.change([element(0, { edit: { x: 10 } }), element(1)]);
  moveBy(1, 1, 0);
  await refresh();
  assert.equal(layerOf(0).x, 9);
});

test("what the service refuses is told, and what it has is shown", async () => {
  const service = opened();
  editLayer(1, { opacity: 7 });
  await flush();
  await soon();
  assert.equal(notices.value.at(-1).kind, "error");
  assert.equal(service.elements[1].edit.opacity, 1);
  assert.equal(layerOf(1).opacity, 1);
});
