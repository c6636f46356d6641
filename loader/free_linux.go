package loader

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
)

// FreeMemory is how many bytes this program may still take, by the system and
// by the control group that it is in; 0 where neither says.
func FreeMemory() int64 {
	free := available()
	if limit := number("/sys/fs/cgroup/memory.max"); limit > 0 {
		left := max(1, limit-number("/sys/fs/cgroup/memory.current")+reclaimable())
		if free == 0 || left < free {
			free = left
		}
	}
	return free
}

// available is what the system says of all its memory.
func available() int64 { return 1024 * field("/proc/meminfo", "MemAvailable:") }

// reclaimable is the part of a control group's memory that is a cache of files.
func reclaimable() int64 { return field("/sys/fs/cgroup/memory.stat", "inactive_file") }

// field is the number after a word at the start of a line; 0 where there is none.
func field(file, word string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) > 1 && f[0] == word {
			n, _ := strconv.ParseInt(f[1], 10, 64) // 0 where it is none
			return n
		}
	}
	return 0
}

// number is that of a file with nothing else in it; 0 for "max".
func number(file string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64) // 0 where it is none
	return n
}
