import assert from "node:assert/strict";
import { test } from "node:test";

import { afterEvent, afterStatus, isOver, newJob, timeLeft } from "../../../../frontend/js/job-progress.js";

const apply = (job, ...events) => events.reduce((now, event) => ({ ...now, ...afterEvent(now, event, 1000) }), job);
const progress = (stage, percent) => ({ type: "progress", stage, step: 1, total: 2, percent, eta_ms: 500 });

test("a job of which nothing is known waits", () => {
  const job = newJob("id");
  assert.equal(job.state, "queued");
  assert.equal(job.name, "");
  assert.equal(job.uploadId, null);
  assert.ok(job.linked);
  assert.equal(newJob("id", { name: "포스터.png", uploadId: "u" }).name, "포스터.png");
});

test("events tell a job from the queue to its end", () => {
  const job = apply(
    newJob("id"),
    { type: "queued", seq: 1 },
    { type: "position", position: 2 },
    { type: "started", seq: 2, worker: "w", attempt: 1, engine: "draft", reason: "no GPU", reason_code: "no_gpu", reason_data: { gpus: 0 } },
    progress("read", 0), progress("text", 30), progress("read", 40),
  );
  assert.equal(job.state, "running");
  assert.equal(job.position, null);
  assert.equal(job.engine, "draft");
  assert.deepEqual(job.reason, { code: "no_gpu", text: "no GPU", data: { gpus: 0 } });
  assert.deepEqual(job.stages, ["read", "text"], "each stage once, in the order of coming");
  assert.deepEqual(job.progress, { stage: "read", step: 1, total: 2, percent: 40, eta_ms: 500 });
  assert.equal(job.progressAt, 1000);
  assert.equal(apply(job, { type: "succeeded", layers: 3 }).state, "finishing", "its layers are still to be fetched");
});

test("notes are kept, of services with and without codes", () => {
  const job = apply(
    newJob("id"),
    { type: "note", message: "the prompt was ignored" },
    { type: "note", message: "in English", code: "prompt_ignored", data: { engine: "draft" } },
    { type: "note", text: "in English", code: "prompt_ignored" },
  );
  assert.deepEqual(job.notes, [
    { code: undefined, text: "the prompt was ignored", data: undefined },
    { code: "prompt_ignored", text: "in English", data: { engine: "draft" } },
    { code: "prompt_ignored", text: "in English", data: undefined },
  ]);
});

test("a job that is given back waits again and says why", () => {
  const running = apply(newJob("id"), { type: "started", engine: "draft", reason: "" }, progress("read", 50));
  const job = apply(running, { type: "requeued", reason: "its worker was lost" });
  assert.equal(job.state, "queued");
  assert.equal(job.progress, null);
  assert.deepEqual(job.stages, []);
  assert.equal(job.notes[0].text, "its worker was lost");
});

test("ends that are no result", () => {
  assert.equal(apply(newJob("id"), { type: "cancel_requested" }).cancelling, true);
  assert.equal(apply(newJob("id"), { type: "cancelled" }).state, "cancelled");
  const error = { code: "timed_out", message: "too long" };
  assert.deepEqual(afterEvent(newJob("id"), { type: "failed", error }), { state: "failed", error });
});

test("an event of a newer service changes nothing", () => {
  assert.deepEqual(afterEvent(newJob("id"), { type: "promoted" }), {});
});

test("a job is not changed in place", () => {
  const job = Object.freeze({ ...newJob("id"), notes: Object.freeze([]), stages: Object.freeze([]) });
  afterEvent(job, progress("read", 1));
  afterEvent(job, { type: "note", message: "m" });
});

test("where a job stands is taken over whole", () => {
  const status = { id: "id", state: "running", upload_id: "u", cancel_requested: true, progress: { stage: "save", step: 0, total: 1, percent: 99 }, engine: "qwen" };
  const fields = afterStatus(status, 7);
  assert.deepEqual(fields, { uploadId: "u", state: "running", position: undefined, progress: status.progress, progressAt: 7, engine: "qwen", error: undefined, cancelling: true });
  assert.equal(afterStatus({ ...status, state: "succeeded" }).state, "finishing");
});

test("which states are ends", () => {
  for (const state of ["succeeded", "failed", "cancelled"]) assert.ok(isOver(state));
  for (const state of ["queued", "running", "finishing", "gone", ""]) assert.ok(!isOver(state));
});

test("the time left counts down, and a job is almost done only towards its end", () => {
  const at = (percent) => apply(newJob("id"), { type: "started", seq: 2 }, { ...progress("text", percent), eta_ms: 5000 });
  assert.equal(timeLeft(newJob("id"), 0), null);
  assert.deepEqual(timeLeft(at(95), 3000), { ms: 3000, almost: false });
  assert.deepEqual(timeLeft(at(95), 9000), { ms: 0, almost: true });
  assert.deepEqual(timeLeft(at(60), 9000), { ms: 0, almost: false });
});
