//go:build browser

package browser_test

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/chromedp/chromedp"

	"wisp/site"
)

// nextBuild is the site as a later build would have it: its style sheet and
// one of its scripts differ.
func nextBuild(t *testing.T) http.Handler {
	t.Helper()
	root, err := site.Root()
	if err != nil {
		t.Fatal(err)
	}
	changed := fstest.MapFS{}
	for name, more := range map[string]string{"style.css": "\n:root { --build: 2; }\n", "ui.js": "\nexport const build = 2;\n"} {
		text, err := fs.ReadFile(site.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		changed[name] = &fstest.MapFile{Data: append(text, more...)}
	}
	files, err := site.Assemble(site.Layers{changed, site.Files(), os.DirFS(filepath.Join(root, "build", "site"))})
	if err != nil {
		t.Fatal(err)
	}
	return steered(files)
}

// From one build to the next: half a build is never taken; a whole one is
// offered, waits while a picture is made, and then replaces every file at once.
func TestUpdate(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.until(`navigator.serviceWorker.controller !== null`)
	next := nextBuild(t)
	// The parts of the build that the page has: "11" is the old one.
	const build = `(async () => {
		const style = getComputedStyle(document.documentElement).getPropertyValue("--build") || "1";
		return style + ((await import("/ui.js")).build ?? 1);
	})()`
	const check = `navigator.serviceWorker.getRegistration().then((r) => r.update()).then((r) => new Promise((done) => {
		const worker = r.installing;
		if (!worker) return done(r.waiting ? "installed" : "none");
		worker.onstatechange = () => ["installed", "redundant"].includes(worker.state) && done(worker.state);
	}), (err) => String(err))`

	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/style.css") {
			return false // still of the old build: the host is half way
		}
		next.ServeHTTP(w, r)
		return true
	})
	if state := eval[string](p, check); state != "redundant" {
		t.Errorf("half a build was %s", state)
	}
	p.open(s.URL)
	if got := eval[string](p, build); got != "11" {
		t.Errorf("after half a build the page is of builds %s", got)
	}

	s.set(func(w http.ResponseWriter, r *http.Request) bool { next.ServeHTTP(w, r); return true })
	if state := eval[string](p, check); state != "installed" {
		t.Fatalf("the next build is %s", state)
	}
	p.until(`!document.getElementById("update").hidden`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("steps").max = 1000`))
	p.fill("steps", "1000")
	p.fill("prompt", "red heart")
	p.run(chromedp.Click("#go"))
	p.until(`/Step [2-9]/.test(document.getElementById("doing").textContent)`)
	p.run(chromedp.Click("#reload"))
	p.until(`document.getElementById("notice").textContent.startsWith("A picture is being made")`)
	if got := eval[string](p, build); got != "11" {
		t.Errorf("in mid-generation the page became of builds %s", got)
	}
	p.run(chromedp.KeyEvent("\u001b"))
	p.until(`document.getElementById("go").textContent === "Generate"`)
	p.open(s.URL) // asking again is no consent either
	if got := eval[string](p, build); got != "11" {
		t.Errorf("without consent the page is of builds %s", got)
	}
	p.until(`!document.getElementById("update").hidden`)
	p.run(chromedp.Evaluate[chromedp.Void](`globalThis.old = true; document.getElementById("reload").click()`))
	p.eventually(`globalThis.old === undefined && document.documentElement.dataset.state === "ready"`)
	if got := eval[string](p, build); got != "22" {
		t.Errorf("after the update the page is of builds %s", got)
	}
	p.draw("red heart")
}
