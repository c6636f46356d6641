// run.cjs PACKAGE ADDRESS draws with a client of AUTOMATIC1111's API, from words and
// from a picture, and prints what came.
"use strict";
const [, , name, address] = process.argv;
const { StableDiffusionApi } = require(name);

async function main() {
	const api = new StableDiffusionApi({ baseUrl: address, timeout: 120_000 });
	const words = { steps: 4, width: 128, height: 128, sampler_name: "Euler", seed: 7 };
	const made = await api.txt2img({ ...words, prompt: "red heart", cfg_scale: 3 });
	const again = await api.img2img({ ...words, prompt: "blue heart", cfg_scale: 3, init_images: [made.image], denoising_strength: 0.5 });
	const mean = async (image) => (await image.stats()).channels.slice(0, 3).map(({ mean }) => Math.round(mean));
	const samplers = await api.getSamplers();
	const told = ({ info }) => (typeof info === "string" ? JSON.parse(info) : info);
	console.log(JSON.stringify({ width: (await made.image.metadata()).width, seed: told(made).seed, red: await mean(made.image), blue: await mean(again.image), strength: told(again).denoising_strength, samplers: samplers.length > 3 }));
}
main().catch((err) => {
	console.error(err.response?.data ?? err);
	process.exit(1);
});
