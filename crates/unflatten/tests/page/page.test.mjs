// What the page does before and after a job: files, options, the address, notices, the list of jobs.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { chosenEngine, isDiffusion, jobParams } from "../../../../frontend/js/capabilities.js";
import { filesIn, formatNames, problemWith } from "../../../../frontend/js/files.js";
import { dismiss, failureOf, notices, notify, report } from "../../../../frontend/js/notices.js";
import { forget, recent, refreshRecent, remember, update } from "../../../../frontend/js/recent-jobs.js";
import { goHome, goToJob, jobInAddress, startRouter } from "../../../../frontend/js/router.js";
import { capabilities, options } from "../../../../frontend/js/state.js";

const UNCHOSEN = options.value;
const DRAFT = { name: "draft", uses_prompt: false };
const QWEN = { name: "qwen", uses_prompt: true };
const LIMITS = { max_file_size_bytes: 1000, max_pixels: 1e6, max_layers: 10 };

const service = (...engines) => ({ engines, formats: ["png", "jpeg"], limits: LIMITS, defaults: {} });

beforeEach(() => {
  capabilities.value = null;
  options.value = UNCHOSEN;
  notices.value = [];
  recent.value = [];
  location.hash = "";
});

test("a job is asked for what was chosen and what the engine reads", () => {
  assert.deepEqual(jobParams(), { num_layers: "auto" }, "even before the service has answered");
  capabilities.value = service(DRAFT);
  options.value = { ...UNCHOSEN, num_layers: 4, prompt: "a poster", steps: 20, seed: 0 };
  assert.deepEqual(jobParams(), { num_layers: 4, seed: 0 }, "the draft engine reads neither prompt nor steps");
  capabilities.value = service(QWEN, DRAFT);
  assert.deepEqual(jobParams(), { num_layers: 4, seed: 0, prompt: "a poster", steps: 20, output_size: "native" });
  options.value = { ...options.value, engine: "draft" };
  assert.deepEqual(jobParams(), { num_layers: 4, engine: "draft", seed: 0 });
  options.value = { ...options.value, scene_text: "lift" };
  assert.deepEqual(jobParams(), { num_layers: 4, engine: "draft", seed: 0, scene_text: "lift" });
  options.value = { ...UNCHOSEN, engine: "vertex", prompt: "  " };
  assert.deepEqual(jobParams(), { num_layers: "auto", output_size: "native" }, "an engine that is not there is not asked for");
});

test("samplers and LoRAs are asked for where the engine has them", () => {
  options.value = { ...UNCHOSEN, sampler: "heun", loras: [{ name: "lines", strength: 0.5 }, { name: "gone", strength: 1 }] };
  capabilities.value = service(QWEN);
  assert.deepEqual(jobParams(), { num_layers: "auto", output_size: "native" }, "an engine without either");
  capabilities.value = service({ ...QWEN, samplers: ["euler", "heun"], loras: [{ name: "lines" }] });
  assert.deepEqual(jobParams().sampler, "heun");
  assert.deepEqual(jobParams().loras, [{ name: "lines", strength: 0.5 }]);
  options.value = { ...options.value, sampler: "euler" };
  assert.equal("sampler" in jobParams(), false, "the service's own is left to it");
});

test("which engine the options lead to", () => {
  assert.equal(chosenEngine(), null);
  assert.equal(isDiffusion(null), false);
  capabilities.value = service(QWEN, DRAFT);
  assert.equal(chosenEngine(), QWEN);
  options.value = { ...UNCHOSEN, engine: "draft" };
  assert.equal(chosenEngine(), DRAFT);
  assert.equal(isDiffusion(DRAFT), false);
  assert.equal(isDiffusion(QWEN), true);
});

test("files are refused before they are sent, in words that name them", async () => {
  const file = (name, type, size = 10) => ({ name, type, size });
  assert.match(await problemWith(file("빈 파일.png", "image/png", 0)), /“빈 파일.png” is empty/);
  assert.match(await problemWith(file("notes.txt", "text/plain")), /“notes.txt” is not a picture/);
  assert.match(await problemWith(file("no extension", "")), /is not a picture/);
  assert.match(await problemWith(file("", "")), /pasted picture/);
  assert.equal(await problemWith(file("a.JPG", "")), null, "by the extension, where the system tells no type");
  assert.equal(await problemWith(file("a.bmp", "image/x-ms-bmp")), null);
  capabilities.value = service(DRAFT);
  assert.match(await problemWith(file("a.png", "image/png", 1001)), /1 kB/);
  assert.match(await problemWith(file("a.webp", "image/webp")), /Use PNG, JPEG\./);
});

test("what is dropped without files is no file", () => {
  assert.deepEqual(filesIn(null), []);
  assert.deepEqual(filesIn({ files: [1, 2] }), [1, 2]);
  assert.deepEqual(formatNames(), ["PNG", "JPEG", "WebP", "GIF", "BMP", "TIFF", "AVIF"]);
});

test("the address names the job", () => {
  const id = "3f0c8a54-0000-4000-8000-000000000000";
  const seen = [];
  startRouter({ openJob: (job) => seen.push(job), closeJob: () => seen.push("start") });
  goToJob(id);
  assert.equal(jobInAddress(), null, "an address without #, as only browsers add it");
  location.hash = `#job=${id}`;
  assert.equal(jobInAddress(), id);
  dispatchEvent(new Event("hashchange"));
  goToJob(id);
  goHome();
  assert.equal(location.hash, "");
  goHome();
  assert.deepEqual(seen, ["start", id, id, "start"]);
  for (const hash of ["#job=", "#job=../../etc/passwd", `#job=${id}0`, "#other"]) {
    location.hash = hash;
    assert.equal(jobInAddress(), null, hash);
  }
});

test("notices begin with a capital, come once, and are four at most", () => {
  for (const words of ["the queue is full", "poster.png is damaged", "다섯", "the queue is full", "a", "b"]) notify("error", words);
  assert.deepEqual(notices.value.map(({ text }) => text), ["다섯", "The queue is full", "A", "B"]);
  dismiss(notices.value[0].id);
  assert.equal(notices.value.length, 3);
  notices.value = [];
  notify("info", "“one.png”: small");
  notify("error", "poster.png: small");
  assert.deepEqual(notices.value.map(({ text }) => text), ["“one.png”: small", "poster.png: small"]);
});

test("errors of any kind are told, an aborted upload is not", () => {
  report({ code: "aborted", message: "stopped" });
  assert.deepEqual(notices.value, []);
  report(new TypeError("no network"), "포스터.png");
  assert.equal(notices.value[0].text, "“포스터.png”: no network");
  assert.deepEqual(failureOf(undefined), { code: "unexpected", message: "undefined" });
  assert.deepEqual(failureOf("words"), { code: "unexpected", message: "words" });
});

test("the list of jobs has the newest first and each once", () => {
  for (let i = 0; i < 30; i += 1) remember({ id: `${i}`, uploadId: "u", name: "n", state: "queued" });
  assert.equal(recent.value.length, 24);
  assert.equal(recent.value[0].id, "29");
  const before = recent.value;
  remember({ id: "20", uploadId: "u", name: "n", state: "queued" });
  assert.equal(recent.value, before, "nothing new is no change");
  update({ id: "20", state: "failed" });
  update({ id: "gone", state: "failed" });
  assert.deepEqual(recent.value.map(({ id }) => id), before.map(({ id }) => id), "a job keeps its place");
  assert.equal(recent.value.find(({ id }) => id === "20").state, "failed");
  forget("20");
  assert.equal(recent.value.length, 23);
});

test("the list is brought up to date: all of it once, then what is not over", async () => {
  let asked = "";
  globalThis.fetch = async (path) => {
    asked = path;
    return new Response(JSON.stringify([{ id: "a", state: "succeeded" }, { id: "b", state: "running" }]));
  };
  for (const id of ["a", "b", "c"]) remember({ id, uploadId: "u", name: id, state: "succeeded" });
  await refreshRecent();
  assert.equal(asked, "api/jobs?ids=c,b,a");
  assert.deepEqual(recent.value.map(({ id, state }) => [id, state]), [["b", "running"], ["a", "succeeded"]], "c is not there any more");
  await refreshRecent();
  assert.equal(asked, "api/jobs?ids=b");
  globalThis.fetch = async () => {
    throw new TypeError("no network");
  };
  await refreshRecent();
  assert.equal(recent.value.length, 2, "a service that cannot be reached has lost nothing");
});
