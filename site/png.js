// Text in PNG files (PNG specification, third edition, 5 and 11.3.3): written
// as AUTOMATIC1111 does, read from anybody, trusted with nothing.

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const headerEnd = 33; // signature and IHDR
const maxText = 1 << 20; // bytes of one text, decompressed
const maxTexts = 1000;

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
// Latin-1 can hold the text, else iTXt.
export function withText(png, keyword, text) {
	return new Blob([png.subarray(0, headerEnd), textChunk(keyword, text), png.subarray(headerEnd)], { type: "image/png" });
}

function textChunk(keyword, words) {
	const text = words.replaceAll("\0", ""); // which ends a text
	const latin = /^[\x01-\xff]*$/.test(text);
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

// readTexts returns the texts of a PNG file by keyword. A file that is none
// has none; what is damaged is left out.
export async function readTexts(bytes) {
	const texts = new Map();
	if (signature.some((byte, i) => bytes[i] !== byte)) return texts;
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	for (let at = 8, seen = 0; at + 12 <= bytes.length && seen < maxTexts; ) {
		const length = view.getUint32(at);
		if (length > bytes.length - at - 12) break;
		const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
		const body = bytes.subarray(at + 8, at + 8 + length);
		const read = readers[kind];
		if (read) seen++;
		if (read && view.getUint32(at + 8 + length) === crc32(bytes.subarray(at + 4, at + 8 + length))) {
			try {
				const [keyword, text] = await read(body);
				if (!texts.has(keyword)) texts.set(keyword, text);
			} catch {
				// one damaged text does not hide the others
			}
		}
		at += length + 12;
	}
	return texts;
}

const latin1 = (bytes) => new TextDecoder("latin1").decode(bytes);
const utf8 = (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes);

const readers = {
	tEXt: (body) => {
		const [keyword, rest] = cut(body);
		return [latin1(keyword), latin1(rest)];
	},
	zTXt: async (body) => {
		const [keyword, rest] = cut(body);
		return [latin1(keyword), latin1(await inflate(rest.subarray(1)))];
	},
	iTXt: async (body) => {
		const [keyword, rest] = cut(body);
		const compressed = rest[0] === 1;
		const [, afterLanguage] = cut(rest.subarray(2));
		const [, text] = cut(afterLanguage);
		return [latin1(keyword), utf8(compressed ? await inflate(text) : text)];
	},
};

// cut splits at the first zero byte.
function cut(bytes) {
	const at = bytes.indexOf(0);
	if (at < 0) throw new RangeError("no separator");
	return [bytes.subarray(0, at), bytes.subarray(at + 1)];
}

async function inflate(bytes) {
	const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
	const parts = [];
	for (let size = 0; ; ) {
		const { done, value } = await reader.read();
		if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
		parts.push(value);
		if ((size += value.length) > maxText) {
			reader.cancel();
			throw new RangeError("too long");
		}
	}
}
