// wispPeak measures what the card can do, with a device of its own: the rate of
// a loop of multiply-adds in f32 and f16, in billions a second (two operations
// each), and of a copy in GB read and written a second. It resolves to JSON.
"use strict";
globalThis.wispPeak = async () => {
	const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
	const half = adapter.features.has("shader-f16");
	const size = Math.min(256 << 20, adapter.limits.maxStorageBufferBindingSize);
	const device = await adapter.requestDevice({
		requiredFeatures: half ? ["shader-f16"] : [],
		requiredLimits: { maxStorageBufferBindingSize: size, maxBufferSize: size },
	});
	const buffers = [0, 1].map(() => device.createBuffer({ size, usage: GPUBufferUsage.STORAGE }));

	// rate runs a kernel on at most so many workgroups, more each time, until a run
	// takes a twentieth of a second, and returns the best of five in units a
	// second; a workgroup does each of them.
	const rate = async (code, most, each) => {
		const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module: device.createShaderModule({ code }) } });
		const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
		const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
		const run = async (times, groups) => {
			const encoder = device.createCommandEncoder();
			const pass = encoder.beginComputePass();
			pass.setPipeline(pipeline);
			pass.setBindGroup(0, group);
			for (let i = 0; i < times; i++) pass.dispatchWorkgroups(groups);
			pass.end();
			const start = performance.now();
			device.queue.submit([encoder.finish()]);
			await device.queue.onSubmittedWorkDone();
			return (performance.now() - start) / 1000;
		};
		let times = 1, groups = Math.min(most, 64);
		while (await run(times, groups) < 0.05 && times < 1 << 14) {
			if (groups < most) groups = Math.min(most, 4 * groups);
			else times *= 2;
		}
		let best = Infinity;
		for (let i = 0; i < 5; i++) best = Math.min(best, await run(times, groups));
		return times * groups * each / best;
	};

	const loops = 256, threads = 256;
	const multiply = (elem) => `${elem === "f16" ? "enable f16;" : ""}
		@group(0) @binding(0) var<storage, read_write> x: array<vec4<${elem}>>;
		@group(0) @binding(1) var<storage, read_write> y: array<vec4<${elem}>>;
		@compute @workgroup_size(${threads})
		fn main(@builtin(global_invocation_id) id: vec3<u32>) {
			let i = id.x % 65536u;
			let m = x[i];
			${[0, 1, 2, 3, 4, 5, 6, 7].map((j) => `var s${j} = vec4<${elem}>(${elem}(${j}.0)) + m;`).join("\n")}
			for (var l = 0u; l < ${loops}u; l++) {
				${[0, 1, 2, 3, 4, 5, 6, 7].map((j) => `s${j} = fma(s${j}, m, s${(j + 1) % 8});`).join("\n")}
			}
			y[i] = s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7;
		}`;
	const work = threads * loops * 8 * 4 * 2;
	const found = { flops32: await rate(multiply("f32"), 4096, work) / 1e9 };
	if (half) found.flops16 = await rate(multiply("f16"), 4096, work) / 1e9;
	const vectors = 16; // of each invocation
	found.bytes = await rate(`
		@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>;
		@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
		@compute @workgroup_size(256)
		fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
			for (var i = 0u; i < ${vectors}u; i++) {
				let at = (group.x * ${vectors}u + i) * 256u + id;
				y[at] = x[at];
			}
		}`, size / (16 * 256 * vectors), 2 * 16 * 256 * vectors) / 1e9;
	device.destroy();
	return JSON.stringify(found);
};
