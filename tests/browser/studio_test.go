//go:build browser

package browser_test

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// A picture of the page, one that is dropped, pasted or chosen from the history is
// what the next one begins with; how much may change is the visitor's; nothing of it
// shows before, or after it is put away.
func TestStart(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	if n := eval[int](p, `document.querySelectorAll("#studio > *").length + performance.getEntriesByType("resource").filter((r) => /studio/.test(r.name)).length`); n != 0 {
		t.Errorf("%d tools are loaded before anybody wants one", n)
	}
	p.run(chromedp.Click("#live"))
	p.keepSeed("3")
	p.draw("red heart")
	red := p.mean("#pictures img")
	p.run(chromedp.Click("#edit"))
	p.until(`document.querySelector(".card.start") !== null`)
	p.fill("prompt", "blue heart")
	var far []float64 // how far the pictures are from the one that they begin with
	for _, strength := range []string{"0.25", "1"} {
		p.slide(".card.start input", strength)
		p.draw("blue heart")
		got := p.mean("#pictures img")
		far = append(far, math.Abs(got[0]-red[0])+math.Abs(got[2]-red[2]))
	}
	if !(far[0] < far[1]/2 && far[1] > 20) {
		t.Errorf("the mean colour moves by %.1f at a quarter of the strength, by %.1f at all of it", far[0], far[1])
	}
	// The history has what it began with; one that began with nothing has not.
	p.until(`document.querySelectorAll("#past li").length === 3`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("#past .thumb")[2].click()`))
	p.until(`document.querySelector(".card.start") === null`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("#past .thumb")[1].click()`))
	p.until(`document.querySelector(".card.start input")?.value === "0.25"`)
	p.run(chromedp.Click(".card.start .bar button"))
	p.until(`document.querySelector(".card.start") === null && document.activeElement.id === "prompt"`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("#past .pen").click()`))
	p.until(`document.querySelector(".card.start") !== null`)
	p.run(chromedp.Click(".card.start .bar button"))

	// A wide photo keeps its shape.
	const photo = `new Promise((done) => {
		const canvas = Object.assign(document.createElement("canvas"), { width: 600, height: 300 });
		const c = canvas.getContext("2d");
		c.fillStyle = "teal";
		c.fillRect(0, 0, 600, 300);
		canvas.toBlob(done, "image/jpeg");
	})`
	p.run(dropped("photo.jpeg", "image/jpeg", photo))
	p.until(`document.querySelector(".card.start") !== null && document.getElementById("notice").textContent.startsWith("photo.jpeg holds no settings")`)
	p.draw("tree")
	if facts := eval[string](p, `document.getElementById("facts").textContent`); !strings.HasPrefix(facts, "184 × 88") && !strings.HasPrefix(facts, "176 × 88") && !strings.HasPrefix(facts, "192 × 96") {
		t.Errorf("a photo of 600 × 300 becomes %q", facts)
	}
	p.run(chromedp.Click(".card.start .bar button"))
	p.run(chromedp.Evaluate[chromedp.Void](`(`+photo+`).then((blob) => {
		const data = new DataTransfer();
		data.items.add(new File([blob], "pasted.jpeg", { type: "image/jpeg" }));
		dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
	})`, chromedp.EvalAwaitPromise))
	p.until(`document.querySelector(".card.start") !== null`)

	// What is turned by its EXIF arrives upright.
	p.run(dropped("turned.jpeg", "image/jpeg", `(`+photo+`).then(async (blob) => {
		const bytes = new Uint8Array(await blob.arrayBuffer());
		const exif = [0xff, 0xe1, 0, 34, 69, 120, 105, 102, 0, 0, 77, 77, 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0];
		return new Blob([bytes.subarray(0, 2), new Uint8Array(exif), bytes.subarray(2)]);
	})`))
	p.until(`(({ width, height }) => height > width)(document.querySelector(".card.start .look"))`)

	// Prompts that vary say the same for a seed.
	p.run(chromedp.Click(".card.start .bar button"))
	p.keepSeed("5")
	p.draw("{red|blue|green} heart")
	alt := eval[string](p, `document.querySelector("#pictures img").alt`)
	if !regexp.MustCompile("^(red|blue|green) heart$").MatchString(alt) {
		t.Errorf("a prompt that varies became %q", alt)
	}
	p.draw("{red|blue|green} heart")
	if again := eval[string](p, `document.querySelector("#pictures img").alt`); again != alt {
		t.Errorf("the same seed says %q, then %q", alt, again)
	}
	if code, text := p.refused("{red|blue heart"); code != "bad-request" || !strings.Contains(text, "without its }") {
		t.Errorf("an open bracket: %s: %s", code, text)
	}
}

// What is painted over is drawn anew and the rest stays, pixel for pixel: by mouse,
// keys and fingers, undone and done again; an edge that is drawn outwards adds to the
// picture.
func TestPaint(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.run(chromedp.Click("#live"))
	p.keepSeed("3")
	p.draw("red heart")
	p.run(chromedp.Click("#edit"))
	p.until(`document.querySelector(".card.start") !== null`)
	open := func() {
		p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".card.start .tools button").click()`))
		p.until(`document.querySelector("dialog.editor canvas:focus") !== null`)
	}
	// ink is how much of the picture is painted, by what the canvas shows.
	ink := func() float64 {
		return eval[float64](p, `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
			const from = document.querySelector(".stage canvas"), c = new OffscreenCanvas(200, 200).getContext("2d");
			c.drawImage(from, 0, 0, 200, 200);
			const { data } = c.getImageData(0, 0, 200, 200);
			let n = 0;
			for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 0 && data[i + 2] > data[i] - 40 && data[i + 2] > data[i + 1] + 25) n++;
			done(n);
		})))`)
	}
	key := func(keys ...string) {
		for _, k := range keys {
			p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`{
				const [, control, shift, key] = /^(\^?)(\+?)(.+)$/.exec(%q);
				const canvas = document.querySelector(".stage canvas"), event = { key: key === "space" ? " " : key, ctrlKey: control !== "", shiftKey: shift !== "", bubbles: true };
				canvas.dispatchEvent(new KeyboardEvent("keydown", event));
				if (key !== "space") canvas.dispatchEvent(new KeyboardEvent("keyup", event));
			}`, k)))
		}
	}
	open()
	none := ink()
	b := eval[[]float64](p, `(() => { const b = document.querySelector(".stage canvas").getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; })()`)
	p.stroke(b[0]-60, b[1], b[0]+60, b[1]+10)
	one := ink()
	key("^z")
	undone := ink()
	key("^+z")
	if again := ink(); !(one > none+200 && undone == none && again == one) {
		t.Errorf("painted %v, a stroke %v, undone %v, again %v", none, one, undone, again)
	}
	key("i")
	if inverted := ink(); inverted < 3*one {
		t.Errorf("inverted %v, of %v", inverted, one)
	}
	key("i", "^z", "^z", "^z")
	if back := ink(); back != none {
		t.Errorf("all undone: %v of %v", back, none)
	}
	key("space", "+ArrowRight", "+ArrowDown") // space is still down
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".stage canvas").dispatchEvent(new KeyboardEvent("keyup", { key: " " }))`))
	keys := ink()
	key("e", "space", "ArrowLeft")
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".stage canvas").dispatchEvent(new KeyboardEvent("keyup", { key: " " }))`))
	if erased := ink(); !(keys > none+200 && erased < keys) {
		t.Errorf("painted by keys %v, erased %v", keys, erased)
	}
	key("b", "[", "[", "]", "+", "-", "0")
	// Two fingers move the picture and paint nothing.
	before := ink()
	p.run(chromedp.Evaluate[chromedp.Void](`{
		const canvas = document.querySelector(".stage canvas"), box = canvas.getBoundingClientRect();
		const finger = (type, pointerId, x, y) => canvas.dispatchEvent(new PointerEvent(type, { pointerId, pointerType: "touch", clientX: box.left + x, clientY: box.top + y, button: 0, buttons: 1, bubbles: true }));
		finger("pointerdown", 11, 200, 200);
		finger("pointerdown", 12, 300, 200);
		for (let i = 0; i < 5; i++) { finger("pointermove", 11, 200 - 10 * i, 200); finger("pointermove", 12, 300 + 10 * i, 200); }
		finger("pointerup", 11, 150, 200);
		finger("pointerup", 12, 350, 200);
	}`))
	key("0")
	if after := ink(); math.Abs(after-before) > before/20 {
		t.Errorf("two fingers changed what is painted from %v to %v", before, after)
	}
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("dialog.editor .bar button").click()`))
	p.until(`document.querySelector("dialog.editor") === null`)
	p.slide(".card.start input", "0.75")
	// same counts the pixels that are as in the picture before.
	same := `(async () => {
		const pixels = async (img) => { await img.decode(); const c = new OffscreenCanvas(img.naturalWidth, img.naturalHeight).getContext("2d"); c.drawImage(img, 0, 0); return c.getImageData(0, 0, 128, 128).data; };
		globalThis.was ??= await pixels(document.querySelector("#pictures img"));
		const is = await pixels(document.querySelector("#pictures img"));
		let n = 0;
		for (let i = 0; i < is.length; i += 4) if (is[i] === was[i] && is[i + 1] === was[i + 1] && is[i + 2] === was[i + 2]) n++;
		return n;
	})()`
	eval[int](p, same)
	p.draw("green star")
	if n := eval[int](p, same); n < 128*128/3 || n > 128*128-500 {
		t.Errorf("%d of %d pixels stay", n, 128*128)
	}

	// A part is added at the right by keys, at the top by the mouse.
	open()
	p.run(chromedp.Evaluate[chromedp.Void](`{
		const right = document.querySelector(".handle.right");
		right.focus();
		for (const key of ["ArrowRight", "PageUp", "ArrowLeft"]) right.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
	}`))
	added := eval[int](p, `Number(document.querySelector(".handle.right").getAttribute("aria-valuenow"))`)
	b = eval[[]float64](p, `(() => { const b = document.querySelector(".handle.top").getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; })()`)
	p.stroke(b[0], b[1], b[0], b[1]-100)
	above := eval[int](p, `Number(document.querySelector(".handle.top").getAttribute("aria-valuenow"))`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("dialog.editor .bar button").click()`))
	if added < 8 || above < 8 {
		t.Errorf("%d pixels are added at the right, %d at the top", added, above)
	}
	p.draw("red heart")
	if facts, want := eval[string](p, `document.getElementById("facts").textContent`), fmt.Sprintf("%d × %d", 128+added, 128+above); !strings.HasPrefix(facts, want) {
		t.Errorf("with %d and %d pixels more: %s, want %s", added, above, facts, want)
	}
}

// Many prompts are drawn one after the other, by lines and times, with wildcards of a
// dropped file; cancelled, the rest is left. The picture before is seen beside the
// one after.
func TestBatch(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.run(chromedp.Click("#live"))
	p.fill("steps", "1")
	p.run(dropped("animals.txt", "text/plain", `"# two\ncat\ndog\n"`))
	p.until(`document.getElementById("notice").textContent.includes("__animals__")`)
	p.run(chromedp.Click("#more-ways"))
	p.until(`document.getElementById("ways") !== null`)
	p.run(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("#ways button")].at(-1).click()`))
	p.until(`document.querySelector("dialog.batch textarea") !== null`)
	p.run(chromedp.Evaluate[chromedp.Void](`{
		const box = document.querySelector("dialog.batch");
		box.querySelector("textarea").value = "red heart\n\n__animals__ face\n{blue|green} tree";
		const times = box.querySelector("select");
		times.value = "2";
		times.dispatchEvent(new Event("change"));
		box.querySelector(".tools button").click();
	}`))
	p.until(`document.querySelector("dialog.batch [role=status]").textContent === "6 pictures are drawn."`)
	p.until(`document.querySelectorAll("#past li").length === 6`)
	prompts := eval[string](p, `[...document.querySelectorAll("#past img")].map((i) => i.alt).sort().join("|")`)
	if !regexp.MustCompile(`^((blue|green) tree\|){0,2}((cat|dog) face\|){2}((blue|green) tree\|){0,2}red heart\|red heart$`).MatchString(prompts) {
		t.Errorf("drawn %q", prompts)
	}
	p.run(chromedp.Evaluate[chromedp.Void](`{
		const box = document.querySelector("dialog.batch");
		const times = box.querySelector("select");
		times.value = "16";
		times.dispatchEvent(new Event("change"));
		box.querySelector(".tools button").click();
	}`))
	p.until(`document.querySelectorAll("#past li").length >= 7`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("dialog.batch .tools button").click()`))
	p.until(`document.querySelector("dialog.batch [role=status]").textContent === "Cancelled"`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("dialog.batch .bar button").click()`))
	p.until(`document.getElementById("programs").hidden`)

	p.run(chromedp.Click("#edit"))
	p.until(`document.querySelector(".card.start") !== null`)
	p.draw("rocket")
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll(".card.start .tools button")[1].click()`))
	p.until(`document.querySelector(".before img")?.complete && document.activeElement.matches(".before input")`)
	p.slide(".before input", "20")
	if clip := eval[string](p, `getComputedStyle(document.querySelector(".before img")).clipPath`); !strings.Contains(clip, "80%") {
		t.Errorf("the picture before shows by %s", clip)
	}
	p.draw("rocket")
	p.until(`document.querySelector(".before") === null`)
}

// A LoRA that is dropped is worn, at the strength that is chosen, until it is taken
// off; its trigger words are offered, and what does not fit says why.
func TestLoras(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.run(chromedp.Click("#live"))
	p.keepSeed("3")
	p.draw("red heart")
	picture := func() string {
		p.draw("red heart")
		return eval[string](p, `(async () => {
			const i = document.querySelector("#pictures img");
			await i.decode();
			const c = new OffscreenCanvas(128, 128).getContext("2d");
			c.drawImage(i, 0, 0);
			return String(c.getImageData(0, 0, 128, 128).data.reduce((sum, v, k) => (sum * 31 + v) % 1000003, 7));
		})()`)
	}
	bare := picture()
	p.run(dropped("ink.safetensors", "", loraOf("unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_q", 192)))
	p.until(`document.querySelector(".card.loras label")?.textContent === "ink"`)
	worn := picture()
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".loras .chips button").click()`))
	if prompt := eval[string](p, `document.getElementById("prompt").value`); prompt != "red heart, ink wash" {
		t.Errorf("with a trigger word the prompt is %q", prompt)
	}
	p.slide(".loras input[type=range]", "-1")
	turned := picture()
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".loras input[type=checkbox]").click()`))
	off := picture()
	if worn == bare || turned == bare || turned == worn || off != bare {
		t.Errorf("bare %s, worn %s, the other way %s, off %s", bare, worn, turned, off)
	}
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".loras .icon").click()`))
	p.until(`document.querySelector(".card.loras") === null`)
	p.run(dropped("other.safetensors", "", loraOf("unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_q", 64)))
	if code, text := p.failed(); code != "bad-model" || !strings.Contains(text, "to_q") {
		t.Errorf("a LoRA of another width: %s: %s", code, text)
	}
}

// Pictures that cannot be are refused by their name, and the page goes on.
func TestBadPictures(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	result, err := p.call(`
		const generator = await createGenerator({ backend: "simd" });
		const header = (w, h) => new Blob([new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, w >> 8, w & 255, 0, 0, h >> 8, h & 255, 8, 2, 0, 0, 0, 0, 0, 0, 0])]);
		const canvas = new OffscreenCanvas(32, 32);
		canvas.getContext("2d").fillRect(0, 0, 32, 32);
		const whole = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
		const wrong = [];
		for (const [name, image, want] of [
			["a bomb", header(20000, 20000), "image is 20000 × 20000 pixels"],
			["an empty one", header(0, 5), "image is 0 × 5 pixels"],
			["half a file", new Blob([whole.subarray(0, whole.length / 2)]), "image cannot be decoded"],
			["a text", new Blob(["hello"]), "image is no picture that wisp knows"],
			["an address", "https://example.com/a.png", "image is no picture"],
			["a number", 7, "image is no picture"],
			["a detached bitmap", await createImageBitmap(canvas).then((b) => (b.close(), b)), "image is 0 × 0 pixels"],
			["pixels of another size", { width: 4, height: 4, data: new Uint8ClampedArray(4) }, "image"],
		]) {
			const said = await generator.generate({ prompt: "tree", image, steps: 2 }).then(() => "drawn", (err) => (err instanceof WispError ? err.code + ": " + err.message : "not a WispError: " + err));
			if (!said.startsWith("bad-request: ") || !said.includes(want)) wrong.push(name + ": " + said);
		}
		for (const strength of [NaN, -1, 2, "much"]) {
			const said = await generator.generate({ prompt: "tree", image: canvas, strength }).then(() => "drawn", (err) => err.code);
			if (said !== "bad-request") wrong.push("strength " + strength + ": " + said);
		}
		const same = [];
		const bitmap = await createImageBitmap(canvas), data = canvas.getContext("2d").getImageData(0, 0, 32, 32);
		for (const image of [canvas, bitmap, data, new Blob([whole]), { width: 32, height: 32, data: data.data }]) {
			const { images } = await generator.generate({ prompt: "tree", image, strength: 0.5, seed: 1, width: 64, height: 64 });
			same.push(images[0].data.reduce((sum, v, i) => (sum * 31 + v * i) % 1000003, 0));
		}
		if (new Set(same).size !== 1) wrong.push("the same picture in five forms makes " + same);
		generator.dispose();
		return wrong;
	`)
	if err != nil || string(result) != "[]" {
		t.Errorf("%v: %s", err, result)
	}
	p.draw("tree")
}

// mean is the mean colour of a picture on the page.
func (p *tab) mean(selector string) []float64 {
	p.t.Helper()
	return eval[[]float64](p, fmt.Sprintf(`(async () => {
		const image = document.querySelector(%q);
		await image.decode();
		const c = Object.assign(document.createElement("canvas"), { width: 64, height: 64 }).getContext("2d");
		c.drawImage(image, 0, 0, 64, 64);
		const sum = [0, 0, 0], { data } = c.getImageData(0, 0, 64, 64);
		for (let i = 0; i < data.length; i++) if (i %% 4 < 3) sum[i %% 4] += data[i] / 4096;
		return sum;
	})()`, selector))
}

// slide moves a slider.
func (p *tab) slide(selector, value string) {
	p.t.Helper()
	p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`{
		const input = document.querySelector(%q);
		input.value = %q;
		input.dispatchEvent(new Event("input", { bubbles: true }));
	}`, selector, value)))
}

// stroke draws with the mouse.
func (p *tab) stroke(x0, y0, x1, y1 float64) {
	p.t.Helper()
	mouse := func(kind input.DispatchMouseEventType, x, y float64, buttons int64) {
		m := input.DispatchMouseEventParams{Type: kind, X: x, Y: y, Button: input.MouseButtonLeft, Buttons: buttons, ClickCount: 1}
		if _, err := chromedp.Call(p.ctx, input.DispatchMouseEvent, m); err != nil {
			p.t.Fatal(err)
		}
	}
	mouse(input.DispatchMouseEventTypeMousePressed, x0, y0, 1)
	for i := 1; i <= 8; i++ {
		f := float64(i) / 8
		mouse(input.DispatchMouseEventTypeMouseMoved, x0+f*(x1-x0), y0+f*(y1-y0), 1)
	}
	mouse(input.DispatchMouseEventTypeMouseReleased, x1, y1, 0)
}

// loraOf is a script that makes a LoRA of one square layer.
func loraOf(key string, width int) string {
	return fmt.Sprintf(`(() => {
		const key = %q, width = %d, rank = 4, values = new Float32Array(2 * rank * width).map((_, i) => Math.sin(i) * 2);
		const header = new TextEncoder().encode(JSON.stringify({
			__metadata__: { ss_tag_frequency: JSON.stringify({ "10_ink": { "ink wash": 20, cat: 3 } }) },
			[key + ".lora_A.weight"]: { dtype: "F32", shape: [rank, width], data_offsets: [0, 4 * rank * width] },
			[key + ".lora_B.weight"]: { dtype: "F32", shape: [width, rank], data_offsets: [4 * rank * width, 8 * rank * width] },
		}));
		const length = new DataView(new ArrayBuffer(8));
		length.setBigUint64(0, BigInt(header.length), true);
		return new Blob([length, header, values]);
	})()`, key, width)
}

// The tools in the screenshots of the README.
func TestScreenshotsOfTools(t *testing.T) {
	dir := t.TempDir()
	if *update {
		dir = "shots"
	}
	s, p := serve(t), newTab(t)
	p.look(1200, 800, 1, false, "light")
	p.open(s.URL)
	p.keepSeed("3")
	p.draw("red heart")
	p.run(chromedp.Click("#edit"))
	p.until(`document.querySelector(".card.start") !== null`)
	p.run(dropped("ink.safetensors", "", loraOf("unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_q", 192)))
	p.until(`document.querySelector(".card.loras") !== null`)
	p.slide(".loras input[type=range]", "0.25")
	p.slide(".card.start input", "0.75")
	p.draw("blue heart")
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll(".card.start .tools button")[1].click()`))
	p.until(`document.querySelector(".before img")?.complete`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur(); scrollTo(0, 0)`))
	p.screenshot(filepath.Join(dir, "tools.webp"))
	open := func() {
		p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".card.start .tools button").click()`))
		p.until(`document.querySelector("dialog.editor canvas:focus") !== null`)
	}
	open()
	b := eval[[]float64](p, `(() => { const b = document.querySelector(".stage canvas").getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; })()`)
	p.stroke(b[0]+60, b[1]-80, b[0]+160, b[1]+40)
	b = eval[[]float64](p, `(() => { const b = document.querySelector(".handle.right").getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; })()`)
	p.stroke(b[0], b[1], b[0]+110, b[1])
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".stage canvas").focus()`))
	p.screenshot(filepath.Join(dir, "brush.webp"))
	p.look(390, 844, 2, true, "dark")
	p.screenshot(filepath.Join(dir, "brush-phone.webp"))
	if width := eval[int](p, `document.documentElement.scrollWidth`); width != 390 {
		t.Errorf("on a phone of 390 pixels the brush is %d wide", width)
	}
}
