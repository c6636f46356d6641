//go:build browser && vite

package browser_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"wisp/site"
)

// What Vite made of the React example draws by the module and by the element,
// on a plain file server.
func TestVite(t *testing.T) {
	root, err := site.Root()
	if err != nil {
		t.Fatal(err)
	}
	if found, err := filepath.Glob(filepath.Join(root, "build", "vite", "dist", "assets", "pack*.wasm")); err != nil || len(found) > 0 {
		t.Errorf("the importer is bundled though nobody imports it: %v, %v", found, err)
	}
	plain := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(root, "build", "vite", "dist"))))
	defer plain.Close()
	p := newTab(t)
	p.run(chromedp.Navigate(plain.URL))
	p.until(`document.getElementById("heart")?.naturalWidth === 128`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("wisp-generator").generate()`))
	p.until(`document.getElementById("seeds").textContent === "5"`)
}
