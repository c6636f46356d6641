// The pictures that programs ask for: one at a time, in their order, at most so
// many, and behind the visitor, who never waits for them: the one under way makes
// room for his and is then drawn again.
import { Refusal } from "./refusal.js";

export class Queue {
	#most;
	#jobs = []; // the first is under way
	#held = new Set(); // where the visitor draws
	#free = new Set(); // wakes those that wait
	#took = 10; // seconds, the last job
	#changed;

	// changed is called whenever something joins, leaves or begins.
	constructor(most, changed = () => {}) {
		this.#most = most;
		this.#changed = changed;
	}

	get length() {
		return this.#jobs.length;
	}

	// ending tells whether the job under way was cancelled.
	get ending() {
		return this.#jobs[0]?.cancelled === true;
	}

	// run calls draw(signal, cancelled) when it is its turn and returns what that
	// does. signal ends it: for good where cancelled() is true, else for the
	// visitor, and draw is called again. A full queue refuses with the code
	// "busy" and retryAfter, in seconds.
	async run(draw) {
		if (this.#jobs.length >= this.#most) {
			const refusal = new Refusal(`${this.#jobs.length} pictures wait already: ask again later`, "busy");
			throw Object.assign(refusal, { retryAfter: Math.min(3600, Math.max(1, Math.ceil(this.#took))) });
		}
		const job = { attempt: null, cancelled: false };
		this.#jobs.push(job);
		this.#changed();
		const began = Date.now();
		try {
			return await this.#turns(job, draw);
		} finally {
			this.#took = (Date.now() - began) / 1000;
			this.#jobs.splice(this.#jobs.indexOf(job), 1);
			this.#wake();
		}
	}

	async #turns(job, draw) {
		for (;;) {
			while (!job.cancelled && (this.#held.size > 0 || this.#jobs[0] !== job)) await new Promise((resolve) => this.#free.add(resolve));
			job.attempt = new AbortController();
			if (job.cancelled) job.attempt.abort();
			const { signal } = job.attempt;
			try {
				return await draw(signal, () => job.cancelled);
			} catch (err) {
				if (!signal.aborted || job.cancelled) throw err;
			}
		}
	}

	#wake() {
		for (const resolve of this.#free) resolve();
		this.#free.clear();
		this.#changed();
	}

	// hold keeps the turn for the visitor, who draws in a place such as "page",
	// until it is called for that place with false.
	hold(place, on) {
		if (this.#held.has(place) === on) return;
		if (on) {
			this.#held.add(place);
			this.#jobs[0]?.attempt?.abort();
		} else if (this.#held.delete(place) && this.#held.size === 0) this.#wake();
	}

	// cancel ends the job under way, or all.
	cancel(all) {
		for (const job of all ? [...this.#jobs] : this.#jobs.slice(0, 1)) {
			job.cancelled = true;
			job.attempt?.abort();
		}
		this.#wake();
	}
}
