//go:build browser

package browser_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"wisp/tests/browser"
)

// Everything is kept: a network that takes connections and never answers keeps
// nobody longer than one that is not there.
func TestNetworkDoesNotAnswer(t *testing.T) {
	for _, name := range []string{"chromium", "firefox"} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			network := func(fail http.HandlerFunc) {
				s.set(func(w http.ResponseWriter, r *http.Request) bool {
					if strings.HasPrefix(r.URL.Path, "/test/") {
						return false
					}
					fail(w, r)
					return true
				})
			}
			driveOne(t, s, browser.Options{Name: name}, func(what string) {
				switch what {
				case "none":
					network(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
				case "silent":
					network(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
				default:
					t.Log(name, what)
				}
			}, `
				await open();
				await until("a service worker", () => inside().navigator.serviceWorker.controller);
				await draw("red heart");
				const ready = async () => {
					await visit("about:blank"); // the page before is gone
					const from = performance.now();
					await open();
					return performance.now() - from;
				};
				await ready();
				const best = { none: Infinity, silent: Infinity };
				for (let n = 0; n < 8 && !(n > 2 && best.silent <= 1.2 * best.none); n++) { // the machine may be busy
					for (const network of ["none", "silent"]) {
						await tell(network);
						best[network] = Math.min(best[network], await ready());
					}
				}
				const ratio = best.silent / best.none;
				await tell("offline " + best.none.toFixed(0) + " ms, beside a silent network " + best.silent.toFixed(0) + " ms: " + ratio.toFixed(2));
				if (ratio > 1.2) throw new Error("ratio " + ratio);
				await draw("red heart");
			`)
		})
	}
}

// A first visit on which every file fails once, in a way that a seed chooses:
// dropped, stalled or a 500. The page is ready all the same, and little is
// fetched twice. The document itself, for which only a browser can ask again, is
// left out; where the page says that it is still arriving, it is loaded again.
// WISP_SEEDS=1-20 tries others.
func TestEverythingFailsOnce(t *testing.T) {
	const atOnce = 5
	seeds := seedsOf(t, "1-3")
	p := startTab(t, browser.Options{}, time.Duration(5+5*len(seeds)/atOnce)*time.Minute)
	whole := failing(t, nil)
	p.open(whole.URL)
	needed := whole.sent()
	var visits sync.WaitGroup
	for i, seed := range seeds {
		if i%atOnce == 0 {
			visits.Wait()
		}
		f := failing(t, rand.New(rand.NewPCG(seed, 22)))
		began := time.Now()
		result, at := driven(f.server, func(string) {}, arriving)
		// What waits for the load would wait for the frame.
		p.another().run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("location.href = %q", f.URL+"/test/drive.html")))
		visits.Go(func() { // stalls are waited for side by side
			select {
			case failure := <-result:
				if failure != "" {
					t.Errorf("seed %d: %s", seed, failure)
				}
			case <-time.After(5 * time.Minute):
				t.Errorf("seed %d: no result after %v; %d: %v", seed, at.Load(), len(f.failed), f.failed)
			}
			ratio := float64(f.sent()) / float64(needed)
			t.Logf("seed %d: ready after %.1f s, %d files failed, %.2f times the bytes", seed, time.Since(began).Seconds(), f.count(), ratio)
			if ratio > 1.5 {
				t.Errorf("seed %d: %.2f times the bytes needed", seed, ratio)
			}
		})
	}
	visits.Wait()
}

// seedsOf reads WISP_SEEDS, "first-last".
func seedsOf(t *testing.T, otherwise string) (seeds []uint64) {
	t.Helper()
	text := os.Getenv("WISP_SEEDS")
	if text == "" {
		text = otherwise
	}
	first, last, _ := strings.Cut(text, "-")
	from, err := strconv.ParseUint(first, 10, 64)
	if err != nil {
		t.Fatalf("WISP_SEEDS: %v", err)
	}
	to, err := strconv.ParseUint(last, 10, 64)
	if err != nil || to < from {
		t.Fatalf("WISP_SEEDS is %q, want first-last", text)
	}
	for ; from <= to; from++ {
		seeds = append(seeds, from)
	}
	return seeds
}

// failer fails each file once and counts what it sends.
type failer struct {
	*server
	mu     sync.Mutex
	failed []string
	bytes  int64
}

// failing is a server of the page on which each file fails once, in a way that
// rng chooses; nil for one on which none does.
func failing(t *testing.T, rng *rand.Rand) *failer {
	f := &failer{server: serve(t)}
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/test/") {
			return false
		}
		f.mu.Lock()
		fails, way := rng != nil && r.URL.Path != "/" && !slices.Contains(f.failed, r.URL.Path), 0
		if fails {
			f.failed = append(f.failed, r.URL.Path)
			way = rng.IntN(3)
		}
		f.mu.Unlock()
		c := &tally{ResponseWriter: w, f: f}
		switch {
		case !fails:
			pages.ServeHTTP(c, r)
		case way == 0:
			panic(http.ErrAbortHandler)
		case way == 1:
			http.Error(w, "try again", http.StatusInternalServerError)
		default: // half of it, and nothing more
			c.stall = true
			pages.ServeHTTP(c, r)
			<-r.Context().Done()
		}
		return true
	})
	return f
}

func (f *failer) sent() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bytes
}

func (f *failer) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.failed)
}

// tally counts the bytes of answers, and sends half of the first piece only
// where it is to stall.
type tally struct {
	http.ResponseWriter
	f     *failer
	stall bool
	begun bool
}

func (c *tally) Write(b []byte) (int, error) {
	whole := len(b)
	if c.stall {
		if c.begun {
			return whole, nil
		}
		b = b[:len(b)/2]
	}
	c.begun = true
	n, err := c.ResponseWriter.Write(b)
	if c.stall {
		c.ResponseWriter.(http.Flusher).Flush()
		n = whole
	}
	c.f.mu.Lock()
	c.f.bytes += int64(len(b))
	c.f.mu.Unlock()
	return n, err
}

// ReadFrom keeps io.Copy to Write.
func (c *tally) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

// arriving opens the page until it is ready, as a visitor does who reads what it
// and the browser say: loads it again.
const arriving = `
	let loads = 0, since = 0, came = false;
	frame.addEventListener("load", () => { came = true; });
	const load = (why) => {
		if (++loads > 5) throw new Error("loaded five times; at last " + why);
		came = false;
		since = performance.now();
		inside().stop(); // Chromium gives a reload no connection while the page holds all six
		frame.src = "/";
	};
	load();
	await until("ready", () => {
		const page = frame.contentDocument, waited = performance.now() - since;
		if (root()?.dataset.state === "ready") return true;
		if (page === null || page.URL.startsWith("about:") && waited > 5000) return waited > 1000 && load("an error of the browser");
		if (came && !$("prompt")) return load("another answer than the page");
		if ($("error") && !$("error").hidden) throw new Error("the page says " + $("error").textContent);
		if ($("stuck") && inside().getComputedStyle($("stuck")).visibility === "visible") return waited > 25_000 && load("still arriving"); // without its style it says so at once
		return !came && !$("stuck") && waited > 30_000 && load("half of the page");
	}, 240_000);
`
