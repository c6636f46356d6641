// The JavaScript half of wisp's WebGPU backend: it opens a device and replays
// command words that Go wrote (see webgpu/script.go), so that a run costs two
// crossings between Go and JavaScript however many dispatches it has. A plain
// script: it may be imported for its effect or loaded by importScripts. It
// leaves one global, wispReplay.
"use strict";

globalThis.wispReplay = (() => {
	// A failure that Go maps to one of engine's errors by its kind.
	const failure = (kind, message) => Object.assign(new Error(message), { kind });

	const storage = () => GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

	// What is asked for beyond the defaults, where the adapter has it.
	const wantedFeatures = ["shader-f16", "subgroups", "timestamp-query"];
	const wantedLimits = ["maxBufferSize", "maxStorageBufferBindingSize", "maxComputeWorkgroupStorageSize"];

	const description = (adapter) => {
		const { vendor = "", architecture = "", device = "", description = "", subgroupMinSize = 0, subgroupMaxSize = 0 } = adapter.info ?? {};
		const fallback = Boolean(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
		return { vendor, architecture, device, description, subgroupMinSize, subgroupMaxSize, fallback };
	};

	const patience = 4; // seconds, in which a driver must answer
	const working = 30; // of its silence later, as on a slow software adapter
	const hastily = 2; // instead of either, where the processor stands by, which is to have drawn after five

	// counting calls heard with the seconds since it was called last, four times
	// each: of a computer that slept, or stood still, only some.
	function counting(heard) {
		let last = performance.now();
		return setInterval(() => {
			const now = performance.now();
			heard(Math.min(now - last, 500) / 1000);
			last = now;
		}, 250);
	}

	// open resolves to a Replay. defaults keeps to WebGPU's default limits and
	// features; omit lists features to leave out. A driver that hangs never
	// answers: then the device counts as lost; until Replay.trust is called, soon
	// where hasty says so.
	function open(defaults, omit, hasty) {
		return new Promise((resolve, reject) => {
			let left = hasty ? hastily : patience;
			const timer = counting((seconds) => {
				if ((left -= seconds) > 0) return;
				clearInterval(timer);
				reject(failure("lost", "the graphics card's driver does not answer"));
			});
			find(defaults, omit, hasty ? hastily : working).then((replay) => (left > 0 ? resolve(replay) : replay.destroy()), reject).finally(() => clearInterval(timer));
		});
	}

	async function find(defaults, omit, silence) {
		const gpu = globalThis.navigator?.gpu;
		if (!gpu) throw failure("unsupported", "this browser has no WebGPU");
		const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
		if (!adapter) throw failure("unsupported", "the browser offers no WebGPU adapter");
		const requiredFeatures = wantedFeatures.filter((f) => adapter.features.has(f) && !omit.split(",").includes(f));
		const requiredLimits = {};
		if (!defaults) for (const name of wantedLimits) requiredLimits[name] = adapter.limits[name];
		let device;
		try {
			device = await adapter.requestDevice({ requiredFeatures, requiredLimits });
		} catch {
			// The offer was larger than the driver keeps: an adapter is good for
			// one device, so ask again and take what everyone must give.
			const again = await gpu.requestAdapter();
			if (!again) throw failure("unsupported", "the WebGPU adapter went away");
			device = await again.requestDevice().catch((e) => { throw failure("unsupported", `the browser refuses a WebGPU device: ${e.message}`); });
		}
		const replay = new Replay(device, description(adapter), silence);
		await replay.listen();
		return replay;
	}

	// The time that one submission should take, so that the page's own frames
	// fit between two of them, and how many may be under way.
	const targetMs = 6;
	const inFlight = 2;

	class Replay {
		constructor(device, info, silence) {
			this.device = device;
			this.silence = silence; // seconds after which the driver counts as dead
			this.silent = 0; // seconds since it answered
			const names = ["maxBufferSize", "maxStorageBufferBindingSize", "maxComputeWorkgroupStorageSize", "maxComputeInvocationsPerWorkgroup", "minStorageBufferOffsetAlignment", "minUniformBufferOffsetAlignment"];
			this.info = JSON.stringify({ ...info, features: [...device.features], limits: Object.fromEntries(names.map((n) => [n, device.limits[n]])) });
			this.buffers = [null]; // by id
			this.unused = []; // ids to give out again
			this.modules = new Map();
			this.layouts = []; // by number of read-only bindings
			this.compiled = []; // {pipeline, reads} by id
			this.programs = [null]; // by id
			this.pending = new Set(); // error scopes still open
			this.fault = null; // the first error that nothing has reported yet
			this.pace = 1; // measured over estimated time
			this.stamped = 0; // submissions whose time the device told
			this.clocks = []; // idle, to time submissions with
			if (device.features.has("timestamp-query")) this.makeClocks();
			this.done = 0; // when a submission was last seen to end
			this.idles = false; // the browser is slow to tell of finished work
			this.nudging = null; // the timer against that
			this.waiting = new Set(); // how to fail what waits for the device
			this.watching = null; // the timer of that
			device.lost.then((why) => this.lose(`the WebGPU device was lost: ${why.message || why.reason}`));
			device.onuncapturederror = ({ error }) => this.note(failure("validation", error.message));
		}

		// trust gives a driver that passed the self-test more time.
		trust() { this.silence = working; }

		// lose fails what waits for the device, now and from now on.
		lose(message) {
			if (this.fault?.kind !== "lost") this.fault = failure("lost", message);
			for (const fail of this.waiting) fail(this.fault);
			this.waiting.clear();
		}

		// watch counts the seconds in which something waits and nothing is
		// answered.
		watch() {
			this.watching ??= counting((seconds) => {
				if (this.waiting.size > 0 && (this.silent += seconds) >= this.silence) {
					this.lose("the graphics card's driver does not answer");
					this.device.destroy();
				}
				if (this.waiting.size > 0) return;
				clearInterval(this.watching);
				this.watching = null;
			});
		}

		// note keeps a fault until it is reported: the first, but what lacks
		// memory also fails validation wherever it is used.
		note(fault) {
			if (!this.fault || (this.fault.kind === "validation" && fault.kind === "out-of-memory")) this.fault = fault;
		}

		check() {
			const fault = this.fault;
			if (fault && fault.kind !== "lost") this.fault = null;
			if (fault) throw fault;
		}

		// until waits for promise, or for the loss of the device. A loss also
		// fails the promise, perhaps before the browser tells of it: so a failure
		// without a kind waits for that.
		until(promise) {
			return new Promise((resolve, reject) => {
				if (this.fault?.kind === "lost") return reject(this.fault);
				const settle = (how, result) => {
					this.waiting.delete(reject);
					this.silent = 0;
					how(result);
				};
				this.waiting.add(reject);
				promise.then((value) => settle(resolve, value), (error) => {
					if (error?.kind) settle(reject, error);
					else setTimeout(settle, 1000, reject, error);
				});
				this.nudge();
				this.watch();
			});
		}

		// nudge submits nothing every few milliseconds while something waits, in
		// browsers that look for finished work ten times a second (Firefox) but
		// also at each submission.
		nudge() {
			if (!this.idles || this.nudging) return;
			this.nudging = setInterval(() => {
				if (this.waiting.size > 0) return this.device.queue.submit([]);
				clearInterval(this.nudging);
				this.nudging = null;
			}, 4);
		}

		// listen finds out whether the browser is slow to tell of finished work:
		// the first wait ends at any time, the second takes a whole round.
		async listen() {
			const { queue } = this.device;
			await this.until(queue.onSubmittedWorkDone());
			const start = performance.now();
			await this.until(queue.onSubmittedWorkDone());
			this.idles = performance.now() - start > 30;
		}

		// watched runs make inside error scopes and notes what they catch.
		watched(make) {
			const { device } = this;
			device.pushErrorScope("out-of-memory");
			device.pushErrorScope("validation");
			const made = make();
			for (const kind of ["validation", "out-of-memory"]) {
				const scope = device.popErrorScope().then(
					(error) => { if (error) this.note(failure(kind, error.message || "the GPU has no memory left")); },
					() => {}, // the device is lost, which is noted already
				).finally(() => this.pending.delete(scope));
				this.pending.add(scope);
			}
			return made;
		}

		// flush resolves once everything made so far is known to be good.
		async flush() {
			await this.until(Promise.all(this.pending));
			this.check();
		}

		alloc(size) {
			const id = this.unused.pop() ?? this.buffers.length;
			this.buffers[id] = this.watched(() => this.device.createBuffer({ size, usage: storage() }));
			return id;
		}

		free(id) {
			this.buffers[id].destroy();
			this.buffers[id] = null;
			this.unused.push(id);
		}

		write(id, offset, bytes) { this.device.queue.writeBuffer(this.buffers[id], offset, bytes); }

		// drain resolves when the device has done all work submitted so far.
		drain() { return this.until(this.device.queue.onSubmittedWorkDone()); }

		layout(reads) {
			return this.layouts[reads] ??= this.device.createBindGroupLayout({
				entries: Array.from({ length: reads + 2 }, (_, binding) => ({
					binding,
					visibility: GPUShaderStage.COMPUTE,
					buffer: { type: binding === 0 ? "uniform" : binding <= reads ? "read-only-storage" : "storage" },
				})),
			});
		}

		// compile makes pipelines, all at once, and resolves to the id of the
		// first; the others follow. text is JSON: {modules: {name: wgsl},
		// pipelines: [{module, reads, constants}]}.
		async compile(text) {
			const { modules, pipelines } = JSON.parse(text);
			const { device } = this;
			const wrong = {}; // what the browser says of a module, by name
			for (const [name, code] of Object.entries(modules)) {
				device.pushErrorScope("validation"); // else it would fail what runs next
				this.modules.set(name, device.createShaderModule({ label: name, code }));
				wrong[name] = device.popErrorScope().catch(() => null);
			}
			const made = await this.until(Promise.all(pipelines.map(async ({ module, reads, constants }) => {
				const layout = device.createPipelineLayout({ bindGroupLayouts: [this.layout(reads)] });
				try {
					const compute = { module: this.modules.get(module), entryPoint: "main", constants };
					const pipeline = await device.createComputePipelineAsync({ label: module, layout, compute });
					this.silent = 0;
					return { pipeline, reads };
				} catch (e) {
					const { message } = (await wrong[module]) ?? e;
					throw failure("validation", `${module} ${JSON.stringify(constants)}: ${message}`);
				}
			})));
			const first = this.compiled.length;
			this.compiled.push(...made);
			return first;
		}

		// bind makes the bind groups of a script and its list of commands. words:
		// dispatches, uploads, downloads, then each dispatch as pipeline, uniform
		// offset and size, grid x y z, cost, bindings and (buffer, offset, size)
		// for each; then uploads and downloads as (buffer, offset, size).
		bind(words, uniforms) {
			return this.watched(() => {
				const uniform = this.device.createBuffer({ size: Math.max(uniforms.length, 16), usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
				this.device.queue.writeBuffer(uniform, 0, uniforms);
				const program = { uniform, commands: [], uploads: [], downloads: [], bytes: 0, staging: null };
				let at = 0;
				const next = () => words[at++];
				const span = () => ({ buffer: this.buffers[next()], offset: next(), size: next() });
				const [dispatches, uploads, downloads] = [next(), next(), next()];
				for (let i = 0; i < dispatches; i++) {
					const { pipeline, reads } = this.compiled[next()];
					const entries = [{ binding: 0, resource: { buffer: uniform, offset: next(), size: next() } }];
					const command = { pipeline, grid: [next(), next(), next()], cost: next(), group: null };
					for (let n = next(); n > 0; n--) entries.push({ binding: entries.length, resource: span() });
					command.group = this.device.createBindGroup({ layout: this.layout(reads), entries });
					program.commands.push(command);
				}
				for (let i = 0; i < uploads; i++) program.uploads.push(span());
				for (let i = 0; i < downloads; i++) program.downloads.push(span());
				program.bytes = program.downloads.reduce((sum, d) => sum + d.size, 0);
				return program;
			});
		}

		load(words, uniforms) {
			const program = this.bind(words, uniforms);
			if (program.bytes > 0) {
				program.staging = this.watched(() => this.device.createBuffer({ size: program.bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST }));
			}
			return this.programs.push(program) - 1;
		}

		unload(id) {
			const program = this.programs[id];
			this.programs[id] = null;
			program.dead = true;
			program.uniform.destroy();
			program.staging?.destroy();
		}

		// once submits a script without waiting for it.
		once(words, uniforms) {
			const program = this.bind(words, uniforms);
			const encoder = this.device.createCommandEncoder();
			this.encode(encoder, program.commands, 0, program.commands.length);
			this.device.queue.submit([encoder.finish()]);
			program.uniform.destroy();
		}

		encode(encoder, commands, from, to, timestampWrites) {
			const pass = encoder.beginComputePass({ timestampWrites });
			for (let i = from; i < to; i++) {
				const { pipeline, group, grid } = commands[i];
				pass.setPipeline(pipeline);
				pass.setBindGroup(0, group);
				pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
			}
			pass.end();
		}

		cancel(id) {
			const job = this.programs[id]?.job;
			if (job) job.cancelled = true;
		}

		// run replays a program: upload holds the bytes of its uploads one after
		// the other; it resolves to those of its downloads.
		run(id, upload, profile) {
			const program = this.programs[id];
			const job = { program, upload: upload.slice(), profile, cancelled: false };
			program.job = job;
			// A cancelled run may still be draining.
			const run = (this.running ?? Promise.resolve()).then(() => this.replay(job));
			this.running = run.catch(() => {});
			return run;
		}

		async replay(job) {
			const { program, upload } = job;
			this.stopped(job); // while it waited: its buffers may be gone
			this.check();
			let at = 0;
			for (const { buffer, offset, size } of program.uploads) {
				this.device.queue.writeBuffer(buffer, offset, upload, at, size);
				at += size;
			}
			if (job.profile) program.times = await this.profile(job);
			else await this.submitAll(job);
			this.stopped(job);
			const { staging, bytes } = program;
			if (bytes === 0) return new Uint8Array(0);
			const encoder = this.device.createCommandEncoder();
			at = 0;
			for (const { buffer, offset, size } of program.downloads) {
				encoder.copyBufferToBuffer(buffer, offset, staging, at, size);
				at += size;
			}
			this.device.queue.submit([encoder.finish()]);
			await this.until(staging.mapAsync(GPUMapMode.READ));
			const result = new Uint8Array(staging.getMappedRange()).slice();
			staging.unmap();
			await this.flush();
			return result;
		}

		stopped({ program, cancelled }) {
			if (cancelled || program.dead) throw failure("cancelled", "cancelled");
		}

		// submitAll hands the commands to the device in submissions of about
		// targetMs, judged by the commands' costs (microseconds, estimated) and
		// the pace at which earlier ones were done.
		async submitAll(job) {
			const { commands } = job.program;
			const { queue } = this.device;
			const underWay = [];
			for (let i = 0; i < commands.length;) {
				this.stopped(job);
				const from = i;
				let cost = 0;
				do cost += commands[i++].cost; while (i < commands.length && (cost + commands[i].cost) * this.pace < 1000 * targetMs);
				const encoder = this.device.createCommandEncoder();
				const clock = this.clocks.pop();
				this.encode(encoder, commands, from, i, clock?.writes);
				clock?.stop(encoder);
				queue.submit([encoder.finish()]);
				underWay.push(this.timed(cost, clock));
				if (underWay.length >= inFlight) await this.until(underWay.shift());
			}
		}

		// makeClocks makes what times a submission by the device's own clock, one
		// for each that may be under way and one that is being read.
		makeClocks() {
			const { device } = this;
			const count = 2;
			for (let i = 0; i <= inFlight; i++) {
				const querySet = device.createQuerySet({ type: "timestamp", count });
				const resolved = device.createBuffer({ size: 8 * count, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
				const staging = device.createBuffer({ size: 8 * count, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
				this.clocks.push({
					writes: { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
					stop(encoder) {
						encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
						encoder.copyBufferToBuffer(resolved, 0, staging, 0, 8 * count);
					},
					async read() { // milliseconds
						await staging.mapAsync(GPUMapMode.READ);
						const [from, to] = new BigUint64Array(staging.getMappedRange());
						staging.unmap();
						return Number(to - from) / 1e6;
					},
				});
			}
		}

		// timed resolves when the work just submitted is done, and learns from
		// the time it took: the device's where it has a clock, else the time
		// until the browser told.
		timed(cost, clock) {
			const start = performance.now();
			const done = this.device.queue.onSubmittedWorkDone().then(() => {
				const now = performance.now();
				if (!clock) this.learn(cost, now - Math.max(start, this.done));
				this.done = now;
			});
			done.catch(() => {}); // the device is lost; whoever waits is told
			clock?.read().then((ms) => {
				this.clocks.push(clock);
				if (!(ms > 0)) return; // clocks are seen to stand still
				this.stamped++;
				this.learn(cost, ms);
			}, () => {});
			return done;
		}

		// learn corrects the pace by work of an estimated cost in microseconds.
		learn(cost, ms) {
			const measured = (1000 * ms) / Math.max(cost, 1);
			this.pace += 0.25 * (Math.min(Math.max(measured, this.pace / 4), this.pace * 4) - this.pace);
		}

		// profile runs each command in a pass of its own, as many together as
		// take some fifty milliseconds, and resolves to their times in
		// microseconds.
		async profile(job) {
			const { program } = job;
			const times = new Float64Array(program.commands.length);
			const chunk = 256;
			const querySet = this.device.createQuerySet({ type: "timestamp", count: 2 * chunk });
			const resolved = this.device.createBuffer({ size: 16 * chunk, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
			const staging = this.device.createBuffer({ size: 16 * chunk, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
			for (let from = 0, to = 0; from < times.length; from = to) {
				this.stopped(job);
				let cost = 0;
				do cost += program.commands[to++].cost; while (to < times.length && to - from < chunk && cost * this.pace < 50e3);
				const encoder = this.device.createCommandEncoder();
				for (let i = from; i < to; i++) {
					const query = 2 * (i - from);
					this.encode(encoder, program.commands, i, i + 1, { querySet, beginningOfPassWriteIndex: query, endOfPassWriteIndex: query + 1 });
				}
				encoder.resolveQuerySet(querySet, 0, 2 * (to - from), resolved, 0);
				encoder.copyBufferToBuffer(resolved, 0, staging, 0, 16 * (to - from));
				this.device.queue.submit([encoder.finish()]);
				await this.until(staging.mapAsync(GPUMapMode.READ));
				const stamps = new BigUint64Array(staging.getMappedRange());
				for (let i = from; i < to; i++) times[i] = Number(stamps[2 * (i - from) + 1] - stamps[2 * (i - from)]) / 1000;
				staging.unmap();
				this.learn(cost, times.subarray(from, to).reduce((sum, us) => sum + us / 1000, 0));
			}
			querySet.destroy();
			resolved.destroy();
			staging.destroy();
			return times;
		}

		// times is the last profile of a program.
		times(id) { return this.programs[id].times; }

		destroy() { this.device.destroy(); }
	}

	return { open };
})();
