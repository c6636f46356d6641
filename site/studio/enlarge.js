// The dialog that enlarges a picture: by a filter, or by the network of a file that
// the visitor gave once.
import { pixelsOf } from "./photo.js";
import { opened, works } from "./parts.js";
import { kept, picker } from "./shelf.js";
import { upscale } from "./wisp.js";

// names are of the networks that are kept, for programs.
export const names = async () => (await kept("upscaler")).map(({ name }) => name);

// enlarged is a picture by whichever is named; by the filter where none is.
export async function enlarged(pixels, { by, name, signal, onProgress }) {
	const model = (await kept("upscaler")).find((one) => one.name === name)?.file;
	return upscale(pixels, { by, model, signal, onProgress });
}

// open shows the dialog for a file; done(image, {by, name}) gets what becomes of it.
export async function open(file, name, done) {
	const { width, height } = await pixelsOf(file, name);
	const box = opened("larger"), times = box.querySelector("select");
	const net = await picker(box, "upscaler", [["", "Lanczos"]], (await kept("upscaler"))[0] ?? null, () => {});
	const told = works(box, async (signal, _, bar) => {
		const how = { by: Number(times.value), name: net()?.name ?? "Lanczos" };
		await done(await enlarged(file, { ...how, signal, onProgress: ({ loaded, total }) => (bar.value = loaded / total) }), how);
		box.close();
	});
	const say = () => (told.textContent = `${width} × ${height} → ${times.value * width} × ${times.value * height}`);
	times.addEventListener("change", say);
	say();
}
