package simd

// host runs the module: the browser (host_js.go) or wazero (host_wazero.go).
// Addresses are offsets in the module's memory, which starts at one page.
type host interface {
	// grow adds pages of 64 KiB to the memory and reports whether it could.
	grow(pages int) bool
	// write and read copy bytes into and out of the memory.
	write(addr int, b []byte)
	read(addr int, b []byte)
	// call calls an exported function without results.
	call(export string, args ...int) error
	// yield lets the host's events in, so that a cancellation can arrive.
	yield()
	close() error
}
