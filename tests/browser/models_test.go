//go:build browser

package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"wisp/loader/pack"
)

// attack is markup that tells on itself where it is taken for more than text.
const attack = `<img src=x onerror="globalThis.harmed=1"><script>globalThis.harmed=1</script>`

// unharmed is true while no attack has run or become an element.
const unharmed = `globalThis.harmed === undefined && document.querySelector("img[src=x], #history script, dialog script, main script") === null`

// smallModel packs a tiny pipeline whose every text is an attack.
func smallModel(t *testing.T) string {
	t.Helper()
	in, out := t.TempDir(), t.TempDir()
	if err := os.CopyFS(in, os.DirFS("../golden/pipeline/tiny_flow/model")); err != nil {
		t.Fatal(err)
	}
	settings, err := json.Marshal(map[string]any{"steps": 2, "styles": []string{attack}, "examples": []string{attack}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"wisp.json": string(settings), "model-card.md": "# Card\n" + attack} {
		if err := os.WriteFile(filepath.Join(in, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := pack.Run(context.Background(), pack.Options{In: in, Out: out, Name: "tiny " + attack, Licence: "none " + attack}); err != nil {
		t.Fatal(err)
	}
	return out
}

// dropModel drops the files of a directory, served under base, on the page.
func (p *tab) dropModel(base, dir string) {
	p.t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	list, _ := json.Marshal(names) // of strings
	p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(async () => {
		const transfer = new DataTransfer();
		for (const name of %s) transfer.items.add(new File([await (await fetch(%q + name)).blob()], name));
		dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
	})()`, list, base), chromedp.EvalAwaitPromise))
}

// A second model comes by drop, is kept, and draws at the next visit with the
// network off, as the first one does; nothing that it says runs.
func TestSecondModel(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	dir := smallModel(t)
	s.extra = http.StripPrefix("/test/", http.FileServer(http.Dir(dir)))
	p.open(s.URL)
	p.dropModel("/test/", dir)
	const inUse = `document.getElementById("model").textContent.startsWith("Model: tiny <img") && document.documentElement.dataset.state === "ready"`
	p.until(inUse)
	p.draw("a fox")
	p.run(chromedp.Click("#styles label:last-of-type")) // draws, live
	p.until(`document.querySelector("#pictures img").alt.startsWith("a fox, <img")`)
	p.run(chromedp.Click("#open-models"))
	p.until(`document.querySelectorAll("#kept li").length === 2`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("card").open = true`))
	if card := eval[string](p, `document.getElementById("card-text").textContent`); card != "Card"+attack {
		t.Errorf("the card reads %q", card)
	}
	s.CloseClientConnections()
	s.Listener.Close() // nothing answers from now on
	if _, err := chromedp.Call(p.ctx, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true}); err != nil {
		t.Fatal(err)
	}
	p.open(s.URL)
	p.until(inUse)
	p.draw("a fox")
	if !eval[bool](p, unharmed) {
		t.Error("a text of the model became more than text")
	}
	press := func(row int, label string) {
		p.run(chromedp.Click("#open-models"))
		p.until(`document.querySelectorAll("#kept li").length === 2`)
		p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`[...document.querySelectorAll("#kept li")[%d].querySelectorAll("button")].find((b) => b.textContent === %q).click()`, row, label)))
	}
	press(1, "Use") // the default model
	p.until(`!document.getElementById("model").textContent.includes("tiny")`)
	p.until(`document.documentElement.dataset.state === "ready"`)
	p.draw("red heart")
	p.run(chromedp.Evaluate[chromedp.Void](`window.confirm = (question) => { window.asked = question; return true; }`))
	press(1, "Delete") // the small one, opened before it
	p.until(`document.querySelectorAll("#kept li").length === 1`)
	if asked := eval[string](p, `window.asked ?? ""`); !strings.Contains(asked, "tiny") {
		t.Errorf("what cannot be had again was deleted after the question %q", asked)
	}
}

// The dialog says what a model costs before any of it is fetched; then it is
// fetched and draws.
func TestModelVerdict(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	s.extra = http.StripPrefix("/test/", http.FileServer(http.Dir(smallModel(t))))
	p.open(s.URL)
	s.count()
	p.run(chromedp.Click("#open-models"))
	p.fill("address", "/test/")
	p.run(submit("add"))
	p.until(`/^Runs here on .* of memory and [0-9.]+ m?s a picture\.$/.test(document.getElementById("verdict").textContent)`)
	p.run(chromedp.Click("#offers summary"))
	p.until(`document.querySelectorAll("#offered li button").length > 0`)
	if got := eval[string](p, `(async () => { // those of which the list does not say it
		const { models } = await (await fetch("catalogue.json")).json();
		const rows = [...document.querySelectorAll("#offered li")].map((row) => row.textContent);
		return models.filter((m, i) => !rows[i]?.startsWith(m.name) || !rows[i].includes(m.licence) || !rows[i].includes("GB") && !rows[i].includes("MB") || rows[i].includes("not for commercial use") === m.commercial).map((m) => m.name).join();
	})()`); got != "" {
		t.Errorf("the list of open models lacks what is said of %s", got)
	}
	for _, path := range second(s.count()) {
		if strings.HasSuffix(path, ".bin") {
			t.Errorf("asking fetched %s", path)
		}
	}
	p.run(chromedp.Click("#use"))
	p.until(`document.getElementById("model").textContent.startsWith("Model: tiny") && document.documentElement.dataset.state === "ready"`)
	p.draw("a fox")
	p.run(chromedp.Click("#open-models"))
	p.fill("address", "https://elsewhere.example/model/")
	p.run(submit("add"))
	p.until(`document.getElementById("verdict").textContent.startsWith("This model is on https://elsewhere.example")`)
}

// What a visitor allows is an origin and nothing else, is the page's and not the
// widget's, is listed, and can be taken back.
func TestAllowedOrigins(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		http.FileServer(http.Dir(smallModel(t))).ServeHTTP(w, r)
	}))
	defer elsewhere.Close()
	p.open(s.URL)
	p.until(`navigator.serviceWorker.controller !== null`)
	p.run(chromedp.Navigate(s.URL + "/?address=" + url.QueryEscape("https://a;sandbox/")))
	p.until(`document.getElementById("verdict").textContent === "https://a;sandbox is not an address that this page can fetch from."`)
	if !eval[bool](p, `document.getElementById("allow").hidden`) {
		t.Error("the page offers to allow what is no origin")
	}
	const ask = `new Promise((resolve) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = ({ data }) => resolve(JSON.stringify(data)); navigator.serviceWorker.controller.postMessage(%s, [port2]); })`
	for _, bad := range []string{"https://a;sandbox", "https://a sandbox", "https://a/path", "https://a, b", "javascript:1", "https://*", "https://a'self'", ""} {
		if got := eval[string](p, fmt.Sprintf(ask, fmt.Sprintf(`{ type: "allow", origin: %q }`, bad))); got != `{"allowed":false}` {
			t.Errorf("%q: %s", bad, got)
		}
	}
	// What an older version kept does no harm.
	p.run(chromedp.Evaluate[chromedp.Void](`caches.open("wisp-settings").then((c) => c.put(new URL("origins", location.href), Response.json(["https://a;sandbox", "https://kept.example"])))`, chromedp.EvalAwaitPromise))
	policy := func(file string) string {
		return eval[string](p, fmt.Sprintf(`fetch(%q).then((r) => r.headers.get("Content-Security-Policy").match(/connect-src [^;]*/)[0])`, file))
	}
	if got := policy("./"); !strings.HasPrefix(got, "connect-src 'self' https://kept.example blob:") {
		t.Errorf("the policy is %q", got)
	}
	p.open(s.URL + "/?address=" + url.QueryEscape(elsewhere.URL+"/"))
	p.until(`!document.getElementById("allow").hidden`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("allow").click()`))
	p.eventually(`document.getElementById("verdict")?.textContent.startsWith("Runs here on ")`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("use").click()`))
	p.until(`document.getElementById("model").textContent.startsWith("Model: tiny") && document.documentElement.dataset.state === "ready"`)
	for file, allowed := range map[string]bool{"./": true, "index.html": true, "embed.html": false, "privacy.html": false, "worker.js": false} {
		if got := policy(file); strings.Contains(got, elsewhere.URL) != allowed {
			t.Errorf("the policy of %s is %q", file, got)
		}
	}
	p.run(chromedp.Navigate(s.URL + "/privacy.html"))
	p.until(`[...document.querySelectorAll("#origins bdi")].map((b) => b.textContent).join() === "https://kept.example,` + elsewhere.URL + `"`)
	p.run(chromedp.Click("#origins li:last-child button"))
	p.until(`document.querySelectorAll("#origins li").length === 1`)
	if got := policy("./"); strings.Contains(got, elsewhere.URL) {
		t.Errorf("after it was forbidden, the policy is %q", got)
	}
	p.run(chromedp.Click("#origins li button"))
	p.until(`document.getElementById("allowed").hidden`)
}

// A remembered model outlives a network that fails for a while, and a visit to
// another one that fails; it is forgotten once it is gone.
func TestRememberedModel(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	s.extra = http.StripPrefix("/test/", http.FileServer(http.Dir(smallModel(t))))
	var status atomic.Int64
	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		if n := int(status.Load()); n != 0 && r.URL.Path == "/test/manifest.json" {
			w.WriteHeader(n)
			return true
		}
		return false
	})
	p.run(chromedp.Navigate(s.URL + "/privacy.html"))
	p.run(chromedp.Evaluate[chromedp.Void](`localStorage.setItem("wisp-model", "/test?a")`))
	visit := func(query string, answer int, code string) {
		t.Helper()
		status.Store(int64(answer))
		p.run(chromedp.Navigate(s.URL + "/" + query))
		if got, text := p.failed(); got != code {
			t.Errorf("%s with status %d: the page says %s: %s; want %s", query, answer, got, text, code)
		}
	}
	kept := func() bool {
		p.run(chromedp.Sleep(time.Second)) // for the page to ask whether it is gone
		return eval[bool](p, `localStorage.getItem("wisp-model") !== null`)
	}
	const forgotten = `localStorage.getItem("wisp-model") === null`
	visit("", http.StatusForbidden, "network")
	if !kept() {
		t.Error("a host that refuses for a while made the page forget its model")
	}
	visit("?model=/elsewhere/&lang=de", 0, "network")
	if text := eval[string](p, `document.getElementById("error").textContent`); !strings.HasPrefix(text, "Der Server hat dieses Modell oder einen Teil davon nicht: ") || !strings.HasSuffix(text, "(manifest.json: HTTP status 404)") {
		t.Errorf("in German the page says %q", text)
	}
	if !kept() {
		t.Error("another model that is missing made the page forget its own")
	}
	visit("", http.StatusGone, "network")
	p.eventually(forgotten)
	p.open(s.URL) // with the default model
	p.draw("red heart")
	p.run(chromedp.Evaluate[chromedp.Void](`localStorage.setItem("wisp-model", "stored:"+"0".repeat(64))`))
	visit("", 0, "network")
	p.eventually(forgotten)
}

func second[A, B any](_ A, b B) B { return b }

// A manifest that points elsewhere, by its mirrors or by the names of its
// chunks, leads nowhere: the page may not connect there, and does not.
func TestManifestElsewhere(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Access-Control-Allow-Origin", "*")
		http.FileServer(http.Dir(*modelDir)).ServeHTTP(w, r)
	}))
	defer elsewhere.Close()
	text, err := os.ReadFile(filepath.Join(*modelDir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest map[string]any
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	delete(manifest, "digest") // it is not the one of what follows
	chunk := maps.Clone(manifest["chunks"].([]any)[0].(map[string]any))
	chunk["sha256"] = elsewhere.URL + "/" + chunk["sha256"].(string)
	for _, c := range []struct {
		name, field string
		value       any
		code        string
	}{
		{"mirror", "mirrors", []string{elsewhere.URL + "/"}, "network"},
		{"chunk", "chunks", append([]any{chunk}, manifest["chunks"].([]any)[1:]...), "bad-model"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := maps.Clone(manifest)
			changed[c.field] = c.value
			body, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			s, p := serve(t), newTab(t)
			s.set(func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case strings.HasSuffix(r.URL.Path, "/manifest.json"):
					w.Write(body)
				case strings.HasSuffix(r.URL.Path, ".bin"):
					http.NotFound(w, r) // so that a mirror is wanted
				default:
					return false
				}
				return true
			})
			p.run(chromedp.Navigate(s.URL))
			if code, text := p.failed(); code != c.code {
				t.Errorf("the page says %s: %s; want %s", code, text, c.code)
			}
			if n := asked.Load(); n != 0 {
				t.Errorf("%d requests went elsewhere", n)
			}
		})
	}
}
