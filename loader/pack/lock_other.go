//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package pack

// lock does nothing: these systems have no such locks, or no other process.
func lock(string) (unlock func(), err error) { return func() {}, nil }
