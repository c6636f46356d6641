// A ZIP archive of stored files (PKWARE APPNOTE 4.3), for exporting pictures,
// which do not compress any further.
import { crc32 } from "./png.js";

// zip takes [{name, blob, date}] and returns the archive as a Blob. It holds
// one file at a time in memory beside the blobs themselves.
export async function zip(files) {
	const parts = [];
	const directory = [];
	let offset = 0;
	for (const { name, blob, date } of files) {
		const bytes = new Uint8Array(await blob.arrayBuffer());
		const path = new TextEncoder().encode(name);
		const about = entry(crc32(bytes), bytes.length, path.length, date);
		const local = record(0x04034b50, [...about, [2, 0]]);
		parts.push(local, path, blob);
		directory.push(record(0x02014b50, [[2, 20], ...about, [2, 0], [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), path);
		offset += local.length + path.length + bytes.length;
	}
	const size = directory.reduce((n, part) => n + part.length, 0);
	const end = record(0x06054b50, [[2, 0], [2, 0], [2, files.length], [2, files.length], [4, size], [4, offset], [2, 0]]);
	return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

// entry is what the local header and the directory share, as [bytes, value].
function entry(crc, size, nameLength, date) {
	const time = (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1);
	const day = (Math.max(0, date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate();
	const utf8 = 1 << 11; // names are UTF-8
	return [[2, 20], [2, utf8], [2, 0], [2, time], [2, day], [4, crc], [4, size], [4, size], [2, nameLength]];
}

function record(magic, fields) {
	const bytes = new Uint8Array(4 + fields.reduce((n, [width]) => n + width, 0));
	const view = new DataView(bytes.buffer);
	view.setUint32(0, magic, true);
	let at = 4;
	for (const [width, value] of fields) {
		if (width === 2) view.setUint16(at, value, true);
		else view.setUint32(at, value, true);
		at += width;
	}
	return bytes;
}
