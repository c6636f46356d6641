// A js/wasm test binary under Node, with Dawn's WebGPU in place of a browser's:
//   node run.cjs DAWN.node WASM_EXEC.js SCRIPT[,SCRIPT...] TEST.wasm [test flags]
// The scripts are those that a page would load first. DAWN_FLAGS holds Dawn's
// own, apart by semicolons, such as adapter=NAME.
"use strict";
const { readFileSync } = require("node:fs");
const { availableParallelism } = require("node:os");
const { resolve } = require("node:path");
const { runInThisContext } = require("node:vm");

const [dawn, exec, scripts, test, ...flags] = process.argv.slice(2);
const { create, globals } = require(resolve(dawn));
const gpu = create((process.env.DAWN_FLAGS ?? "").split(";").filter(Boolean));
Object.assign(globalThis, globals, { self: globalThis, require, fs: require("node:fs"), path: require("node:path") });
const navigator = { gpu, userAgent: "Node with Dawn", hardwareConcurrency: availableParallelism() };
Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
for (const filename of [exec, ...scripts.split(",")]) runInThisContext(readFileSync(filename, "utf8"), { filename });

const go = new Go();
go.argv = [resolve(test), ...flags];
go.env = { TMPDIR: "/tmp", ...process.env };
go.exit = (code) => process.exit(code);
if (globalThis.wispImports) Object.assign(go.importObject, globalThis.wispImports(go));
WebAssembly.instantiate(readFileSync(test), go.importObject).then(({ instance }) => go.run(instance)).catch((error) => {
	console.error(error);
	process.exit(1);
});
