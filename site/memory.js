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
