// How large a picture is, by the first bytes of its file, before anybody decodes
// it: PNG (third edition), JPEG (ITU T.81), WebP (RFC 9649), AVIF and HEIC (ISO
// 14496-12, ispe), GIF (89a), BMP.
const ascii = (bytes, from, length) => String.fromCharCode(...bytes.subarray(from, from + length));

// sizeOf returns {width, height}, as they are stored: EXIF may turn them; undefined
// where the bytes are no such file.
export function sizeOf(bytes) {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	try {
		return read(bytes, view);
	} catch (err) {
		if (err instanceof RangeError) return undefined; // it ends too soon
		throw err;
	}
}

function read(bytes, view) {
	const start = ascii(bytes, 0, 4);
	if (start === "\x89PNG") return { width: view.getUint32(16), height: view.getUint32(20) };
	if (start === "GIF8") return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
	if (start.startsWith("BM")) return { width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) };
	if (start.startsWith("\xff\xd8")) return jpeg(view);
	if (start === "RIFF" && ascii(bytes, 8, 4) === "WEBP") return webp(bytes, view);
	if (ascii(bytes, 4, 4) === "ftyp") return items(bytes, view);
	return undefined;
}

// jpeg goes over the segments to the frame's header.
function jpeg(view) {
	for (let at = 2; ; ) {
		if (view.getUint8(at) !== 0xff) return undefined;
		const marker = view.getUint8(at + 1);
		if (marker === 0xff) at++;
		else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
		else if (marker === 0xda || marker === 0xd9) return undefined;
		else at += marker === 1 || marker >= 0xd0 && marker <= 0xd8 ? 2 : 2 + Math.max(2, view.getUint16(at + 2));
	}
}

function webp(bytes, view) {
	const kind = ascii(bytes, 12, 4);
	if (kind === "VP8X") return { width: 1 + (view.getUint32(24, true) & 0xffffff), height: 1 + (view.getUint32(26, true) >>> 8) };
	if (kind === "VP8L") {
		const bits = view.getUint32(21, true);
		return { width: 1 + (bits & 0x3fff), height: 1 + (bits >>> 14 & 0x3fff) };
	}
	return kind === "VP8 " ? { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff } : undefined;
}

// items takes the largest of what the file says of its pictures, so that none is
// larger. Where it says nothing in front, it is not read.
function items(bytes, view) {
	let size;
	const end = Math.min(bytes.length - 15, 1 << 18);
	for (let at = 8; at < end; at++) {
		if (bytes[at] !== 0x69 || ascii(bytes, at, 4) !== "ispe") continue;
		const width = view.getUint32(at + 8), height = view.getUint32(at + 12);
		size = { width: Math.max(width, size?.width ?? 0), height: Math.max(height, size?.height ?? 0) };
	}
	return size;
}
