//go:build !unix

package site

// descriptors is how many files and connections this process may hold, where
// the system sets no bound of its own.
func descriptors() int { return 1 << 14 }
