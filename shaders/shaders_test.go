package shaders

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"wisp/engine"
)

var tileText = regexp.MustCompile(`(?m)^var<workgroup> (\w+): array<vec`)

// TestTilesAreWrittenWhole: no kernel stores a single component of a vector in
// workgroup memory. Such a store may write the whole vector (WGSL 8.5.1.3, and
// Direct3D's older compiler makes it so), and then it undoes what another
// invocation has put into the other components.
func TestTilesAreWrittenWhole(t *testing.T) {
	for name, text := range all(t) {
		for _, m := range tileText.FindAllStringSubmatch(text, -1) {
			for i, line := range strings.Split(text, "\n") {
				left, _, stored := strings.Cut(strings.TrimSpace(line), "= ")
				if stored && strings.HasPrefix(left, m[1]+"[") && component(left[len(m[1]):]) {
					t.Errorf("%s:%d stores a component of %s: %s", name, i+1, m[1], line)
				}
			}
		}
	}
}

// all are the texts of kernels and parts by their files.
func all(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.wgsl", "parts/*.wgsl"} {
		names, err := fs.Glob(files, pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(files, name)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = string(text)
		}
	}
	return texts
}

// TestParts: every kernel is made whole, and every part has a kernel.
func TestParts(t *testing.T) {
	used := map[string]bool{"parts/reduce_subgroup.wgsl": true} // in reduce's place
	for file, text := range all(t) {
		if strings.HasPrefix(file, "parts/") {
			continue
		}
		if source, err := Source(strings.TrimSuffix(file, ".wgsl"), engine.F32); err != nil {
			t.Error(err)
		} else if strings.Count(source, "@compute") != 1 {
			t.Errorf("%s has not one entry", file)
		}
		for _, part := range parts(text) {
			used["parts/"+part+".wgsl"] = true
		}
	}
	for file := range all(t) {
		if strings.HasPrefix(file, "parts/") && !used[file] {
			t.Errorf("no kernel has %s", file)
		}
	}
}

// TestWrittenOnce: of the lines of WGSL at most a tenth stand in a run of six
// that another file has, too.
func TestWrittenOnce(t *testing.T) {
	const run = 6
	texts, holders, lines, twice := all(t), map[string]map[string]bool{}, 0, 0
	runs := func(text string, see func(at int, run string)) int {
		l := strings.Split(strings.TrimSpace(text), "\n")
		for i := range l {
			l[i] = strings.TrimSpace(l[i])
		}
		for i := 0; i+run <= len(l); i++ {
			see(i, strings.Join(l[i:i+run], "\n"))
		}
		return len(l)
	}
	for file, text := range texts {
		runs(text, func(_ int, r string) {
			if holders[r] == nil {
				holders[r] = map[string]bool{}
			}
			holders[r][file] = true
		})
	}
	for _, text := range texts {
		marked := map[int]bool{}
		lines += runs(text, func(at int, r string) {
			for i := at; len(holders[r]) > 1 && i < at+run; i++ {
				marked[i] = true
			}
		})
		twice += len(marked)
	}
	t.Logf("%d of %d lines stand twice", twice, lines)
	if twice*10 > lines {
		t.Errorf("%d of %d lines stand twice, want a tenth at most", twice, lines)
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
