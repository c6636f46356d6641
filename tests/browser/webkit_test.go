//go:build browser

package browser_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"wisp/tests/browser"
)

// window is a private window of WebKit, steered by WebDriver.
type window struct {
	t   *testing.T
	ctx context.Context
	*browser.Session
}

func newWindow(t *testing.T) *window {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	b, err := browser.Launch(ctx, browser.Options{Name: "webkit", Debug: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	s, err := b.WebDriver(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &window{t, ctx, s}
}

func (w *window) open(url string) {
	w.t.Helper()
	if err := w.Open(w.ctx, url); err != nil {
		w.t.Fatal(err)
	}
}

// in awaits an expression in the window's page.
func in[T any](w *window, expression string) (value T) {
	w.t.Helper()
	if err := w.Eval(w.ctx, expression, &value); err != nil {
		w.t.Fatal(err)
	}
	return value
}

// until waits until an expression is true; an error that the page shows fails.
func (w *window) until(condition string) {
	w.t.Helper()
	failure := in[string](w, fmt.Sprintf(`(async () => {
		for (const end = Date.now() + 60000; Date.now() < end; await new Promise((r) => setTimeout(r, 20))) {
			const error = document.getElementById("error");
			if (error && !error.hidden) return error.textContent;
			if (%s) return "";
		}
		return "waited in vain";
	})()`, condition))
	if failure != "" {
		w.t.Fatalf("%s: %s", condition, failure)
	}
}

// draw draws with seed 7 and returns the picture's file.
func (w *window) draw(prompt string) string {
	w.t.Helper()
	w.until(`document.documentElement.dataset.state === "ready"`)
	before := in[int](w, fmt.Sprintf(`(() => {
		const fill = (id, value) => { document.getElementById(id).value = value; document.getElementById(id).dispatchEvent(new Event("input", { bubbles: true })); };
		document.getElementById("live").checked = false;
		fill("seed", "7");
		fill("prompt", %q);
		document.getElementById("go").click();
		return Number(document.documentElement.dataset.pictures ?? 0);
	})()`, prompt))
	w.until(fmt.Sprintf(`Number(document.documentElement.dataset.pictures) > %d`, before))
	return in[string](w, pictureText)
}

// Safari's engine on a host that sends no headers, in a private window: a first
// visit; a second one, which the service worker isolates though WebKitGTK has
// no shared memory, without a byte of the model; the history; a third without
// any network.
func TestWebKitPrivate(t *testing.T) {
	t.Parallel()
	s, w := serve(t), newWindow(t)
	s.Config.Handler = unisolated(s.Config.Handler)
	w.open(s.URL)
	first := w.draw("red heart")
	checkPNG(t, first)
	if size, _ := s.count(); size < 1<<20 {
		t.Errorf("the first visit fetched %d bytes of the model", size)
	}
	const kept = `document.querySelectorAll("#past li").length === 1`
	w.until(`navigator.serviceWorker.controller !== null && ` + kept)
	w.open(s.URL)
	w.until(kept) // in the database, not in the page's memory
	if !in[bool](w, `crossOriginIsolated`) {
		t.Error("the second visit is not isolated")
	}
	if second := w.draw("red heart"); second != first {
		t.Error("the second visit draws another picture for the same words and seed")
	}
	if size, requests := s.count(); size != 0 {
		t.Errorf("the second visit fetched %d bytes of the model: %v", size, requests)
	}
	s.set(func(w http.ResponseWriter, r *http.Request) bool { panic(http.ErrAbortHandler) })
	w.open(s.URL)
	if third := w.draw("red heart"); third != first {
		t.Error("without a network another picture is drawn for the same words and seed")
	}
}

// The widget in WebKit, on a page of another origin.
func TestWebKitWidget(t *testing.T) {
	t.Parallel()
	s, w := serve(t), newWindow(t)
	w.open(host(t, "", fmt.Sprintf(`<!doctype html><form id="f"><wisp-generator name="art" required prompt="red heart" steps="2" seed="7"></wisp-generator></form>
		<script type="module" src="%s/widget.js"></script>`, s.URL)))
	got := in[string](w, `(async () => {
		await customElements.whenDefined("wisp-generator");
		const missing = !document.getElementById("f").checkValidity();
		const result = await document.querySelector("wisp-generator").generate();
		const file = new FormData(document.getElementById("f")).get("art");
		const { createGenerator } = await import("`+s.URL+`/wisp.js");
		const err = await createGenerator({ backend: "webgpu" }).catch((err) => err);
		return [missing, result.backend, file.name, file.type, file.size > 100, err.code, err.message.replace(/ \(.*/s, "")].join(" ");
	})()`)
	if want := "true simd 7.png image/png true unsupported the graphics card cannot be used here: let the processor draw"; got != want {
		t.Errorf("got  %s\nwant %s", strings.TrimSpace(got), want)
	}
}
