package simd

// host runs the module: the browser (host_js.go) or wazero (host_wazero.go).
// Addresses are offsets in the module's memory, which starts at one page.
type host interface {
	// grow adds pages of 64 KiB to the memory and reports whether it could.
	grow(pages int) bool
	// write and read copy bytes into and out of the memory.
	write(addr int, b []byte)
	read(addr int, b []byte)
	// run executes the commands from start to end; lost reports that another
	// thread did not come back.
	run(start, end, control int) (lost bool, err error)
	// spawn starts n more threads, which join runs once they are up.
	spawn(n, control int) error
	// halt ends the threads that spawn started.
	halt(control int)
	// yield lets the host's events in, so that a cancellation can arrive.
	yield()
	close() error
}
