package pack

import (
	"fmt"
	"strings"
	"testing"
)

// TestBar replays what is written as a terminal would show it.
func TestBar(t *testing.T) {
	var out strings.Builder
	b := NewBar(&out)
	b.Total = 10e6
	b.Set(0)
	fmt.Fprintln(b, "unet: 3 tensors")
	b.Set(10e6)
	if got, want := screen(out.String()), "unet: 3 tensors\n["+strings.Repeat("=", barWidth)+"] 10.00 MB of 10.00 MB"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	b.Close()
	if got := screen(out.String()); got != "unet: 3 tensors\n" {
		t.Errorf("after Close: %q", got)
	}
}

func TestBarOfNothing(t *testing.T) {
	var out strings.Builder
	NewBar(&out).Set(0)
	if !strings.HasPrefix(out.String(), "["+strings.Repeat("=", barWidth)+"]") {
		t.Errorf("%q", out.String())
	}
}

// screen leaves out what was erased.
func screen(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = l[strings.LastIndex(l, "\x1b[K")+1:]
		lines[i] = strings.TrimPrefix(lines[i], "[K")
	}
	return strings.Join(lines, "\n")
}
