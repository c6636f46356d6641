//go:build !linux

package pack

import "io/fs"

// changeTime is 0: what there is of it beside the time of the last writing has
// another name on each system.
func changeTime(fs.FileInfo) int64 { return 0 }
