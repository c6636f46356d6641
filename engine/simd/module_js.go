//go:build !prebuilt

package simd

// module and probe are those of [Modules].
func module(fl flavour) []byte { return emitModule(fl) }
func probe() []byte            { return relaxedProbe() }
