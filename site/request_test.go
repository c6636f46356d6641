package site

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"wisp/engine/diffusion"
)

// The module sends every setting of a request, and its types document each.
func TestRequestFields(t *testing.T) {
	script, err := os.ReadFile("module/sent.js")
	if err != nil {
		t.Fatal(err)
	}
	types, err := os.ReadFile("module/wisp.d.ts")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)const settings = \[(.*?)\]`).FindSubmatch(script)
	request := regexp.MustCompile(`(?s)export interface Request \{(.*?)\n\}`).FindSubmatch(types)
	if list == nil || request == nil {
		t.Fatal("sent.js lists no settings, or wisp.d.ts has no Request")
	}
	sent := regexp.MustCompile(`"(\w+)"`).FindAllSubmatch(list[1], -1)
	if len(sent) != len(diffusion.RequestFields) {
		t.Errorf("sent.js sends %d settings, the engine has %d", len(sent), len(diffusion.RequestFields))
	}
	for _, f := range diffusion.RequestFields {
		if !strings.Contains(string(list[1]), `"`+f.Name+`"`) {
			t.Errorf("sent.js does not send %s", f.Name)
		}
		name := regexp.MustCompile("^outpaint.*").ReplaceAllString(f.Name, "outpaint")
		if !regexp.MustCompile(`\n\t` + name + `\??: `).Match(request[1]) {
			t.Errorf("wisp.d.ts does not document %s", f.Name)
		}
	}
}
