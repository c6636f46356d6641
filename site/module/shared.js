// Engines by what they were asked for: generators that ask for the same share one.
import { takeEngine } from "./engine.js";

// Shared is an engine with a model, which all generators that ask for the same
// use in turns. It ends with the last of them.
class Shared {
	engine = takeEngine();
	facts; // promise
	users = new Set(); // the functions that hear of its events
	#last = Promise.resolve(); // settles when nobody draws

	constructor(key, options) {
		this.engine.ended.addEventListener("abort", () => engines.get(key) === this && engines.delete(key));
		this.facts = this.engine.call("create", options, (event) => {
			for (const tell of this.users) tell(event);
		});
		this.facts.catch(() => this.engine.close()); // what it has begun is of no use
	}

	leave(tell) {
		this.users.delete(tell);
		if (this.users.size === 0) this.engine.close();
	}

	// turn resolves, once those that came before have drawn, to what gives it back.
	turn() {
		const before = this.#last;
		let done;
		this.#last = new Promise((resolve) => { done = resolve; });
		return before.then(() => done);
	}
}

const engines = new Map(); // key -> Shared

// share returns the engine that is there for the options, or starts it.
export function share(key, options) {
	if (!engines.has(key) || engines.get(key).engine.dead) engines.set(key, new Shared(key, options));
	return engines.get(key);
}

// keyOf is the same for options that one engine serves. Files are always new.
export const keyOf = (options) => (typeof options.model === "string" ? JSON.stringify(options) : Symbol("files"));
