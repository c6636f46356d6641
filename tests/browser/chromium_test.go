//go:build browser

package browser_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"

	"wisp/tests/browser"
)

// tab is a page in a Chromium of its own with a fresh profile.
type tab struct {
	t    testing.TB
	ctx  context.Context
	mu   sync.Mutex
	log  []string // console lines, uncaught exceptions
	urls []string // every request
}

// newTab starts Chromium. Its console is printed when the test fails.
func newTab(t testing.TB) *tab {
	t.Helper()
	return startTab(t, browser.Options{}, 3*time.Minute)
}

// startTab starts Chromium with options, for as long as patience lasts.
func startTab(t testing.TB, o browser.Options, patience time.Duration) *tab {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	o.Name, o.URL, o.Debug = "chromium", "about:blank", true
	b, err := browser.Launch(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	address, err := b.DevTools(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = remote.NewAllocator(ctx, address, remote.NoModifyURL)
	t.Cleanup(cancel)
	return attach(t, ctx)
}

// another opens a second tab in the same browser.
func (p *tab) another() *tab {
	p.t.Helper()
	return attach(p.t, p.ctx)
}

// attach opens a tab in the browser of ctx.
func attach(t testing.TB, ctx context.Context) *tab {
	t.Helper()
	p := &tab{t: t}
	var cancel context.CancelFunc
	p.ctx, cancel = chromedp.NewContext(ctx, chromedp.WithListener(p.listen))
	t.Cleanup(cancel)
	if _, err := chromedp.Call(p.ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("console:\n%s", strings.Join(p.console(), "\n"))
		}
	})
	return p
}

func (p *tab) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		var line []string
		for _, a := range e.Args {
			line = append(line, strings.Trim(string(a.Value)+a.Description, `"`))
		}
		p.log = append(p.log, string(e.Type)+": "+strings.Join(line, " "))
	case *runtime.EventExceptionThrown:
		p.log = append(p.log, "exception: "+exception(e.ExceptionDetails))
	case *network.EventRequestWillBeSent:
		p.urls = append(p.urls, e.Request.URL)
	}
}

// requests lists the addresses that the tab has asked for.
func (p *tab) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.urls...)
}

func exception(d *runtime.ExceptionDetails) string {
	if d.Exception != nil {
		return d.Exception.Description
	}
	return d.Text
}

func (p *tab) console() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.log...)
}

// run performs actions; a failure ends the test.
func (p *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// eval runs an expression, waits for its promise and returns the result.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// open navigates and waits until the model is ready and the service worker,
// which fetches the page's files once more, has them.
func (p *tab) open(url string) {
	p.t.Helper()
	p.run(chromedp.Navigate(url))
	p.until(`document.documentElement.dataset.state === "ready"`)
	eval[bool](p, `navigator.serviceWorker.ready.then(() => true)`)
}

// until waits for an expression to be true; an error on the page ends the test.
func (p *tab) until(expression string) {
	p.t.Helper()
	failure := eval[string](p, fmt.Sprintf(`(async () => {
		for (const end = Date.now() + 60000; Date.now() < end; await new Promise((r) => setTimeout(r, 20))) {
			if (%s) return "";
			const error = document.getElementById("error");
			if (error && !error.hidden) return "the page says: " + error.textContent;
		}
		return "timed out";
	})()`, expression))
	if failure != "" {
		p.t.Fatalf("waiting for %s: %s", expression, failure)
	}
}

// eventually waits for an expression to be true, whatever errors the page
// shows, and through a reload, with which a question asked before it fails.
func (p *tab) eventually(expression string) {
	p.t.Helper()
	for range 600 {
		if there, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](expression)); err == nil && there {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.t.Fatalf("waiting for %s: timed out", expression)
}

// draw types a prompt, presses Generate and waits for the picture.
func (p *tab) draw(prompt string) {
	p.t.Helper()
	before := eval[int](p, `Number(document.documentElement.dataset.pictures ?? 0)`)
	p.fill("prompt", prompt)
	p.run(chromedp.Click("#go"))
	p.until(fmt.Sprintf(`Number(document.documentElement.dataset.pictures ?? 0) > %d`, before))
}

// keepSeed fills in the seed, which locks it.
func (p *tab) keepSeed(seed string) { p.fill("seed", seed) }

// fill sets an input as a visitor does, with the events that follow.
func (p *tab) fill(id, value string) {
	p.t.Helper()
	p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`{
		const input = document.getElementById(%q);
		input.value = %q;
		input.dispatchEvent(new Event("input", { bubbles: true }));
	}`, id, value)))
}

// submit sends a form as its button does.
func submit(form string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.getElementById(%q).requestSubmit()`, form))
}

// refused presses Generate with a prompt and returns the code and the text of
// the error that must follow.
func (p *tab) refused(prompt string) (code, text string) {
	p.t.Helper()
	p.fill("prompt", prompt)
	p.run(chromedp.Click("#go"))
	return p.failed()
}

// failed waits for the page's error.
func (p *tab) failed() (code, text string) {
	p.t.Helper()
	answer := eval[[]string](p, `(async () => {
		const error = document.getElementById("error");
		for (const end = Date.now() + 60000; error.hidden && Date.now() < end; await new Promise((r) => setTimeout(r, 20)));
		return [error.hidden ? "no error" : error.dataset.code, error.textContent];
	})()`)
	return answer[0], answer[1]
}

// screenshot writes what the tab shows once it stands still.
func (p *tab) screenshot(path string) {
	p.t.Helper()
	eval[bool](p, `new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => done(true))), 250))`)
	quality := int64(82)
	shot, err := chromedp.Call(p.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatWebp, Quality: &quality})
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, shot.Data, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// look sets the window and the colour scheme, and stills what moves.
func (p *tab) look(width, height int64, scale float64, mobile bool, scheme string) {
	p.t.Helper()
	metrics := emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: scale, Mobile: mobile}
	if _, err := chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride, metrics); err != nil {
		p.t.Fatal(err)
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme},
		{Name: "prefers-reduced-motion", Value: "reduce"},
	}}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, media); err != nil {
		p.t.Fatal(err)
	}
}

// call runs the body of an async function with the module's exports in scope
// and returns its result, or the code of the WispError it throws.
func (p *tab) call(body string) (result json.RawMessage, err error) {
	p.t.Helper()
	answer := eval[struct {
		Result        json.RawMessage `json:"result"`
		Code, Message string
	}](p, fmt.Sprintf(`(async () => {
		const { capabilities, createGenerator, toPNG, WispError } = await import("/wisp.js");
		try {
			return { result: (await (async () => { %s })()) ?? null };
		} catch (err) {
			return { Code: err instanceof WispError ? err.code : "not a WispError", Message: String(err.message ?? err) };
		}
	})()`, body))
	if answer.Code != "" {
		return nil, errors.New(answer.Code + ": " + answer.Message)
	}
	return answer.Result, nil
}
