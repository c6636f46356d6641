#!/bin/bash
# kit.sh DIR: all that `make gpu` needs, in DIR, for a bare Linux x86-64 machine
# with a graphics card and its Vulkan driver: Node, Dawn's addon, the Vulkan
# loader, the test binaries and their data. There: bash DIR/run.sh
set -euo pipefail
kit=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/../.."
dawn=webgpu@0.6.2 # the npm package that holds Dawn for Node

fetch() { # its argument is a file of the npm package
	local t; t=$(mktemp -d)
	(cd "$t" && npm pack --silent $dawn >/dev/null && tar xzf webgpu-*.tgz "package/$1")
	xz -6 -c "$t/package/$1"; rm -rf "$t"
}
[ -s "$kit/dawn.node.xz" ] || fetch dist/linux-x64/dawn.node >"$kit/dawn.node.xz" || { rm -f "$kit/dawn.node.xz"; echo "npm could not fetch $dawn" >&2; exit 1; }
if [ ! -s "$kit/node.xz" ]; then # without its symbols, a tenth smaller
	cp "$(readlink -f "$(command -v node)")" "$kit/node"
	strip -s "$kit/node" 2>/dev/null || true
	xz -6 -c "$kit/node" >"$kit/node.xz"; rm "$kit/node"
fi
if ! ls "$kit"/libvulkan1*.deb >/dev/null 2>&1; then
	(cd "$kit" && apt-get -qq download libvulkan1 2>/dev/null) || echo "no Vulkan loader is packed: that machine must have libvulkan.so.1" >&2
fi
cp tests/gpu/run.cjs tests/gpu/run.sh "$(go env GOROOT)/lib/wasm/wasm_exec.js" webgpu/replay.js tests/bench/gpu/peak.js "$kit/"
for p in webgpu tests tests/bench/gpu; do
	GOOS=js GOARCH=wasm go test -c -vet=off -o "$kit/test.wasm" ./$p
	xz -6 -c "$kit/test.wasm" >"$kit/$(echo $p | tr / -).wasm.xz"
done
rm -f "$kit/test.wasm"
tar -cJf "$kit/data.tar.xz" tests/golden/model tests/golden/pipeline site/models/default tests/golden/seeded.py
du -sh "$kit"
