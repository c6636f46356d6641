// The texts in a picture's file, whichever format it has: PNG (third edition),
// JPEG (ITU T.81, Exif 2.32), WebP (RFC 9649), AVIF (ISO 14496-12, HEIF). Files
// are trusted with nothing: what is damaged or too long is left out.
import { readExif, readXMP } from "./exif.js";
import { maxBoxes, maxText, maxTexts } from "./limits.js";
import { chunks, isPNG, readTexts } from "./png.js";

const ascii = (bytes, from, length) => String.fromCharCode(...bytes.subarray(from, from + length));
const starts = (bytes, text, at = 0) => ascii(bytes, at, text.length) === text;

// formatOf names a picture's format by its first bytes; undefined for another file.
export function formatOf(bytes) {
	if (isPNG(bytes)) return "png";
	if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "jpeg";
	if (starts(bytes, "RIFF") && starts(bytes, "WEBP", 8)) return "webp";
	if (starts(bytes, "ftyp", 4) && /avif|avis|mif1/.test(ascii(bytes, 8, 24))) return "avif";
	return undefined;
}

// readMetadata returns the texts of a picture by name: a PNG's keywords, EXIF's
// tags (UserComment), XMP's names (exif:UserComment), "comment" of a JPEG;
// undefined for a file of another kind.
export async function readMetadata(bytes) {
	const format = formatOf(bytes);
	if (!format) return undefined;
	const texts = format === "png" ? await readTexts(bytes) : new Map();
	for (const { kind, body } of parts[format](bytes)) {
		const more = kind === "exif" ? readExif(body) : kind === "xmp" ? xmp(decode(body)) : new Map([["comment", decode(body)]]);
		for (const [name, text] of more) if (!texts.has(name)) texts.set(name, text);
	}
	for (const [name, text] of xmp(texts.get("XML:com.adobe.xmp") ?? "")) if (!texts.has(name)) texts.set(name, text);
	return texts;
}

const xmp = (text) => readXMP(text, ["exif:UserComment", "xmp:CreatorTool", "dc:description"]);
const decode = (bytes) => new TextDecoder().decode(bytes);

const parts = { png: pngParts, jpeg: jpegParts, webp: webpParts, avif: avifParts };

function* pngParts(bytes) {
	for (const { body } of chunks(bytes, ["eXIf"])) yield { kind: "exif", body };
}

const adobe = "http://ns.adobe.com/xap/1.0/\0";

// jpegParts goes over the segments before the picture's data.
function* jpegParts(bytes) {
	for (let at = 2, seen = 0; at + 4 <= bytes.length && bytes[at] === 0xff && seen < maxBoxes; seen++) {
		const marker = bytes[at + 1];
		if (marker === 0xda || marker === 0xd9) return;
		if (marker === 0xff || marker >= 0xd0 && marker <= 0xd8 || marker === 0x01) { // fill, or without a length
			at += marker === 0xff ? 1 : 2;
			continue;
		}
		const length = bytes[at + 2] << 8 | bytes[at + 3];
		const body = bytes.subarray(at + 4, at + 2 + length);
		if (length < 2) return;
		if (marker === 0xe1 && starts(body, "Exif\0\0")) yield { kind: "exif", body };
		if (marker === 0xe1 && starts(body, adobe)) yield { kind: "xmp", body: body.subarray(adobe.length) };
		if (marker === 0xfe) yield { kind: "comment", body };
		at += length + 2;
	}
}

function* webpParts(bytes) {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	for (let at = 12, seen = 0; at + 8 <= bytes.length && seen < maxBoxes; seen++) {
		const kind = ascii(bytes, at, 4), length = view.getUint32(at + 4, true);
		if (length > bytes.length - at - 8) return;
		const body = bytes.subarray(at + 8, at + 8 + length);
		if (kind === "EXIF" && length <= maxText) yield { kind: "exif", body };
		if (kind === "XMP " && length <= maxText) yield { kind: "xmp", body };
		at += 8 + length + length % 2;
	}
}

// boxes lists the boxes that lie end to end in a part of the file.
function* boxes(bytes, from, to) {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	for (let at = from, seen = 0; at + 8 <= to && seen < maxBoxes; seen++) {
		let size = view.getUint32(at), head = 8;
		if (size === 1 && at + 16 <= to) {
			size = Number(view.getBigUint64(at + 8));
			head = 16;
		}
		if (size === 0) size = to - at;
		if (size < head || size > to - at) return;
		yield { kind: ascii(bytes, at + 4, 4), from: at + head, to: at + size };
		at += size;
	}
}

// avifParts finds the items that hold EXIF and XMP: iinf says what an item is,
// iloc where it lies.
function* avifParts(bytes) {
	for (const meta of boxes(bytes, 0, bytes.length)) {
		if (meta.kind !== "meta") continue;
		const inside = Object.fromEntries([...boxes(bytes, meta.from + 4, meta.to)].map((box) => [box.kind, box]));
		if (!inside.iinf || !inside.iloc) return;
		const kinds = itemKinds(bytes, inside.iinf);
		let left = maxTexts;
		for (const { id, from, length } of itemPlaces(bytes, inside.iloc)) {
			if (!kinds.has(id) || length > maxText || (left -= length) < 0 || from + length > bytes.length) continue;
			const body = bytes.subarray(from, from + length);
			if (kinds.get(id) === "xmp") yield { kind: "xmp", body };
			else if (length > 4) yield { kind: "exif", body: body.subarray(4 + new DataView(body.buffer, body.byteOffset).getUint32(0)) };
		}
		return;
	}
}

function itemKinds(bytes, iinf) {
	const kinds = new Map();
	const wide = bytes[iinf.from] > 0; // the version
	for (const box of boxes(bytes, iinf.from + (wide ? 8 : 6), iinf.to)) {
		const version = bytes[box.from];
		if (box.kind !== "infe" || version < 2 || box.to - box.from < 12) continue;
		const view = new DataView(bytes.buffer, bytes.byteOffset + box.from, box.to - box.from);
		const id = version === 2 ? view.getUint16(4) : view.getUint32(4);
		const kind = ascii(bytes, box.from + (version === 2 ? 8 : 10), 4);
		if (kind === "Exif") kinds.set(id, "exif");
		if (kind === "mime" && decode(bytes.subarray(box.from, box.to)).includes("application/rdf+xml")) kinds.set(id, "xmp");
	}
	return kinds;
}

// itemPlaces lists items that lie in the file in one piece.
function* itemPlaces(bytes, { from, to }) {
	const view = new DataView(bytes.buffer, bytes.byteOffset, to);
	const version = bytes[from];
	if (version > 2) return;
	let at = from + 4;
	const number = (size) => {
		if (at + size > to) throw new RangeError("an item's place is cut off");
		const n = size === 0 ? 0 : size === 8 ? Number(view.getBigUint64(at)) : size === 4 ? view.getUint32(at) : size === 2 ? view.getUint16(at) : bytes[at];
		at += size;
		return n;
	};
	try {
		const sizes = number(2);
		const [offset, length, base, index] = [sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, version > 0 ? sizes & 15 : 0];
		const count = version === 2 ? number(4) : number(2);
		for (let i = 0; i < Math.min(count, maxBoxes); i++) {
			const id = version === 2 ? number(4) : number(2);
			const method = version > 0 ? number(2) & 15 : 0;
			number(2); // the file that data lies in: this one
			const start = number(base);
			const extents = number(2);
			for (let k = 0; k < extents; k++) {
				number(index);
				const place = { id, from: start + number(offset), length: number(length) };
				if (extents === 1 && method === 0) yield place;
				if (k > 16) return; // no text is in so many pieces
			}
		}
	} catch {
		// cut off: what came before is there
	}
}
