// Package row is a line of `make attack`: what was tried on wisp, how much of it
// held, and what it cost. Tests print rows, and the command that runs them puts
// them into one table.
package row

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Row is one line. What a case does not measure is zero.
type Row struct {
	Case  string `json:"case"`
	Tried int    `json:"tried"`
	Held  int    `json:"held"`
	// What a normal client waited beside the attack, in milliseconds.
	P50 float64 `json:"p50_ms,omitempty"`
	P99 float64 `json:"p99_ms,omitempty"`
	// Of the process under attack, before and after: megabytes, descriptors.
	MemoryBefore      float64 `json:"memory_before_mb,omitempty"`
	MemoryAfter       float64 `json:"memory_after_mb,omitempty"`
	DescriptorsBefore int     `json:"descriptors_before,omitempty"`
	DescriptorsAfter  int     `json:"descriptors_after,omitempty"`
	Note              string  `json:"note,omitempty"`
}

const mark = "attack: "

// Print writes the row where the command finds it.
func (r Row) Print() {
	line, err := json.Marshal(r)
	if err != nil {
		panic(err) // NaN or infinite: a case that measured nothing
	}
	fmt.Printf("%s%s\n", mark, line)
}

// Parse reads a line that Print wrote.
func Parse(line string) (r Row, ok bool) {
	_, text, found := strings.Cut(line, mark)
	return r, found && json.Unmarshal([]byte(text), &r) == nil
}

// Head is the line above a table of rows.
func Head() string {
	return fmt.Sprintf("%-58s %9s %9s %8s %8s %13s %13s  %s", "case", "tried", "held", "p50 ms", "p99 ms", "memory MB", "descriptors", "")
}

// String is the row as a line of a table.
func (r Row) String() string {
	number := func(v float64) string {
		if v == 0 {
			return ""
		}
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	pair := func(before, after string) string {
		if before == "" {
			return ""
		}
		return before + " " + after
	}
	memory := pair(number(r.MemoryBefore), number(r.MemoryAfter))
	descriptors := ""
	if r.DescriptorsBefore > 0 {
		descriptors = pair(strconv.Itoa(r.DescriptorsBefore), strconv.Itoa(r.DescriptorsAfter))
	}
	return strings.TrimRight(fmt.Sprintf("%-58s %9d %9d %8s %8s %13s %13s  %s", r.Case, r.Tried, r.Held, number(r.P50), number(r.P99), memory, descriptors, r.Note), " ")
}

// Wait sets the waits of a normal client.
func (r *Row) Wait(waits []time.Duration) {
	if len(waits) == 0 {
		return
	}
	sorted := slices.Sorted(slices.Values(waits))
	at := func(part float64) float64 {
		return float64(sorted[min(len(sorted)-1, int(part*float64(len(sorted))))].Microseconds()) / 1e3
	}
	r.P50, r.P99 = at(0.5), at(0.99)
}

// Memory is what a process holds, in megabytes; 0 where the system does not tell.
func Memory(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kB float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %g kB", &kB); n == 1 {
			return kB * 1024 / 1e6
		}
	}
	return 0
}

// Descriptors is how many files and connections a process holds; 0 where the
// system does not tell.
func Descriptors(pid int) int {
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return 0
	}
	return len(names)
}

// Whole reports whether the suite runs whole: WISP_ATTACK=whole.
func Whole() bool { return os.Getenv("WISP_ATTACK") == "whole" }

// Seed is what random cases begin with: WISP_SEED, or another one each time.
func Seed() uint64 {
	if seed, err := strconv.ParseUint(os.Getenv("WISP_SEED"), 10, 64); err == nil {
		return seed
	}
	return uint64(time.Now().UnixNano()) % 1_000_000
}
