//go:build !js

package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wisp/engine/preprocess"
)

// What the page recognises of the engine's messages, to say it in another
// language, is how they begin, word for word.
func TestTranslatedMessages(t *testing.T) {
	text, err := os.ReadFile("../site/page/strings.js")
	if err != nil {
		t.Fatal(err)
	}
	english, _, _ := strings.Cut(string(text), "const de = ")
	var sources strings.Builder
	for _, dir := range []string{"../wasm", "../engine", "../webgpu", "../loader", "../site"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Base(path) == "strings.js" || strings.HasSuffix(path, "_test.go") || !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".js") {
				return err
			}
			source, err := os.ReadFile(path)
			sources.Write(source)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	messages := regexp.MustCompile(`(?m)^\tfail\w+: "(.*)",$`).FindAllStringSubmatch(english, -1)
	if len(messages) < 5 {
		t.Fatalf("%d messages", len(messages))
	}
	for _, m := range messages {
		if !strings.Contains(sources.String(), m[1]) {
			t.Errorf("nobody says %q", m[1])
		}
	}
}

// The page offers each preprocessor.
func TestPreprocessorNames(t *testing.T) {
	page, err := os.ReadFile("../site/index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range preprocess.List {
		if !strings.Contains(string(page), `<option value="`+p.Name+`" data-t="pre-`+p.Name+`">`) {
			t.Errorf("index.html does not offer %s", p.Name)
		}
	}
}
