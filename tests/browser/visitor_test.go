//go:build browser

package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"wisp/site"
)

// Typing fast makes one picture, of the last words.
func TestLiveTyping(t *testing.T) {
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	words := "a red heart and a rocket over a house with a tree!!"
	for i := range len(words) - 1 {
		p.fill("prompt", words[:i+2])
	}
	p.until(`document.querySelector("#pictures img")?.alt === ` + fmt.Sprintf("%q", words))
	if n := eval[int](p, `document.querySelectorAll("#pictures img").length`); n != 1 {
		t.Errorf("%d pictures on the easel", n)
	}
	if text := eval[string](p, `document.getElementById("go").textContent`); text != "Generate" {
		t.Errorf("the button says %q", text)
	}
}

// Pictures are kept, found again, marked and deleted.
func TestHistory(t *testing.T) {
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.fill("steps", "1")
	for _, prompt := range []string{"red heart", "rocket", "house"} {
		p.draw(prompt)
	}
	p.open(s.URL) // another visit
	const count = `document.querySelectorAll("#past li").length`
	p.until(count + " === 3")
	p.fill("search", "rock")
	p.until(count + " === 1")
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("#past .thumb").click()`))
	p.until(`document.getElementById("prompt").value === "rocket" && document.querySelector("#pictures img")?.alt === "rocket"`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("#past .star").click()`))
	p.fill("search", "")
	p.run(chromedp.Click("#stars"))
	p.until(count + " === 1")
	p.run(chromedp.Click("#stars"))
	p.until(count + " === 3")
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("#past .bin").click()`))
	p.until(count + " === 2")
}

// dropped hands a file to the page as a drop does. The file's bytes are the
// value of an expression.
func dropped(name, kind, bytes string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(async () => {
		const transfer = new DataTransfer();
		transfer.items.add(new File([await (%s)], %q, { type: %q }));
		dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
	})()`, bytes, name, kind), chromedp.EvalAwaitPromise)
}

// A picture that wisp made, one as AUTOMATIC1111 makes them, and a workflow of
// ComfyUI each give their settings back; what holds none says so.
func TestDrops(t *testing.T) {
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.keepSeed("7")
	p.fill("steps", "2")
	p.draw("red heart")
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("#pictures img").src && fetch(document.querySelector("#pictures img").src).then((r) => r.blob()).then((b) => { globalThis.kept = b; })`, chromedp.EvalAwaitPromise))
	const form = `["prompt", "negative", "seed", "steps", "guidance"].map((id) => document.getElementById(id).value).join("|")`
	for _, c := range []struct{ name, kind, bytes, want string }{
		{"own.png", "image/png", `kept`, "red heart||7|2|3"},
		{"theirs.png", "image/png", `(async () => {
			const { withText } = await import("/png.js");
			const plain = new Uint8Array(await kept.arrayBuffer());
			return withText(plain, "parameters", "a cat,\n<script>alert(1)</script>\nNegative prompt: dogs\nSteps: 4, Sampler: Euler, CFG scale: 5.5, Seed: 123, Size: 128x128, Model: \"a, b\"");
		})()`, "a cat,\n<script>alert(1)</script>|dogs|123|4|5.5"},
		{"flow.json", "application/json", `'{"3":{"class_type":"KSampler","inputs":{"seed":9,"steps":3,"cfg":2,"sampler_name":"euler","scheduler":"normal","denoise":1,"model":["4",0],"positive":["6",0],"negative":["7",0],"latent_image":["5",0]}},"4":{"class_type":"CheckpointLoaderSimple","inputs":{}},"5":{"class_type":"EmptyLatentImage","inputs":{"width":128,"height":128,"batch_size":1}},"6":{"class_type":"CLIPTextEncode","inputs":{"text":"a tree","clip":["4",1]}},"7":{"class_type":"CLIPTextEncode","inputs":{"text":"fog","clip":["4",1]}},"8":{"class_type":"VAEDecode","inputs":{"samples":["3",0],"vae":["4",2]}},"9":{"class_type":"SaveImage","inputs":{"images":["8",0]}}}'`, "a tree|fog|9|3|2"},
	} {
		p.fill("prompt", "")
		p.run(dropped(c.name, c.kind, c.bytes))
		p.until(fmt.Sprintf("%s === %q", form, c.want))
	}
	for _, c := range []struct{ name, kind, bytes, want string }{
		{"flow.json", "application/json", `'{"1":{"class_type":"SaveImage","inputs":{"images":["2",0]}},"2":{"class_type":"UpscaleModel","inputs":{}}}'`, "UpscaleModel"},
		{"broken.json", "application/json", `"{"`, "roken.json is not JSON"},
	} {
		p.run(dropped(c.name, c.kind, c.bytes))
		if code, text := p.failed(); code != "bad-request" || !strings.Contains(text, c.want) {
			t.Errorf("%s: %s: %s", c.name, code, text)
		}
	}
	p.run(dropped("notes.txt", "text/plain", `"hello"`))
	p.until(`document.getElementById("notice").textContent.startsWith("notes.txt is neither")`)
	p.draw("red heart")
}

// A link brings the words and the settings, and draws.
func TestLink(t *testing.T) {
	s, p := serve(t), newTab(t)
	p.run(chromedp.Navigate(s.URL + "/#prompt=red+heart&seed=7&steps=2"))
	p.until(`document.querySelector("#pictures img")?.alt === "red heart"`)
	if facts := eval[string](p, `document.getElementById("facts").textContent`); !strings.Contains(facts, "seed 7 · 2 steps") {
		t.Errorf("drawn with %q", facts)
	}
}

// After one visit everything works with the network off.
func TestOffline(t *testing.T) {
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.open(s.URL) // now by the service worker
	s.count()
	s.CloseClientConnections()
	s.Listener.Close() // nothing answers from now on
	if _, err := chromedp.Call(p.ctx, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true}); err != nil {
		t.Fatal(err)
	}
	p.open(s.URL)
	p.draw("red heart")
	if !eval[bool](p, `crossOriginIsolated`) {
		t.Error("offline, the page is not isolated: no threads")
	}
}

// What build writes works on a plain file server that sets no headers, under a
// path of its own; from the second visit on it has threads there, too.
func TestBuiltUnderPath(t *testing.T) {
	root, err := site.Root()
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	page := site.Layers{site.Files(), os.DirFS(filepath.Join(root, "build", "site"))}
	if err := site.Build(page, os.DirFS(t.TempDir()), out); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(out, "models", "default"), os.DirFS(*modelDir)); err != nil {
		t.Fatal(err)
	}
	plain := httptest.NewServer(http.StripPrefix("/sub/path", http.FileServer(http.Dir(out))))
	defer plain.Close()
	p := newTab(t)
	p.open(plain.URL + "/sub/path/")
	p.draw("red heart")
	p.open(plain.URL + "/sub/path/")
	if !eval[bool](p, `crossOriginIsolated`) {
		t.Error("on the second visit the page is not isolated")
	}
	p.draw("red heart")
}

// A program written for AUTOMATIC1111's server is answered by the page.
func TestLocalAPI(t *testing.T) {
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.until(`navigator.serviceWorker.controller !== null`)
	got := eval[string](p, `(async () => {
		const call = async (path, body) => {
			const r = await fetch("/sdapi/v1/" + path, body && { method: "POST", body: JSON.stringify(body) });
			return [r.status, await r.json()];
		};
		const [status, made] = await call("txt2img", { prompt: "red heart", steps: 2, seed: 7, batch_size: 2, width: 128, height: 128 });
		const [, samplers] = await call("samplers");
		const [refused, why] = await call("txt2img", { prompt: "red heart", enable_hr: true });
		const [bad] = await call("txt2img", { prompt: "", steps: 2 });
		const [missing] = await call("img2img", {});
		return [status, made.images.length, made.images[0].slice(0, 5), JSON.parse(made.info).all_seeds, samplers.length > 0, refused, why.detail, bad, missing].join(" ");
	})()`)
	const want = "200 2 iVBOR 7,8 true 422 wisp does not support enable_hr 422 404"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// index.html and strings.js say the same in English, and no language lacks a
// word of another.
func TestStrings(t *testing.T) {
	s, p := serve(t), newTab(t)
	p.run(chromedp.Navigate(s.URL + "/wisp.d.ts"))
	got := eval[[]string](p, `(async () => {
		const { languages } = await import("/strings.js");
		const en = languages.en.strings;
		const wrong = [];
		for (const file of ["/", "/privacy.html"]) {
			const page = new DOMParser().parseFromString(await (await fetch(file)).text(), "text/html");
			for (const e of page.querySelectorAll("[data-t]")) if (e.textContent !== en[e.dataset.t]) wrong.push(file + " " + e.dataset.t);
			for (const a of ["title", "placeholder", "aria-label"]) {
				for (const e of page.querySelectorAll("[data-t-" + a + "]")) if (e.getAttribute(a) !== en[e.getAttribute("data-t-" + a)]) wrong.push(file + " " + a);
			}
		}
		for (const [tag, { strings }] of Object.entries(languages)) {
			for (const key of Object.keys(en)) {
				const holes = (text) => (text?.match(/\{\w+\}/g) ?? []).sort().join();
				if (holes(strings[key]) !== holes(en[key]) || !strings[key]) wrong.push(tag + " " + key);
			}
			if (Object.keys(strings).length !== Object.keys(en).length) wrong.push(tag + " has others");
		}
		return wrong;
	})()`)
	if len(got) > 0 {
		t.Errorf("these differ: %v", got)
	}
	p.open(s.URL + "/?lang=de")
	if text := eval[string](p, `document.getElementById("go").textContent`); text != "Malen" {
		t.Errorf("in German the button says %q", text)
	}
}
