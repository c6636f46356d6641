//go:build browser

package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"wisp/site"
	"wisp/tests/browser"
)

// ownServices are what Chromium asks for itself, whichever page is open; the
// answer it gets is 502.
var ownServices = []string{"accounts.google.com", "clients2.google.com", "update.googleapis.com"}

// proxy is what stands between a browser and everything else: it passes
// requests to one site, and lists them all.
type proxy struct {
	*httptest.Server
	mu  sync.Mutex
	log []string
}

func newProxy(t *testing.T, site string) *proxy {
	t.Helper()
	to, err := url.Parse(site)
	if err != nil {
		t.Fatal(err)
	}
	x := &proxy{}
	pass := httputil.NewSingleHostReverseProxy(to)
	x.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x.mu.Lock()
		if host, _, _ := strings.Cut(r.Host, ":"); !slices.Contains(ownServices, host) {
			x.log = append(x.log, r.Method+" "+r.URL.String()+" "+r.Host)
		}
		x.mu.Unlock()
		if r.Host != to.Host {
			http.Error(w, "no such host", http.StatusBadGateway)
			return
		}
		r.URL.Scheme, r.URL.Host = "", ""
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(x.Close)
	return x
}

// take returns the requests since the last call.
func (x *proxy) take() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	log := x.log
	x.log = nil
	return log
}

// Seen from outside the browser: a visit asks nobody but its own site, and
// once the model is there nothing at all, whatever the visitor does.
func TestNothingLeaves(t *testing.T) {
	t.Parallel()
	s := serve(t)
	x := newProxy(t, s.URL)
	p := startTab(t, browser.Options{Proxy: x.Listener.Addr().String()}, 3*time.Minute)
	p.open(s.URL)
	host := strings.TrimPrefix(s.URL, "http://")
	for _, r := range x.take() {
		if !strings.HasSuffix(r, " "+host) {
			t.Errorf("the visit asked for %s", r)
		}
	}
	p.fill("steps", "2")
	p.draw("a secret, " + attack)
	p.fill("prompt", "secret, as typed")
	p.until(`document.querySelector("#pictures img")?.alt === "secret, as typed"`)
	p.run(chromedp.Click("#vary"))
	p.until(`document.querySelectorAll("#pictures img").length === 4`)
	p.run(chromedp.Click("#star"), chromedp.Click("#copy"), chromedp.Click("#link"), chromedp.Click("#save"))
	p.until(`document.querySelectorAll("#past li").length >= 5`)
	p.fill("search", "secret")
	p.run(chromedp.Click("#open-models"))
	p.until(`document.querySelectorAll("#kept li").length === 1`)
	if !eval[bool](p, unharmed) {
		t.Error("the prompt became more than text")
	}
	for _, r := range x.take() {
		if !strings.HasPrefix(r, "GET "+s.URL+"/sw.js ") { // a browser looks for a newer worker by itself
			t.Errorf("with the model there, the page asked for %s", r)
		}
	}
	if n := eval[int](p, `document.cookie.length`); n != 0 {
		t.Errorf("%d characters of cookies", n)
	}

	// The page that counts says the same.
	p.run(chromedp.Navigate(s.URL + "/privacy.html"))
	p.until(`!document.getElementById("counter").hidden && document.getElementById("elsewhere").textContent === "0"`)
	before := eval[int](p, `Number(document.getElementById("here").textContent)`)
	q := p.another()
	q.open(s.URL)
	q.fill("steps", "1")
	q.draw("another secret")
	if after := eval[int](p, `Number(document.getElementById("here").textContent)`); after <= before {
		t.Errorf("a visit in another tab did not count: %d, then %d", before, after)
	}
	for _, r := range x.take() {
		if !strings.Contains(r, " "+s.URL+"/") || strings.Contains(r, "secret") {
			t.Errorf("in the second tab: %s", r)
		}
	}
}

// The service worker answers with every header that the server sends.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.until(`navigator.serviceWorker.controller !== null`)
	answer, err := http.Get(s.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	s.CloseClientConnections()
	s.Listener.Close()
	for _, name := range []string{
		"Content-Security-Policy", "Permissions-Policy", "Referrer-Policy", "X-Content-Type-Options", "Content-Type", "X-Frame-Options",
		"Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy", "Cross-Origin-Resource-Policy",
	} {
		want := answer.Header.Get(name)
		if got := eval[string](p, `fetch("./").then((r) => r.headers.get("`+name+`") ?? "none")`); got != want || want == "" {
			t.Errorf("%s is %q, from the server %q", name, got, want)
		}
	}
}

// No other site shows the page in a frame; the widget in a frame is made for it.
func TestFraming(t *testing.T) {
	files, err := site.Assemble(built)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	asked := map[string]int{}
	h := site.Handler(site.Layers{site.Under("models/default", os.DirFS(*modelDir)), files})
	ours := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path]++
		mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	defer ours.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		for _, path := range []string{"/", "/index.html", "/privacy.html", "/embed.html"} {
			fmt.Fprintf(w, "<iframe src=%q></iframe>", ours.URL+path)
		}
	}))
	defer other.Close()
	p := newTab(t)
	p.run(chromedp.Navigate(other.URL), chromedp.Sleep(2*time.Second))
	mu.Lock()
	defer mu.Unlock()
	if asked["/embed.js"] == 0 || asked["/app.js"]+asked["/privacy.js"] > 0 || asked["/"]+asked["/privacy.html"] != 2 {
		t.Errorf("a page of another site frames: %v", asked)
	}
}
