package pack

import (
	"io/fs"
	"syscall"
)

// changeTime is when the file was last written, which no program can set.
func changeTime(info fs.FileInfo) int64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ctim.Nano()
	}
	return 0
}
