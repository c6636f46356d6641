//go:build !js

package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// inside are bounds that no stranger's input meets: of what was read already, of
// what wisp itself makes, or of mathematics.
var inside = map[string]bool{
	"loader/decode/decode.go maxBlock": true, "loader/decode/decode.go maxStates": true, "loader/decode/decode.go maxWeights": true, // of the format
	"loader/library.go maxEvictions": true, "loader/pack/verify.go maxManifest": true, "loader/single/single.go maxWidth": true,
	"loader/hub/protocol.go maxPause": true, "loader/manifest.go MaxTensor": true, "wasm/emit/module.go MaxPages": true,
}

var (
	budgetRow   = regexp.MustCompile("(?m)^\\| [^|]+ \\| ([^|]+?) \\| `([^` ]+) (\\w+)` \\|$")
	budgetConst = regexp.MustCompile(`(?m)^\s*(?:export )?(?:const |var )?([mM]ax[A-Z]\w*)\s*=\s*([^;/\n]+?)\s*(?:;.*|//.*)?$`)
)

// TestBudgets holds the table of SECURITY.md to the code: each of its budgets is
// as it says, and none of the code is missing.
func TestBudgets(t *testing.T) {
	text, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{} // "file name" -> value
	for _, m := range budgetRow.FindAllStringSubmatch(string(text), -1) {
		told[m[2]+" "+m[3]] = m[1]
	}
	if len(told) < 40 {
		t.Fatalf("SECURITY.md has %d budgets", len(told))
	}
	found := map[string]bool{}
	for _, dir := range []string{"loader", "site", "wasm", "engine/token", "engine/diffusion", "engine/sampler", "engine/model"} {
		err := filepath.WalkDir(filepath.Join("..", dir), func(path string, d fs.DirEntry, err error) error {
			name := strings.TrimPrefix(filepath.ToSlash(path), "../")
			if err != nil || strings.HasSuffix(name, "_test.go") || !strings.HasSuffix(name, ".go") && name != "site/compat/limits.js" {
				return err
			}
			source, err := os.ReadFile(path)
			for _, m := range budgetConst.FindAllStringSubmatch(string(source), -1) {
				key := name + " " + m[1]
				value, listed := told[key]
				found[key] = true
				if listed && value != m[2] {
					t.Errorf("%s is %s, SECURITY.md says %s", key, m[2], value)
				}
				if !listed && !inside[key] {
					t.Errorf("SECURITY.md lacks %s = %s", key, m[2])
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for key := range told {
		if !found[key] {
			t.Errorf("SECURITY.md names %s, which is not there", key)
		}
	}
}
