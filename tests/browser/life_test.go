//go:build browser

package browser_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wisp/site"
	"wisp/tests/browser"
)

// drive runs the body of an async function in both browsers, each with a fresh
// profile, beside the functions of testdata/drive.html. told is called with
// what the script tells; nil where it tells nothing.
func drive(t *testing.T, told func(s *server, what string), script string) {
	for _, name := range []string{"chromium", "firefox"} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			driveOne(t, s, browser.Options{Name: name}, func(what string) { told(s, what) }, script)
		})
	}
}

// driveOne runs a script in one browser.
func driveOne(t *testing.T, s *server, o browser.Options, told func(what string), script string) {
	t.Helper()
	result, at := driven(s, told, script)
	o.URL = s.URL + "/test/drive.html"
	b, err := browser.Launch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	select {
	case text := <-result:
		if text != "" {
			t.Error(text)
		}
	case <-b.Exited():
		t.Fatal(o.Name, "ended:", b.Err())
	case <-time.After(6 * time.Minute):
		_, asked := s.count()
		t.Fatalf("no result after %v; the last requests are %q", at.Load(), asked[max(0, len(asked)-20):])
	}
}

// driven adds the page that a script drives to a server. The script's result
// arrives once; at holds what it waits for.
func driven(s *server, told func(what string), script string) (result chan string, at *atomic.Value) {
	result, at = make(chan string, 1), &atomic.Value{}
	mux := http.NewServeMux()
	mux.Handle("GET /test/", http.StripPrefix("/test/", isolated(http.FileServer(http.Dir("testdata")))))
	mux.HandleFunc("GET /test/script.js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		fmt.Fprintf(w, `(async () => { %s })().then((text) => text ?? "", (err) => "failed: " + err + "\n" + err?.stack).then((body) => fetch("/test/result", { method: "POST", body }));`, script)
	})
	mux.HandleFunc("GET /test/module.js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		io.WriteString(w, `import * as wisp from "/wisp.js"; globalThis.wisp = wisp;`)
	})
	post := func(path string, f func(body string)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				body = []byte("failed: " + err.Error())
			}
			f(string(body))
		})
	}
	post("/test/tell", func(body string) { told(body) })
	post("/test/result", func(body string) { result <- body })
	post("/test/at", func(body string) { at.Store(body) })
	s.extra = mux
	return result, at
}

// A page that was not reloaded since its first visit takes an update, or
// another tab does: it reloads, and goes on with another backend. What other
// sites are asked for is counted, however much of our own follows.
func TestUpdateOnFirstVisit(t *testing.T) {
	t.Parallel()
	next := nextBuild(t)
	drive(t, func(s *server, _ string) {
		s.set(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/test/") {
				return false
			}
			next.ServeHTTP(w, r)
			return true
		})
	}, `
		const build = async () => (getComputedStyle(root()).getPropertyValue("--build") || "1") + (/const build = (\d)/.exec(await (await inside().fetch("/ui.js")).text())?.[1] ?? 1);
		await open();
		await until("a service worker", () => inside().navigator.serviceWorker.controller);
		check("before", await build(), "11");
		await tell("next");
		const registration = await inside().navigator.serviceWorker.getRegistration();
		await registration.update();
		await until("an offer", () => !$("update").hidden);
		inside().old = true;
		$("reload").click();
		await until("a reload", () => inside().old === undefined && root()?.dataset.state === "ready");
		check("after", await build(), "22");
		check("the offer stays", $("update").hidden, true);
		$("backend").value = "cpu";
		$("backend").dispatchEvent(new (inside().Event)("change"));
		await until("another backend", () => $("model").textContent.includes("reference"));
		for (let i = 0; i < 60; i++) await inside().fetch(i < 3 ? "http://127.0.0.1:1/" : "none").catch(() => {});
		await visit("/privacy.html");
		await until("the counter", () => Number($("elsewhere").textContent) >= 0 && !$("counter").hidden);
		check("requests elsewhere", $("elsewhere").textContent, "0"); // the policy stops them before
		if (Number($("network").textContent) < 57) throw new Error("requests to our own site: " + $("network").textContent);
	`)
}

// The host changes to the next build between a first visit's page and its
// service worker: the page, whose files are gone, is loaded anew.
func TestHostChangesMeanwhile(t *testing.T) {
	t.Parallel()
	next := nextBuild(t)
	for _, name := range []string{"chromium", "firefox"} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			var changed atomic.Bool
			s.set(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/sw.js" {
					changed.Store(true)
				}
				if !changed.Load() || strings.HasPrefix(r.URL.Path, "/test/") {
					return false
				}
				next.ServeHTTP(w, r)
				return true
			})
			driveOne(t, s, browser.Options{Name: name}, nil, `
				await open();
				await until("the next build", () => inside().getComputedStyle(root()).getPropertyValue("--build").trim() === "2" && root().dataset.state === "ready");
				await draw("red heart");
			`)
		})
	}
}

// The history's database is deleted by another tab, raised by a newer page,
// refuses for want of room and takes pictures again: none is lost, and the
// visitor is told where one is in memory only.
func TestHistoryComesBack(t *testing.T) {
	t.Parallel()
	drive(t, nil, `
		const count = () => frame.contentDocument.querySelectorAll("#past li").length;
		const request = (r) => new Promise((done, fail) => { r.onsuccess = () => done(r.result); r.onerror = () => fail(r.error); });
		const kept = async () => {
			const db = await request(indexedDB.open("wisp-history"));
			const n = await request(db.transaction("pictures").objectStore("pictures").count());
			db.close();
			return n;
		};
		await open();
		await draw("red heart");
		await until("one", () => count() === 1);
		await request(indexedDB.deleteDatabase("wisp-history"));
		await draw("rocket");
		await until("the one after the deletion", async () => await kept() === 1 && count() === 1);
		(await request(indexedDB.open("wisp-history", 7))).close();
		await draw("house");
		await until("two, in a raised database", async () => await kept() === 2 && count() === 2);

		const { put } = inside().IDBObjectStore.prototype;
		inside().IDBObjectStore.prototype.put = () => { throw new (inside().DOMException)("full", "QuotaExceededError"); };
		await draw("tree");
		await until("a word", () => $("notice").textContent.startsWith("This browser takes no pictures now") && !$("told").hidden);
		await draw("pizza");
		await until("four", () => count() === 4);
		frame.contentDocument.querySelector("#star").click(); // of one that is in memory
		await until("a favourite in memory", () => frame.contentDocument.querySelectorAll('#past .star[aria-pressed="true"]').length === 1);
		check("kept while there is no room", await kept(), 2);
		inside().IDBObjectStore.prototype.put = put;
		await draw("house");
		await until("all", async () => await kept() === 5 && count() === 5);
		$("star").click();
		await until("two favourites", () => frame.contentDocument.querySelectorAll('#past .star[aria-pressed="true"]').length === 2);
		check("an error", $("error").hidden, true);

		// Another tab holds the database and does not go on.
		const db = await request(indexedDB.open("wisp-history"));
		const held = db.transaction("pictures", "readwrite").objectStore("pictures");
		let holding = true;
		(function hold() { if (holding) held.get(1).onsuccess = hold; })();
		await draw("cat face");
		await until("a word about the database", () => $("notice").textContent.startsWith("This browser takes no pictures now") && !$("told").hidden);
		holding = false;
		await draw("crying face");
		await until("seven", async () => await kept() === 7);
	`)
}

// Where all cookies are blocked, the page draws.
func TestFirefoxWithoutCookies(t *testing.T) {
	t.Parallel()
	profile := t.TempDir()
	if err := os.WriteFile(filepath.Join(profile, "prefs.js"), []byte("user_pref(\"network.cookie.cookieBehavior\", 2);\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	driveOne(t, serve(t), browser.Options{Name: "firefox", Profile: profile}, nil, `
		await open();
		await draw("red heart");
		await until("one", () => frame.contentDocument.querySelectorAll("#past li").length === 1);
	`)
}

// Each of the engine's files fails once, in each way: the page is ready all the
// same. Where one stays away, the error is one of the network.
func TestOwnFilesFail(t *testing.T) {
	ways := map[string]func(w http.ResponseWriter, r *http.Request){
		"stalled": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100000")
			io.WriteString(w, "\x00asm")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"dropped": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"replaced by a page": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<!doctype html>Sign in")
		},
		"busy": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		},
	}
	for way, fail := range ways {
		t.Run(way, func(t *testing.T) {
			files := []string{"/wisp.wasm", "/worker.js", "/replay.js"}
			if way == "stalled" {
				files = files[:2] // each takes ten seconds
			}
			for _, name := range []string{"chromium", "firefox"} {
				s := serve(t)
				var failed [3]atomic.Bool
				s.set(func(w http.ResponseWriter, r *http.Request) bool {
					for i, file := range files {
						if r.URL.Path == file && failed[i].CompareAndSwap(false, true) {
							fail(w, r)
							return true
						}
					}
					return false
				})
				driveOne(t, s, browser.Options{Name: name}, nil, `
					await open();
					await draw("red heart");
				`)
			}
		})
	}
}

// A file of the engine that is gone, and one that is always a web page.
func TestOwnFilesAreGone(t *testing.T) {
	for file, c := range map[string]struct {
		answer     http.HandlerFunc
		code, text string
	}{
		"/wisp.wasm": {http.NotFound, "network", "A file of wisp is gone from its server"},
		"/worker.js": {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<!doctype html>Sign in") }, "corrupt", "The engine could not be loaded"},
	} {
		for _, name := range []string{"chromium", "firefox"} {
			s := serve(t)
			once(s, file, 1000, c.answer)
			driveOne(t, s, browser.Options{Name: name}, func(string) { s.set(nil) }, fmt.Sprintf(`
				visit();
				const [code, text] = await error();
				check("the code", code, %q);
				if (!text.startsWith(%q)) throw new Error(text);
				await tell("well");
				await draw("red heart");
			`, c.code, c.text))
		}
	}
}

// What dies comes back: the worker ends by itself, in mid-picture and idle,
// and stands still; the picture is drawn again by itself, the next one is the
// same to the last bit, and no worker is left over.
func TestEngineDies(t *testing.T) {
	drive(t, nil, `
		await visit("/wisp.d.ts"); // a page of the origin that loads nothing
		const workers = [];
		const Own = inside().Worker;
		// A worker of the page can be told to end or to stand still.
		inside().Worker = class extends Own {
			constructor(address) {
				const script = [
					"addEventListener('message', (e) => { if (e.data.test) e.stopImmediatePropagation(); if (e.data.test === 'end') close(); if (e.data.test === 'stand') for (;;); });",
					"importScripts(" + JSON.stringify(String(address)) + ");",
				].join("");
				super(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
				this.alive = true;
				workers.push(this);
			}
			terminate() { this.alive = false; super.terminate(); }
		};
		const live = () => workers.filter((w) => w.alive);
		const { createGenerator, models, capabilities } = await imported();
		const code = (promise) => promise.then((r) => "drawn", (err) => err.code);

		await Promise.all([...Array(20)].flatMap(() => [models(), capabilities()]));
		check("engines of 40 questions", workers.length, 1);

		const request = { prompt: "red heart", seed: 7, steps: 2 };
		const twenty = await Promise.all([...Array(20)].map(() => createGenerator({ backend: "simd", threads: 1 })));
		check("engines of twenty generators", workers.length, 1);
		const draw = async (g) => (await g.generate(request)).images[0].data.join();
		const want = await draw(twenty[0]);
		const all = await Promise.all(twenty.map(draw));
		check("pictures of all", new Set([want, ...all]).size, 1);

		const [g, other] = twenty;
		const long = { ...request, steps: 40 };
		const whole = (await g.generate(long)).images[0].data.join();
		const begun = (start) => new Promise((step) => start(({ stage, step: n }) => { if (stage === "denoise" && n > 2) step(); }));
		let mine, waits;
		await begun((onStep) => { mine = g.generate({ ...long, onStep }); waits = draw(other); });
		live().at(-1).postMessage({ test: "end" });
		check("a picture whose worker ended", (await mine).images[0].data.join(), whole);
		check("the picture that waited", await waits, want);
		check("workers", live().length, 1);

		let ends = 0;
		mine = code(g.generate({ ...request, steps: 500, onStep: ({ step }) => { if (step === 2) ends++, live().at(-1).postMessage({ test: "end" }); } }));
		check("one whose worker ends each time", await mine, "internal");
		check("times that it was tried", ends, 2);
		check("the picture after it", await draw(g), want);
		check("workers", live().length, 1);

		live().at(-1).postMessage({ test: "end" });
		await sleep(300);
		check("after one that ended while idle", await draw(g), want);
		check("workers", live().length, 1);

		const stop = new AbortController();
		await begun((onStep) => { mine = code(g.generate({ ...long, steps: 500, onStep, signal: stop.signal })); });
		live().at(-1).postMessage({ test: "stand" });
		const from = performance.now();
		stop.abort();
		check("cancelling one that stands", await mine, "aborted");
		if (performance.now() - from > 8000) throw new Error("cancelling took " + (performance.now() - from));
		check("the next picture", await draw(g), want);
		check("workers", live().length, 1);

		// Twenty pictures of twenty generators, one of them cancelled in its turn.
		const turn = new AbortController();
		const pictures = twenty.map((g, i) => code(g.generate({ ...request, ...(i === 3 && { signal: turn.signal }) })));
		turn.abort();
		check("the others are drawn", (await Promise.all(pictures)).join(), twenty.map((_, i) => i === 3 ? "aborted" : "drawn").join());
		for (const g of twenty) g.dispose();
		check("workers in the end", live().length, 0);
	`)
}

// once answers a request for a file, or what a pattern of path.Match stands for,
// in its own way the first so many times.
func once(s *server, file string, times int32, fail http.HandlerFunc) {
	var n atomic.Int32
	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		if matches, _ := path.Match(file, r.URL.Path); !matches || n.Add(1) > times {
			return false
		}
		fail(w, r)
		return true
	})
}

// A script or the style sheet of the page stalls, breaks off, is missing, is
// another build's or a sign-in page for once: the page starts all the same,
// with what was typed. Where one never comes, it says so.
func TestPageArrives(t *testing.T) {
	otherBuild := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		io.WriteString(w, "export const another = 1;")
	}
	type way struct {
		name, file string
		times      int32
		fail       http.HandlerFunc
		script     string
	}
	const arrives = `
		visit();
		await until("the form", () => $("prompt"));
		$("prompt").value = "a red heart";
		await until("ready", () => root()?.dataset.state === "ready");
		check("what was typed", $("prompt").value, "a red heart");
		check("the notice", $("stuck"), null);
		if (inside().getComputedStyle($("go")).cursor !== "pointer") throw new Error("the page has no style");
	`
	const fails = `
		visit();
		const [code, text] = await error();
		check("the error", code, "network");
		if (!text.startsWith("This page did not arrive whole")) throw new Error(text);
	`
	for _, w := range []way{
		{"dropped", "/app.js", 2, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, arrives},
		{"stalled", "/ui.js", 1, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, arrives},
		{"stalled, on all connections", "/[^b]*.js", 6, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, arrives},
		{"missing", "/png.js", 2, http.NotFound, arrives},
		{"another build", "/strings.js", 2, otherBuild, arrives},
		{"no style", "/style.css", 1, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, arrives},
		{"never", "/app.js", 1000, http.NotFound, fails},
	} {
		t.Run(w.name, func(t *testing.T) {
			for _, name := range []string{"chromium", "firefox"} {
				s := serve(t)
				once(s, w.file, w.times, w.fail)
				driveOne(t, s, browser.Options{Name: name}, nil, w.script)
			}
		})
	}
}

// withWorker puts a script before the one that every engine's worker loads.
func withWorker(t *testing.T, s *server, script string) {
	root, err := site.Root()
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile(filepath.Join(root, "webgpu", "replay.js"))
	if err != nil {
		t.Fatal(err)
	}
	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/replay.js" {
			return false
		}
		w.Header().Set("Content-Type", "text/javascript")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		w.Header().Set("Cross-Origin-Embedder-Policy", "require-corp")
		fmt.Fprintf(w, "{ %s }\n%s", script, own)
		return true
	})
}

// A graphics card that never answers, or is gone, though it was chosen: the
// processor draws within five seconds, and the page says so. Where the processor
// alone takes long, the machine being busy, three are what the card may add.
func TestCardDoesNotAnswer(t *testing.T) {
	const without = `Promise.resolve(null)`
	const hangs = `
		const drawn = async (says) => {
			let from = 0;
			const asked = new BroadcastChannel("asked");
			asked.onmessage = () => { from ||= performance.now(); };
			await open();
			check("the notice", $("notice").textContent.startsWith("The graphics card failed: the processor draws instead") && !$("told").hidden, says);
			await draw("red heart");
			asked.close();
			if (from === 0) throw new Error("nobody asked for a card");
			return performance.now() - from;
		};
		const took = await drawn(true);
		await tell("none");
		const alone = await drawn(false);
		await tell("drawn after " + took.toFixed(0) + " ms, " + alone.toFixed(0) + " without a card");
		if (took > 5000 && took - alone > 3000) throw new Error("drawn after " + took + " ms, " + alone + " without a card");`
	for _, c := range []struct{ name, adapter, script string }{
		{"requestAdapter hangs", `new Promise(() => {})`, hangs},
		{"requestDevice hangs", `Promise.resolve({ features: new Set(), limits: {}, info: {}, requestDevice: () => new Promise(() => {}) })`, hangs},
		{"the self-test hangs", `Promise.resolve({ features: new Set(), limits: {}, info: {}, requestDevice: async () => hanging })`, hangs},
		{"no adapter, but chosen", without, `
			await open();
			const want = await draw("red heart");
			$("backend").value = "webgpu";
			$("backend").dispatchEvent(new (inside().Event)("change"));
			await until("a word", () => $("notice").textContent.startsWith("The graphics card failed") && root().dataset.state === "ready");
			check("the picture", await draw("red heart"), want);
			const { createGenerator } = await imported();
			const err = await createGenerator({ backend: "webgpu" }).catch((err) => err);
			check("asked for by a program", [err.code, err.message.startsWith("the graphics card cannot be used here")].join(), "unsupported,true");`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range []string{"chromium", "firefox"} {
				s := serve(t)
				card := func(adapter string) {
					withWorker(t, s, hanging+fmt.Sprintf(`Object.defineProperty(navigator, "gpu", { value: { requestAdapter: () => (new BroadcastChannel("asked").postMessage(0), %s) } });`, adapter))
				}
				card(c.adapter)
				driveOne(t, s, browser.Options{Name: name}, func(what string) {
					if what == "none" {
						card(without)
					}
					t.Logf("%s: %s", name, what)
				}, c.script)
			}
		})
	}
}

// hanging is a device that answers at the start and never again.
const hanging = `
	globalThis.GPUBufferUsage ??= {};
	globalThis.GPUMapMode ??= {};
	globalThis.GPUShaderStage ??= {};
	const never = () => new Promise(() => {});
	let answers = 2;
	const hanging = {
		features: new Set(), lost: never(), destroy() {}, pushErrorScope() {}, popErrorScope: async () => null,
		limits: { maxBufferSize: 1 << 28, maxStorageBufferBindingSize: 1 << 27, maxComputeWorkgroupStorageSize: 16384,
			maxComputeInvocationsPerWorkgroup: 256, minStorageBufferOffsetAlignment: 256, minUniformBufferOffsetAlignment: 256 },
		createBuffer: ({ size }) => ({ size, destroy() {}, mapAsync: never }),
		createBindGroupLayout: () => ({}), createBindGroup: () => ({}), createPipelineLayout: () => ({}), createShaderModule: () => ({}),
		createComputePipelineAsync: async () => ({}),
		createCommandEncoder: () => ({ copyBufferToBuffer() {}, finish() {},
			beginComputePass: () => ({ setPipeline() {}, setBindGroup() {}, dispatchWorkgroups() {}, end() {} }) }),
		queue: { writeBuffer() {}, submit() {}, onSubmittedWorkDone: () => (answers-- > 0 ? Promise.resolve() : never()) },
	};
`

// Out of memory three times: each time one engine takes the other's place, and
// a picture that fits is drawn as before.
func TestOutOfMemory(t *testing.T) {
	for _, name := range []string{"chromium", "firefox"} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			withWorker(t, s, `
				let full = false;
				const channel = new BroadcastChannel("memory");
				channel.onmessage = ({ data }) => {
					if (data === "full") full = true;
					if (data === "who") channel.postMessage("me");
				};
				const { grow } = WebAssembly.Memory.prototype;
				WebAssembly.Memory.prototype.grow = function (pages) {
					if (full) throw new RangeError("full");
					return grow.call(this, pages);
				};
			`)
			driveOne(t, s, browser.Options{Name: name}, nil, `
				const channel = new BroadcastChannel("memory");
				let engines = 0;
				channel.onmessage = () => engines++;
				const count = async () => {
					engines = 0;
					channel.postMessage("who");
					await sleep(500);
					return engines;
				};
				await open();
				$("live").checked = false;
				const want = await draw("red heart");
				for (let i = 0; i < 3; i++) {
					channel.postMessage("full");
					fill("width", "256");
					fill("height", "256");
					$("go").click();
					check("the error", (await error())[0], "out-of-memory");
					fill("width", "128");
					fill("height", "128");
					check("the picture", await draw("red heart"), want);
					check("engines", await count(), 1);
				}
			`)
		})
	}
}

// A service worker's install touches only what it made, and what the browser
// lost of a version is put back.
func TestCacheIsMended(t *testing.T) {
	t.Parallel()
	drive(t, func(s *server, what string) {
		switch what {
		case "same version":
			s.set(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/style.css" {
					w.WriteHeader(http.StatusInternalServerError)
					return true
				}
				if r.URL.Path != "/sw.js" {
					return false
				}
				record := httptest.NewRecorder()
				pages.ServeHTTP(record, r)
				w.Header().Set("Content-Type", "text/javascript")
				fmt.Fprintf(w, "%s\n// another worker of the same version", record.Body)
				return true
			})
		case "well":
			s.set(nil)
		}
	}, `
		await open();
		const { serviceWorker } = inside().navigator;
		await until("a service worker", () => serviceWorker.controller);
		const [name] = (await caches.keys()).filter((name) => /^wisp-[0-9a-f]{16}$/.test(name));
		const kept = async () => (await (await caches.open(name)).keys()).map(({ url }) => new URL(url).pathname).join();
		const all = await kept();
		await tell("same version");
		await (await caches.open(name)).delete("/style.css"); // so that the install fails
		const registration = await serviceWorker.getRegistration();
		await registration.update().catch(() => {});
		await until("the end of the install", () => !registration.installing);
		check("after an install that failed", await kept(), all.split(",").filter((p) => p !== "/style.css").join());
		await tell("well");
		await open("/");
		await until("what was missing", async () => (await kept()).split(",").sort().join() === all.split(",").sort().join());
	`)
}
