package shaders

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

var tileText = regexp.MustCompile(`(?m)^var<workgroup> (\w+): array<vec`)

// TestTilesAreWrittenWhole: no kernel stores a single component of a vector in
// workgroup memory. Such a store may write the whole vector (WGSL 8.5.1.3, and
// Direct3D's older compiler makes it so), and then it undoes what another
// invocation has put into the other components.
func TestTilesAreWrittenWhole(t *testing.T) {
	names, err := fs.Glob(files, "*.wgsl")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range tileText.FindAllStringSubmatch(string(text), -1) {
			for i, line := range strings.Split(string(text), "\n") {
				left, _, stored := strings.Cut(strings.TrimSpace(line), "= ")
				if stored && strings.HasPrefix(left, m[1]+"[") && component(left[len(m[1]):]) {
					t.Errorf("%s:%d stores a component of %s: %s", name, i+1, m[1], line)
				}
			}
		}
	}
}

// component reports whether anything but an operator follows the index that
// text begins with.
func component(text string) bool {
	depth := 0
	for i, c := range text {
		switch c {
		case '[':
			depth++
		case ']':
			depth--
		}
		if depth == 0 {
			return strings.ContainsAny(text[i+1:], ".[")
		}
	}
	return false
}
