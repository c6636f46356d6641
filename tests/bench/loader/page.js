// Takes jobs from the bench's server, runs each in a fresh worker and sends
// its report back.
const run = (job) => new Promise((resolve) => {
	const worker = new Worker("worker.js");
	const end = (report) => { worker.terminate(); resolve(report); };
	worker.onmessage = ({ data }) => end(data);
	worker.onerror = (event) => end(JSON.stringify({ Error: `worker: ${event.message}` }));
	worker.postMessage(job);
});

for (;;) {
	const report = await run(await (await fetch("job")).json());
	await fetch("report", { method: "POST", body: report });
}
