//go:build !prebuilt

package decode

// Module is the module of [Emit].
func Module(simd bool) []byte { return Emit(simd) }
