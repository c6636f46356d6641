// Does one job: times a case on one engine. {engine, index, case, threads} in,
// {ms, y} or {error} out; y are the bytes of the result.
"use strict";

const value = async (job, { Name, Integers }, planar) => {
	const answer = await fetch(`value/${job.index}?name=${encodeURIComponent(Name)}${planar ? "&planar=1" : ""}`);
	return new (Integers ? Int32Array : Float32Array)(await answer.arrayBuffer());
};
const graph = async (job) => (await fetch(`graph/${job.index}`)).json();
const bytes = (f32) => new Uint8Array(f32.buffer, f32.byteOffset, f32.byteLength);

// best is the shortest of the runs of three seconds, two at least, after one that
// is not counted.
async function best(run) {
	let y = await run(), ms = Infinity;
	for (let i = 0, begin = performance.now(); i < 2 || performance.now() - begin < 3000; i++) {
		const start = performance.now();
		y = await run();
		ms = Math.min(ms, performance.now() - start);
	}
	return { ms, y: bytes(y) };
}

const engines = {
	async wisp(job) {
		importScripts("build/wasm_exec.js");
		const go = new Go();
		go.argv = ["wisp", job.case, String(job.threads)];
		const { instance } = await WebAssembly.instantiateStreaming(fetch("build/wisp.wasm"), go.importObject);
		await go.run(instance);
		return globalThis.wispResult ?? { error: "the program ended early" };
	},

	async "onnxruntime-web"(job) {
		importScripts("build/node_modules/onnxruntime-web/dist/ort.wasm.min.js");
		ort.env.wasm.wasmPaths = new URL("build/node_modules/onnxruntime-web/dist/", location.href).href;
		ort.env.wasm.numThreads = job.threads;
		ort.env.logLevel = "error";
		const session = await ort.InferenceSession.create(new URL(`onnx/${job.index}`, location.href).href, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
		const inputs = {};
		for (const n of (await graph(job)).nodes) {
			if (n.Op !== "input") continue;
			const s = n.Shape;
			inputs[n.Name] = new ort.Tensor(n.Integers ? "int32" : "float32", await value(job, n, true), s.length === 4 ? [s[0], s[3], s[1], s[2]] : s);
		}
		return best(async () => (await session.run(inputs))[session.outputNames[0]].data);
	},

	async tfjs(job) {
		importScripts("build/node_modules/@tensorflow/tfjs-core/dist/tf-core.min.js",
			"build/node_modules/@tensorflow/tfjs-backend-cpu/dist/tf-backend-cpu.min.js",
			"build/node_modules/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js");
		tf.wasm.setWasmPaths(new URL("build/node_modules/@tensorflow/tfjs-backend-wasm/dist/", location.href).href);
		tf.wasm.setThreadsCount(job.threads);
		if (!await tf.setBackend("wasm")) throw new Error("tfjs has no wasm backend");
		const { nodes, output } = await graph(job);
		const sources = [];
		for (const [i, n] of nodes.entries()) {
			if (n.Op !== "input" && n.Op !== "weight") continue;
			sources[i] = tf.tensor(await value(job, n), n.Shape);
			if (n.Op === "weight" && n.Shape.length === 4) sources[i] = tf.transpose(sources[i], [2, 3, 1, 0]);
			if (n.Op === "weight" && n.Shape.length === 2) sources[i] = tf.transpose(sources[i]);
		}
		return best(() => {
			const y = tf.tidy(() => {
				const v = [...sources];
				for (const [i, n] of nodes.entries()) v[i] ??= tensorflow[n.Op](n, n.Inputs.map((j) => v[j]));
				return v[output];
			});
			const data = y.dataSync();
			y.dispose();
			return data;
		});
	},

	// The rate of fused multiply-adds on registers, two for each of a core's
	// pipes in flight and more: what no program can pass.
	async ceiling() {
		const leb = (n) => (n < 128 ? [n] : [n & 127 | 128, ...leb(n >> 7)]);
		const section = (id, body) => [id, ...leb(body.length), ...body];
		const chains = 12, rounds = 4;
		const code = [1, chains + 2, 0x7b, 0x03, 0x40];
		for (let i = 0; i < chains * rounds; i++) code.push(0x20, 13, 0x20, 14, 0x20, 1 + i % chains, 0xfd, 0x85, 0x02, 0x21, 1 + i % chains);
		code.push(0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b, 0x20, 1);
		for (let i = 1; i < chains; i++) code.push(0x20, 1 + i, 0xfd, 0xe4, 0x01);
		code.push(0xfd, 0x1f, 0, 0x0b); // a result, or the engine drops it all
		const module = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...section(1, [1, 0x60, 1, 0x7f, 1, 0x7d]), ...section(3, [1, 0]),
			...section(7, [1, 1, 0x66, 0, 0]), ...section(10, [1, ...leb(code.length), ...code])]);
		const { f } = (await WebAssembly.instantiate(module)).instance.exports;
		let rate = 0;
		for (const begin = performance.now(); performance.now() - begin < 300;) {
			const start = performance.now();
			for (let i = 0; i < 100; i++) f(2000);
			rate = Math.max(rate, 100 * 2000 * chains * rounds * 8 / (performance.now() - start) * 1e3);
		}
		return { rate };
	},
};

// What tfjs makes of wisp's operations.
const tensorflow = {
	linear(n, [x, w, b]) {
		const y = tf.fused.matMul({ a: tf.reshape(x, [-1, w.shape[0]]), b: w, bias: b });
		return tf.reshape(y, n.Shape);
	},
	conv2d(n, [x, w, b]) {
		return tf.fused.conv2d({ x, filter: w, strides: n.Attrs.Stride, pad: "same", bias: b });
	},
	attention(n, [q, k, v]) {
		const { Heads: heads, Scale: scale } = n.Attrs;
		const split = (x) => tf.transpose(tf.reshape(x, [x.shape[0], -1, heads, x.shape[2] / heads]), [0, 2, 1, 3]);
		const scores = tf.softmax(tf.matMul(tf.mul(split(q), scale), split(k), false, true));
		return tf.reshape(tf.transpose(tf.matMul(scores, split(v)), [0, 2, 1, 3]), n.Shape);
	},
	group_norm(n, [x, gamma, beta]) {
		const { Groups: groups, Eps: eps } = n.Attrs, [b, h, w, c] = n.Shape;
		const grouped = tf.reshape(x, [b, h * w, groups, c / groups]);
		const { mean, variance } = tf.moments(grouped, [1, 3], true);
		const norm = tf.mul(tf.sub(grouped, mean), tf.rsqrt(tf.add(variance, eps)));
		return tf.add(tf.mul(tf.reshape(norm, n.Shape), gamma), beta);
	},
	layer_norm(n, [x, gamma, beta]) {
		const { mean, variance } = tf.moments(x, -1, true);
		return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, n.Attrs.Eps))), gamma), beta);
	},
	silu: (n, [x]) => tf.mul(x, tf.sigmoid(x)),
	geglu(n, [x]) {
		const [a, b] = tf.split(x, 2, -1);
		return tf.mul(a, tf.mul(tf.mul(b, tf.add(tf.erf(tf.mul(b, Math.SQRT1_2)), 1)), 0.5));
	},
	add: (n, [a, b]) => tf.add(a, b),
};

onmessage = async ({ data: job }) => {
	try {
		postMessage(await engines[job.engine](job));
	} catch (e) {
		postMessage({ error: String(e.stack ?? e) });
	}
};
