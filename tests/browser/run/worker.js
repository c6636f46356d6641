// Runs test.wasm as a command: arguments, environment, a read-only view of
// the module's files, output by message.
"use strict";

function failure(code) {
	const err = new Error(code);
	err.code = code;
	return err;
}

const open = new Map(); // descriptor -> {path, mode, bytes, at}
let next = 100;
const resolve = (cwd, path) => (path.startsWith("/") ? path : `${cwd}/${path}`);

// load fetches a file or a directory's list of names.
async function load(path, method) {
	const r = await fetch(`fs?path=${encodeURIComponent(path)}`, { method });
	if (!r.ok) throw failure(r.status === 404 ? "ENOENT" : "EIO");
	const mode = Number(r.headers.get("X-Mode"));
	const bytes = method === "GET" ? new Uint8Array(await r.arrayBuffer()) : null;
	return { path, mode, bytes, size: bytes ? bytes.length : Number(r.headers.get("X-Size")), at: 0 };
}

const stat = (f) => ({
	dev: 0, ino: 0, mode: f.mode, nlink: 1, uid: 0, gid: 0, rdev: 0, size: f.size, blksize: 4096, blocks: 0,
	atimeMs: 0, mtimeMs: 0, ctimeMs: 0,
	isDirectory: () => (f.mode & 0o170000) === 0o040000,
});

function fileSystem(cwd) {
	const denied = (...args) => args[args.length - 1](failure("EROFS"));
	const later = (promise, callback) => promise.then((v) => callback(null, v), (e) => callback(e.code ? e : failure("EIO")));
	const info = (path, callback) => later(load(resolve(cwd, path), "HEAD").then(stat), callback);
	const fs = {
		constants: { O_WRONLY: 1, O_RDWR: 2, O_CREAT: 64, O_TRUNC: 512, O_APPEND: 1024, O_EXCL: 128, O_DIRECTORY: 65536 },
		writeSync(fd, buf) {
			postMessage({ fd, bytes: buf.slice() });
			return buf.length;
		},
		write(fd, buf, offset, length, position, callback) {
			callback(null, fs.writeSync(fd, buf.subarray(offset, offset + length)));
		},
		open(path, flags, perm, callback) {
			if (flags & 3) return denied(callback);
			later(load(resolve(cwd, path), "GET").then((f) => (open.set(++next, f), next)), callback);
		},
		close(fd, callback) { callback(open.delete(fd) ? null : failure("EBADF")); },
		fstat(fd, callback) { open.has(fd) ? callback(null, stat(open.get(fd))) : callback(failure("EBADF")); },
		stat: info,
		lstat: info,
		read(fd, buffer, offset, length, position, callback) {
			const f = open.get(fd);
			if (!f) return callback(failure("EBADF"));
			const from = position ?? f.at;
			const part = f.bytes.subarray(from, from + length);
			buffer.set(part, offset);
			if (position === null) f.at += part.length;
			callback(null, part.length);
		},
		readdir(path, callback) {
			later(load(resolve(cwd, path), "GET").then((f) => JSON.parse(new TextDecoder().decode(f.bytes))), callback);
		},
		readlink(path, callback) { callback(failure("EINVAL")); },
		fsync(fd, callback) { callback(null); },
	};
	for (const name of ["chmod", "chown", "fchmod", "fchown", "ftruncate", "lchown", "link", "mkdir", "rename", "rmdir", "symlink", "truncate", "unlink", "utimes"]) fs[name] = denied;
	return fs;
}

async function main() {
	const config = await (await fetch("config")).json();
	globalThis.fs = fileSystem(config.cwd);
	globalThis.process = { pid: 1, ppid: 0, getuid: () => 0, getgid: () => 0, geteuid: () => 0, getegid: () => 0, getgroups: () => [], umask: () => 0, cwd: () => config.cwd, chdir: () => { throw failure("ENOSYS"); } };
	globalThis.path = { resolve: (...parts) => parts.reduce(resolve) };
	importScripts("wasm_exec.js");
	for (let i = 0; i < config.preludes; i++) importScripts(`prelude/${i}.js`);
	const go = new Go();
	go.argv = config.args;
	go.env = config.env;
	let code = 0;
	go.exit = (c) => { code = c; };
	if (globalThis.wispImports) Object.assign(go.importObject, globalThis.wispImports(go));
	const { instance } = await WebAssembly.instantiateStreaming(fetch("test.wasm"), go.importObject);
	await go.run(instance);
	postMessage({ exit: code });
}

main().catch((err) => {
	postMessage({ fd: 2, bytes: new TextEncoder().encode(`${err.stack ?? err}\n`) });
	postMessage({ exit: 1 });
});
