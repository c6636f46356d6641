// Starts the worker and carries its output to the command. The page does it
// because the worker is busy for as long as Go is: a message leaves it at
// once, a fetch would wait.
"use strict";

const queue = []; // [path, body] still to send, in order
let sending = false;

async function send(path, body) {
	queue.push([path, body]);
	if (sending) return;
	sending = true;
	while (queue.length > 0) {
		let [to, data] = queue.shift();
		// Output of the same stream goes in one request.
		const parts = [data];
		while (to.startsWith("out/") && queue.length > 0 && queue[0][0] === to) parts.push(queue.shift()[1]);
		await fetch(to, { method: "POST", body: new Blob(parts) });
	}
	sending = false;
}

const worker = new Worker("worker.js");
worker.onmessage = ({ data }) => {
	if (data.fd) send(`out/${data.fd}`, data.bytes);
	else send(`exit/${data.exit}`, "");
};
worker.onerror = (event) => {
	send("out/2", `worker: ${event.message} (${event.filename}:${event.lineno})\n`);
	send("exit/1", "");
};
