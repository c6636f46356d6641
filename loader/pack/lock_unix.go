//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package pack

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock takes a directory for one process, until that unlocks it or ends. Where
// the file system knows no locks there is none.
func lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		d.Close()
		return nil, fmt.Errorf("%s: %w", dir, errLocked)
	}
	return func() { d.Close() }, nil
}
