//go:build !js

package command

import (
	"html"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wisp/site"
)

var commands = regexp.MustCompile(`(?s)<pre class="run">(.*?)</pre>`)

// TestDocuments runs the commands that the documents give, in their order, on a
// tiny pipeline, as a reader would: publish asks a server that has the default
// model, then the one that was packed.
func TestDocuments(t *testing.T) {
	text, err := os.ReadFile("site/docs.html")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	packed := filepath.Join(dir, "my-model")
	s := httptest.NewServer(site.Handler(site.Layers{site.Under("my-model", os.DirFS(packed)), site.Under("wisp", os.DirFS("site/models/default"))}))
	defer s.Close()
	n := 0
	for _, block := range commands.FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(html.UnescapeString(block[1])) {
			given, ok := strings.CutPrefix(strings.TrimSpace(line), "go run . ")
			if !ok {
				t.Fatalf("%q is no command of wisp", line)
			}
			var args []string
			for i, part := range strings.Split(given, `"`) { // every other one is quoted
				if i%2 == 1 {
					args = append(args, part)
				} else {
					args = append(args, strings.Fields(part)...)
				}
			}
			for i := range args {
				args[i] = strings.NewReplacer("DIFFUSERS_DIRECTORY", "tests/golden/pipeline/tiny_ddim_kl/model", "https://your.host", s.URL).Replace(args[i])
				if args[i] == "my-model" || args[i] == "heart.png" {
					args[i] = filepath.Join(dir, args[i])
				}
			}
			if status := Run(t.Context(), args); status != 0 {
				t.Errorf("%s: status %d", strings.TrimSpace(line), status)
			}
			n++
		}
	}
	if picture, err := os.Stat(filepath.Join(dir, "heart.png")); n < 5 || err != nil || picture.Size() == 0 {
		t.Errorf("%d commands, %v", n, err)
	}
}
