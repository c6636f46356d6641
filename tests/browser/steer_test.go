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
)

// weigh writes a safetensors file of {name: [shape, value of i]} in the page.
const weigh = `const weigh = (name, tensors) => {
	const header = {}, values = [];
	for (const [key, [shape, f]] of Object.entries(tensors)) {
		const n = shape.reduce((a, b) => a * b, 1), begin = 4 * values.length;
		for (let i = 0; i < n; i++) values.push(f(i));
		header[key] = { dtype: "F32", shape, data_offsets: [begin, 4 * values.length] };
	}
	const text = new TextEncoder().encode(JSON.stringify(header)), size = new Uint8Array(8);
	new DataView(size.buffer).setUint32(0, text.length, true);
	return new File([size, text, new Float32Array(values)], name);
};`

// steerable serves a tiny model, and goldens that have a ControlNet for it.
func steerable(t *testing.T) http.Handler {
	t.Helper()
	dir := t.TempDir()
	if err := pack.Run(context.Background(), pack.Options{In: tiny, Out: filepath.Join(dir, "tiny")}); err != nil {
		t.Fatal(err)
	}
	files := http.NewServeMux()
	files.Handle("/test/", http.StripPrefix("/test/", http.FileServer(http.Dir(dir))))
	files.Handle("/test/modes/", http.StripPrefix("/test/modes/", http.FileServer(http.Dir("../golden/modes"))))
	return files
}

// dropControl drops that ControlNet on the page.
const dropControl = `(async () => {
	const data = new DataTransfer(), blob = async (name) => (await fetch("/test/modes/control_a/" + name)).blob();
	data.items.add(new File([await blob("diffusion_pytorch_model.safetensors")], "my-canny.safetensors"));
	data.items.add(new File([await blob("config.json")], "config.json"));
	dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
})()`

// A ControlNet's file that is dropped is kept and steers by the picture on the
// easel: its strength, its part of the steps and what it sees are the visitor's. The
// next visit has it, programs find it, a workflow names it.
func TestSteer(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	s.extra = steerable(t)
	open := func() {
		p.open(s.URL + "/?model=/test/tiny/")
		p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("live").checked = false; document.getElementById("steps").value = 2`))
		p.keepSeed("3")
	}
	open()
	p.draw("cat")
	plain := eval[string](p, pictureText)
	p.run(chromedp.Evaluate[chromedp.Void](dropControl, chromedp.EvalAwaitPromise))
	p.until(`document.querySelector(".control select[data-do=maker]")?.value === "canny"`)
	p.until(`document.querySelector(".control canvas").width === Number(document.getElementById("width").value)`)
	draw := func() string {
		p.draw("cat")
		return eval[string](p, pictureText)
	}
	edges := draw()
	p.run(chromedp.Evaluate[chromedp.Void](`{ const e = document.querySelector(".control select[data-do=maker]"); e.value = ""; e.dispatchEvent(new Event("change")); }`))
	asIs := draw()
	p.slide(".control input[data-do=end]", "0.5")
	shorter := draw()
	p.slide(".control input[data-do=weight]", "0")
	off := draw()
	if edges == plain || asIs == edges || shorter == asIs || off != plain {
		t.Errorf("steered by edges %t, as it is %t, for a part %t, not at all %t", edges != plain, asIs != edges, shorter != asIs, off == plain)
	}
	p.slide(".control input[data-do=weight]", "1")
	said := eval[string](p, `(async () => {
		await navigator.serviceWorker.ready;
		const r = await fetch("controlnet/model_list");
		return r.ok ? (await r.json()).model_list.join() : String(r.status);
	})()`)
	if said != "my-canny" {
		t.Errorf("programs are told %q", said)
	}
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".control [data-do=off]").click()`))
	p.until(`document.querySelector(".control") === null && document.activeElement.id === "prompt"`)
	if draw() != plain {
		t.Error("taken off, it steers")
	}

	// At the next visit it is there, and a workflow with its picture steers by it.
	open()
	p.run(chromedp.Click("#more-ways"))
	p.until(`document.getElementById("ways") !== null`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("#ways [data-do=addControl]").click()`))
	p.until(`document.querySelector(".control .net select")?.selectedOptions[0]?.textContent === "my-canny"`)
	if code, text := p.refused("cat"); code != "bad-request" || text != "Choose a picture for the ControlNet." {
		t.Errorf("without a picture: %s: %s", code, text)
	}
	p.run(chromedp.Evaluate[chromedp.Void](`(async () => {
		const node = (class_type, inputs) => ({ class_type, inputs });
		const flow = {
			3: node("KSampler", { seed: 5, steps: 2, cfg: 2, sampler_name: "euler", scheduler: "normal", denoise: 1, model: ["4", 0], positive: ["10", 0], negative: ["10", 1], latent_image: ["5", 0] }),
			4: node("CheckpointLoaderSimple", { ckpt_name: "tiny.safetensors" }), 5: node("EmptyLatentImage", { width: 32, height: 32, batch_size: 1 }),
			6: node("CLIPTextEncode", { text: "a cat", clip: ["4", 1] }), 7: node("CLIPTextEncode", { text: "", clip: ["4", 1] }), 8: node("VAEDecode", { samples: ["3", 0], vae: ["4", 2] }), 9: node("SaveImage", { images: ["8", 0], filename_prefix: "x" }),
			10: node("ControlNetApplyAdvanced", { positive: ["6", 0], negative: ["7", 0], control_net: ["12", 0], image: ["11", 0], strength: 0.7, start_percent: 0, end_percent: 0.5 }),
			11: node("LoadImage", { image: "photo.png", upload: "image" }), 12: node("ControlNetLoader", { control_net_name: "my-canny.safetensors" }),
		};
		const data = new DataTransfer();
		data.items.add(new File([JSON.stringify(flow)], "flow.json"));
		data.items.add(new File([await (await fetch("/test/modes/photo.png")).blob()], "photo.png"));
		dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
	})()`, chromedp.EvalAwaitPromise))
	p.until(`document.querySelectorAll(".control").length === 1 && document.querySelector(".control input[data-do=weight]").value === "0.7" && document.querySelector(".control input[data-do=end]").value === "0.5"`)
	p.until(`document.getElementById("notice").textContent.includes("flow.json")`)
	if told := eval[string](p, `document.getElementById("notice").textContent`); strings.Contains(told, "control_net_name") || strings.Contains(told, "image:") {
		t.Errorf("it tells %q", told)
	}
}

// A picture is enlarged by the filter, and by a network's file that is dropped once
// and kept; the result says what it is and is kept among the pictures.
func TestEnlarge(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.run(chromedp.Click("#live"))
	p.draw("red heart")
	enlarged := func(want int) string {
		p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("dialog.batch [data-do=go]").click()`))
		p.until(fmt.Sprintf(`document.querySelector("dialog.batch") === null && document.querySelector("#pictures img").naturalWidth === %d`, want))
		return eval[string](p, `(async () => (await (await import("/compat.js")).readMetadata(new Uint8Array(await (await fetch(document.getElementById("save").href)).arrayBuffer()))).get("parameters"))()`)
	}
	p.run(chromedp.Click("#enlarge"))
	p.until(`document.querySelector("dialog.batch [role=status]")?.textContent === "128 × 128 → 256 × 256"`)
	if text := enlarged(256); !strings.Contains(text, "red heart") || !strings.HasSuffix(text, "Postprocess upscale by: 2, Postprocess upscaler: Lanczos") {
		t.Errorf("the file says %q", text)
	}
	p.until(`document.querySelectorAll("#past li").length === 2`)
	p.run(chromedp.Evaluate[chromedp.Void](weigh + `{
		const zero = () => 0, data = new DataTransfer();
		data.items.add(weigh("sharp.safetensors", { "body.0.weight": [[8, 3, 3, 3], zero], "body.0.bias": [[8], zero], "body.1.weight": [[8], zero], "body.2.weight": [[12, 8, 3, 3], zero], "body.2.bias": [[12], () => 0.1] }));
		dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
	}`))
	p.until(`document.querySelector("dialog.batch .net select")?.selectedOptions[0]?.textContent === "sharp"`)
	if text := enlarged(512); !strings.HasSuffix(text, "Postprocess upscaler: sharp") {
		t.Errorf("the file says %q", text)
	}
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("#past .thumb")[0].click()`))
	p.until(`document.getElementById("facts").textContent.includes("512 × 512")`)
	// A workflow names it; the next picture has nothing of that.
	p.run(chromedp.Evaluate[chromedp.Void](`{
		const node = (class_type, inputs) => ({ class_type, inputs });
		const flow = {
			3: node("KSampler", { seed: 5, steps: 2, cfg: 1, sampler_name: "euler", scheduler: "normal", denoise: 1, model: ["4", 0], positive: ["6", 0], negative: ["7", 0], latent_image: ["5", 0] }),
			4: node("CheckpointLoaderSimple", { ckpt_name: "a.safetensors" }), 5: node("EmptyLatentImage", { width: 128, height: 128, batch_size: 1 }),
			6: node("CLIPTextEncode", { text: "blue heart", clip: ["4", 1] }), 7: node("CLIPTextEncode", { text: "", clip: ["4", 1] }), 8: node("VAEDecode", { samples: ["3", 0], vae: ["4", 2] }),
			9: node("SaveImage", { images: ["11", 0], filename_prefix: "x" }), 10: node("UpscaleModelLoader", { model_name: "sharp.safetensors" }), 11: node("ImageUpscaleWithModel", { upscale_model: ["10", 0], image: ["8", 0] }),
		};
		const data = new DataTransfer();
		data.items.add(new File([JSON.stringify(flow)], "flow.json"));
		dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
	}`))
	p.until(`/blue heart.*256 × 256/.test(document.getElementById("facts").textContent)`)
	p.draw("blue heart")
	p.until(`document.querySelector("#pictures img").naturalWidth === 128`)
}
