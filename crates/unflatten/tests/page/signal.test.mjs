import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { read, signal, stored } from "../../../../frontend/js/lib/signal.js";

beforeEach(() => localStorage.clear());

test("listeners hear each change, and only changes", () => {
  const count = signal(0);
  const heard = [];
  const stop = count.subscribe((value) => heard.push(value));
  count.value = 1;
  count.value = 1;
  count.value = Number.NaN;
  count.value = Number.NaN;
  stop();
  count.value = 2;
  assert.deepEqual(heard, [1, Number.NaN]);
  assert.equal(count.value, 2);
});

test("a new object is a change, even when it is equal", () => {
  const list = signal([]);
  let changes = 0;
  list.subscribe(() => (changes += 1));
  list.value = [];
  assert.equal(changes, 1);
});

test("a listener may end itself or another, or change the value", () => {
  const value = signal(0);
  const heard = [];
  const stopFirst = value.subscribe((now) => {
    heard.push(`first ${now}`);
    stopFirst();
    if (now === 1) value.value = 2;
  });
  value.subscribe((now) => heard.push(`second ${now}`));
  value.value = 1;
  assert.equal(value.value, 2);
  assert.deepEqual(heard.filter((one) => one.startsWith("first")), ["first 1"]);
  assert.ok(heard.includes("second 2"));
});

test("what is stored outlives the page", () => {
  const ground = stored("test", "checker");
  assert.equal(ground.value, "checker");
  ground.value = "검은색";
  assert.equal(stored("test", "checker").value, "검은색");
});

test("storage that is broken, full or off costs the memory alone", () => {
  localStorage.setItem("test", "{not json");
  assert.equal(read("test"), null);
  const value = stored("test", 1);
  assert.equal(value.value, 1);
  const { setItem } = localStorage;
  localStorage.setItem = () => {
    throw new Error("QuotaExceededError");
  };
  value.value = 2;
  localStorage.setItem = setItem;
  assert.equal(value.value, 2);
});
