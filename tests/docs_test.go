//go:build !js

package tests

import (
	"fmt"
	"html"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var packagesBlock = regexp.MustCompile(`(?s)<pre id="packages">.*?</pre>`)

// TestPackagesDrawn: what the documents show of packages is the table that
// TestImports enforces.
func TestPackagesDrawn(t *testing.T) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(arrows)) {
		var own []string
		for _, to := range arrows[name] {
			if !strings.Contains(strings.Split(to, "/")[0], ".") {
				own = append(own, to)
			}
		}
		if name != "." {
			fmt.Fprintf(&b, "%-19s%s\n", name, strings.Join(own, " "))
		}
	}
	want := `<pre id="packages">` + html.EscapeString(strings.TrimSpace(b.String())) + "</pre>"
	text, err := os.ReadFile("../site/docs.html")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("../site/docs.html", packagesBlock.ReplaceAllLiteral(text, []byte(want)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !strings.Contains(string(text), want) {
		t.Error("site/docs.html shows other packages: go test ./tests -run TestPackagesDrawn -update")
	}
}
