// EXIF (Exif 2.32, TIFF 6.0) and XMP, as far as programs that draw put settings
// there.
import { maxBoxes, maxText } from "./limits.js";

// The tags that are read, and what they are called here.
const tags = { 0x010e: "ImageDescription", 0x010f: "Make", 0x0110: "Model", 0x0131: "Software", 0x9286: "UserComment", 0x927c: "MakerNote" };
const subDirectory = 0x8769;
const sizes = { 1: 1, 2: 1, 7: 1 }; // bytes of a value: BYTE, ASCII, UNDEFINED

// readExif returns the texts of a TIFF structure by the tag's name. What is
// damaged ends it.
export function readExif(bytes) {
	const texts = new Map();
	const start = String.fromCharCode(...bytes.subarray(0, 4)) === "Exif" ? 6 : 0; // JPEG's and some WebP files' own header
	const tiff = bytes.subarray(start);
	if (tiff.length < 8) return texts;
	const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
	const little = view.getUint16(0) === 0x4949;
	if (!little && view.getUint16(0) !== 0x4d4d || view.getUint16(2, little) !== 42) return texts;
	const queue = [view.getUint32(4, little)];
	for (let seen = 0, directories = 0; queue.length > 0 && directories < 4; directories++) {
		const at = queue.shift();
		if (at + 2 > tiff.length) continue;
		const count = view.getUint16(at, little);
		for (let i = 0, entry = at + 2; i < count && entry + 12 <= tiff.length && seen < maxBoxes; i++, seen++, entry += 12) {
			const tag = view.getUint16(entry, little), kind = view.getUint16(entry + 2, little), length = view.getUint32(entry + 4, little);
			if (tag === subDirectory) queue.push(view.getUint32(entry + 8, little));
			if (!tags[tag] || !sizes[kind] || length > maxText) continue;
			const from = length <= 4 ? entry + 8 : view.getUint32(entry + 8, little);
			if (from + length > tiff.length || texts.has(tags[tag])) continue;
			const value = tiff.subarray(from, from + length);
			texts.set(tags[tag], tag === 0x9286 ? comment(value, little) : utf8(value));
		}
	}
	return texts;
}

const utf8 = (bytes) => new TextDecoder().decode(bytes).replace(/\0+$/, "");

// comment reads a UserComment, which begins with eight bytes for its encoding.
// UNICODE is UTF-16, whose order of bytes programs disagree on: most of what they
// write has its zeros in the upper half.
function comment(bytes, little) {
	const encoding = String.fromCharCode(...bytes.subarray(0, 8));
	const body = bytes.subarray(8);
	if (encoding.startsWith("UNICODE")) {
		let even = 0, odd = 0;
		for (let i = 0; i + 1 < body.length; i += 2) {
			even += body[i] === 0;
			odd += body[i + 1] === 0;
		}
		const order = even === odd ? little : odd > even;
		return new TextDecoder(order ? "utf-16le" : "utf-16be").decode(body).replace(/\0+$/, "");
	}
	if (encoding.startsWith("ASCII") || encoding.startsWith("\0\0\0\0")) return utf8(body);
	return utf8(bytes); // without the eight bytes
}

const entities = { "&quot;": '"', "&apos;": "'", "&lt;": "<", "&gt;": ">", "&amp;": "&" };

// readXMP returns the texts of an XMP packet under the names that are asked for,
// such as exif:UserComment: an attribute, an element, or its first rdf:li.
export function readXMP(xml, names) {
	const texts = new Map();
	for (const name of names) {
		const text = attribute(xml, name) ?? element(xml, name);
		if (text !== undefined) texts.set(name, unescape(text));
	}
	return texts;
}

const unescape = (text) => text.replace(/&(?:quot|apos|lt|gt|amp|#\d{1,7}|#x[0-9a-f]{1,6});/gi, (all) => {
	if (all[1] !== "#") return entities[all.toLowerCase()];
	const code = all[2].toLowerCase() === "x" ? parseInt(all.slice(3), 16) : Number(all.slice(2, -1));
	return code <= 0x10ffff ? String.fromCodePoint(code) : "";
});

function attribute(xml, name) {
	const at = xml.indexOf(`${name}="`);
	const end = at < 0 ? -1 : xml.indexOf('"', at + name.length + 2);
	return end < 0 ? undefined : xml.slice(at + name.length + 2, end);
}

function element(xml, name) {
	const open = xml.indexOf(`<${name}`);
	const close = open < 0 ? -1 : xml.indexOf(`</${name}>`, open);
	if (close < 0) return undefined;
	const item = xml.indexOf("<rdf:li", open);
	const from = xml.indexOf(">", item >= 0 && item < close ? item : open) + 1;
	const end = xml.indexOf("<", from);
	return from > 0 && end >= 0 && end <= close ? xml.slice(from, end) : undefined;
}
