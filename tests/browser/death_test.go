//go:build browser

package browser_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"wisp/tests/attack/row"
	"wisp/tests/browser"
)

// life runs a script in a browser with a profile until it ends, and returns what
// it returned; or, where after is not 0, kills the browser so long after the
// script told "now".
func life(t *testing.T, s *server, o browser.Options, after time.Duration, script string) string {
	t.Helper()
	now := make(chan struct{}, 1)
	// Firefox ends a PNG with a chunk, deBG, that is another one in each session.
	result, at := driven(s, func(string) { now <- struct{}{} }, `const firefoxsOwn = ",100,101,66,71,";`+script)
	o.URL = s.URL + "/test/drive.html"
	b, err := browser.Launch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for {
		select {
		case text := <-result:
			if strings.HasPrefix(text, "failed: ") {
				t.Error(text)
			}
			return text
		case <-now:
			if after > 0 {
				time.Sleep(after)
				return ""
			}
		case <-b.Exited():
			t.Fatal(o.Name, "ended:", b.Err())
		case <-time.After(3 * time.Minute):
			t.Fatalf("no result after %v", at.Load())
		}
	}
}

// deaths are what a browser is killed in, and within how long.
var deaths = []struct {
	name   string
	within time.Duration
	script string
}{
	{"keeping pictures", 2 * time.Second, `await tell("now"); for (let i = 0; i < 100; i++) await draw("red heart", String(i), "1");`},
	{"deleting pictures", 100 * time.Millisecond, `inside().confirm = () => true; await tell("now"); $("clear").click(); await sleep(5000);`},
	{"deleting the model", 200 * time.Millisecond, `const { models, removeModel } = await imported(); const [{ id }] = await models(); await tell("now"); await removeModel(id); await sleep(5000);`},
	{"updating", time.Second, `
		await until("a service worker", () => inside().navigator.serviceWorker.controller);
		if (getComputedStyle(root()).getPropertyValue("--build") !== "2") { // once it has let the update through, there is none to offer
			const registration = await inside().navigator.serviceWorker.getRegistration();
			await registration.update();
			await until("an offer", () => !$("update").hidden);
		}
		await tell("now");
		$("reload").click();
		await sleep(5000);`},
}

// The browser dies at random moments while the page keeps and deletes pictures,
// deletes the model, or takes an update. The next visit is ready, of one build,
// draws the same picture to the last bit, shows every picture that it kept, and
// has whole models only.
func TestKilled(t *testing.T) {
	seed, rounds := row.Seed(), 1
	if row.Whole() {
		rounds = 5
	}
	for _, name := range []string{"chromium", "firefox"} {
		rng := rand.New(rand.NewPCG(seed, 8))
		for _, d := range deaths {
			t.Run(name+", "+d.name, func(t *testing.T) {
				s, next := serve(t), nextBuild(t)
				o := browser.Options{Name: name, Profile: t.TempDir()}
				kept := life(t, s, o, 0, `
					await open();
					const picture = (await draw("red heart")).split(firefoxsOwn)[0];
					const [{ cachedBytes }] = await (await imported()).models();
					return JSON.stringify([picture, cachedBytes]);`)
				if d.name == "updating" {
					s.set(func(w http.ResponseWriter, r *http.Request) bool {
						if strings.HasPrefix(r.URL.Path, "/test/") {
							return false
						}
						next.ServeHTTP(w, r)
						return true
					})
				}
				for range rounds {
					moment := 1 + time.Duration(rng.Int64N(int64(d.within)))
					life(t, s, o, moment, "await open();"+d.script)
					life(t, s, o, 0, fmt.Sprintf(`
						await open();
						const builds = (getComputedStyle(root()).getPropertyValue("--build") || "1") + (/const build = (\d)/.exec(await (await inside().fetch("/ui.js")).text())?.[1] ?? 1);
						if (!["11", "22"].includes(builds)) throw new Error("parts of two builds: " + builds);
						for (const img of $("past").querySelectorAll("img")) await createImageBitmap(await (await inside().fetch(img.src)).blob());
						const [picture, kept] = %s;
						check("the picture", (await draw("red heart")).split(firefoxsOwn)[0], picture);
						check("bytes kept of the model", (await (await imported()).models()).map(({ cachedBytes }) => cachedBytes).join(), String(kept));`, kept))
					if t.Failed() {
						t.Fatalf("WISP_SEED=%d, killed after %v", seed, moment)
					}
				}
			})
		}
	}
}

// A device's clock is wrong by years either way, and jumps while a picture is
// drawn: the pictures are the same, the model is downloaded once and can be
// deleted.
func TestClocks(t *testing.T) {
	const worker = `
		const Real = Date;
		let skew = %d;
		const clock = new BroadcastChannel("clock");
		clock.onmessage = ({ data }) => { skew = data; };
		self.Date = class extends Real {
			constructor(...given) { given.length > 0 ? super(...given) : super(Real.now() + skew); }
			static now() { return Real.now() + skew; }
		};`
	const year = 365 * 24 * 3600 * 1000
	for _, name := range []string{"chromium", "firefox"} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			withWorker(t, s, fmt.Sprintf(worker, 0))
			driveOne(t, s, browser.Options{Name: name}, func(what string) {
				var years int
				if n, err := fmt.Sscan(what, &years); n != 1 {
					t.Error(what, err)
				}
				s.count()
				withWorker(t, s, fmt.Sprintf(worker, years*year))
			}, fmt.Sprintf(`
				const clock = new BroadcastChannel("clock"), year = %d;
				const skewed = (years) => {
					const Real = inside().Date;
					inside().Date = class extends Real {
						constructor(...given) { given.length > 0 ? super(...given) : super(Real.now() + years * year); }
						static now() { return Real.now() + years * year; }
					};
				};
				await open();
				const want = await draw("red heart", "7", "20");
				const [{ cachedBytes }] = await (await imported()).models();
				for (const years of [-20, 10, 0]) {
					await tell(String(years));
					await visit("about:blank");
					await visit();
					skewed(years);
					await until("ready", () => root()?.dataset.state === "ready");
					check("by " + years + " years", await draw("red heart", "7", "20"), want);
					const picture = draw("red heart", "7", "20");
					for (const jump of [3, -40, years]) {
						clock.postMessage(jump * year);
						await sleep(30);
					}
					check("among jumps", await picture, want);
					const wisp = await imported(), [model, ...others] = await wisp.models();
					check("models", others.length, 0);
					check("bytes kept", model.cachedBytes, cachedBytes);
					const { pictures } = root().dataset;
					check("pictures of this visit", pictures, "2");
				}
				const wisp = await imported();
				for (const { id } of await wisp.models()) await wisp.removeModel(id);
				check("models after all are deleted", (await wisp.models()).length, 0);
			`, year))
			if bytes, _ := s.count(); bytes > 0 {
				t.Errorf("%d bytes of the model were downloaded again", bytes)
			}
		})
	}
}
