// The view of ?profile: what the graphics card's kernels took so far.
import { create } from "./ui.js";

const box = create("pre", { id: "profile" });

// show lists the kernels of a result.
export function show({ device, profile }) {
	const total = profile.reduce((sum, k) => sum + k.ms, 0);
	const line = (...cells) => cells.map((cell, i) => i ? String(cell).padStart(12) : cell.padEnd(24)).join("");
	const figures = (k) => line(k.kernel, k.dispatches, k.ms.toFixed(1), (100 * k.ms / total).toFixed(0), (k.flops / k.ms / 1e6).toFixed(1), (k.bytes / k.ms / 1e6).toFixed(1));
	document.querySelector("main").append(box);
	box.textContent = [device, line("kernel", "dispatches", "ms", "%", "GFLOP/s", "GB/s"), ...profile.map(figures)].join("\n");
}
