//go:build prebuilt

package decode

import _ "embed"

// The files are those of wasm/prebuild.
var (
	//go:embed simd.wasm
	withSIMD []byte
	//go:embed plain.wasm
	plain []byte
)

// Module is the module of [Emit].
func Module(simd bool) []byte {
	if simd {
		return withSIMD
	}
	return plain
}
