//go:build unix

package tests

import (
	"syscall"
	"time"
)

// cpuTime is what this process has used of its processors: it does not count
// while others have them.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
