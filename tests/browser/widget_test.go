//go:build browser

package browser_test

import (
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"wisp/site"
)

// host serves a page of another origin.
func host(t *testing.T, policy, html string) string {
	t.Helper()
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if policy != "" {
			w.Header().Set("Content-Security-Policy", policy)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, html)
	}))
	t.Cleanup(h.Close)
	return h.URL
}

// integrity is the hash that build prints for a file.
func integrity(t *testing.T, name string) string {
	t.Helper()
	data, err := fs.ReadFile(site.Files(), name)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum384(data)
	return "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
}

// The element on a page of another origin without any headers, and in its
// form; then under the strict policy that the README names, with
// subresource-integrity hashes. Markup in what it shows stays text.
func TestWidget(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const form = `<!doctype html><form id="f"><wisp-generator name="art" required prompt="red heart" steps="2" seed="7"></wisp-generator></form>`
	plain := form + fmt.Sprintf(`<script type="module" src="%s/widget.js"></script>`, s.URL)
	sealed := form + fmt.Sprintf(`<script type="module" src="%s/widget.js" integrity="%s" crossorigin></script>`, s.URL, integrity(t, "widget.js"))
	strict := fmt.Sprintf("default-src 'none'; script-src %s 'wasm-unsafe-eval'; worker-src blob:; connect-src %[1]s; img-src blob:", s.URL)
	for _, c := range []struct{ name, policy, page string }{{"plain", "", plain}, {"strict policy", strict, sealed}} {
		t.Run(c.name, func(t *testing.T) {
			p := newTab(t)
			p.run(chromedp.Navigate(host(t, c.policy, c.page)))
			got := eval[string](p, `(async () => {
				await customElements.whenDefined("wisp-generator");
				const widget = document.querySelector("wisp-generator");
				const heard = [];
				for (const name of ["ready", "image", "error"]) widget.addEventListener("wisp-" + name, (e) => heard.push(name + (e.detail.message ?? "")));
				const missing = !document.getElementById("f").checkValidity();
				const result = await widget.generate();
				const file = new FormData(document.getElementById("f")).get("art");
				const valid = document.getElementById("f").checkValidity();
				await widget.generate({ prompt: " " }).catch((err) => heard.push(err.code));
				document.getElementById("f").reset();
				return [heard.join(), result.seed, file.name, file.type, file.size > 100, missing, valid, widget.value].join(" ");
			})()`)
			if want := "ready,image,errorthe prompt is empty: say what to draw,bad-request 7 7.png image/png true true true "; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			got = eval[string](p, `(async () => {
				const widget = document.querySelector("wisp-generator");
				const markup = "<img src=x onerror=globalThis.hacked=1>";
				await widget.generate({ prompt: markup });
				const { alt } = widget.shadowRoot.querySelector("img");
				widget.setAttribute("backend", markup);
				const code = await widget.generate().catch((err) => err.code);
				return [alt === markup, code, widget.shadowRoot.querySelectorAll("img").length, globalThis.hacked].join(" ");
			})()`)
			if want := "true bad-request 1 "; got != want {
				t.Errorf("markup: got %q, want %q", got, want)
			}
		})
	}
	right, wrong := integrity(t, "wisp.js"), "sha384-"+strings.Repeat("A", 64)
	sealAll := func(hash string) string {
		return fmt.Sprintf(`<script type="importmap">{"integrity": {"%s/wisp.js": "%s"}}</script>`, s.URL, hash) + sealed
	}
	for _, c := range []struct {
		name, page string
		runs       bool
	}{
		{"wrong hash in the tag", strings.Replace(sealed, integrity(t, "widget.js"), wrong, 1), false},
		{"wrong hash in the import map", sealAll(wrong), false},
		{"right hashes", sealAll(right), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newTab(t)
			p.run(chromedp.Navigate(host(t, "", c.page))) // which waits for its modules
			if runs := eval[bool](p, `customElements.get("wisp-generator") !== undefined`); runs != c.runs {
				t.Errorf("the widget runs: %v, want %v", runs, c.runs)
			}
		})
	}
}

// The element speaks the language of the page around it, also when that
// changes; the frame that of its address. Its attributes are looked at when it
// draws, and it draws as one types if it is to.
func TestWidgetAttributes(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.run(chromedp.Navigate(host(t, "", fmt.Sprintf(`<!doctype html><html lang="de-AT"><form><fieldset><wisp-generator required prompt=" " steps="2" seed="7" backend="simd"></wisp-generator></fieldset></form>
		<p lang="fr"><wisp-generator></wisp-generator></p><script type="module" src="%s/widget.js"></script>`, s.URL))))
	got := eval[string](p, `(async () => {
		await customElements.whenDefined("wisp-generator");
		const [widget, other] = document.querySelectorAll("wisp-generator");
		const part = (name) => widget.shadowRoot.querySelector("[part=" + name + "]");
		const said = () => [part("prompt").ariaLabel, part("button").textContent, widget.validationMessage, part("status").textContent].join("/");
		const all = [];
		await widget.generate().catch(() => {});
		all.push(said());
		widget.lang = "en";
		all.push(said(), other.shadowRoot.querySelector("button").textContent);

		const heard = [];
		for (const name of ["ready", "progress", "step", "image", "error"]) document.addEventListener("wisp-" + name, (e) => heard.push(name + ":" + Object.keys(e.detail).sort().join("+")));
		widget.setAttribute("backend", "cpu"); // which takes another generator
		widget.setAttribute("prompt", "red heart");
		const r = await widget.generate();
		widget.setAttribute("steps", "1");
		const q = await widget.generate({ seed: 8, guidance: 1 });
		all.push([r.backend, r.settings.steps, r.seed, q.settings.steps, q.seed, widget.value.name, widget.type, widget.form === document.querySelector("form")].join());
		all.push([...new Set(heard)].join(" "));

		widget.setAttribute("live", "");
		const image = new Promise((done) => widget.addEventListener("wisp-image", (e) => done(e.detail.result), { once: true }));
		for (const text of ["r", "ro", "rocket"]) {
			part("prompt").value = text;
			part("prompt").dispatchEvent(new Event("input"));
		}
		all.push((await image).settings.prompt);
		document.querySelector("fieldset").disabled = true;
		all.push(part("button").disabled);
		document.querySelector("fieldset").disabled = false;
		const cancelled = widget.generate({ steps: 500 }).catch((err) => err.code);
		setTimeout(() => widget.cancel(), 200);
		all.push(await cancelled, part("button").textContent);
		return all.join("\n");
	})()`)
	const want = `Beschreibe ein Bild/Malen/Male ein Bild./Es fehlen die Worte: sag, was du sehen möchtest.
Describe a picture/Draw/Draw a picture./Es fehlen die Worte: sag, was du sehen möchtest.
Draw
cpu,2,7,1,8,8.png,wisp-generator,true
progress:loaded+stage+total ready:backend+name step:preview+stage+step+steps image:blob+result
rocket
true
aborted
Draw`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	p.run(chromedp.Navigate(s.URL + "/embed.html?lang=de&prompt=red+heart&seed=3&steps=1&live"))
	p.until(`document.querySelector("wisp-generator")?.shadowRoot?.querySelector("button").textContent === "Malen"`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("wisp-generator").shadowRoot.querySelector("button").click()`))
	p.until(`document.querySelector("wisp-generator").value?.name === "3.png"`)
}

// Without allow-forms, as in the sandbox that the README names, the button draws
// and so does the Enter key.
func TestWidgetInSandbox(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.run(chromedp.Navigate(host(t, "sandbox allow-scripts", fmt.Sprintf(`<!doctype html><wisp-generator prompt="red heart" steps="1"></wisp-generator>
		<script type="module" src="%s/widget.js"></script>`, s.URL))))
	p.until(`customElements.get("wisp-generator") !== undefined`)
	p.run(chromedp.Evaluate[chromedp.Void](`{
		globalThis.drawn = [];
		globalThis.widget = document.querySelector("wisp-generator");
		widget.addEventListener("wisp-image", (e) => drawn.push(e.detail.result.settings.prompt));
		widget.shadowRoot.querySelector("button").click();
	}`))
	p.until(`drawn.join() === "red heart"`)
	p.run(chromedp.Evaluate[chromedp.Void](`widget.focus()`), chromedp.KeyEvent("\r"))
	p.until(`drawn.join() === "red heart,red heart"`)
}

// The module and the element can be loaded where there is no browser, as by a
// server that renders pages; drawing there is refused by its name.
func TestNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("node is missing: install it (Debian: apt-get install nodejs)")
	}
	files := t.TempDir()
	if err := site.Package(built, os.DirFS(*modelDir), files); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`
		await import(%q);
		const { createGenerator, capabilities, models, importModel, inspectModel, toPNG } = await import(%q);
		const image = { images: [{ width: 1, height: 1, data: new Uint8ClampedArray(4) }], seed: 0, parameters: "Seed: 0" };
		const said = [];
		for (const f of [createGenerator, capabilities, models, () => importModel([]), () => inspectModel([]), () => toPNG(image)]) {
			await f().catch((err) => said.push(err.code ?? String(err)));
		}
		console.log(said.join());`, filepath.Join(files, "widget.js"), filepath.Join(files, "wisp.js"))
	out, err := exec.Command(node, "--input-type=module", "-e", script).CombinedOutput()
	if got, want := strings.TrimSpace(string(out)), "unsupported,unsupported,unsupported,unsupported,unsupported,unsupported"; err != nil || got != want {
		t.Errorf("%v: %s, want %s", err, got, want)
	}
}

// embedder is a page that opens frames of wisp and keeps what they say.
const embedder = `<!doctype html><body><script>
	const heard = [];
	addEventListener("message", (e) => heard.push(e.data));
	// frame opens one and waits until it is loaded.
	async function frame(src, sandbox) {
		const f = document.createElement("iframe");
		if (sandbox) f.sandbox = sandbox;
		f.src = src;
		heard.length = 0;
		document.body.append(f);
		await new Promise((r) => f.onload = r);
		return f;
	}
	const ask = (f, id, request) => f.contentWindow.postMessage({ wisp: "generate", id, request }, "*");
	// until waits for a message that matches.
	async function until(test, patience = 60000) {
		for (const end = Date.now() + patience; Date.now() < end; await new Promise((r) => setTimeout(r, 20))) {
			const found = heard.find(test);
			if (found) return found;
		}
		return null;
	}
</script>`

// The frame answers the origin that its address names by the protocol of
// embed.js, with the browser's storage and without any.
func TestEmbed(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.run(chromedp.Navigate(host(t, "", embedder)))
	for _, c := range []struct {
		name, sandbox string
		kept          bool // whether a second frame finds the model
	}{{"with storage", "", true}, {"without storage", "allow-scripts", false}} {
		t.Run(c.name, func(t *testing.T) {
			for visit := range 2 {
				s.count()
				got := eval[string](p, fmt.Sprintf(`(async () => {
					const f = await frame(%q + encodeURIComponent(location.origin), %q);
					const hello = await until((m) => m.wisp === "hello");
					ask(f, "first", { prompt: "rocket", steps: 50 });
					await until((m) => m.wisp === "step" && m.id === "first");
					ask(f, 5, { prompt: "red heart", seed: 7, steps: 2, onStep: null, signal: "x" });
					const ended = await until((m) => m.wisp === "error");
					const image = await until((m) => m.wisp === "image");
					ask(f, { a: 1 }, { prompt: 7 });
					const bad = await until((m) => m.code === "bad-request");
					const ready = await until((m) => m.wisp === "ready");
					const progress = heard.filter((m) => m.wisp === "progress").every((m) => m.stage && m.total > 0);
					ask(f, "last", { prompt: "rocket", steps: 500 });
					await until((m) => m.wisp === "step" && m.id === "last");
					f.contentWindow.postMessage({ wisp: "cancel" }, "*");
					const cancelled = await until((m) => m.wisp === "error" && m.id === "last");
					f.remove();
					return [hello?.wisp, ended?.id, ended?.code, image?.id, image?.seed, image?.blob?.type, image?.settings?.prompt, bad?.id, bad?.message.includes("prompt"), ready?.backend !== "", image?.parameters.includes("Seed: 7"), progress, cancelled?.code].join(" ");
				})()`, s.URL+"/embed.html?origin=", c.sandbox))
				if want := "hello first aborted 5 7 image/png red heart  true true true true aborted"; got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				if size, _ := s.count(); (size == 0) != (visit == 1 && c.kept) {
					t.Errorf("visit %d fetched %d bytes of the model", visit+1, size)
				}
			}
		})
	}
}

// A frame does nothing for an origin that its address does not name, for a
// window that is not its parent, nor with a model of another site.
func TestHostileEmbedder(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.run(chromedp.Navigate(host(t, "", embedder)))
	sibling := host(t, "", `<!doctype html><script>
		for (let i = 0; i < 10; i++) setTimeout(() => parent.frames[0].postMessage({ wisp: "generate", id: 1, request: { prompt: "red heart" } }, "*"), 100 * i);
	</script>`)
	s.count()
	for _, c := range []struct{ name, query, sibling string }{
		{"foreign parent", "?origin=https://elsewhere.example", ""},
		{"no origin", "", ""},
		{"opaque origin", "?origin=null&origin=data:,&origin=*&origin=file:///", ""},
		{"foreign sibling", "?origin=SIBLING", sibling},
	} {
		n := eval[int](p, fmt.Sprintf(`(async () => {
			const f = await frame(%q), other = %q;
			for (const m of [{ wisp: "cancel" }, null, 7, "x", { wisp: "generate" }, { wisp: "generate", id: 1, request: { prompt: "red heart" } }]) f.contentWindow.postMessage(m, "*");
			const g = other && await frame(other);
			for (let i = 0; i < 20000; i++) f.contentWindow.postMessage({ wisp: "generate", id: i, request: { prompt: "red heart" } }, "*");
			await new Promise((r) => setTimeout(r, 1200));
			f.remove();
			if (g) g.remove();
			return heard.length;
		})()`, s.URL+"/embed.html"+strings.Replace(c.query, "SIBLING", sibling, 1), c.sibling))
		if n != 0 {
			t.Errorf("%s: the frame said %d things", c.name, n)
		}
		if size, requests := s.count(); size != 0 || strings.Contains(strings.Join(requests, " "), "wisp.wasm") {
			t.Errorf("%s: the frame began to draw: %v", c.name, requests)
		}
	}
	elsewhere := make(chan string, 100)
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { elsewhere <- r.URL.Path }))
	defer thief.Close()
	got := eval[string](p, fmt.Sprintf(`(async () => {
		const f = await frame(%q + encodeURIComponent(location.origin));
		await until((m) => m.wisp === "hello");
		ask(f, 1, { prompt: "<script>parent.hacked = 1</script>", model: %[2]q, steps: 1 });
		const image = await until((m) => m.wisp === "image" || m.wisp === "error");
		return [image.wisp, image.settings?.prompt, globalThis.hacked].join(" ");
	})()`, s.URL+"/embed.html?model="+thief.URL+"/&prompt=<img+src="+thief.URL+">&origin=", thief.URL))
	if want := "image <script>parent.hacked = 1</script> "; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if len(elsewhere) > 0 {
		t.Errorf("the frame asked another site for %s", <-elsewhere)
	}
}
