// Takes jobs from the test's server, runs each in as many workers as it says,
// which is what tabs are to the loader, and sends their reports back.
const run = (job) => new Promise((resolve) => {
	const worker = new Worker("worker.js");
	const end = (report) => { worker.terminate(); resolve(report); };
	worker.onmessage = ({ data }) => end(data);
	worker.onerror = (event) => end(JSON.stringify({ Error: `worker: ${event.message}`, Kind: "other" }));
	worker.postMessage(JSON.stringify(job));
});

for (;;) {
	const { Tabs, Job } = await (await fetch("job")).json();
	if (!Job) break;
	const reports = await Promise.all(Array.from({ length: Tabs }, () => run(Job)));
	await fetch("reports", { method: "POST", body: `[${reports.join(",")}]` });
}
