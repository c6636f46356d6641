// How wisp fetches its own files: by the rules of the loader's chunks. A
// connection that stalls or breaks is given up and the file asked for again, a
// busy server is asked when it says, wrong bytes are found out, and what cannot
// be had is an error that says so. `build` puts this text, too, before the
// scripts that can import nothing: boot.js and sw.js.

export const stall = 10_000; // milliseconds within which some byte must come
const longest = 20_000; // pause that a server may ask for
const tries = 4;

export const failure = (code, message) => Object.assign(new Error(message), { code });

// answered is a failure with which the server had its word.
const answered = (code, message) => Object.assign(failure(code, message), { answered: true });

// whole fetches a file and returns {body, type, taken}: its bytes, its content
// type, and what take makes of the answer while it arrives. hash is the
// SHA-256 or its beginning, in hex; without one, a web page in the file's place
// is found out all the same.
export async function whole(address, { hash = "", cache = "default", take } = {}) {
	for (let n = 1, wrong = 0; ; n++) {
		try {
			return await once(address, hash, wrong ? "reload" : cache, take);
		} catch (err) {
			if (err.wrong) wrong++;
			const message = `the engine could not be loaded: check the connection and try again (${new URL(address, "http://host").pathname.split("/").pop()}: ${err.message})`;
			if (err.missing) throw answered("network", "a file of wisp is gone from its server, where a newer version may have taken its place: reload the page");
			if (wrong === 2) throw answered("corrupt", message);
			if (n === tries) throw failure("network", message);
			await new Promise((resolve) => setTimeout(resolve, Math.min(longest, err.after ?? 300 * 2 ** n * (0.5 + Math.random() / 2))));
		}
	}
}

async function once(address, hash, cache, take) {
	const stop = new AbortController();
	let timer;
	const alive = () => {
		clearTimeout(timer);
		timer = setTimeout(() => stop.abort(new Error("the connection stalled")), stall);
	};
	alive();
	try {
		const answer = await fetch(address, { signal: stop.signal, cache });
		if (!answer.ok) throw refused(answer);
		const copy = take ? answer.clone() : answer;
		const taken = take?.(answer);
		const body = await read(copy.body.getReader(), alive);
		if (!await right(body, hash)) throw Object.assign(new Error("it arrived damaged"), { wrong: true });
		return { body, type: answer.headers.get("Content-Type"), taken: await taken };
	} finally {
		clearTimeout(timer);
	}
}

async function read(reader, alive) {
	const parts = [];
	for (;;) {
		const { done, value } = await reader.read();
		if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
		alive();
		parts.push(value);
	}
}

// refused is the error of a status: some are for good.
function refused({ status, headers }) {
	const seconds = Number(headers.get("Retry-After") ?? NaN);
	return Object.assign(new Error(`HTTP status ${status}`), {
		missing: status >= 400 && status < 500 && ![408, 425, 429].includes(status),
		...(seconds >= 0 && { after: seconds * 1000 }),
	});
}

// right tells whether bytes are those of a hash, where it can be made; a web
// page begins with <, no file of wisp's that is fetched without a hash does.
async function right(body, hash) {
	if (!hash || !crypto.subtle) return body[0] !== 60;
	return (await sha256(body)).startsWith(hash);
}

// sha256 of bytes, in hex; where pages may make it.
export async function sha256(body) {
	const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
	return Array.from(digest, (b) => b.toString(16).padStart(2, "0")).join("");
}
