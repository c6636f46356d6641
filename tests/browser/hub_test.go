//go:build browser

package browser_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"wisp/site"
)

// hub speaks the protocol of the Hugging Face hub for one repository: its API
// and its addresses on one origin, which sends to the files on another, with the
// headers that let pages of a third read them. Of each range the first answer is
// a 429, the second a connection that is cut.
type hub struct {
	*httptest.Server
	mu    sync.Mutex
	asked map[string]int
	sent  int
	flip  bool // a bit of every large file
	gated string
}

const hubCommit = "0123456789abcdef0123456789abcdef01234567"

func allowAll(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "Range, Authorization")
		w.Header().Set("Access-Control-Expose-Headers", "X-Error-Message, X-Linked-Etag, X-Linked-Size, Content-Range, Retry-After")
		if r.Method != http.MethodOptions {
			h.ServeHTTP(w, r)
		}
	})
}

func serveHub(t *testing.T, dir string) *hub {
	t.Helper()
	h := &hub{asked: map[string]int{}, gated: "false"}
	store := httptest.NewServer(allowAll(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		h.mu.Lock()
		key := r.URL.Path + r.Header.Get("Range")
		h.asked[key]++
		n, large := h.asked[key], strings.HasSuffix(r.URL.Path, ".safetensors")
		if large && h.flip {
			b[len(b)-3] ^= 1
		}
		h.mu.Unlock()
		switch {
		case large && n == 1:
			w.Header().Set("Retry-After", "0")
			http.Error(w, "slow down", http.StatusTooManyRequests)
			return
		case large && n == 2:
			w.Header().Set("Content-Length", fmt.Sprint(len(b)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(b[:len(b)/2])
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(counting{w, h}, r, "", time.Time{}, strings.NewReader(string(b)))
	})))
	mux := http.NewServeMux()
	mux.HandleFunc("/api/models/owner/tiny/revision/{revision}", func(w http.ResponseWriter, r *http.Request) {
		var list []string
		err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(filepath.Join(dir, name))
			lfs := ""
			if strings.HasSuffix(name, ".safetensors") {
				lfs = fmt.Sprintf(`,"lfs":{"sha256":"%x","size":%d}`, sha256.Sum256(b), len(b))
			}
			list = append(list, fmt.Sprintf(`{"rfilename":%q,"size":%d%s}`, name, len(b), lfs))
			return err
		})
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, `{"sha":%q,"gated":%s,"cardData":{"license":"cc0-1.0"},"siblings":[%s]}`, hubCommit, h.gated, strings.Join(list, ","))
	})
	mux.HandleFunc("/owner/tiny/resolve/"+hubCommit+"/{file...}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, store.URL+"/"+(&url.URL{Path: r.PathValue("file")}).EscapedPath(), http.StatusFound)
	})
	h.Server = httptest.NewServer(allowAll(mux))
	t.Cleanup(func() { h.Close(); store.Close() })
	return h
}

type counting struct {
	http.ResponseWriter
	h *hub
}

func (c counting) Write(b []byte) (int, error) {
	c.h.mu.Lock()
	c.h.sent += len(b)
	c.h.mu.Unlock()
	return c.ResponseWriter.Write(b)
}

// TestHub: on a page of another site, a repository is inspected, streams in and
// draws what its directory draws, and the same by stages; the second time nothing is fetched; what is
// gated, changed or not there is told by its code.
func TestHub(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	h := serveHub(t, tiny)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/test/") {
			http.StripPrefix("/test/", http.FileServer(http.Dir(tiny))).ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>another site</title>")
	}))
	defer other.Close()
	p.run(chromedp.Navigate(other.URL + "/"))
	run := func(body string) string {
		t.Helper()
		return eval[string](p, fmt.Sprintf(`(async () => {
			const { capabilities, createGenerator, importModel, inspectModel, models, removeModel } = await import("%s/wisp.js");
			const from = { model: "hf:owner/tiny", hub: "%s", backend: "simd" };
			const draw = async (options) => {
				const g = await createGenerator(options);
				const { images: [{ data }] } = await g.generate({ prompt: "a fox", seed: 1, steps: 2 });
				g.dispose();
				return data.join();
			};
			try { %s } catch (err) { return err.code + ": " + err.message; }
		})()`, s.URL, h.URL, body))
	}
	if got := run(`const f = await inspectModel(from.model, from); const none = await inspectModel("hf:owner/none", from).catch((e) => e.code); return [f.licence, f.pipeline, f.packedBytes.q8 > 0, none].join();`); got != "cc0-1.0,StableDiffusionPipeline,true,bad-model" {
		t.Errorf("inspected: %s", got)
	}
	if got := run(fmt.Sprintf(`
		const seen = [];
		const streamed = await draw({ ...from, quantise: "q8", onProgress: ({ stage }) => seen.at(-1) === stage || seen.push(stage) });
		const own = await importModel(%s, { quantise: "q8" });
		return [streamed === await draw({ model: own, backend: "simd" }), streamed === await draw({ model: own, backend: "simd", memory: 30000 }), seen[0]].join();`, visitorsFiles(t, "/test/", tiny))); got != "true,true,download" {
		t.Errorf("drawn: %s", got)
	}
	h.mu.Lock()
	h.sent = 0
	h.mu.Unlock()
	if got := run(`await draw({ ...from, quantise: "q8", hub: "http://127.0.0.1:9" }); return (await models()).map((m) => m.location).join()`); got != "hf:owner/tiny?quantise=q8," && got != ",hf:owner/tiny?quantise=q8" || h.sent > 0 {
		t.Errorf("again, without the hub: %s, %d bytes", got, h.sent)
	}
	h.flip = true
	if got := run(`await draw({ ...from, quantise: "q4" });`); !strings.HasPrefix(got, "corrupt: ") || !strings.Contains(got, "safetensors") {
		t.Errorf("a flipped bit: %s", got)
	}
	h.flip, h.gated = false, `"auto"`
	if got := run(`await draw({ ...from, quantise: "q4" });`); !strings.HasPrefix(got, "bad-model: ") || !strings.Contains(got, "accept its terms") {
		t.Errorf("gated: %s", got)
	}
	if got := run(`for (const { id } of await models()) await removeModel(id); return (` + keptRecords + `).join();`); got != "" {
		t.Errorf("left: %s", got)
	}
}

// TestStagedFaults: a model from the hub that runs by stages loses, in the midst
// of a picture, the files that its stages come from, then all that is kept of it,
// and the tab; or there is no room for those files at all. The picture is the
// same, or the error says what is missing, and the next visit draws.
func TestStagedFaults(t *testing.T) {
	s, h := serve(t), serveHub(t, tiny)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>another site</title>")
	}))
	defer other.Close()
	worker, err := fs.ReadFile(site.Files(), "worker.js")
	if err != nil {
		t.Fatal(err)
	}
	room := func(bytes int) { // for as much, the engine's worker is told
		s.set(func(w http.ResponseWriter, r *http.Request) bool {
			if bytes < 0 || r.URL.Path != "/worker.js" {
				return false
			}
			w.Header().Set("Content-Type", "text/javascript")
			w.Header().Set("Access-Control-Allow-Origin", "*")
			fmt.Fprintf(w, full, bytes)
			w.Write(worker)
			return true
		})
	}
	p := newTab(t)
	run := func(body string) string {
		t.Helper()
		p.run(chromedp.Navigate(other.URL + "/"))
		return eval[string](p, fmt.Sprintf(`(async () => {
			const { createGenerator, models, removeModel } = await import("%s/wisp.js");
			const draw = async (midst, options) => {
				const g = await createGenerator({ model: "hf:owner/tiny", quantise: "q8", hub: "%s", backend: "simd", memory: 30000, onWarning: () => {}, ...options });
				let steps = 0;
				try {
					const { images: [{ data }] } = await g.generate({ prompt: "a fox", seed: 1, steps: 4, onStep: () => ++steps === 2 && midst?.() });
					return data.join();
				} finally {
					g.dispose();
				}
			};
			const files = async () => { const root = await navigator.storage.getDirectory(); for await (const name of root.keys()) await root.removeEntry(name, { recursive: true }).catch(() => {}); };
			const records = () => new Promise((done) => { const r = indexedDB.deleteDatabase("wisp"); r.onsuccess = r.onerror = r.onblocked = done; });
			try { %s } catch (err) { return err.code + ": " + err.message; }
		})()`, s.URL, h.URL, body))
	}
	want := run(`return await draw()`)
	if strings.Contains(want, ": ") || want == "" {
		t.Fatalf("by stages: %.200s", want)
	}
	if got := run(`return await draw(files)`); got != want {
		t.Errorf("without the stages' files: %.200s", got)
	}
	if got := run(`const got = await draw(async () => { await files(); await records(); }); return got;`); got != want && !strings.HasPrefix(got, "network: ") && !strings.HasPrefix(got, "quota: ") {
		t.Errorf("without anything that was kept: %.200s", got)
	}
	if got := run(`return await draw()`); got != want {
		t.Errorf("after that: %.200s", got)
	}
	for _, bytes := range []int{0, 40_000, 90_000} { // for nothing, for a stage's file, for some
		room(bytes)
		if got := run(`await files(); return await draw()`); got != want {
			t.Errorf("with room for %d bytes: %.200s", bytes, got)
		}
	}
	room(-1)
	run(`draw(() => location.reload()).catch(() => {}); return "";`)
	p.eventually(`performance.getEntriesByType("navigation")[0].type === "reload"`)
	if got := run(`return await draw()`); got != want {
		t.Errorf("after the tab ended in the midst: %.200s", got)
	}
	if got := run(`for (const { id } of await models()) await removeModel(id); return (` + keptRecords + `).join();`); got != "" {
		t.Errorf("left: %s", got)
	}
}
