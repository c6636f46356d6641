// What the page remembers of the visitor's choices, on this device only. Where
// storage is refused a choice lasts as long as the page.

const key = (name) => `wisp-${name}`;

// remember keeps a text; null forgets it.
export function remember(name, value) {
	try {
		if (value === null) localStorage.removeItem(key(name));
		else localStorage.setItem(key(name), value);
	} catch {
		// refused
	}
}

export function recall(name) {
	try {
		return localStorage.getItem(key(name));
	} catch {
		return null;
	}
}

export const patience = 5000; // milliseconds that a database may take to do one thing

// openDatabase opens one in whatever version it is: a newer page of wisp may have
// raised it, and still has the store.
export function openDatabase(name, store, options) {
	return new Promise((resolve, reject) => {
		setTimeout(reject, patience, new Error("the database does not answer"));
		const request = indexedDB.open(name);
		request.onupgradeneeded = () => request.result.createObjectStore(store, options);
		request.onsuccess = () => resolve(request.result);
		request.onerror = request.onblocked = () => reject(request.error);
	});
}
