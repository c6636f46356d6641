// The pictures kept on this device, in IndexedDB. Where there is none (a
// private window) they are kept in memory for as long as the page is open.
//
// A picture is {id, time, blob, settings, seed, model, favourite}; settings
// are those of one picture, its seed among them.

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

function openDatabase() {
	return new Promise((resolve, reject) => {
		const request = indexedDB.open(name, 1);
		request.onupgradeneeded = () => request.result.createObjectStore(store, { keyPath: "id", autoIncrement: true });
		request.onsuccess = () => resolve(request.result);
		request.onerror = request.onblocked = () => reject(request.error);
	});
}

export class History extends EventTarget {
	#database = null; // promise of a connection; of null where there can be none
	#memory = new Map();
	#last = 0;
	#channel = globalThis.BroadcastChannel ? new BroadcastChannel(name) : null;

	constructor() {
		super();
		if (this.#channel) this.#channel.onmessage = () => this.dispatchEvent(new Event("change"));
	}

	async #objects(mode) {
		this.#database ??= openDatabase().then((db) => {
			db.onversionchange = () => db.close();
			db.onclose = () => (this.#database = null);
			return db;
		}, () => null);
		const db = await this.#database;
		return db?.transaction(store, mode, { durability: "relaxed" }).objectStore(store) ?? null;
	}

	// #write makes one change, and waits until it is kept for good: that the disk
	// is full is told only then. It returns the result of the request that change
	// returns, undefined where there is no database.
	async #write(change) {
		const objects = await this.#objects("readwrite");
		if (!objects) return undefined;
		const request = change(objects);
		await new Promise((resolve, reject) => {
			objects.transaction.oncomplete = resolve;
			objects.transaction.onabort = () => reject(objects.transaction.error ?? request.error);
		});
		return request.result;
	}

	#changed() {
		this.dispatchEvent(new Event("change"));
		this.#channel?.postMessage("change");
	}

	// add keeps a picture and returns its id; one that was removed comes back
	// under its own.
	async add(picture) {
		let id;
		try {
			id = await this.#write((objects) => objects.put(picture));
		} catch (err) {
			if (err.name !== "QuotaExceededError") throw err;
		}
		if (id === undefined) {
			id = `memory-${++this.#last}`;
			this.#memory.set(id, { ...picture, id });
		}
		this.#changed();
		return id;
	}

	// list returns the newest pictures that match, at most limit of them, and
	// whether there are more.
	async list({ search = "", favourites = false, limit = Infinity } = {}) {
		const words = search.toLowerCase().split(/\s+/).filter(Boolean);
		const matches = (p) => (!favourites || p.favourite) && words.every((w) => `${p.settings.prompt} ${p.settings.seed} ${p.model}`.toLowerCase().includes(w));
		const found = [...this.#memory.values()].reverse().filter(matches);
		const objects = await this.#objects("readonly");
		await new Promise((resolve, reject) => {
			if (!objects) return resolve();
			const request = objects.openCursor(null, "prev");
			request.onerror = () => reject(request.error);
			request.onsuccess = () => {
				const cursor = request.result;
				if (!cursor || found.length > limit) return resolve();
				if (matches(cursor.value)) found.push(cursor.value);
				cursor.continue();
			};
		});
		return { pictures: found.slice(0, limit), more: found.length > limit };
	}

	async setFavourite(id, favourite) {
		if (this.#memory.has(id)) this.#memory.get(id).favourite = favourite;
		else await this.#write((objects) => each(objects, IDBKeyRange.only(id), (cursor) => cursor.update({ ...cursor.value, favourite })));
		this.#changed();
	}

	async remove(id) {
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
