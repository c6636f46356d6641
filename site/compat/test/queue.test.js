import assert from "node:assert/strict";
import { test } from "node:test";
import { Queue } from "../queue.js";

const rest = () => new Promise((resolve) => setTimeout(resolve, 1));

// endless draws until its signal ends it.
const endless = (signal) => new Promise((_, reject) => {
	const end = () => reject(Object.assign(new Error("cancelled"), { code: "aborted" }));
	if (signal.aborted) end();
	signal.addEventListener("abort", end);
});

test("one at a time, in their order, and no more than so many", async () => {
	const queue = new Queue(3), log = [];
	const job = (name) => queue.run(async () => {
		log.push(`${name} begins`);
		await rest();
		log.push(`${name} ends`);
		return name;
	});
	const jobs = ["a", "b", "c"].map(job);
	await assert.rejects(job("d"), (err) => err.code === "busy" && err.retryAfter >= 1);
	assert.deepEqual(await Promise.all(jobs), ["a", "b", "c"]);
	assert.deepEqual(log, ["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
	assert.equal(queue.length, 0);
	assert.equal(await job("e"), "e");
});

test("the visitor goes before them, and the one under way is drawn again", async () => {
	const queue = new Queue(3);
	let tries = 0;
	const done = queue.run(async (signal, cancelled) => {
		if (++tries === 1) await endless(signal);
		return `done, ${cancelled()}`;
	});
	await rest();
	queue.hold("page", true);
	queue.hold("sheet", true);
	await rest();
	const other = queue.run(async () => "other");
	queue.hold("page", false);
	await rest();
	assert.deepEqual([tries, queue.length], [1, 2]);
	queue.hold("sheet", false);
	assert.deepEqual(await Promise.all([done, other]), ["done, false", "other"]);
	assert.equal(tries, 2);
});

test("cancelling ends the first, or all, held or not", async () => {
	const queue = new Queue(5);
	const job = () => queue.run((signal, cancelled) => endless(signal).catch((err) => (cancelled() ? "ended" : Promise.reject(err))));
	const first = job(), second = job(), third = job();
	await rest();
	queue.cancel(false);
	assert.equal(await first, "ended");
	await rest();
	assert.equal(queue.length, 2);
	queue.hold("page", true);
	queue.cancel(true);
	assert.deepEqual(await Promise.all([second, third]), ["ended", "ended"]);
	assert.equal(queue.length, 0);
	queue.cancel(true);
});

test("what fails leaves the turn to the next, and changes are told", async () => {
	let told = 0;
	const queue = new Queue(2, () => told++);
	const failed = queue.run(() => Promise.reject(new Error("broken")));
	const next = queue.run(async () => "next");
	await assert.rejects(failed, /broken/);
	assert.equal(await next, "next");
	assert.ok(told >= 4);
});
