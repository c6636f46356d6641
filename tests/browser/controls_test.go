//go:build browser

package browser_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"wisp/loader/pack"
	"wisp/tests/golden/seeded"
)

// The page shows the settings that the model in use reads, and no others; what is
// set there is drawn, and a link and the picture's file bring it back.
func TestControls(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	dir := t.TempDir()
	for _, name := range []string{"sdxl", "dit", "ddpm"} {
		o := pack.Options{In: seeded.Directory(t, "../golden/pipeline/"+name+"/model"), Out: filepath.Join(dir, name)}
		if err := pack.Run(context.Background(), o); err != nil {
			t.Fatal(err)
		}
	}
	s.extra = http.StripPrefix("/test/", http.FileServer(http.Dir(dir)))
	const shown = `["negative", "guidance", "secondPrompt", "promptSyntax", "clipSkip", "class"].filter((id) => !document.getElementById(id).closest(".setting").hidden).join()`
	set := func(id, value string) {
		p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`{ const e = document.getElementById(%q); e.value = %q; e.dispatchEvent(new Event("input", { bubbles: true })); }`, id, value)))
	}
	open := func(address, want string) {
		p.open(s.URL + address)
		p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("live").checked = false`))
		if got := eval[string](p, shown); got != want {
			t.Errorf("%s shows %s, want %s", address, got, want)
		}
	}
	// drawn presses the button and returns the settings in the picture's file.
	drawn := func() string {
		before := eval[int](p, `Number(document.documentElement.dataset.pictures ?? 0)`)
		p.run(chromedp.Click("#go"))
		p.until(fmt.Sprintf(`Number(document.documentElement.dataset.pictures ?? 0) > %d || !document.getElementById("error").hidden`, before))
		return eval[string](p, `(async () => {
			const { readMetadata } = await import("/compat.js");
			const file = await (await fetch(document.getElementById("save").href)).arrayBuffer();
			return document.getElementById("error").textContent + (await readMetadata(new Uint8Array(file))).get("parameters");
		})()`)
	}

	open("/", "negative,guidance,promptSyntax,clipSkip")
	p.fill("prompt", "red heart")
	if got := drawn(); strings.Contains(got, "syntax") || strings.Contains(got, "skip") {
		t.Errorf("as the form was, the file says %q", got)
	}

	open("/?model=/test/sdxl/", "negative,guidance,secondPrompt,promptSyntax,clipSkip")
	p.fill("prompt", "a (red:1.5) cat")
	for id, value := range map[string]string{"seed": "7", "steps": "2", "secondPrompt": "the HOUSE", "promptSyntax": "a1111", "clipSkip": "1"} {
		set(id, value)
	}
	const said = `, Second prompt: the HOUSE, Prompt syntax: a1111, Clip skip: 1, `
	first := drawn()
	if !strings.Contains(first, said) {
		t.Errorf("the file says %q", first)
	}
	picture := eval[string](p, pictureText)
	set("promptSyntax", "")
	set("seed", "7")
	if got := drawn(); got != strings.Replace(first, "Prompt syntax: a1111, ", "", 1) || eval[string](p, pictureText) == picture {
		t.Errorf("with brackets as written the same is drawn, or %q", got)
	}
	set("promptSyntax", "a1111")
	set("seed", "7")
	drawn()
	p.run(chromedp.Evaluate[chromedp.Void](`navigator.clipboard.writeText = async (text) => { globalThis.copied = text; }; document.getElementById("link").click()`))
	p.until(`globalThis.copied !== undefined`)
	link := eval[string](p, `copied`)
	p.run(chromedp.Navigate("about:blank"))
	p.run(chromedp.Navigate(link))
	p.until(`document.querySelector("#pictures img") !== null`)
	if eval[string](p, pictureText) != picture {
		t.Errorf("the link %s draws another picture", link)
	}
	if form := eval[string](p, `["secondPrompt", "promptSyntax", "clipSkip"].map((id) => document.getElementById(id).value).join()`); form != "the HOUSE,a1111,1" {
		t.Errorf("the link brings %s", form)
	}

	open("/?model=/test/dit/", "guidance,class")
	set("steps", "2")
	set("class", "3")
	if got := drawn(); !strings.HasPrefix(got, "\nSteps: 2, ") || !strings.Contains(got, ", Class: 3, ") {
		t.Errorf("a class without words: %q", got)
	}

	open("/?model=/test/ddpm/", "")
	set("steps", "2")
	if got := drawn(); !strings.HasPrefix(got, "\nSteps: 2, ") {
		t.Errorf("without words: %q", got)
	}
	if wrong := eval[string](p, `[...document.getElementById("width").options].map((o) => o.value).filter((v) => !(v % 4 === 0 && v > 0)).join()`); wrong != "" {
		t.Errorf("widths that cannot be drawn: %s", wrong)
	}
}

// A ControlNet is added through the module, steers by a picture as it is or as a
// preprocessor makes it, and is refused where it is for another model. Pictures to
// draw after go to the model that reads them; tokens are counted.
func TestControlNet(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	dir := t.TempDir()
	for name, in := range map[string]string{"tiny": tiny, "klein": seeded.Directory(t, "../golden/pipeline/flux2_klein/model")} {
		if err := pack.Run(context.Background(), pack.Options{In: in, Out: filepath.Join(dir, name)}); err != nil {
			t.Fatal(err)
		}
	}
	files := http.NewServeMux()
	files.Handle("/test/", http.StripPrefix("/test/", http.FileServer(http.Dir(dir))))
	files.Handle("/test/modes/", http.StripPrefix("/test/modes/", http.FileServer(http.Dir("../golden/modes"))))
	s.extra = files
	p.open(s.URL)
	got, err := p.call(`
		const generator = await createGenerator({ model: "/test/tiny/", backend: "simd" });
		const config = await (await fetch("/test/modes/control_a/config.json")).json();
		const file = await (await fetch("/test/modes/control_a/diffusion_pytorch_model.safetensors")).blob();
		const image = await (await fetch("/test/modes/photo.png")).blob();
		const draw = async (more) => (await generator.generate({ prompt: "cat", seed: 1, steps: 2, width: 32, height: 32, ...more })).images[0].data.join();
		const plain = await draw({});
		const added = await generator.addControl(file, { name: "edges", config });
		const steered = await draw({ controls: [{ id: added.id, image }] });
		const half = await draw({ controls: [{ id: added.id, image, weight: 0.5, end: 0.5 }] });
		const wrong = [];
		if (plain === steered || steered === half) wrong.push("nothing is steered");
		const { parameters } = await generator.generate({ prompt: "cat", seed: 1, steps: 1, width: 32, height: 32, controls: [{ id: added.id, image, end: 0.5 }] });
		if (!parameters.includes(', ControlNet 0: "Module: none, Model: edges, Weight: 1, Guidance Start: 0, Guidance End: 0.5", CFG scale: ')) wrong.push(parameters);
		const { preprocess, preprocessors } = await import("/wisp.js");
		const named = (await preprocessors()).map(({ name }) => name);
		if (!named.includes("canny") || !named.includes("scribble") || !named.includes("threshold")) wrong.push(named.join());
		const edges = await preprocess(image, { name: "canny", low: 50, high: 120 });
		const values = new Set(edges.data.filter((_, i) => i % 4 < 3));
		if ([...values].sort().join() !== "0,255") wrong.push("edges of " + [...values].slice(0, 5));
		const by = await draw({ controls: [{ id: added.id, image, preprocess: { name: "canny", low: 50, high: 120 } }] });
		if (by === steered || by !== await draw({ controls: [{ id: added.id, image: edges }] })) wrong.push("a preprocessor in the request is not that of the module");
		const counts = [];
		for (const [text, syntax] of [["", undefined], ["cat", undefined], ["cat ".repeat(100), undefined], ["(cat:1.2) ".repeat(100), "a1111"], ["cat BREAK cat", "a1111"]]) {
			const { tokens, limit } = await generator.countTokens(text, syntax);
			counts.push(tokens / limit > 1 ? "over" : tokens + "/" + limit);
		}
		if (!/^0\/(\d+),[123]\/\1,over,\d+\/\d+,\d+\/\d+$/.test(counts.join()) || counts[3].split("/")[1] % counts[0].slice(2) !== 0) wrong.push("tokens: " + counts);
		if (added.name !== "edges" || generator.controls.length !== 1) wrong.push(JSON.stringify(generator.controls));
		await generator.removeControl(added.id);
		const code = (promise) => promise.then(() => "done", (err) => err.code);
		for (const [want, said] of [
			["bad-request", await code(draw({ controls: [{ id: added.id, image }] }))],
			["bad-model", await code(generator.addControl(file))],
			["bad-request", await code(draw({ controls: [{ id: added.id }] }))],
			["bad-request", await code(draw({ references: [image] }))],
			["bad-request", await code(preprocess(image, "pose"))],
			["bad-request", await code(preprocess(image, { name: "canny", low: NaN }))],
		]) if (said !== want) wrong.push(said + " in place of " + want);
		if (await draw({}) !== plain) wrong.push("another picture afterwards");
		generator.dispose();
		const klein = await createGenerator({ model: "/test/klein/", backend: "simd" });
		const edit = async (references) => (await klein.generate({ prompt: "cat", seed: 1, steps: 1, width: 32, height: 32, references })).images[0].data.join();
		const none = await edit(), one = await edit([image]), two = await edit([image, image]);
		if (!klein.fields.references || generator.fields.references || none === one || one === two) wrong.push("references change nothing");
		if (await code(edit([image, "x"])) !== "bad-request") wrong.push("a reference that is none");
		klein.dispose();
		return wrong;
	`)
	if err != nil || string(got) != "[]" {
		t.Errorf("%v: %s", err, got)
	}
}
