package pack

import (
	"fmt"
	"path/filepath"
	"syscall"
)

// lock takes a directory for one process, until that unlocks it or ends: its
// file in there is shared with nobody.
func lock(dir string) (unlock func(), err error) {
	name, err := syscall.UTF16PtrFromString(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err == syscall.Errno(32) { // ERROR_SHARING_VIOLATION
		return nil, fmt.Errorf("%s: %w", dir, errLocked)
	}
	if err != nil {
		return nil, err
	}
	return func() {
		syscall.CloseHandle(h)
		syscall.DeleteFile(name) // fails where the next has it already
	}, nil
}
