// Imported by who packs models in the page: bundlers then take the program for
// that along, some seven megabytes, and not otherwise.
import { providePacker } from "./wisp.js";

providePacker(new URL("./pack.wasm", import.meta.url).href);

export { importModel, inspectModel } from "./wisp.js";
