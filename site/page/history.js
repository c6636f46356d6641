// The pictures kept on this device, in IndexedDB. Where it takes none (a
// private window, a full disk, another tab that holds it and does not go on)
// they are kept in memory for as long as the page is open, an event "unkept"
// tells so, and they go into the database as soon as it takes one again.
//
// A picture is {id, time, blob, settings, seed, model, favourite}, and where it
// began with another start, mask (Blobs) and outpaint; settings are those of one
// picture, its seed among them.

import { openDatabase, patience } from "./memory.js";

const name = "wisp-history";
const store = "pictures";

// each calls f with a cursor at every picture in a range.
function each(objects, range, f) {
	const request = objects.openCursor(range);
	request.onsuccess = () => {
		if (!request.result) return;
		f(request.result);
		request.result.continue();
	};
	return request;
}

// inBytes is a picture without Blobs, which WebKit keeps in no private window,
// and whole is one as it was.
const inBytes = async (picture) => Object.fromEntries(await Promise.all(Object.entries(picture).map(async ([name, value]) => [name, value instanceof Blob ? await value.arrayBuffer() : value])));
const whole = ({ type = "image/png", ...picture }) => Object.fromEntries(Object.entries(picture).map(([name, value]) => [name, value instanceof ArrayBuffer ? new Blob([value], { type }) : value]));

// channelTo other tabs; null where cookies, and with them channels, are blocked.
function channelTo(name) {
	try {
		return new BroadcastChannel(name);
	} catch {
		return null;
	}
}

export class History extends EventTarget {
	#database = null; // promise of a connection; of null where there can be none
	#memory = new Map();
	#last = 0;
	#moved = new Map(); // the ids of pictures that memory held, in the database
	#channel = channelTo(name);

	constructor() {
		super();
		if (this.#channel) this.#channel.onmessage = () => this.dispatchEvent(new Event("change"));
	}

	// #objects begins a transaction. A connection that another tab had closed,
	// or that the browser lost, is opened again.
	async #objects(mode, again = true) {
		const mine = this.#database ??= openDatabase(name, store, { keyPath: "id", autoIncrement: true }).then((db) => {
			db.onclose = () => this.#database === mine && (this.#database = null);
			db.onversionchange = () => {
				db.close();
				db.onclose();
			};
			return db;
		}, () => null);
		const db = await mine;
		try {
			return db?.transaction(store, mode, { durability: "relaxed" }).objectStore(store) ?? null;
		} catch {
			if (this.#database === mine) this.#database = null;
			return again ? this.#objects(mode, false) : null;
		}
	}

	// #write makes one change, and waits until it is kept for good: that the disk
	// is full is told only then. It returns the result of the request that change
	// returns, undefined where there is no database.
	async #write(change) {
		const objects = await this.#objects("readwrite");
		if (!objects) return undefined;
		const { transaction } = objects;
		const request = change(objects);
		// A tab that the system froze in mid-transaction holds up all others.
		let timer;
		await new Promise((resolve, reject) => {
			const failed = () => reject(transaction.error ?? new DOMException("the database does not answer", "TimeoutError"));
			transaction.oncomplete = resolve;
			transaction.onabort = failed;
			timer = setTimeout(() => {
				failed(); // Firefox tells of the end of what has not begun only when its turn comes
				transaction.abort();
			}, patience);
		}).finally(() => clearTimeout(timer));
		return request.result;
	}

	#changed() {
		this.dispatchEvent(new Event("change"));
		this.#channel?.postMessage("change");
	}

	// add keeps a picture and returns its id; one that was removed comes back
	// under its own.
	async add(picture) {
		await this.#settle();
		const kept = await this.#put(picture);
		const id = kept ?? `memory-${++this.#last}`;
		if (kept === undefined) {
			this.#memory.set(id, { ...picture, id });
			if (this.#memory.size === 1) this.dispatchEvent(new Event("unkept"));
		}
		this.#changed();
		return id;
	}

	// #put returns the id of a picture that is in the database now, undefined
	// where that takes none.
	async #put({ id, ...picture }) {
		if (typeof id === "number") picture.id = id; // else the database gives it one
		try {
			return await this.#write((objects) => objects.put(picture)).catch(async (err) => {
				if (["QuotaExceededError", "TimeoutError"].includes(err.name)) throw err;
				const bytes = await inBytes(picture);
				return this.#write((objects) => objects.put(bytes));
			});
		} catch (err) {
			console.info("wisp: a picture is kept in memory only:", err);
			return undefined;
		}
	}

	// #settle moves what memory holds into the database, once that takes it.
	async #settle() {
		for (const [id, picture] of this.#memory) {
			const kept = await this.#put(picture);
			if (kept === undefined) return;
			this.#memory.delete(id);
			this.#moved.set(id, kept);
		}
	}

	// list returns the newest pictures that match, at most limit of them, and
	// whether there are more.
	async list({ search = "", favourites = false, limit = Infinity } = {}) {
		const words = search.toLowerCase().split(/\s+/).filter(Boolean);
		const matches = (p) => (!favourites || p.favourite) && words.every((w) => `${p.settings.prompt} ${p.settings.seed} ${p.model}`.toLowerCase().includes(w));
		const found = [...this.#memory.values()].reverse().filter(matches);
		const objects = await this.#objects("readonly");
		let timer;
		await new Promise((resolve) => {
			if (!objects) return resolve();
			timer = setTimeout(resolve, patience);
			const request = objects.openCursor(null, "prev");
			request.onerror = resolve; // what was found so far is shown
			request.onsuccess = () => {
				const cursor = request.result;
				if (!cursor || found.length > limit) return resolve();
				if (matches(cursor.value)) found.push(whole(cursor.value));
				cursor.continue();
			};
		}).finally(() => clearTimeout(timer));
		return { pictures: found.slice(0, limit), more: found.length > limit };
	}

	async setFavourite(id, favourite) {
		id = this.#moved.get(id) ?? id;
		if (this.#memory.has(id)) this.#memory.get(id).favourite = favourite;
		else await this.#write((objects) => each(objects, IDBKeyRange.only(id), (cursor) => cursor.update({ ...cursor.value, favourite })));
		this.#changed();
	}

	async remove(id) {
		id = this.#moved.get(id) ?? id;
		if (!this.#memory.delete(id)) await this.#write((objects) => objects.delete(id));
		this.#changed();
	}

	// clear removes all pictures but the favourites.
	async clear() {
		for (const [id, { favourite }] of this.#memory) if (!favourite) this.#memory.delete(id);
		await this.#write((objects) => each(objects, null, (cursor) => cursor.value.favourite || cursor.delete()));
		this.#changed();
	}
}
