package site

import (
	"regexp"
	"strings"
	"testing"
)

var (
	servedImports = regexp.MustCompile(`import\s*\{([^}]*)\}\s*from\s*"\./([^"]+)"`)
	servedExports = regexp.MustCompile(`export\s*\{([^}]*)\}|export\s+(?:async\s+)?(?:function|class|const|let|var)\s*\*?\s*([\w$]+)`)
)

// TestServedImports: what a served script imports of another by name, that one
// exports, whatever parts both were made of; and it says so once.
func TestServedImports(t *testing.T) {
	files, n := served(), 0
	for name, text := range files {
		seen := map[string]bool{}
		for _, m := range servedImports.FindAllStringSubmatch(string(text), -1) {
			if seen[m[2]] {
				t.Errorf("%s imports %s twice", name, m[2])
			}
			seen[m[2]] = true
			exports := map[string]bool{}
			for _, e := range servedExports.FindAllStringSubmatch(string(files[m[2]]), -1) {
				exports[e[2]] = true
				for one := range strings.SplitSeq(e[1], ",") {
					before, after, renamed := strings.Cut(strings.TrimSpace(one), " as ")
					if !renamed {
						after = before
					}
					exports[after] = true
				}
			}
			for one := range strings.SplitSeq(m[1], ",") {
				imported, _, _ := strings.Cut(strings.TrimSpace(one), " as ")
				if n++; imported != "" && !exports[imported] {
					t.Errorf("%s imports %s, which %s does not export", name, imported, m[2])
				}
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d names", n)
	}
}
