// Text in PNG files (PNG specification, third edition, 5 and 11.3.3): written
// as AUTOMATIC1111 does, read from anybody, trusted with nothing.
import { maxPieces, maxText, maxTexts } from "./limits.js";

// What is served as one script with this one: small, and needed together.
export * from "./photo.js";
export * from "./refusal.js";

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const headerEnd = 33; // signature and IHDR

const table = Uint32Array.from({ length: 256 }, (_, n) => {
	for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
	return n;
});

// crc32 of ISO 3309, as PNG and ZIP have it.
export function crc32(bytes) {
	let crc = ~0;
	for (const byte of bytes) crc = (crc >>> 8) ^ table[(crc ^ byte) & 255];
	return ~crc >>> 0;
}

// withText puts a text chunk behind the header of a PNG file: tEXt where
// Latin-1 can hold the text and nobody takes it for UTF-8, else iTXt.
export function withText(png, keyword, text) {
	return new Blob([png.subarray(0, headerEnd), textChunk(keyword, text), png.subarray(headerEnd)], { type: "image/png" });
}

function textChunk(keyword, words) {
	const text = words.replaceAll("\0", ""); // which ends a text
	const latin = /^[\x01-\xff]*$/.test(text) && eightBit(Uint8Array.from(text, (c) => c.charCodeAt(0))) === text;
	const body = latin
		? Uint8Array.from(`${keyword}\0${text}`, (c) => c.charCodeAt(0))
		: new TextEncoder().encode(`${keyword}\0\0\0\0\0${text}`); // no compression, language or translation
	const chunk = new Uint8Array(body.length + 12);
	const view = new DataView(chunk.buffer);
	view.setUint32(0, body.length);
	chunk.set(new TextEncoder().encode(latin ? "tEXt" : "iTXt"), 4);
	chunk.set(body, 8);
	view.setUint32(body.length + 8, crc32(chunk.subarray(4, body.length + 8)));
	return chunk;
}

// isPNG tells a PNG file by its first bytes.
export const isPNG = (bytes) => signature.every((byte, i) => bytes[i] === byte);

// chunks yields what of a PNG file has a sound checksum and is one of the kinds,
// without copying it.
export function* chunks(bytes, kinds) {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	for (let at = signature.length, seen = 0, sum = 0; at + 12 <= bytes.length && seen < maxPieces; ) {
		const length = view.getUint32(at);
		if (length > bytes.length - at - 12) return;
		const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
		if (kinds.includes(kind) && length <= maxText && (sum += length) <= maxTexts) {
			seen++;
			if (view.getUint32(at + 8 + length) === crc32(bytes.subarray(at + 4, at + 8 + length))) yield { kind, body: bytes.subarray(at + 8, at + 8 + length) };
		}
		at += length + 12;
	}
}

// readTexts returns the texts of a PNG file by keyword. A file that is none has
// none; what is damaged, or too long by itself or with the others, is left out.
export async function readTexts(bytes) {
	const texts = new Map();
	if (!isPNG(bytes)) return texts;
	let left = maxTexts;
	for (const { kind, body } of chunks(bytes, Object.keys(readers))) {
		try {
			const [keyword, raw, decode, packed] = readers[kind](body);
			if (texts.has(keyword)) continue;
			const plain = packed ? await inflate(raw, Math.min(maxText, left)) : raw;
			if ((left -= plain.length) < 0) break;
			texts.set(keyword, decode(plain));
		} catch (err) {
			if (err instanceof RangeError) left -= maxText; // it was made before it was refused
			if (left <= 0) break;
		}
	}
	return texts;
}

// What a stranger compressed is fed in slices: a thousand times more may come out
// than goes in.
const slice = 1024; // bytes; what one makes is at most about a MiB

// inflate decompresses zlib's format, or "gzip". It fails before more than most
// bytes are kept, having made hardly more than that.
export async function inflate(bytes, most, format = "deflate") {
	const { readable, writable } = new DecompressionStream(format);
	const fed = feed(bytes, writable.getWriter());
	fed.catch(() => {}); // reading fails for the same reason
	const reader = readable.getReader();
	const parts = [];
	for (let size = 0; ;) {
		const { done, value } = await reader.read();
		if (done) return joined(parts, size);
		parts.push(value);
		if ((size += value.length) > most) {
			reader.cancel().catch(() => {});
			throw new RangeError("too long");
		}
	}
}

// feed hands the bytes on a slice at a time, each once the last was taken.
async function feed(bytes, writer) {
	for (let at = 0; at < bytes.length; at += slice) await writer.write(bytes.slice(at, at + slice));
	await writer.close();
}

function joined(parts, size) {
	const all = new Uint8Array(size);
	let at = 0;
	for (const part of parts) {
		all.set(part, at);
		at += part.length;
	}
	return all;
}

const latin1 = (bytes) => new TextDecoder("latin1").decode(bytes);
const utf8 = (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes);

// eightBit reads what should be Latin-1 and, from many programs, is UTF-8.
function eightBit(bytes) {
	try {
		return utf8(bytes);
	} catch {
		return latin1(bytes);
	}
}

// Each reader returns [keyword, bytes, how they are read, whether they are compressed].
const readers = {
	tEXt: (body) => {
		const [keyword, rest] = cut(body);
		return [latin1(keyword), rest, eightBit, false];
	},
	zTXt: (body) => {
		const [keyword, rest] = cut(body);
		return [latin1(keyword), rest.subarray(1), eightBit, true];
	},
	iTXt: (body) => {
		const [keyword, rest] = cut(body);
		const [, afterLanguage] = cut(rest.subarray(2));
		const [, text] = cut(afterLanguage);
		return [latin1(keyword), text, utf8, rest[0] === 1];
	},
};

// cut splits at the first zero byte.
function cut(bytes) {
	const at = bytes.indexOf(0);
	if (at < 0) throw new TypeError("no separator");
	return [bytes.subarray(0, at), bytes.subarray(at + 1)];
}
