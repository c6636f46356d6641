#!/bin/bash
# run.sh [PACKAGE [test flags]]: with a package, that one's tests on this
# machine's card; without, the op table and the default model's picture in f32
# and f16, then the benchmark. VK_DRIVER_FILES names another Vulkan driver.
set -euo pipefail
kit=$(cd "$(dirname "$0")" && pwd)
work=${WORK:-$kit/work}
mkdir -p "$work"
for f in node dawn.node; do [ -s "$work/$f" ] || xz -dc "$kit/$f.xz" >"$work/$f"; done
chmod +x "$work/node"
[ -d "$work/tree/site" ] || { mkdir -p "$work/tree" && tar -xJf "$kit/data.tar.xz" -C "$work/tree"; }
if ! ldconfig -p | grep -q 'libvulkan\.so\.1'; then
	for d in "$kit"/libvulkan1*.deb; do [ -f "$d" ] && dpkg -x "$d" "$work/vulkan"; done
	export LD_LIBRARY_PATH=$work/vulkan/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
for icd in /usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json; do # where containers have it
	[ -n "${VK_DRIVER_FILES:-}" ] || [ ! -f $icd ] || export VK_DRIVER_FILES=$icd VK_ICD_FILENAMES=$icd
done

run() {
	local p=${1#./}; shift
	xz -dc "$kit/$(echo "$p" | tr / -).wasm.xz" >"$work/test.wasm"
	mkdir -p "$work/tree/$p"
	(cd "$work/tree/$p" && "$work/node" "$kit/run.cjs" "$work/dawn.node" "$kit/wasm_exec.js" "$kit/replay.js,$kit/peak.js" "$work/test.wasm" "$@")
}
if [ $# -gt 0 ]; then run "$@"; exit; fi
status=0
run webgpu -test.run 'TestTable' || status=$?
run tests -test.run 'DefaultModelWebGPU|PipelinesWebGPU|NetworksWebGPU' || status=$?
run tests/bench/gpu -test.timeout 60m || status=$?
exit $status
