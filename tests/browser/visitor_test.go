//go:build browser

package browser_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"wisp/site"
)

// Fifty keystrokes, some in haste and some with a pause that starts a picture:
// the last words win, what they overtook leaves nothing behind, and what was
// typed before the model was there is drawn, too.
func TestLiveTyping(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	held := make(chan struct{})
	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "wisp.wasm") {
			<-held
		}
		return false
	})
	p.run(chromedp.Navigate(s.URL))
	p.until(`performance.getEntriesByName("first-contentful-paint").length === 1`) // without the engine
	p.run(chromedp.SendKeys("#prompt", "tree"))
	close(held)
	p.until(`document.querySelector("#pictures img")?.alt === "tree"`)
	p.run(chromedp.Evaluate[chromedp.Void](`{
		globalThis.urls = new Set();
		const make = URL.createObjectURL, revoke = URL.revokeObjectURL;
		URL.createObjectURL = (blob) => { const url = make.call(URL, blob); urls.add(url); return url; };
		URL.revokeObjectURL = (url) => { urls.delete(url); revoke.call(URL, url); };
		globalThis.elements = document.querySelectorAll("#easel *").length;
		document.getElementById("prompt").value = "";
	}`))
	const words = "a red heart and a rocket over a house with a tree!"
	for i := 0; i < len(words); i += 5 {
		p.run(chromedp.SendKeys("#prompt", words[i:i+5]))
		if i%10 == 0 {
			p.run(chromedp.Sleep(300 * time.Millisecond))
		}
	}
	p.until(`document.querySelector("#pictures img")?.alt === ` + fmt.Sprintf("%q", words))
	p.until(`document.querySelector("#past img")?.alt === ` + fmt.Sprintf("%q", words)) // once the visitor rests
	if n := eval[int](p, `urls.size - document.querySelectorAll("#past li").length`); n > 1 {
		t.Errorf("%d addresses of pictures are kept, beside those of the history", n)
	}
	if n := eval[int](p, `document.querySelectorAll("#easel *").length - elements`); n != 0 {
		t.Errorf("the easel has %d elements more than after the first picture", n)
	}
	if n := eval[int](p, `document.querySelectorAll("#pictures img").length`); n != 1 {
		t.Errorf("%d pictures on the easel", n)
	}
	if text := eval[string](p, `document.getElementById("go").textContent`); text != "Generate" {
		t.Errorf("the button says %q", text)
	}
}

// Pictures are kept, found again, marked and deleted.
func TestHistory(t *testing.T) {
	t.Parallel()
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
	p.run(chromedp.Click("#undo"))
	p.until(count + " === 3")
	p.run(chromedp.Click("#star")) // of the picture on the easel
	p.until(`document.querySelectorAll('#past .star[aria-pressed="true"]').length === 1`)

	// The archive holds each picture with its settings.
	dir := t.TempDir()
	allow := cdpbrowser.SetDownloadBehaviorParams{Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir}
	if _, err := chromedp.Call(p.ctx, cdpbrowser.SetDownloadBehavior, allow); err != nil {
		t.Fatal(err)
	}
	p.run(chromedp.Click("#export"))
	checkArchive(t, filepath.Join(dir, "wisp.zip"), "0001-house-", "0002-rocket-", "0003-red-heart-")

	// All but the favourites go, once the visitor has said so twice.
	p.run(chromedp.Evaluate[chromedp.Void](`globalThis.confirm = () => true; document.getElementById("clear").click()`))
	p.until(count + " === 1")
}

// What is told is in sight wherever the visitor is, goes by itself or when it
// is dismissed, and can be undone by keyboard.
func TestNotices(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.look(390, 500, 1, true, "light")
	p.open(s.URL)
	p.fill("steps", "1")
	p.draw("red heart")
	p.until(`document.querySelectorAll("#past li").length === 1`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("#past .bin").focus()`), chromedp.KeyEvent("\r"))
	p.until(`document.activeElement?.id === "undo"`)
	const inSight = `(() => { const { top, bottom } = document.getElementById("told").getBoundingClientRect(); return top > 0 && bottom <= innerHeight; })()`
	if !eval[bool](p, `scrollY > 0 && `+inSight) {
		t.Error("the way back is out of sight")
	}
	if text := eval[string](p, `document.getElementById("spoken").textContent`); text != "The picture is deleted." {
		t.Errorf("a screen reader is told %q", text)
	}
	p.run(chromedp.KeyEvent("\r"))
	p.until(`document.getElementById("told").hidden && document.querySelectorAll("#past li").length === 1`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("#past .bin").click()`))
	p.until(`!document.getElementById("told").hidden`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("dismiss").click()`)) // a pointer that rests there would keep the next one
	p.until(`document.getElementById("told").hidden`)
	p.fill("seed", "9007199254740993")
	p.run(chromedp.Click("#go"))
	if code, text := p.failed(); code != "bad-request" || !strings.Contains(text, "9007199254740991") {
		t.Errorf("a seed that is too large: %s: %s", code, text)
	}
	p.fill("seed", "1005433322112233")
	p.draw("red heart")
	if facts := eval[string](p, `document.getElementById("facts").textContent`); !strings.Contains(facts, "seed 1005433322112233") {
		t.Errorf("drawn with %q", facts)
	}
	p.run(dropped("notes.doc", "text/plain", `"hello"`))
	p.until(`!document.getElementById("told").hidden`)
	p.until(`document.getElementById("told").hidden`) // by itself
}

// Where the disk is full, a picture is kept for as long as the page is open,
// and what another tab deleted can be brought back in both.
func TestHistoryInTrouble(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.fill("steps", "1")
	p.draw("red heart")
	const count = `document.querySelectorAll("#past li").length`
	p.until(count + " === 1")
	q := p.another()
	q.open(s.URL)
	q.until(count + " === 1")
	for _, tab := range []*tab{p, q} { // both before either has heard of the other
		tab.run(chromedp.Evaluate[chromedp.Void](`globalThis.bin = document.querySelector("#past .bin")`))
	}
	for _, tab := range []*tab{p, q} {
		tab.run(chromedp.Evaluate[chromedp.Void](`bin.click()`))
		tab.until(`!document.getElementById("undo").hidden && ` + count + ` === 0`)
	}
	for _, tab := range []*tab{p, q} {
		tab.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("undo").click()`))
		tab.until(count + " === 1")
	}
	// A full disk shows when a transaction is to end, after its requests have succeeded.
	p.run(chromedp.Evaluate[chromedp.Void](`{
		const put = IDBObjectStore.prototype.put;
		IDBObjectStore.prototype.put = function (value) {
			const request = put.call(this, value);
			request.addEventListener("success", () => {
				Object.defineProperty(this.transaction, "error", { value: new DOMException("", "QuotaExceededError") });
				this.transaction.abort();
			});
			return request;
		};
	}`))
	p.draw("rocket")
	p.until(count + " === 2")
	if text := eval[string](p, `document.getElementById("error").hidden ? "" : document.getElementById("error").textContent`); text != "" {
		t.Errorf("the page says %q", text)
	}
	if n := eval[int](q, count); n != 1 {
		t.Errorf("another tab shows %d pictures, though one only was kept", n)
	}
	for _, tab := range []*tab{p, q} {
		for _, line := range tab.console() {
			if strings.HasPrefix(line, "exception") {
				t.Error(line)
			}
		}
	}
}

// Of five hundred pictures the page shows a screenful, finds any of them,
// hands all out as one archive, and deletes all but the
// favourites at once.
func TestManyPictures(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/history.js", "/memory.js": // which the page has within another script
			http.ServeFile(w, r, "../../site/page"+r.URL.Path)
		default:
			return false
		}
		return true
	})
	p.open(s.URL)
	p.fill("steps", "1")
	p.keepSeed("3")
	p.draw("red heart")
	const count = `document.querySelectorAll("#past li").length`
	p.until(count + " === 1")
	p.run(chromedp.Evaluate[chromedp.Void](`(async () => {
		const { History } = await import("/history.js");
		const history = new History();
		const { pictures: [first] } = await history.list();
		for (let i = 0; i < 499; i++) {
			const { id, ...picture } = first;
			await history.add({ ...picture, favourite: i % 100 === 0, settings: { ...picture.settings, prompt: "Größe / 手 " + i } });
		}
	})()`, chromedp.EvalAwaitPromise))
	p.open(s.URL)
	p.until(count + " === 48")
	p.run(chromedp.Click("#more"))
	p.until(count + " === 96")
	p.fill("search", "GRÖSSE 手 17")
	p.until(count + " === 0") // ß is not ss
	p.fill("search", "größe 手 499")
	p.until(count + " === 0")
	p.fill("search", "größe 手 17")
	p.until(count + " === 15") // 17, 117, 170 to 179, 217, 317, 417
	p.fill("search", "")
	p.until(count + " === 96")
	dir := t.TempDir()
	allow := cdpbrowser.SetDownloadBehaviorParams{Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir}
	if _, err := chromedp.Call(p.ctx, cdpbrowser.SetDownloadBehavior, allow); err != nil {
		t.Fatal(err)
	}
	p.run(chromedp.Click("#export"))
	names := []string{"0001-Größe-手-498-", "0002-Größe-手-497-"}
	for i := 3; i <= 500; i++ {
		names = append(names, fmt.Sprintf("%04d-", i))
	}
	checkArchive(t, filepath.Join(dir, "wisp.zip"), names...)
	p.run(chromedp.Evaluate[chromedp.Void](`globalThis.confirm = () => true; document.getElementById("clear").click()`))
	p.until(count + " === 5")
}

// checkArchive waits for a download and opens its pictures.
func checkArchive(t *testing.T, path string, prefixes ...string) {
	t.Helper()
	for range 200 {
		if _, err := os.Stat(path); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if len(archive.File) != len(prefixes) {
		t.Fatalf("the archive holds %d files, want %d", len(archive.File), len(prefixes))
	}
	for i, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		file, err := io.ReadAll(r) // verifies the checksum
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		if _, err := png.Decode(bytes.NewReader(file)); err != nil || !strings.HasPrefix(f.Name, prefixes[i]) || !bytes.Contains(file, []byte("tEXtparameters\x00")) {
			t.Errorf("%s, want %s…: %v", f.Name, prefixes[i], err)
		}
	}
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
// ComfyUI each give their settings back, and nothing is left of the form before;
// what holds none says so.
func TestDrops(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.keepSeed("7")
	p.fill("steps", "2")
	p.fill("guidance", "3")
	p.fill("schedule", "karras")
	p.draw("red heart")
	p.fill("schedule", "")
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("#pictures img").src && fetch(document.querySelector("#pictures img").src).then((r) => r.blob()).then((b) => { globalThis.kept = b; })`, chromedp.EvalAwaitPromise))
	const form = `["prompt", "negative", "seed", "steps", "guidance", "schedule"].map((id) => document.getElementById(id).value).join("|")`
	for _, c := range []struct{ name, kind, bytes, want string }{
		{"own.png", "image/png", `kept`, "red heart||7|2|3|karras"},
		{"own.png", "image/png", `(async () => {
			const { withText } = await import("/png.js");
			return withText(new Uint8Array(await kept.arrayBuffer()).filter((_, i, all) => i < 33 || i >= 33 + 12 + new DataView(all.buffer).getUint32(33)), "parameters", "рука 手 😀\nSteps: 3, CFG scale: 4, Seed: 5");
		})()`, "рука 手 😀||5|3|4|trailing"},
		{"theirs.png", "image/png", `(async () => {
			const { withText } = await import("/png.js");
			const plain = new Uint8Array(await kept.arrayBuffer());
			return withText(plain, "parameters", "a cat,\n<script>alert(1)</script>\nNegative prompt: dogs\nSteps: 4, Sampler: Euler, CFG scale: 5.5, Seed: 123, Size: 128x128, Model: \"a, b\"");
		})()`, "a cat,\n<script>alert(1)</script>|dogs|123|4|5.5|trailing"},
		{"photo.jpeg", "", `import("/compat.js").then(() => {
			const text = "a cat\nNegative prompt: fog\nrain\nSteps: 2, Sampler: Euler, Schedule type: Karras, CFG scale: 2, Seed: 1005433322112233, Size: 128x128";
			const comment = new Uint8Array([...new TextEncoder().encode("UNICODE"), 0, ...[...text].flatMap((c) => [0, c.charCodeAt(0)])]);
			const number = (n) => [n >>> 24, n >>> 16 & 255, n >>> 8 & 255, n & 255];
			const tiff = [77, 77, 0, 42, ...number(8), 0, 1, 0x87, 0x69, 0, 4, ...number(1), ...number(26), ...number(0), 0, 1, 0x92, 0x86, 0, 7, ...number(comment.length), ...number(44), ...number(0), ...comment];
			return new Uint8Array([0xff, 0xd8, 0xff, 0xe1, (tiff.length + 8) >> 8, (tiff.length + 8) & 255, 69, 120, 105, 102, 0, 0, ...tiff, 0xff, 0xd9]);
		})`, "a cat|fog\nrain|1005433322112233|2|2|karras"},
		{"flow.json", "application/json", `'{"3":{"class_type":"KSampler","inputs":{"seed":9,"steps":3,"cfg":2,"sampler_name":"euler","scheduler":"normal","denoise":1,"model":["4",0],"positive":["6",0],"negative":["7",0],"latent_image":["5",0]}},"4":{"class_type":"CheckpointLoaderSimple","inputs":{}},"5":{"class_type":"EmptyLatentImage","inputs":{"width":128,"height":128,"batch_size":1}},"6":{"class_type":"CLIPTextEncode","inputs":{"text":"a tree","clip":["4",1]}},"7":{"class_type":"CLIPTextEncode","inputs":{"text":"fog","clip":["4",1]}},"8":{"class_type":"VAEDecode","inputs":{"samples":["3",0],"vae":["4",2]}},"9":{"class_type":"SaveImage","inputs":{"images":["8",0]}}}'`, "a tree|fog|9|3|2|normal"},
	} {
		p.fill("prompt", "")
		p.run(dropped(c.name, c.kind, c.bytes))
		p.until(fmt.Sprintf("%s === %q", form, c.want))
	}
	for _, c := range []struct{ name, kind, bytes, want string }{
		{"flow.json", "application/json", `'{"1":{"class_type":"SaveImage","inputs":{"images":["2",0]}},"2":{"class_type":"UpscaleModel","inputs":{}}}'`, "UpscaleModel"},
		{"broken.json", "application/json", `"{"`, "roken.json is not JSON"},
		{"evil.json", "application/json", `'{"1":{"class_type":"SaveImage","inputs":{"images":["<img src=x onerror=globalThis.harmed=1>",0]}}}'`, "not linked"},
	} {
		p.run(dropped(c.name, c.kind, c.bytes))
		if code, text := p.failed(); code != "bad-request" || !strings.Contains(text, c.want) {
			t.Errorf("%s: %s: %s", c.name, code, text)
		}
	}
	// Pictures without settings are what the next one begins with, where they are
	// pictures at all.
	for name, c := range map[string]struct{ bytes, want string }{
		"nothing.png": {`new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10, 255, 255, 255, 255, 116, 69, 88, 116])`, "no picture that wisp knows"}, // a text of 4 GiB
		"bomb.png": {`(async () => {
			const { crc32 } = await import("/png.js");
			const packed = new Uint8Array(await new Response(new Blob([new Uint8Array(64 << 20)]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer());
			const body = new Uint8Array([...new TextEncoder().encode("zTXtparameters"), 0, 0, ...packed]);
			const number = (n) => new Uint8Array([n >>> 24, n >>> 16, n >>> 8, n]);
			return new Blob([new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]), number(body.length - 4), body, number(crc32(body))]);
		})()`, "choose one of at most 64 million"},
	} {
		p.run(dropped(name, "image/png", c.bytes))
		if code, text := p.failed(); code != "bad-request" || !strings.Contains(text, c.want) {
			t.Errorf("%s: %s: %s", name, code, text)
		}
	}
	if !eval[bool](p, unharmed) {
		t.Error("a text of a file became more than text")
	}
	p.fill("seed", "9007199254740993")
	p.run(chromedp.Click("#go"))
	if code, text := p.failed(); code != "bad-request" || !strings.Contains(text, "9007199254740991") {
		t.Errorf("a seed that is too large: %s: %s", code, text)
	}
	p.fill("seed", "1005433322112233")
	p.draw("red heart")
	if facts := eval[string](p, `document.getElementById("facts").textContent`); !strings.Contains(facts, "seed 1005433322112233") {
		t.Errorf("drawn with %q", facts)
	}
	p.run(dropped("notes.doc", "text/plain", `"hello"`))
	p.until(`document.getElementById("notice").textContent.startsWith("notes.doc is neither")`)
	p.draw("red heart")
}

// The texts that AUTOMATIC1111 writes, with what wisp has no counterpart for.
func TestParameters(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	const real = "<lora:detail:0.8>, a cat, (masterpiece:1.2), <lora:fur_v2:1>, soft light\r\nsecond line: 50 % grey\r\nNegative prompt: dogs,\r\nbad hands\r\n" +
		`Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7.5, Seed: 3141592653, Size: 512x768, Model hash: 6ce0161689, Model: v1-5, VAE: "a, b.pt", ` +
		`Denoising strength: 0.5, Clip skip: 2, Hires upscale: 2, Hires upscaler: Latent, Lora hashes: "detail: 1a2b, fur_v2: 3c4d", Größe: 1, Version: v1.9.4`
	for _, c := range []struct{ name, text, want string }{
		{"as it comes from there", real, `{"tool":"a1111","settings":{"prompt":"a cat, (masterpiece:1.2), soft light\nsecond line: 50 % grey","negativePrompt":"dogs,\nbad hands","steps":20,"sampler":"DPM++ 2M Karras","guidance":7.5,"seed":3141592653,"width":512,"height":768,"model":"v1-5","clipSkip":2},"lost":["<lora:detail:0.8>","<lora:fur_v2:1>","VAE: a, b.pt","Denoising strength: 0.5","Hires upscale: 2","Hires upscaler: Latent","Größe: 1","RNG: GPU"]}`},
		{"what changes nothing", "a\nSteps: 1, Sampler: Euler, Schedule type: Karras, Clip skip: 1, ENSD: 0", `{"tool":"a1111","settings":{"prompt":"a","negativePrompt":"","steps":1,"sampler":"Euler","schedule":"Karras"},"lost":[]}`},
		{"a prompt alone", "a: b, c: d\n\n", `{"tool":"a1111","settings":{"prompt":"a: b, c: d","negativePrompt":""},"lost":[]}`},
		{"no prompt", "Steps: 1, Seed: 2, Size: 8x8", `{"tool":"a1111","settings":{"prompt":"","negativePrompt":"","steps":1,"seed":2,"width":8,"height":8},"lost":[]}`},
		{"numbers that are none", "a\nSteps: many, Seed: , CFG scale: Infinity, Size: 8xx", `{"tool":"a1111","settings":{"prompt":"a","negativePrompt":""},"lost":["Steps: many","Seed: ","CFG scale: Infinity","Size: 8xx"]}`},
	} {
		if got := eval[string](p, fmt.Sprintf(`import("/compat.js").then(({ parametersText }) => JSON.stringify(parametersText(%q)))`, c.text)); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, c.want)
		}
	}
	// A hostile one leaves the page alive: a text of 132 bytes in the file, a MiB unpacked.
	p.run(dropped("hostile.png", "image/png", `(async () => {
		const { crc32 } = await import("/png.js");
		const text = new TextEncoder().encode("Ж" + " ".repeat(1_000_000) + "b");
		const packed = new Uint8Array(await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer());
		const body = new Uint8Array([...new TextEncoder().encode("iTXtparameters"), 0, 1, 0, 0, 0, ...packed]);
		const number = (n) => new Uint8Array([n >>> 24, n >>> 16, n >>> 8, n]);
		return new Blob([new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]), number(body.length - 4), body, number(crc32(body))]);
	})()`))
	p.until(`document.getElementById("prompt").value.startsWith("Ж") && document.getElementById("go").textContent === "Generate"`)
	small := strings.NewReplacer("512x768", "128x128", "Steps: 20", "Steps: 2", "DPM++ 2M Karras", "Euler Karras").Replace(real)
	p.run(dropped("theirs.png", "image/png", fmt.Sprintf(`(async () => (await import("/png.js")).withText(new Uint8Array(await (await fetch("icon-192.png")).arrayBuffer()), "parameters", %q))()`, small)))
	p.until(`document.querySelector("#pictures img")?.alt.startsWith("a cat, (masterpiece:1.2), soft light")`)
	notice := eval[string](p, `document.getElementById("notice").textContent`)
	for _, lost := range []string{"<lora:detail:0.8>", "Hires upscale: 2", "the model v1-5"} {
		if !strings.Contains(notice, lost) {
			t.Errorf("the notice is %q, without %q", notice, lost)
		}
	}
	if facts := eval[string](p, `document.getElementById("facts").textContent`); !strings.Contains(facts, "seed 3141592653 · 2 steps") {
		t.Errorf("drawn with %q", facts)
	}
	p.run(chromedp.Click("#go")) // the seed was for one picture
	p.until(`!document.getElementById("facts").textContent.includes("seed 3141592653 ")`)
	p.run(dropped("flow.json", "application/json", `'{"1":{"class_type":"SaveImage","inputs":{"images":["2",0]},"is_changed":[NaN]},"2":{"class_type":"Upscale NaN","inputs":{}}}'`)) // as Python writes it
	if _, text := p.failed(); !strings.Contains(text, "Upscale") {
		t.Errorf("a workflow with NaN: %s", text)
	}
}

// A link brings the words and the settings to another visitor, and draws the
// same picture; no server learns of it, and nothing in it runs.
func TestLink(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.run(chromedp.Navigate(s.URL + "/#prompt=" + url.QueryEscape("red heart, "+attack) + "&seed=7&steps=2&width=1e9x"))
	p.until(fmt.Sprintf(`document.querySelector("#pictures img")?.alt === %q`, "red heart, "+attack))
	if facts := eval[string](p, `document.getElementById("facts").textContent`); !strings.Contains(facts, "seed 7 · 2 steps") {
		t.Errorf("drawn with %q", facts)
	}
	if !eval[bool](p, unharmed) {
		t.Error("the link became more than text")
	}
	p.run(chromedp.Evaluate[chromedp.Void](`navigator.clipboard.writeText = async (text) => { globalThis.copied = text; }; document.getElementById("link").click()`))
	p.until(`globalThis.copied !== undefined`)
	first, link := eval[string](p, pictureText), eval[string](p, `copied`)
	q := newTab(t)
	q.run(chromedp.Navigate(s.URL + "/privacy.html"))
	q.run(chromedp.Evaluate[chromedp.Void](`localStorage.setItem("wisp-model", "/another/")`)) // which the link overrules
	s.count()
	q.run(chromedp.Navigate(link))
	q.until(`document.querySelector("#pictures img") !== null`)
	if eval[string](q, pictureText) != first {
		t.Error("the link drew another picture")
	}
	if _, requests := s.count(); strings.Contains(strings.Join(requests, " "), "heart") {
		t.Errorf("the server was told: %v", requests)
	}
}

// Another picture, variations and nine at once differ: the seed chooses the style
// where the visitor left it open. Each tells its settings, which draw it again to
// the last bit; a style that was chosen or typed stays.
func TestPicturesDiffer(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.fill("steps", "1")
	p.run(chromedp.Evaluate[chromedp.Void](`
		globalThis.pixels = async (img) => {
			const bitmap = await createImageBitmap(await (await fetch(img.src)).blob());
			const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
			context.drawImage(bitmap, 0, 0);
			return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
		};
		globalThis.shown = () => [...document.querySelectorAll("#pictures img")];
		globalThis.all = () => Promise.all(shown().map(pixels));
		globalThis.apart = (a, b) => a.reduce((sum, v, i) => sum + Math.abs(v - b[i]), 0) / a.length * 4 / 3; // opaque
		globalThis.press = async (id) => {
			const before = Number(document.documentElement.dataset.pictures ?? 0);
			const input = document.getElementById(id);
			id === "steps" ? input.dispatchEvent(new Event("input")) : input.click();
			while (Number(document.documentElement.dataset.pictures ?? 0) === before) await new Promise((r) => setTimeout(r, 20));
		};`))
	for _, prompt := range []string{"red heart", "fox"} {
		p.fill("count", "1")
		p.draw(prompt)
		plain := eval[string](p, `shown()[0].alt`)
		if plain != prompt {
			t.Errorf("%q was drawn as %q", prompt, plain)
		}
		others := eval[float64](p, `(async () => {
			let sum = 0;
			for (let n = 0, [before] = await all(), { alt } = shown()[0]; n < 3; n++) {
				await press("again");
				const [now] = await all();
				if (shown()[0].alt === alt) return 0;
				({ alt } = shown()[0]);
				sum += apart(before, now) / 3;
				before = now;
			}
			return sum;
		})()`)
		p.fill("count", "9")
		p.until(`shown().length === 9`)
		mean := eval[float64](p, `(async () => {
			const nine = await all();
			let sum = 0;
			for (let i = 0; i < 9; i++) for (let k = 0; k < i; k++) sum += apart(nine[i], nine[k]) / 36;
			return sum;
		})()`)
		t.Logf("%s: nine differ by %.1f of 255, three others in turn by %.1f", prompt, mean, others)
		if mean < 20 || others < 4 { // one style, seeds 2 to 9: 4.7 and 5.9
			t.Errorf("%s: nine differ by %.1f of 255, want 20, and three others in turn by %.1f, want 4", prompt, mean, others)
		}
	}
	p.fill("count", "1")
	p.until(`shown().length === 1`)
	again := eval[string](p, `(async () => {
		await press("vary");
		const picture = shown()[2], before = await pixels(picture), { alt } = picture;
		document.querySelectorAll("#pictures button")[2].click();
		const seed = document.getElementById("seed").value;
		await press("steps"); // a live picture of the chosen one
		return [document.getElementById("seed").value === seed, alt.startsWith(shown()[0].alt), apart(before, await pixels(shown()[0]))].join(" ");
	})()`)
	if again != "true true 0" {
		t.Errorf("the third of four drawn again: %s", again)
	}
	// From the history, by its settings alone.
	again = eval[string](p, `(async () => {
		await press("again");
		const before = await pixels(shown()[0]), { alt } = shown()[0];
		const newest = () => document.querySelector("#past .thumb");
		while (newest()?.querySelector("img")?.alt !== alt) await new Promise((r) => setTimeout(r, 50));
		const mine = newest();
		await press("again");
		mine.click();
		while (shown()[0].alt !== alt) await new Promise((r) => setTimeout(r, 20));
		await press("steps");
		return [shown()[0].alt === alt, apart(before, await pixels(shown()[0]))].join(" ");
	})()`)
	if again != "true 0" {
		t.Errorf("drawn again from the history: %s", again)
	}
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector('#styles [value="blob style"]').click()`))
	said := eval[string](p, `press("vary").then(() => [...new Set(shown().map((img) => img.alt.split(",")[1]))].join())`)
	if said != " blob style" {
		t.Errorf("with a style chosen, variations are of %q", said)
	}
}

// Variations lie side by side, each with its seed; two settings are compared
// on a sheet, which closing the dialog ends.
func TestGrids(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.fill("steps", "1")
	p.draw("red heart")
	p.run(chromedp.Click("#vary"))
	p.until(`document.querySelectorAll("#pictures img").length === 4 && document.querySelectorAll("#past li").length === 5`)
	got := eval[string](p, `(() => {
		const seed = () => Number(document.getElementById("seed").value);
		const first = seed();
		document.querySelectorAll("#pictures button")[2].click();
		return [
			seed() - first, /^red-heart-.*\d\.png$/.test(document.getElementById("save").download) && document.getElementById("save").download.endsWith("-" + seed() + ".png"),
			document.getElementById("facts").textContent.includes("seed " + seed() + " "), new Set([...document.querySelectorAll("#pictures img")].map((img) => img.alt)).size,
		].join(" ");
	})()`)
	if got != "2 true true 4" {
		t.Errorf("the third of four has seed + %s", got)
	}
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("settings").open = true`))
	p.run(chromedp.Click("#open-grid"))
	p.fill("x-values", "1, 2, 3")
	p.fill("y-values", "1, 2")
	p.run(submit("axes"))
	p.until(`!document.getElementById("grid-save").hidden`)
	if n := eval[int](p, `new Set([...document.querySelectorAll("#sheet canvas")].map((c) => c.toDataURL())).size`); n != 6 {
		t.Errorf("%d different pictures on a sheet of 3 × 2", n)
	}
	p.fill("x-values", "1, many")
	p.run(submit("axes"))
	p.until(`document.getElementById("grid-error").textContent.startsWith("Name one to eight values")`)
	p.fill("x-values", "1, 2, 3, 4, 5, 6, 7, 8")
	p.run(submit("axes"))
	p.until(`document.querySelectorAll("#sheet canvas").length > 0`)
	p.run(chromedp.KeyEvent("\u001b"))
	p.until(`document.getElementById("grid-go").textContent === "Draw"`)
	if n := eval[int](p, `document.querySelectorAll("#sheet canvas").length`); n == 16 {
		t.Error("closing the dialog did not end the sheet")
	}
	p.draw("rocket")
}

// Two tabs that open at once download the model once between them, draw at
// once, and show each other's pictures.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	q := p.another()
	p.run(chromedp.Navigate(s.URL))
	q.run(chromedp.Navigate(s.URL))
	for _, tab := range []*tab{p, q} {
		tab.until(`document.documentElement.dataset.state === "ready"`)
	}
	size, requests := s.count()
	for _, path := range requests {
		if n := len(slices.DeleteFunc(slices.Clone(requests), func(p string) bool { return p != path })); n > 1 && strings.HasSuffix(path, ".bin") {
			t.Errorf("%s was fetched %d times (%d bytes in all)", path, n, size)
		}
	}
	p.fill("prompt", "red heart")
	q.fill("prompt", "rocket")
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("go").click()`))
	q.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("go").click()`))
	for _, tab := range []*tab{p, q} {
		tab.until(`[...document.querySelectorAll("#past img")].map((img) => img.alt).sort().join() === "red heart,rocket"`)
	}
}

// A page that is reloaded in mid-generation forgets that picture and nothing
// else.
func TestReload(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.fill("steps", "1")
	p.draw("red heart")
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("steps").max = 1000`))
	p.fill("steps", "1000")
	p.fill("prompt", "rocket")
	p.run(chromedp.Click("#go"))
	p.until(`/Step [2-9]/.test(document.getElementById("doing").textContent)`)
	s.count()
	p.open(s.URL)
	if size, _ := s.count(); size != 0 {
		t.Errorf("the reload fetched %d bytes of the model", size)
	}
	p.until(`document.querySelectorAll("#past li").length === 1`)
	p.fill("steps", "1")
	p.draw("rocket")
}

// Where the browser keeps nothing, the page draws, and keeps its pictures for
// as long as it is open.
func TestNoStorage(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	refuse := page.AddScriptToEvaluateOnNewDocumentParams{Source: `for (const name of ["indexedDB", "localStorage", "caches"]) {
		Object.defineProperty(globalThis, name, { get() { throw new DOMException("refused", "SecurityError"); } });
	}`}
	if _, err := chromedp.Call(p.ctx, page.AddScriptToEvaluateOnNewDocument, refuse); err != nil {
		t.Fatal(err)
	}
	p.open(s.URL)
	p.fill("steps", "1")
	p.draw("red heart")
	p.until(`document.querySelectorAll("#past li").length === 1`)
}

// Everything can be reached and done by keyboard alone, in the order in which
// it stands, and what has the focus shows it.
func TestKeyboard(t *testing.T) {
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.fill("steps", "1")
	p.run(chromedp.KeyEvent("red heart\r")) // the prompt has the focus from the start
	p.until(`document.querySelector("#pictures img")?.alt === "red heart" && document.querySelectorAll("#past li").length === 1`)
	var order []string
	for range 40 {
		p.run(chromedp.KeyEvent("\t"))
		here := eval[string](p, `(() => {
			const e = document.activeElement;
			if (e === document.body) return "";
			const box = e.closest("label") ?? e;
			const style = [e, box, e.closest("#composer") ?? e].map((x) => getComputedStyle(x)).find((s) => s.outlineStyle !== "none");
			return (e.id || e.name || e.className || e.tagName) + (style ? "" : " without a mark");
		})()`)
		if here == "" {
			break
		}
		order = append(order, here)
	}
	order = slices.DeleteFunc(order, func(id string) bool { return id == "install" }) // which the browser offers when it likes to
	got := strings.Join(order, " ")
	const want = "more-ways live go style BUTTON again vary edit enlarge star save copy link SUMMARY search stars export clear thumb mark star mark bin mark pen A A pill language"
	if got != want {
		t.Errorf("the focus goes\n%s, want\n%s", got, want)
	}
}

// A first visit without a network goes on once there is one; the dialogs wait
// for the model, too.
func TestBackOnline(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/models/") {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	p.run(chromedp.Navigate(s.URL))
	if code, text := p.failed(); code != "network" {
		t.Errorf("without a network the page says %s: %s", code, text)
	}
	held := make(chan struct{})
	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ".bin") {
			<-held
		}
		return false
	})
	p.run(chromedp.Evaluate[chromedp.Void](`dispatchEvent(new Event("online")); document.getElementById("prompt").value = "tree"; document.getElementById("open-grid").click()`))
	p.fill("x-values", "1, 2")
	p.fill("y-values", "1")
	p.run(submit("axes"))
	close(held)
	p.until(`document.querySelectorAll("#sheet canvas").length === 2 && document.getElementById("grid-error").hidden`)
}

// While any of the model is still on its way, the page says how much, whatever
// is done meanwhile with the parts that are here.
func TestDownloadIsTold(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	held := make(chan struct{})
	var chunks atomic.Int64
	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ".bin") && chunks.Add(1) > 2 {
			<-held
		}
		return false
	})
	p.run(chromedp.Navigate(s.URL))
	const doing = `document.getElementById("doing").textContent`
	const told = `/^Downloading the model, once: [0-9.]+ MB of [0-9.]+ MB$/.test(` + doing + `)`
	p.until(told)
	p.run(chromedp.Sleep(2 * time.Second)) // for what is compiled meanwhile
	if text := eval[string](p, doing); !eval[bool](p, told) {
		t.Errorf("while chunks are on their way the page says %q", text)
	}
	p.fill("prompt", "red heart")
	p.run(chromedp.Click("#go"))
	if text := eval[string](p, doing); !eval[bool](p, told) {
		t.Errorf("after Generate the page says %q", text)
	}
	close(held)
	p.until(`document.querySelector("#pictures img")?.alt === "red heart"`)
}

// Turned around for a language that is written from right to left, the page
// fits a phone, and on a wide screen the words stand on the right.
func TestRightToLeft(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.look(390, 844, 1, true, "light")
	p.open(s.URL)
	p.fill("steps", "1")
	p.draw("red heart")
	p.run(chromedp.Evaluate[chromedp.Void](`document.documentElement.dir = "rtl"; document.getElementById("settings").open = true`))
	if got := eval[string](p, `[document.documentElement.scrollWidth, innerWidth].join()`); got != "390,390" {
		t.Errorf("on a phone of 390 pixels the page is %s wide", got)
	}
	p.look(1200, 800, 1, false, "light")
	if !eval[bool](p, `document.getElementById("words").getBoundingClientRect().left > document.getElementById("easel").getBoundingClientRect().right`) {
		t.Error("the words do not stand on the right")
	}
	if n := eval[int](p, `document.getAnimations().filter((a) => a.playState === "running").length`); n != 0 {
		t.Errorf("%d animations run for a visitor who wants none", n)
	}
}

// After one visit everything works with the network off.
func TestOffline(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.open(s.URL) // now by the service worker
	p.run(chromedp.Click("#live"))
	p.draw("red heart")
	chunks, err := filepath.Glob(filepath.Join(*modelDir, "*.bin"))
	if err != nil || len(chunks) == 0 {
		t.Fatalf("%v, %d chunks", err, len(chunks))
	}
	came := func() bool { // what of the model the first picture did without, too
		_, requests := s.count()
		for _, r := range requests {
			chunks = slices.DeleteFunc(chunks, func(c string) bool { return strings.HasSuffix(r, filepath.Base(c)) })
		}
		return len(chunks) == 0
	}
	for end := time.Now().Add(time.Minute); !came() && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
	}
	if len(chunks) > 0 {
		t.Fatalf("%d chunks of the model do not come", len(chunks))
	}
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
	p.run(chromedp.Click("#edit"))
	p.until(`document.querySelector(".card.start") !== null`)
	p.draw("blue heart")
}

// What build writes works on a plain file server that sets no headers, under a
// path of its own; from the second visit on it has threads there, too.
func TestBuiltUnderPath(t *testing.T) {
	t.Parallel()
	root, err := site.Root()
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	page := site.Layers{site.Files(), os.DirFS(filepath.Join(root, "build", "site"))}
	if err := site.Build(page, os.DirFS(t.TempDir()), site.BuildOptions{Out: out, Log: io.Discard}); err != nil {
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

// index.html and strings.js say the same in English, and no language lacks a
// word of another.
func TestStrings(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.run(chromedp.Navigate(s.URL + "/wisp.d.ts"))
	got := eval[[]string](p, `(async () => {
		const { arrive, languages, learn } = await import("/strings.js");
		const en = languages.en.strings;
		const wrong = [];
		learn(new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html"));
		for (const tag of Object.keys(languages)) await arrive(tag);
		for (const file of ["/", "/privacy.html"]) {
			const page = new DOMParser().parseFromString(await (await fetch(file)).text(), "text/html");
			learn(page);
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
	for tag, want := range map[string]string{"de": "Malen", "zh": "生成"} {
		p.open(s.URL + "/?lang=" + tag)
		p.until(fmt.Sprintf(`document.getElementById("go").textContent === %q`, want))
	}
}

// Help lists the keys; a report says what helps to find a fault, and nothing of
// what was typed; where the browser can, the page offers to be installed.
func TestHelp(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.fill("prompt", "secret heart")
	p.run(chromedp.Click(`[popovertarget="help"]`))
	p.until(`document.getElementById("help").matches(":popover-open")`)
	p.run(chromedp.Click("#report"))
	p.until(`!document.getElementById("report-text").hidden`)
	text := eval[string](p, `document.getElementById("report-text").textContent`)
	if !strings.Contains(text, "wisp "+site.Version()) || !strings.Contains(text, "backend: ") || !strings.Contains(text, "error: undefined") || strings.Contains(text, "secret") {
		t.Errorf("the report is %q", text)
	}
	p.run(chromedp.Evaluate[chromedp.Void](`dispatchEvent(Object.assign(new Event("beforeinstallprompt", { cancelable: true }), { prompt: () => { globalThis.asked = true; } }))`))
	p.until(`!document.getElementById("install").hidden`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("help").hidePopover()`), chromedp.Click("#install"))
	p.until(`globalThis.asked === true`)
}
