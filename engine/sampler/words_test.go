package sampler

import (
	"os"
	"regexp"
	"testing"
)

// Every sampler says what it is good for, and where it is from and written; no other name does.
func TestNotes(t *testing.T) {
	names := map[string]bool{}
	for _, r := range table {
		names[r.Name] = true
		n := About(r.Name)
		if _, err := os.Stat(n.File); n.Good == "" || n.File == "" || err != nil {
			t.Errorf("%s: %+v, %v", r.Name, n, err)
		}
		if !regexp.MustCompile(`^\d{4}\.\d{4,5}$`).MatchString(n.Paper) {
			t.Errorf("%s: paper %q", r.Name, n.Paper)
		}
	}
	for name := range notes {
		if !names[name] {
			t.Errorf("%s is no sampler", name)
		}
	}
}
