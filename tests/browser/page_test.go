//go:build browser

package browser_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"wisp/site"
)

// The essential path: a first visit downloads the model and draws; a second
// one downloads no byte of it and draws the same picture for the same seed.
func TestFirstAndSecondVisit(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	if shown := eval[[]string](p, `import("/wisp.js").then(({ version }) => [document.getElementById("version").textContent, version])`); shown[0] == "" || shown[0] != site.Version() || shown[1] != shown[0] {
		t.Errorf("the page's version is %q, the build's %q", shown, site.Version())
	}
	size, _ := s.count()
	if size < 1<<20 {
		t.Fatalf("the first visit fetched %d bytes of the model", size)
	}
	p.keepSeed("7")
	p.draw("red heart")
	first := eval[string](p, pictureText)
	if _, requests := s.count(); len(withoutUpdateCheck(requests)) != 0 {
		t.Errorf("drawing made requests: %v", requests)
	}
	p.open(s.URL)
	if size, _ := s.count(); size != 0 {
		t.Errorf("the second visit fetched %d bytes of the model", size)
	}
	p.keepSeed("7")
	p.draw("red heart")
	if second := eval[string](p, pictureText); second != first {
		t.Error("the same words and seed gave another picture")
	}
	for _, url := range p.requests() {
		if !strings.HasPrefix(url, s.URL) && !strings.HasPrefix(url, "blob:"+s.URL) {
			t.Errorf("a request to %s", url)
		}
	}
	checkPNG(t, first)
}

// withoutUpdateCheck leaves out what a browser asks by itself after a visit:
// whether there is a newer service worker.
func withoutUpdateCheck(requests []string) []string {
	return slices.DeleteFunc(requests, func(path string) bool { return path == "/sw.js" })
}

// pictureText is the picture's file in base64.
const pictureText = `(async () => {
	const bytes = new Uint8Array(await (await fetch(document.querySelector("#pictures img").src)).arrayBuffer());
	return btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
})()`

// checkPNG decodes the file, whose chunks Go verifies, and looks for the
// settings.
func checkPNG(t *testing.T, text string) {
	t.Helper()
	file, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if size := img.Bounds().Size(); size.X < 64 || size.Y < 64 {
		t.Errorf("the picture is %v", size)
	}
	for _, want := range []string{"tEXtparameters\x00red heart\nSteps: ", "Seed: 7,", ", Version: wisp " + site.Version()} {
		if !bytes.Contains(file, []byte(want)) {
			t.Errorf("the file does not hold %q", want)
		}
	}
}

// What a visitor may type, and what must come of it; the page goes on working.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	if code, text := p.refused("   "); code != "bad-request" || !strings.Contains(text, "say what to draw") {
		t.Errorf("an empty prompt: %s: %s", code, text)
	}
	p.draw(strings.TrimSpace(strings.Repeat("red heart ", 1000)))
	if notice := eval[string](p, `document.getElementById("notice").textContent`); !strings.Contains(notice, "longer than the model can read") {
		t.Errorf("a prompt of 10,000 characters: the notice is %q", notice)
	}
	p.keepSeed("a seed")
	if code, text := p.refused("red heart"); code != "bad-request" || !strings.Contains(text, "seed") {
		t.Errorf("a seed of letters: %s: %s", code, text)
	}
	p.keepSeed("1")
	p.draw("<img src=x onerror=alert(1)> \"red\" heart 😀")
	if alt := eval[string](p, `document.querySelector("#pictures img").alt`); !strings.HasPrefix(alt, "<img") {
		t.Errorf("markup in the prompt: alt is %q", alt)
	}
	if n := eval[int](p, `document.querySelectorAll("#pictures img").length`); n != 1 {
		t.Errorf("%d pictures on the easel, want 1", n)
	}
}

// Requests that the module must refuse, each with its code, and go on.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	_, err := p.call(`globalThis.g = await createGenerator(); return g.backend`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, request, field string }{
		{"width of 0", `{prompt: "a", width: 0}`, "width"},
		{"odd height", `{prompt: "a", height: 101}`, "height"},
		{"huge width", `{prompt: "a", width: 1e9}`, "width"},
		{"no steps", `{prompt: "a", steps: 0}`, "steps"},
		{"half a step", `{prompt: "a", steps: 2.5}`, "steps"},
		{"steps not a number", `{prompt: "a", steps: "many"}`, "steps"},
		{"guidance not finite", `{prompt: "a", guidance: NaN}`, "guidance"},
		{"negative seed", `{prompt: "a", seed: -1}`, "seed"},
		{"unknown sampler", `{prompt: "a", sampler: "magic"}`, "magic"},
		{"prompt not a string", `{prompt: 7}`, "prompt"},
		{"no prompt", `{}`, "prompt"},
		{"no pictures", `{prompt: "a", count: 0}`, "count"},
		{"an unknown field", `{prompt: "a", clip_skip: 2}`, "clip_skip"},
		{"unknown manner", `{prompt: "a", busy: "now"}`, "busy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := p.call(`return (await g.generate(` + c.request + `)).seed`)
			if err == nil || !strings.HasPrefix(err.Error(), "bad-request: ") || !strings.Contains(err.Error(), c.field) {
				t.Errorf("got %v, want a bad-request that names %q", err, c.field)
			}
		})
	}
	if _, err := p.call(`return (await g.generate({prompt: "a", steps: 1})).seed`); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A model that is missing, damaged or foreign gives a typed error, and the
// page draws once the model is well again.
func TestBadModel(t *testing.T) {
	t.Parallel()
	chunk := smallestChunk(t)
	whole, err := os.ReadFile(filepath.Join(*modelDir, chunk))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 4
	for _, c := range []struct {
		name, file string
		status     int
		body       []byte
		code, text string
	}{
		{"missing chunk", chunk, 404, nil, "network", "404"},
		{"truncated chunk", chunk, 200, whole[:len(whole)/2], "corrupt", "damaged"},
		{"flipped bit", chunk, 200, flipped, "corrupt", "damaged"},
		{"missing manifest", "manifest.json", 404, nil, "network", "404"},
		{"unknown version", "manifest.json", 200, []byte(`{"format":"wisp","version":99}`), "bad-model", "version 99"},
		{"not a manifest", "manifest.json", 200, []byte(`<!doctype html>`), "network", "manifest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, p := serve(t), newTab(t)
			s.set(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/"+c.file) {
					return false
				}
				w.WriteHeader(c.status)
				w.Write(c.body)
				return true
			})
			p.run(chromedp.Navigate(s.URL))
			if code, text := p.failed(); code != c.code || !strings.Contains(text, c.text) {
				t.Errorf("the page says %s: %s; want %s with %q", code, text, c.code, c.text)
			}
			s.set(nil)
			p.draw("red heart")
		})
	}
}

// smallestChunk is the name of the model's smallest chunk.
func smallestChunk(t *testing.T) string {
	t.Helper()
	var manifest struct {
		Chunks []struct {
			SHA256 string
			Stored int64
		}
	}
	text, err := os.ReadFile(filepath.Join(*modelDir, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(text, &manifest)
	}
	if err != nil || len(manifest.Chunks) == 0 {
		t.Fatalf("%d chunks: %v", len(manifest.Chunks), err)
	}
	best := manifest.Chunks[0]
	for _, c := range manifest.Chunks {
		if c.Stored < best.Stored {
			best = c
		}
	}
	return best.SHA256 + ".bin"
}

// What went wrong is called by its name: a server that answers is reached, one
// of another site may not allow this one, and a cancelled picture is cancelled.
func TestErrorsAreNamed(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	closed := httptest.NewServer(http.FileServer(http.Dir(*modelDir))) // without Access-Control-Allow-Origin
	defer closed.Close()
	p.run(chromedp.Navigate(host(t, "", "<!doctype html>"))) // whose policy lets it ask anybody
	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/refused/") {
			return false
		}
		w.Header().Set("Access-Control-Allow-Origin", "*")
		http.Error(w, "no", http.StatusForbidden)
		return true
	})
	for _, c := range []struct{ model, code, says string }{
		{s.URL + "/gone/", "network", "the server does not have this model"},
		{s.URL + "/refused/", "network", "the model's server answers with an error"},
		{closed.URL + "/", "network", "Access-Control-Allow-Origin"},
	} {
		began := time.Now()
		got := eval[string](p, fmt.Sprintf(`(async () => {
			const { createGenerator } = await import("%s/wisp.js");
			const { code, message } = await createGenerator({ model: %q, backend: "cpu" }).catch((err) => err);
			return code + " " + message;
		})()`, s.URL, c.model))
		if !strings.HasPrefix(got, c.code+" ") || !strings.Contains(got, c.says) || strings.Contains(got, "could not be downloaded: check") {
			t.Errorf("%s: %s", c.model, got)
		}
		t.Logf("%s after %v", c.says, time.Since(began))
	}
	if got := eval[string](p, fmt.Sprintf(`(async () => {
		const { createGenerator } = await import("%s/wisp.js");
		const generator = await createGenerator({ backend: "simd" });
		const stop = new AbortController();
		const { code, message } = await generator.generate({ prompt: "a", steps: 500, signal: stop.signal, onStep: () => stop.abort() }).catch((err) => err);
		const other = await generator.generate({ prompt: "a", sampler: "magic", schedule: "trailing" }).catch((err) => err);
		return [code, message, other.message.includes("schedule")].join();
	})()`, s.URL)); got != "aborted,the request was cancelled,false" {
		t.Errorf("a cancelled picture, another sampler: %s", got)
	}
}

// While the engine loads and draws, the page's own thread stays free. A worker
// that does nothing but keep time is the control: on a busy machine it stands
// still, too, and the page is judged by how much longer it does. A page that
// freezes does so on every visit.
func TestPageNeverFreezes(t *testing.T) {
	s, p := serve(t), newTab(t)
	var longest, control []float64
	for range 5 {
		p.run(chromedp.Navigate(s.URL))
		p.run(chromedp.Evaluate[chromedp.Void](`{
			function watch() {
				let last = performance.now();
				globalThis.longest = 0;
				globalThis.tick = () => {
					const now = performance.now();
					globalThis.longest = Math.max(globalThis.longest, now - last);
					last = now;
				};
				const channel = new MessageChannel();
				channel.port1.onmessage = () => {
					tick();
					setTimeout(() => channel.port2.postMessage(0), 1);
				};
				channel.port2.postMessage(0);
			}
			watch();
			const script = watch + "; watch(); onmessage = () => { tick(); postMessage(longest); };";
			globalThis.control = new Worker(URL.createObjectURL(new Blob([script])));
		}`))
		p.until(`document.documentElement.dataset.state === "ready"`)
		p.draw("rocket")
		longest = append(longest, eval[float64](p, `longest`))
		control = append(control, eval[float64](p, `new Promise((done) => { control.onmessage = (e) => done(e.data); control.postMessage(0); })`))
		if longest[len(longest)-1] <= 100+control[len(control)-1] {
			t.Logf("the page stood still for %.0f ms, the control for %.0f ms", longest, control)
			return
		}
	}
	t.Errorf("on each visit the page stood still, for %.0f ms; the control for %.0f ms", longest, control)
}

// A cancelled request ends within 200 ms, on the best of a few attempts, since
// the machine may be busy.
func TestCancelIsPrompt(t *testing.T) {
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	result, err := p.call(`
		const g = await createGenerator();
		const waits = [];
		for (let i = 0; i < 5; i++) {
			const stop = new AbortController();
			let from = 0;
			const onStep = ({ step }) => {
				if (step === 2 && from === 0) setTimeout(() => { from = performance.now(); stop.abort(); }, 10);
			};
			const code = await g.generate({ prompt: "rocket", steps: 500, signal: stop.signal, onStep }).then(() => "finished", (err) => err.code);
			if (code !== "aborted") throw new Error(code);
			waits.push(performance.now() - from);
		}
		g.dispose();
		return Math.min(...waits);
	`)
	if err != nil {
		t.Fatal(err)
	}
	if ms, err := strconv.ParseFloat(string(result), 64); err != nil || ms > 200 {
		t.Errorf("cancelling took %s ms", result)
	}
}

// Cancelling ends the picture at once, while the model loads and while it
// draws, and the next one is drawn.
func TestCancel(t *testing.T) {
	s, p := serve(t), newTab(t)
	held := make(chan struct{})
	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ".bin") {
			<-held
		}
		return false
	})
	p.run(chromedp.Navigate(s.URL))
	p.fill("prompt", "red heart")
	p.run(chromedp.Click("#go"))
	p.until(`document.getElementById("go").textContent === "Cancel"`)
	p.run(chromedp.Click("#go"))
	p.until(`document.getElementById("go").textContent === "Generate"`)
	close(held)
	p.until(`document.documentElement.dataset.state === "ready"`)

	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("steps").max = 500`))
	p.fill("steps", "500")
	p.fill("prompt", "red heart")
	p.run(chromedp.Click("#go"))
	p.until(`/Step [2-9]/.test(document.getElementById("doing").textContent)`)
	p.run(chromedp.KeyEvent("\u001b"))
	p.until(`document.getElementById("go").textContent === "Generate"`)
	p.fill("steps", "2")
	p.draw("red heart")
}

// At whichever stage a request is cancelled, it ends as such and the next one
// is drawn.
func TestCancelAtEachStage(t *testing.T) {
	s, p := serve(t), newTab(t)
	p.run(chromedp.Navigate(s.URL + "/wisp.d.ts")) // a page of the origin that loads nothing
	result, err := p.call(`
		const outcomes = [];
		const outcome = (promise) => promise.then(() => "finished", (err) => err.code);
		for (const stage of ["download", "load", "compile"]) {
			const stop = new AbortController();
			let seen = false;
			const onProgress = (p) => { if (p.stage === stage) { seen = true; stop.abort(); } };
			const end = await outcome(createGenerator({ signal: stop.signal, onProgress }));
			outcomes.push(stage, seen, end);
		}
		const g = await createGenerator();
		for (const stage of ["text", "denoise", "decode"]) {
			const stop = new AbortController();
			const onStep = (s) => { if (s.stage === stage) stop.abort(); };
			outcomes.push(stage, await outcome(g.generate({ prompt: "rocket", steps: 2, width: 256, height: 256, count: 4, signal: stop.signal, onStep })));
		}
		outcomes.push((await g.generate({ prompt: "rocket", steps: 1, seed: 3 })).seed);
		g.dispose();
		return outcomes;
	`)
	const want = `["download",true,"aborted","load",true,"aborted","compile",true,"aborted","text","aborted","denoise","aborted","decode","aborted",3]`
	if err != nil || string(result) != want {
		t.Errorf("got %s, %v; want %s", result, err, want)
	}
}

// The module's ways with a request while another is under way.
func TestBusy(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	result, err := p.call(`
		const g = await createGenerator();
		const outcome = (promise) => promise.then((r) => r.seed, (err) => err.code);
		const draw = (seed, more) => outcome(g.generate({ prompt: "a", steps: 3, seed, ...more }));
		const stop = new AbortController();
		const queued = await Promise.all([draw(1), draw(2), draw(3, { busy: "reject" })]);
		const aborted = await Promise.all([draw(4), draw(5), draw(6, { busy: "abort" })]);
		const signalled = draw(7, { signal: stop.signal, onStep: () => stop.abort() });
		const signalledOutcome = await signalled;
		const waiting = draw(8, { steps: 500 });
		setTimeout(() => g.dispose(), 50);
		return [...queued, ...aborted, signalledOutcome, await waiting, await draw(9)];
	`)
	const want = `[1,2,"bad-request","aborted","aborted",6,"aborted","aborted","aborted"]`
	if err != nil || string(result) != want {
		t.Errorf("got %s, %v; want %s", result, err, want)
	}
}

// capabilities answers before any weights are downloaded, and knows what an
// earlier visit left.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.run(chromedp.Navigate(s.URL + "/wisp.d.ts")) // a page of the origin that loads nothing
	var c struct {
		Runs                                  bool
		Backend                               string
		Threads                               int
		DownloadBytes, CachedBytes, PeakBytes int64
	}
	ask := func() {
		result, err := p.call(`return await capabilities()`)
		if err == nil {
			err = json.Unmarshal(result, &c)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ask()
	if !c.Runs || c.Backend == "" || c.Threads < 1 || c.DownloadBytes < 1<<20 || c.CachedBytes != 0 || c.PeakBytes < c.DownloadBytes {
		t.Errorf("before: %+v", c)
	}
	if size, _ := s.count(); size != 0 {
		t.Errorf("asking fetched %d bytes of the model", size)
	}
	total := c.DownloadBytes
	if _, err := p.call(`(await createGenerator()).dispose()`); err != nil {
		t.Fatal(err)
	}
	if size, _ := s.count(); size != total {
		t.Errorf("loading fetched %d bytes, capabilities said %d", size, total)
	}
	if ask(); c.DownloadBytes != 0 || c.CachedBytes != total {
		t.Errorf("after: %+v, want %d bytes cached", c, total)
	}
	if _, err := p.call(`await createGenerator({ backend: "magic" })`); err == nil || !strings.HasPrefix(err.Error(), "bad-request: ") {
		t.Errorf("an unknown backend: %v", err)
	}
}

// The screenshots of the README, of every sight that a visitor has; kept only
// with -update.
func TestScreenshots(t *testing.T) {
	dir := t.TempDir()
	if *update {
		dir = "shots"
	}
	shoot := func(p *tab, name string) { p.screenshot(filepath.Join(dir, name+".webp")) }
	s, p := serve(t), newTab(t)
	p.look(1200, 800, 1, false, "light")
	p.open(s.URL)
	for i, prompt := range []string{"house", "cat face", "pizza", "tree", "crying face", "rocket", "rainbow", "red heart"} {
		p.keepSeed(strconv.Itoa(i + 1))
		p.draw(prompt)
	}
	p.until(`document.querySelectorAll("#past li").length === 8`)
	shoot(p, "light")
	p.look(1200, 800, 1, false, "dark")
	shoot(p, "dark")
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("settings").open = true`))
	p.look(1200, 1000, 1, false, "light")
	shoot(p, "advanced")
	p.run(chromedp.Evaluate[chromedp.Void](`{
		document.getElementById("settings").open = false;
		for (const star of [...document.querySelectorAll("#past .star")].slice(0, 2)) star.click();
	}`))
	p.until(`document.querySelectorAll('#past .star[aria-pressed="true"]').length === 2`)
	p.look(1200, 480, 1, false, "light")
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("history").scrollIntoView()`))
	shoot(p, "history")
	p.run(chromedp.Evaluate[chromedp.Void](`scrollTo(0, 0)`))
	p.look(390, 844, 2, true, "light")
	shoot(p, "phone")
	if width := eval[int](p, `document.documentElement.scrollWidth`); width != 390 {
		t.Errorf("on a phone of 390 pixels the page is %d wide", width)
	}
	if !eval[bool](p, `document.getElementById("easel").getBoundingClientRect().bottom < document.getElementById("settings").getBoundingClientRect().top`) {
		t.Error("on a phone the picture does not stand above the settings")
	}
	p.look(1200, 480, 1, false, "light")
	p.refused("")
	shoot(p, "error")
	p.look(1200, 640, 1, false, "light")
	model := filepath.Join(t.TempDir(), "watercolours")
	if err := os.Rename(syntheticModel(t, 96), model); err != nil {
		t.Fatal(err)
	}
	p.drag(model)
	p.eventually(`document.getElementById("import").open && !document.getElementById("import-go").hidden`)
	shoot(p, "import")
}

// The module's promises, clause by clause: what wisp.d.ts names is there, with
// its type, and what goes wrong is a WispError.
func TestPromises(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.run(chromedp.Navigate(s.URL + "/wisp.d.ts")) // a page of the origin that loads nothing
	result, err := p.call(`
		const wrong = [];
		const kinds = (what, object, fields) => {
			for (const [name, kind] of Object.entries(fields)) {
				const value = object?.[name];
				const is = Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
				if (!kind.split("|").includes(is)) wrong.push(what + "." + name + " is " + is);
			}
		};
		const code = async (name, f, want) => {
			const got = await Promise.resolve().then(f).then(() => "nothing", (err) => (err instanceof WispError ? err.code : String(err)));
			if (got !== want) wrong.push(name + ": " + got + ", want " + want);
		};
		const { models, removeModel, parametersOf } = await import("/wisp.js");
		kinds("capabilities", await capabilities(), { runs: "boolean", backend: "string", threads: "number", reason: "string", downloadBytes: "number", cachedBytes: "number", peakBytes: "number", flops: "number", flopsPerSecond: "number" });
		const told = [], steps = [];
		const g = await createGenerator({ model: null, backend: "simd", threads: 1, onProgress: (e) => told.push(e), onWarning: () => {} });
		for (const e of told) kinds("progress", e, { stage: "string", loaded: "number", total: "number" });
		for (const stage of ["download", "load", "compile"]) {
			const of = told.filter((e) => e.stage === stage);
			if (of.length === 0 || of.at(-1).loaded !== of.at(-1).total) wrong.push("progress of " + stage + " ends at " + JSON.stringify(of.at(-1)));
		}
		kinds("generator", g, { id: "string", name: "string", licence: "string", card: "string", backend: "string", device: "string", defaults: "object", samplers: "array", schedules: "array", settings: "object", fields: "object", generate: "function", dispose: "function" });
		kinds("defaults", g.defaults, { steps: "number", guidance: "number", schedule: "string", width: "number", height: "number" });
		kinds("fields", g.fields, { prompt: "boolean", negativePrompt: "boolean", secondPrompt: "boolean", weights: "boolean", guidance: "boolean", clipSkip: "number", classes: "number", multiple: "number", largest: "number" });
		for (const x of [...g.samplers, ...g.schedules]) kinds("sampler", x, { name: "string", label: "string" });
		const r = await g.generate({ prompt: "red heart", negativePrompt: "", steps: 2, count: 2, previews: true, schedule: "karras", onStep: (e) => steps.push(e) });
		kinds("result", r, { images: "array", seed: "number", backend: "string", device: "string", warnings: "array", profile: "array", truncated: "boolean", timings: "object", parameters: "string", settings: "object" });
		kinds("timings", r.timings, { text: "number", denoise: "number", decode: "number", total: "number" });
		kinds("settings", r.settings, { prompt: "string", negativePrompt: "string", seed: "number", steps: "number", guidance: "number", sampler: "string", schedule: "string", width: "number", height: "number", count: "number" });
		if (!r.images.every((i) => i instanceof ImageData)) wrong.push("images are not ImageData");
		if (steps.map((e) => e.stage).filter((x, i, all) => x !== all[i - 1]).join() !== "text,denoise,decode") wrong.push("stages: " + steps.map((e) => e.stage));
		if (!steps.some((e) => e.preview instanceof ImageData)) wrong.push("no preview");
		const last = steps.filter((e) => e.stage === "denoise").at(-1);
		if (last.step !== 4 || last.steps !== 4) wrong.push("the last step is " + last.step + " of " + last.steps);
		const png = await toPNG(r, 1);
		if (!(png instanceof Blob) || png.type !== "image/png" || !parametersOf(r, 1).includes("Schedule type: Karras, ") || !parametersOf(r, 1).includes("Seed: " + (r.seed + 1))) wrong.push("toPNG: " + parametersOf(r, 1));
		const [kept] = await models();
		kinds("models", kept, { id: "string", name: "string", licence: "string", location: "string", opened: "number", bytes: "number", cachedBytes: "number", sharedBytes: "number" });
		if (kept.id !== g.id) wrong.push("the model is kept as " + kept.id);
		await code("no such picture", () => toPNG(r, 2), "bad-request");
		await code("a function for a prompt", () => g.generate({ prompt: () => {} }), "bad-request");
		await code("a signal that was given", () => g.generate({ prompt: "a", signal: AbortSignal.abort() }), "aborted");
		await code("a signal before loading", () => createGenerator({ signal: AbortSignal.abort() }), "aborted");
		await code("a number for a model", () => createGenerator({ model: 7 }), "bad-model");
		await code("no URL for a model", () => capabilities("http://["), "bad-model");
		await code("no files for a model", () => createGenerator({ model: [] }), "bad-model");
		await code("a page for a model", () => createGenerator({ model: "/index.html#" }), "network");
		await code("an unknown way", () => createGenerator({ busy: "maybe" }), "bad-request");
		await code("threads that are none", () => createGenerator({ threads: "two" }), "bad-request");
		const again = await g.generate({ ...r.settings, count: 1 });
		if (again.images[0].data.join() !== r.images[0].data.join()) wrong.push("the settings of a result gave another picture");
		await removeModel(kept.id);
		if ((await models()).length !== 0) wrong.push("the model is still kept");
		await g.generate({ prompt: "a", steps: 1 }); // the one in memory draws
		g.dispose();
		g.dispose();
		await code("a generator that is gone", () => g.generate({ prompt: "a" }), "aborted");
		return wrong;
	`)
	if err != nil || string(result) != "[]" {
		t.Errorf("%s, %v", result, err)
	}
}

// A visitor who cannot decide: Generate and Cancel two hundred times, another
// backend and size and the model's deletion in mid-picture, text of every kind.
// What was asked for last is drawn, and nothing is thrown.
func TestChangesOfMind(t *testing.T) {
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.fill("steps", "4")
	p.fill("prompt", "rocket")
	eval[bool](p, `(async () => {
		for (let i = 0; i < 200; i++) {
			document.getElementById("go").click();
			await new Promise((r) => setTimeout(r, i % 7));
		}
		return true;
	})()`)
	p.until(`document.getElementById("go").textContent === "Generate" && !document.getElementById("frame").classList.contains("busy")`)
	p.draw("red heart")
	p.until(`document.querySelector("#pictures img").alt === "red heart"`)

	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("steps").max = 500`))
	long := func() {
		p.fill("steps", "500")
		p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("go").click()`))
		p.until(`/Step [1-9]/.test(document.getElementById("doing").textContent)`)
	}
	choose := func(id, value string) {
		p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`{
			const select = document.getElementById(%q);
			select.value = %q;
			for (const type of ["input", "change"]) select.dispatchEvent(new Event(type, { bubbles: true }));
		}`, id, value)))
	}
	long()
	for _, backend := range []string{"cpu", "simd", "auto", "simd"} { // each before the one before is there
		choose("backend", backend)
	}
	p.fill("steps", "2")
	p.until(`document.documentElement.dataset.state === "ready" && document.getElementById("model").textContent.includes("SIMD")`)
	p.draw("rocket")
	long()
	choose("width", "192")
	p.fill("steps", "2")
	p.until(`document.getElementById("facts").textContent.startsWith("192 × 128")`)
	long()
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("open-models").click()`))
	p.until(`document.querySelectorAll("#kept li").length === 1`)
	p.run(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("#kept button")].at(-1).click()`))
	p.until(`document.getElementById("verdict").textContent.startsWith("The model is deleted")`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("models").close(); document.getElementById("go").click()`))
	p.fill("steps", "1")
	for _, text := range []string{strings.Repeat("a red heart, ", 8000), "🇫🇷🇯🇵🏴󠁧󠁢󠁥󠁮󠁧󠁿 🈚", "قلب أحمر על לב אדום", "red\x00heart\u202e\u2066\ufeff", "\ud7ff\ue000\ufffd" + "𝕳", "\n\n\t heart \r\n", `"\'<!--</script>$1$&`} {
		before := eval[int](p, `Number(document.documentElement.dataset.pictures)`)
		p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.getElementById("prompt").value = %s; document.getElementById("go").click()`, quoted(text))))
		p.until(fmt.Sprintf(`Number(document.documentElement.dataset.pictures) > %d && document.getElementById("go").textContent === "Generate"`, before))
		got := eval[bool](p, fmt.Sprintf(`(async () => {
			const { readTexts } = await import("/png.js");
			const { parametersText } = await import("/compat.js");
			const texts = await readTexts(new Uint8Array(await (await fetch(document.querySelector("#pictures img").src)).arrayBuffer()));
			return parametersText(texts.get("parameters")).settings.prompt === %s.replaceAll("\0", "").trim();
		})()`, quoted(text)))
		if !got {
			t.Errorf("the picture of %.20q has another prompt", text)
		}
	}
	for _, line := range p.console() {
		if strings.HasPrefix(line, "exception") || strings.HasPrefix(line, "error") {
			t.Error(line)
		}
	}
}

// quoted is a text as a JavaScript literal.
func quoted(text string) string {
	b, _ := json.Marshal(text) // of a string
	return string(b)
}
