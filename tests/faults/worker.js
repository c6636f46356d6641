// Runs the visitor with the job that the page sends.
importScripts("wasm_exec.js");
self.report = (text) => postMessage(text);
onmessage = async ({ data }) => {
	self.job = data;
	const go = new Go();
	const { instance } = await WebAssembly.instantiateStreaming(fetch("visitor.wasm"), go.importObject);
	await go.run(instance);
};

// stopTab starts what is another tab to the loader and stops it, as a system
// does that has no power left for it: in the middle of a transaction, or with
// the locks of these names.
self.stopTab = (kind, database, names, told) => {
	const script = `
		function stop() {
			postMessage("stopped");
			const until = performance.now() + 8000;
			while (performance.now() < until);
		}
		onmessage = ({ data: { kind, database, names } }) => {
			if (kind === "locks") {
				const take = ([name, ...rest]) => name ? navigator.locks.request(name, () => take(rest)) : stop();
				return take(names);
			}
			indexedDB.open(database).onsuccess = ({ target }) => {
				const store = target.result.transaction("records", "readwrite").objectStore("records");
				store.put(new Uint8Array(1), "test:stopped").onsuccess = stop;
			};
		};`;
	const worker = new Worker(URL.createObjectURL(new Blob([script])));
	worker.onmessage = () => told();
	worker.postMessage({ kind, database, names });
};
