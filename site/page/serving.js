// Programs that ask the page for pictures, by its service worker.
import { keeping, programs, run } from "./draw.js";
import * as gridDialog from "./grid.js";
import { importing } from "./import.js";
import { start as goOffline } from "./offline.js";
import * as session from "./session.js";
import { generator } from "./session.js";
import { atStudio } from "./tools.js";
import { parametersOf, preprocess, preprocessors, toPNG } from "./wisp.js";

// apiGenerator is what programs draw with: they name ControlNets, which the engine
// has by ids.
async function apiGenerator() {
	const g = await session.drawing(), { programs: named } = await atStudio();
	const given = async (one) => ({ ...one, id: await named.control(one.id) });
	return { ...g, controls: await named.controls(), generate: async (r) => g.generate({ ...r, ...(r.controls && { controls: await Promise.all(r.controls.map(given)) }) }) };
}

// serving has the service worker draw here what programs ask for.
export const serving = () => goOffline({
	idle: () => run === null && keeping === 0 && !gridDialog.drawing() && !importing(),
	ready: apiGenerator, enlarge: async (pixels, how) => (await atStudio()).programs.enlarged(pixels, how), upscalers: async () => (await atStudio()).programs.upscalers(), facts: () => generator, queue: programs, encode: toPNG, infotext: parametersOf,
	preprocess: (pixels, how) => (pixels ? preprocess(pixels, how) : preprocessors()),
	pixels: async (bytes, name) => (await import("./photo.js")).pixelsOf(new Blob([bytes]), name),
});
