// The peers of bench_js_test.go: onnxruntime-web with either of its WebGPU
// providers and tfjs, run on the same device, in the same worker, one after
// the other. Loaded before the test, it leaves one global, wispPeers.
"use strict";

globalThis.wispPeers = (() => {
	const modules = () => `${process.cwd()}/../../../build/peers/webgpu/node_modules`;
	const file = async (path) => (await fetch(`fs?path=${encodeURIComponent(path)}`)).arrayBuffer();
	const link = async (path, type) => URL.createObjectURL(new Blob([await file(`${modules()}/${path}`)], { type }));
	const script = async (path) => importScripts(await link(path, "text/javascript"));
	const random = (n) => Float32Array.from({ length: n }, () => Math.random() - 0.5);
	const count = (shape) => shape.reduce((a, b) => a * b, 1);

	// ONNX files of one node, by hand: field numbers are those of onnx.proto.
	const varint = (n) => { const out = []; do { out.push(n & 127 | (n > 127 ? 128 : 0)); n >>>= 7; } while (n); return out; };
	const bytes = (field, data) => [...varint(field << 3 | 2), ...varint(data.length), ...data];
	const text = (field, s) => bytes(field, [...new TextEncoder().encode(s)]);
	const number = (field, n) => [...varint(field << 3), ...varint(n)];
	const value = (field, name, shape) => bytes(field, [...text(1, name), ...bytes(2, bytes(1, [...number(1, 1), ...bytes(2, shape.flatMap((d) => bytes(1, number(1, d))))]))]);
	const attribute = (name, v) => bytes(5, [...text(1, name), ...v.flatMap((x) => number(8, x)), ...number(20, 7)]);
	const model = (op, attributes, inputs, out) => {
		const node = bytes(1, [...inputs.flatMap(([name]) => text(1, name)), ...text(2, "out"), ...text(4, op), ...attributes]);
		const graph = bytes(7, [...node, ...text(2, "graph"), ...inputs.flatMap(([name, shape]) => value(11, name, shape)), ...value(12, "out", out)]);
		return new Uint8Array([...number(1, 8), ...graph, ...bytes(8, [...text(1, ""), ...number(2, 17)])]);
	};
	const matmul = ({ m, n, k }) => model("MatMul", [], [["x", [m, k]], ["w", [k, n]]], [m, n]);
	const conv = ({ n, hw, c, o }) => model("Conv", [...attribute("pads", [1, 1, 1, 1]), ...attribute("kernel_shape", [3, 3])],
		[["x", [n, c, hw, hw]], ["w", [o, c, 3, 3]]], [n, o, hw, hw]);
	const shapes = ({ m, n, k, hw, c, o }) => m ? { x: [m, k], w: [k, n] } : { x: [n, c, hw, hw], w: [o, c, 3, 3] };

	// Every dispatch of the worker, and the bytes that it binds, whoever makes it.
	const seen = { dispatches: 0, bytes: 0 };
	const sizes = new WeakMap(), bound = new WeakMap(); // of a bind group; of a pass
	const wrap = (type, name, before) => {
		const original = type.prototype[name];
		type.prototype[name] = function (...args) {
			const result = original.apply(this, args);
			before(this, args, result);
			return result;
		};
	};
	wrap(GPUDevice, "createBindGroup", (_, [{ entries }], group) => {
		const spans = new Map(); // an operand bound twice is read once
		for (const { resource } of entries) {
			const { buffer, offset = 0, size } = resource.buffer ? resource : { buffer: resource };
			if (buffer.usage & GPUBufferUsage.STORAGE) spans.set(buffer, { ...spans.get(buffer), [offset]: size ?? buffer.size - offset });
		}
		let sum = 0;
		for (const list of spans.values()) for (const n of Object.values(list)) sum += n;
		sizes.set(group, sum);
	});
	wrap(GPUComputePassEncoder, "setBindGroup", (pass, [, group]) => bound.set(pass, sizes.get(group)));
	const tally = (pass) => {
		seen.dispatches++;
		seen.bytes += bound.get(pass) ?? 0;
	};
	wrap(GPUComputePassEncoder, "dispatchWorkgroups", tally);
	wrap(GPUComputePassEncoder, "dispatchWorkgroupsIndirect", tally);

	// best runs a job once to warm up and then runs times; milliseconds.
	async function best(runs, job) {
		let least = Infinity;
		for (let i = 0; i <= runs; i++) {
			const start = performance.now();
			await job();
			if (i > 0) least = Math.min(least, performance.now() - start);
		}
		return least;
	}

	// Providers by name: the script, and the variant of its engine.
	const providers = { "onnxruntime-web": ["ort.webgpu.min.js", "asyncify"], "onnxruntime-web-jsep": ["ort.all.min.js", "jsep"] };
	const runtimes = {};
	async function runtime(name) {
		if (runtimes[name]) return runtimes[name];
		const [entry, variant] = providers[name];
		await script(`onnxruntime-web/dist/${entry}`);
		const { ort } = globalThis;
		ort.env.wasm.numThreads = 1;
		const engine = `onnxruntime-web/dist/ort-wasm-simd-threaded.${variant}`;
		ort.env.wasm.wasmPaths = { mjs: await link(`${engine}.mjs`, "text/javascript"), wasm: await link(`${engine}.wasm`, "application/wasm") };
		return runtimes[name] = ort;
	}

	async function onnx(name, bytes, inputs, runs) {
		const ort = await runtime(name);
		const session = await ort.InferenceSession.create(bytes, { executionProviders: [{ name: "webgpu", storageBufferCacheMode: "simple" }], preferredOutputLocation: "gpu-buffer" });
		const device = await ort.env.webgpu.device;
		const feeds = {};
		for (const [key, dims] of Object.entries(inputs)) {
			const data = random(count(dims));
			const buffer = device.createBuffer({ size: Math.ceil(data.byteLength / 16) * 16, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC });
			device.queue.writeBuffer(buffer, 0, data);
			feeds[key] = ort.Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims });
		}
		let before;
		const ms = await best(runs, async () => {
			before = { ...seen };
			const { out } = await session.run(feeds);
			await device.queue.onSubmittedWorkDone();
			out.dispose();
		});
		await session.release();
		return { ms, dispatches: seen.dispatches - before.dispatches, bytes: seen.bytes - before.bytes };
	}

	async function tensorflow(size, runs) {
		if (!globalThis.tf) {
			for (const part of ["core", "backend-cpu", "backend-webgpu"]) await script(`@tensorflow/tfjs-${part}/dist/tf-${part}.min.js`);
			await tf.setBackend("webgpu");
			await tf.ready();
		}
		const { x, w } = shapes(size);
		const nhwc = ([a, b, c, d]) => [a, c, d, b];
		const left = tf.tensor(random(count(x)), size.m ? x : nhwc(x)), right = tf.tensor(random(count(w)), size.m ? w : [3, 3, size.c, size.o]);
		return { ms: await best(runs, async () => {
			const out = size.m ? tf.matMul(left, right) : tf.conv2d(left, right, 1, "same");
			await out.data(); // nothing less makes it run
			out.dispose();
		}) };
	}

	// measure resolves to JSON: {ms, dispatches, bytes} of a peer on a case.
	async function measure(peer, json, runs) {
		const size = JSON.parse(json);
		if (size.file) {
			const stream = new Blob([await file(`${process.cwd()}/${size.file}`)]).stream().pipeThrough(new DecompressionStream("gzip"));
			return JSON.stringify(await onnx(peer, new Uint8Array(await new Response(stream).arrayBuffer()), size.inputs, runs));
		}
		const result = peer === "tfjs" ? await tensorflow(size, runs) : await onnx(peer, size.m ? matmul(size) : conv(size), shapes(size), runs);
		return JSON.stringify(result);
	}

	return { measure, seen };
})();
