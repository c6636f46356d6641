//go:build browser

package browser_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"wisp/site"
)

// The page's pure scripts, which read other tools' files and requests, pass their
// own tests under Node.
func TestCompat(t *testing.T) {
	root, err := site.Root()
	if err != nil {
		t.Fatal(err)
	}
	tests, err := filepath.Glob(filepath.Join(root, "site", "compat", "test", "*.test.js"))
	if err != nil || len(tests) == 0 {
		t.Fatalf("%d tests: %v", len(tests), err)
	}
	run := exec.Command("node", append([]string{"--test"}, tests...)...)
	if text, err := run.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}
