// The files of the engine and of the packer: where they are, fetched and compiled once.
import { failure, stall, whole } from "./bytes.js";

export const here = new URL(".", import.meta.url).href;

// The files of the engine and of the packer, each as its address and its name.
// Written this way, bundlers find the files and may move and rename them; build
// puts a hash of the content into either.
export const workerFile = { address: new URL("./worker.js", import.meta.url).href, name: "worker.js" };
const go = { address: new URL("./wasm_exec.js", import.meta.url).href, name: "wasm_exec.js" };
export const enginesParts = {
	program: { address: new URL("./wisp.wasm", import.meta.url).href, name: "wisp.wasm" },
	scripts: [go, { address: new URL("./replay.js", import.meta.url).href, name: "replay.js" }],
};

// The packer's program is not found that way: bundlers take its seven megabytes
// along where importer.js of the npm package is imported, which provides it.
export const packersParts = { program: { address: new URL("pack.wasm", here).href, name: "pack.wasm" }, scripts: [go] };

export function providePacker(address) {
	packersParts.program.address = address;
}

// fetched is a file with its hash checked, where build put one into its name.
export const fetched = ({ address, name }, options) => whole(address, { hash: /-([0-9a-f]{16})\.\w+$/.exec(name)?.[1], ...options });

const programs = new Map(); // address -> promise of the compiled program

// compiled fetches a program once, and again where that failed.
export function compiled(program) {
	if (typeof WebAssembly !== "object") throw failure("unsupported", "this browser cannot run the engine: use a current Chrome, Edge, Firefox or Safari");
	const { address } = program;
	if (!programs.has(address)) {
		programs.set(address, compile(program).catch((err) => {
			programs.delete(address);
			throw err;
		}));
	}
	return programs.get(address);
}

// controller is the address of the page's service worker.
function controller() {
	try {
		return navigator.serviceWorker?.controller?.scriptURL;
	} catch {
		return undefined; // in a sandbox
	}
}

async function compile(program) {
	// Streaming needs the right content type, which a plain host may lack.
	const streamed = async (answer) => (answer.headers.get("Content-Type") === "application/wasm" ? WebAssembly.compileStreaming(answer) : undefined);
	if (controller() === `${here}sw.js`) {
		// It has checked what it keeps. Only of an answer that is not copied does a
		// browser keep the machine code, too.
		const kept = await fetch(program.address, { signal: AbortSignal.timeout(stall) }).then(streamed).catch(() => undefined);
		if (kept) return kept;
	}
	const { body, taken } = await fetched(program, { take: (answer) => streamed(answer).catch(() => undefined) });
	return taken ?? await WebAssembly.compile(body).catch((err) => {
		throw failure("unsupported", `this browser cannot run the engine: use a current Chrome, Edge, Firefox or Safari (${err.message})`);
	});
}
