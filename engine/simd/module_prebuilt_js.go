//go:build prebuilt

package simd

import "embed"

// modules are the files of wasm/prebuild.
//
//go:embed relaxed.wasm relaxed_shared.wasm baseline.wasm baseline_shared.wasm probe.wasm
var modules embed.FS

// module and probe are those of [Modules].
func module(fl flavour) []byte { return prebuilt(fl.name()) }
func probe() []byte            { return prebuilt("probe") }

func prebuilt(name string) []byte {
	data, err := modules.ReadFile(name + ".wasm")
	if err != nil {
		panic(err) // of what was compiled in
	}
	return data
}
