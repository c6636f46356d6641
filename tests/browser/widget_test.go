//go:build browser

package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"
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

// The element on a page of another origin without any headers, and in its
// form; then under a strict policy that names what wisp needs.
func TestWidget(t *testing.T) {
	s := serve(t)
	page := `<!doctype html><form id="f"><wisp-generator name="art" prompt="red heart" steps="2" seed="7"></wisp-generator></form><script type="module" src="` + s.URL + `/widget.js"></script>`
	strict := fmt.Sprintf("default-src 'none'; script-src %s 'wasm-unsafe-eval' blob:; worker-src blob:; connect-src %[1]s; img-src blob:", s.URL)
	for name, policy := range map[string]string{"plain": "", "strict policy": strict} {
		t.Run(name, func(t *testing.T) {
			p := newTab(t)
			p.t = t
			p.run(chromedp.Navigate(host(t, policy, page)))
			got := eval[string](p, `(async () => {
				await customElements.whenDefined("wisp-generator");
				const widget = document.querySelector("wisp-generator");
				const heard = [];
				for (const name of ["ready", "image", "error"]) widget.addEventListener("wisp-" + name, (e) => heard.push(name + (e.detail.message ?? "")));
				const result = await widget.generate();
				const file = new FormData(document.getElementById("f")).get("art");
				await widget.generate({ prompt: " " }).catch((err) => heard.push(err.code));
				return [heard.join(), result.seed, file.name, file.type, file.size > 100].join(" ");
			})()`)
			if want := "ready,image,errorthe prompt is empty: say what to draw,bad-request 7 7.png image/png true"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// The frame obeys the origin that its address names, and no other.
func TestEmbed(t *testing.T) {
	s := serve(t)
	page := `<!doctype html><body><script>
		const heard = [];
		addEventListener("message", (e) => heard.push(e.data));
		async function draw(origin) {
			const frame = document.createElement("iframe");
			frame.src = "` + s.URL + `/embed.html?steps=2&origin=" + encodeURIComponent(origin);
			document.body.append(frame);
			await new Promise((r) => frame.onload = r);
			for (let i = 0; i < 600 && !heard.some((m) => m.wisp === "image"); i++) {
				if (i % 20 === 0) frame.contentWindow.postMessage({ wisp: "generate", id: 5, request: { prompt: "red heart", seed: 7 } }, "*");
				await new Promise((r) => setTimeout(r, 100));
				if (origin !== location.origin && i === 40) break;
			}
			frame.remove();
			return heard.length;
		}
	</script>`
	p := newTab(t)
	p.run(chromedp.Navigate(host(t, "", page)))
	if n := eval[int](p, `draw("https://elsewhere.example")`); n != 0 {
		t.Errorf("a frame for another origin said %d things to this one", n)
	}
	got := eval[string](p, `draw(location.origin).then(() => { const m = heard.find((m) => m.wisp === "image"); return [m?.id, m?.seed, m?.blob?.type].join(" "); })`)
	if got != "5 7 image/png" {
		t.Errorf("got %q", got)
	}
}
