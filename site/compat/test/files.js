// Pictures of a single pixel with texts, as programs write them: files for the
// tests, made from the formats' specifications.
import { deflateSync } from "node:zlib";
import { crc32 } from "../png.js";

const join = (...parts) => Uint8Array.from(parts.flatMap((part) => [...(typeof part === "string" ? Buffer.from(part, "latin1") : part)]));
const be32 = (n) => [n >>> 24, n >>> 16 & 255, n >>> 8 & 255, n & 255];
const be16 = (n) => [n >> 8, n & 255];
const le32 = (n) => be32(n).reverse();

export function chunk(kind, body) {
	const inside = join(kind, body);
	return join(be32(body.length), inside, be32(crc32(inside)));
}

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

export function png(...texts) {
	const parts = [signature, chunk("IHDR", join(be32(1), be32(1), [8, 2, 0, 0, 0])), ...texts, chunk("IDAT", deflateSync(Buffer.from([0, 1, 2, 3]))), chunk("IEND", [])];
	return Uint8Array.from(Buffer.concat(parts.map((part) => Buffer.from(part))));
}

export const tEXt = (keyword, text, encoding = "latin1") => chunk("tEXt", join(keyword, [0], Buffer.from(text, encoding)));
export const zTXt = (keyword, text) => chunk("zTXt", join(keyword, [0, 0], deflateSync(Buffer.from(text, "latin1"))));
export const iTXt = (keyword, text, packed = false) => chunk("iTXt", join(keyword, [0, packed ? 1 : 0, 0, 0, 0], packed ? deflateSync(Buffer.from(text)) : Buffer.from(text)));

// exif is a TIFF structure: tags of the first directory, and a UserComment of the
// second, in UTF-16 with or without its order's name.
export function exif({ comment, order = "be", charset = "UNICODE\0", ...tags }, little = false) {
	const n32 = little ? le32 : be32, n16 = (n) => (little ? be16(n).reverse() : be16(n));
	const entries = Object.entries(tags).map(([tag, text]) => [Number(tag), 2, Buffer.from(`${text}\0`)]);
	const coded = charset === "UNICODE\0" ? Buffer.from(comment ?? "", "utf16le") : Buffer.from(comment ?? "");
	if (charset === "UNICODE\0" && order === "be") coded.swap16();
	const inner = [[0x9286, 7, join(charset, coded)]];
	const parts = [];
	let free = 8 + 2 + 12 * (entries.length + 1) + 4 + 2 + 12 + 4; // behind both directories
	const rows = (list) => list.map(([tag, kind, body]) => {
		const row = join(n16(tag), n16(kind), n32(body.length), body.length > 4 ? n32(free) : [...body, 0, 0, 0, 0].slice(0, 4));
		if (body.length > 4) {
			parts.push(body);
			free += body.length;
		}
		return row;
	});
	const second = 8 + 2 + 12 * (entries.length + 1) + 4;
	const first = [...rows(entries), join(n16(0x8769), n16(4), n32(1), n32(second))];
	return join(little ? "II" : "MM", n16(42), n32(8), n16(first.length), ...first, n32(0), n16(1), ...rows(inner), n32(0), ...parts);
}

export const jpeg = (...segments) => join([0xff, 0xd8], ...segments, [0xff, 0xda, 0, 2, 0xff, 0xd9]);
export const app1 = (body) => join([0xff, 0xe1], be16(body.length + 8), "Exif\0\0", body);
export const xmpSegment = (text) => join([0xff, 0xe1], be16(Buffer.byteLength(text) + 31), "http://ns.adobe.com/xap/1.0/\0", Buffer.from(text));
export const commentSegment = (text) => join([0xff, 0xfe], be16(Buffer.byteLength(text) + 2), Buffer.from(text));

export function webp(...parts) {
	const body = join("WEBP", ...[["VP8L", [0x2f, 0, 0, 0, 0, 0]], ...parts].map(([kind, part]) => join(kind, le32(part.length), part, part.length % 2 ? [0] : [])));
	return join("RIFF", le32(body.length), body);
}

const box = (kind, ...parts) => {
	const body = join(...parts);
	return join(be32(body.length + 8), kind, body);
};

// avif has its items behind all boxes, as encoders write them.
export function avif(items, version = 0) {
	const bodies = items.map(([kind, body]) => (kind === "Exif" ? join(be32(0), body) : body));
	const infes = items.map(([kind], i) => box("infe", [2, 0, 0, 0], be16(i + 1), [0, 0], kind, [0], kind === "mime" ? "application/rdf+xml\0" : []));
	const iinf = box("iinf", [0, 0, 0, 0], be16(items.length), ...infes);
	const ftyp = box("ftyp", "avif", be32(0), "avifmif1");
	const iloc = (base) => box("iloc", [version, 0, 0, 0], [0x44, 0], be16(items.length), ...bodies.map((body, i) => join(be16(i + 1), version === 1 ? be16(0) : [], be16(0), be16(1), be32(base + bodies.slice(0, i).reduce((n, b) => n + b.length, 0)), be32(body.length))));
	const meta = (base) => box("meta", [0, 0, 0, 0], iloc(base), iinf);
	const start = ftyp.length + meta(0).length + 8;
	return join(ftyp, meta(start), box("mdat", ...bodies));
}

// random is a stream of numbers from a seed (mulberry32), so that a failure can
// be repeated.
export function random(seed) {
	return (below) => {
		seed = seed + 0x6d2b79f5 | 0;
		let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
		t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
		return ((t ^ t >>> 14) >>> 0) % below;
	};
}
