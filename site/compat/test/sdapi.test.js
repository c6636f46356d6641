// The API with a generator that draws nothing: what becomes of requests.
import assert from "node:assert/strict";
import { test } from "node:test";
import { maxBody } from "../limits.js";
import { Queue } from "../queue.js";
import { call } from "../sdapi.js";
import { generator } from "./corpus.js";
import { iTXt, png } from "./files.js";

// page answers with pictures that are their seeds.
function page(draw = async () => {}) {
	const drawn = [], enlarged = []; // what was asked for
	const made = { ...generator, id: "0123456789abcdef", generate: async (request) => {
		await draw(request);
		if (request.signal.aborted) throw Object.assign(new Error("cancelled"), { code: "aborted" });
		drawn.push(request);
		return { images: [{}], seed: request.seed, settings: { ...generator.defaults, sampler: "euler", ...request }, warnings: [], truncated: false, parameters: "" };
	} };
	return { drawn, ready: async () => made, facts: () => made, queue: new Queue(2), upscalers: async () => ["sharp"], enlarge: async ({ width, height, data }, how) => (enlarged.push(how), { width: Math.round(width * how.by), height: Math.round(height * how.by), data: new Uint8ClampedArray(4 * Math.round(width * how.by) * Math.round(height * how.by)).fill(data[0]) }), enlarged, preprocess: async (pixels, how) => (pixels ? (enlarged.push(how), pixels) : [{ name: "canny" }]), encode: async (r) => new Blob([String(r.seed)]), infotext: (r) => `Seed: ${r.seed}`, pixels: async (bytes) => ({ width: bytes[0], height: bytes[1], data: new Uint8ClampedArray(4 * bytes[0] * bytes[1]).map((_, i) => bytes[2 + i % 4 + 4 * (i >> 2) * (bytes.length > 6 ? 1 : 0)] ?? 255) }) };
}

const post = (p, name, body) => call(name, "POST", new Blob([typeof body === "string" ? body : JSON.stringify(body)]), {}, p);

test("pictures, their seeds and their notices", async () => {
	const p = page();
	const { status, answer } = await post(p, "txt2img", { prompt: "a", seed: 7, n_iter: 2, sampler_name: "DPM2", tomorrow: 1 });
	const info = JSON.parse(answer.info);
	assert.deepEqual([status, answer.images.map((i) => atob(i)), info.all_seeds, info.notices], [200, ["7", "8"], [7, 8], ["tomorrow: not known here", "Sampler: DPM2"]]);
	assert.ok(p.drawn.every(({ count, previews }) => count === 1 && previews));
	const { answer: random } = await post(p, "txt2img", { prompt: "a", seed: -1, batch_size: 2 });
	const [first, second] = JSON.parse(random.info).all_seeds;
	assert.equal(second, first + 1);
});

test("what cannot be is refused with its status", async () => {
	const p = page();
	for (const [body, status, detail] of [["{", 422, "the request is not JSON"], ["[]", 422, "the request is not an object"], [{ prompt: 7 }, 422, "prompt is not a text"], [`{"a":`.repeat(100_000), 422, "the request is nested deeper than 100"], [{ prompt: "a", enable_hr: true }, 422, "wisp does not support enable_hr"]]) {
		const r = await post(p, "txt2img", body);
		assert.deepEqual([r.status, r.answer.detail], [status, detail]);
	}
	assert.equal((await call("txt2img", "POST", { size: maxBody + 1 }, {}, p)).status, 413);
	assert.equal((await post(p, "constructor", {})).status, 404);
	assert.equal((await call("txt2img", "GET", null, {}, p)).status, 404);
	assert.equal(p.drawn.length, 0);
});

// picture is a file as page has them: width, height, and one colour, or that of
// each pixel.
const picture = (...bytes) => Buffer.from(bytes).toString("base64");

test("LoRAs that the page has are worn, others are told", async () => {
	const p = page(), made = await p.ready();
	made.loras = [{ id: "lora-1", name: "ink", metadata: { a: "b" } }];
	assert.deepEqual((await call("loras", "GET", null, {}, p)).answer, [{ name: "ink", alias: "ink", path: "ink.safetensors", metadata: { a: "b" } }]);
	const { answer } = await post(p, "txt2img", { prompt: "a cat <lora:ink:0.8>, <lora:gone:1>", seed: 1 });
	assert.deepEqual([p.drawn[0].prompt, JSON.parse(answer.info).notices], ["a cat, <lora:ink:0.8>", ["<lora:gone:1>"]]);
});

test("ControlNets steer by pictures", async () => {
	const p = page(), made = await p.ready();
	made.controls = ["edges"];
	assert.deepEqual((await call("controlnet/model_list", "GET", null, {}, p)).answer, { model_list: ["edges"] });
	assert.deepEqual((await call("controlnet/module_list", "GET", null, {}, p)).answer, { module_list: ["none", "canny"] });
	await post(p, "txt2img", { prompt: "a", seed: 1, alwayson_scripts: { controlnet: { args: [{ image: picture(1, 2, 7), model: "edges", module: "canny" }] } } });
	const [{ image, ...one }] = p.drawn[0].controls;
	assert.deepEqual([one, image.width, image.height], [{ id: "edges", weight: 1, start: 0, end: 1, preprocess: { name: "canny" } }, 1, 2]);
	const { status, answer } = await post(p, "controlnet/detect", { controlnet_module: "canny", controlnet_input_images: [picture(2, 1, 9)], controlnet_threshold_a: 9, controlnet_threshold_b: 90 });
	assert.deepEqual([status, answer.images.length, p.enlarged], [200, 1, [{ name: "canny", low: 9, high: 90 }]]);
	assert.equal((await post(p, "controlnet/detect", { controlnet_module: "canny" })).status, 422);
});

test("extras enlarge", async () => {
	const p = page();
	const sizes = [];
	p.encode = async ({ images: [{ width, height }] }) => (sizes.push([width, height]), new Blob(["x"]));
	for (const body of [{ upscaler_1: "sharp", upscaling_resize: 2 }, { upscaler_1: "Lanczos", resize_mode: 1, upscaling_resize_w: 8, upscaling_resize_h: 8 }, { upscaler_1: "Lanczos", resize_mode: 1, upscaling_resize_w: 8, upscaling_resize_h: 8, upscaling_crop: false }, { upscaler_1: "None" }]) assert.equal((await post(p, "extra-single-image", { image: picture(4, 2, 1), ...body })).status, 200);
	assert.deepEqual([sizes, p.enlarged.map(({ by, name }) => [by, name])], [[[8, 4], [8, 8], [16, 8], [4, 2]], [[2, "sharp"], [4, "Lanczos"], [4, "Lanczos"]]]);
	for (const [body, detail] of [[{ upscaler_1: "blurry" }, "there is no upscaler blurry"], [{ gfpgan_visibility: 1 }, "wisp does not support gfpgan_visibility"], [{ upscaler_1: "sharp", upscaling_resize: "x" }, "upscaling_resize is not a number from 1 to 16"], [{ image: 7 }, "image is not a text"]]) {
		const r = await post(p, "extra-single-image", { image: picture(4, 2, 1), ...body });
		assert.deepEqual([r.status, r.answer.detail], [422, detail]);
	}
});

test("pictures to begin with", async () => {
	const p = page();
	const { status, answer } = await post(p, "img2img", { prompt: "a", seed: 7, init_images: [`data:image/png;base64,${picture(4, 2, 9, 9, 9, 255)}`], denoising_strength: 0.3, image_cfg_scale: 1.5, include_init_images: false });
	const info = JSON.parse(answer.info);
	assert.deepEqual([status, info.denoising_strength, answer.parameters.init_images, info.notices], [200, 0.3, null, []]);
	const [{ image, strength, imageGuidance, mask }] = p.drawn;
	assert.deepEqual([image.width, image.height, [...image.data.subarray(0, 4)], strength, imageGuidance, mask], [4, 2, [9, 9, 9, 255], 0.3, 1.5, undefined]);
	// cropped to the wished shape, its mask with it
	await post(p, "img2img", { prompt: "a", init_images: [picture(4, 2, 9, 9, 9, 255)], mask: picture(2, 1, 0, 0, 0, 255, 255, 255, 255, 255), resize_mode: 1, width: 64, height: 64 });
	const cut = p.drawn[1];
	assert.deepEqual([cut.image.width, cut.image.height, cut.mask.width, cut.mask.height], [2, 2, 2, 2]);
	assert.deepEqual([...cut.mask.data], [0, 0, 0, 255, 255, 255, 255, 255, 0, 0, 0, 255, 255, 255, 255, 255]);
	assert.deepEqual([cut.maskBlur, cut.onlyMasked, cut.maskPadding], [4, true, 0]);
	const { answer: inverted } = await post(p, "img2img", { prompt: "a", init_images: [picture(2, 1, 9, 9, 9, 255)], mask: picture(2, 1, 0, 0, 0, 255, 255, 255, 255, 0), inpainting_mask_invert: 1, mask_blur: 0, inpaint_full_res: false, inpaint_full_res_padding: 32, inpainting_fill: 0 });
	assert.deepEqual([[...p.drawn[2].mask.data], p.drawn[2].maskBlur, p.drawn[2].onlyMasked, p.drawn[2].maskPadding], [[0, 0, 0, 255, 255, 255, 255, 255], 0, false, 32]);
	assert.deepEqual(JSON.parse(inverted.info).notices, ["inpainting_fill: 0"]);
});

test("pictures that cannot be begun with", async () => {
	const p = page(), one = picture(1, 1, 0, 0, 0, 255);
	for (const [body, detail] of [
		[{}, "init_images has no picture"], [{ init_images: [] }, "init_images has no picture"], [{ init_images: [one, one] }, "init_images has 2 pictures: wisp begins with one"],
		[{ init_images: ["%"] }, "init_images is not base64"], [{ init_images: [7] }, "init_images is not a text"], [{ init_images: [one], mask: 7 }, "mask is not a text"],
		[{ init_images: [one], resize_mode: 3 }, "wisp does not support a resize_mode of 3: choose 0 (just resize) or 1 (crop and resize)"],
		[{ init_images: [one], denoising_strength: "much" }, "denoising_strength is not a number"], [{ init_images: [one], latent_mask: one }, "wisp does not support latent_mask"],
		[{ init_images: [one], tiling: true }, "wisp does not support tiling"], [{ init_images: [one], initial_noise_multiplier: 0.5 }, "wisp does not support initial_noise_multiplier"],
	]) {
		const r = await post(p, "img2img", { prompt: "a", ...body });
		assert.deepEqual([r.status, r.answer.detail], [422, detail]);
	}
	assert.equal(p.drawn.length, 0);
});

test("a full queue says when to come again", async () => {
	let go;
	const p = page(() => new Promise((resolve) => { go = resolve; }));
	const jobs = [post(p, "txt2img", { prompt: "a" }), post(p, "txt2img", { prompt: "b" })];
	await new Promise((resolve) => setTimeout(resolve, 5));
	const many = await Promise.all(Array.from({ length: 2000 }, () => post(p, "txt2img", { prompt: "c" })));
	assert.ok(many.every(({ status, retryAfter }) => status === 429 && retryAfter >= 1));
	go();
	await new Promise((resolve) => setTimeout(resolve, 5));
	go();
	assert.deepEqual((await Promise.all(jobs)).map(({ status }) => status), [200, 200]);
});

test("an interrupted request is answered as far as it came", async () => {
	const p = page(({ seed, signal }) => (seed === 7 ? undefined : new Promise((resolve) => signal.addEventListener("abort", resolve))));
	const job = post(p, "txt2img", { prompt: "a", seed: 7, n_iter: 3 });
	await new Promise((resolve) => setTimeout(resolve, 5));
	assert.equal((await post(p, "interrupt", "")).status, 200);
	const { status, answer } = await job;
	assert.deepEqual([status, answer.images.map((i) => atob(i)), JSON.parse(answer.info).interrupted], [200, ["7"], true]);
});

test("lists that clients ask for at their start", async () => {
	for (const name of ["samplers", "schedulers", "sd-models", "prompt-styles", "upscalers"]) assert.ok((await call(name, "GET", null, {}, page())).answer.length > 0, name);
	for (const name of ["sd-vae", "loras", "hypernetworks", "face-restorers", "realesrgan-models", "latent-upscale-modes"]) assert.deepEqual((await call(name, "GET", null, {}, page())).answer, [], name);
	assert.deepEqual((await call("cmd-flags", "GET", null, {}, page())).answer, {});
});

test("png-info", async () => {
	const text = "a\nSteps: 2, Sampler: Euler, Seed: 7, Clip skip: 2";
	const { answer } = await post(page(), "png-info", { image: `data:image/png;base64,${Buffer.from(png(iTXt("parameters", text))).toString("base64")}` });
	assert.deepEqual([answer.info, answer.items, answer.parameters.seed, answer.parameters.lost], [text, { parameters: text }, 7, []]);
	assert.equal(answer.parameters.clipSkip, 2);
	assert.equal((await post(page(), "png-info", { image: "%" })).status, 422);
});
