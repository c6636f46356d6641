//go:build browser

package browser_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A program written for AUTOMATIC1111's server is answered by the page.
func TestLocalAPI(t *testing.T) {
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.until(`navigator.serviceWorker.controller !== null`)
	p.run(chromedp.Evaluate[chromedp.Void](`globalThis.call = async (path, body) => {
		const r = await fetch("/sdapi/v1/" + path, body && { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) });
		return { status: r.status, ...await r.json().then((a) => (Array.isArray(a) ? { list: a } : a)) };
	}`))
	for _, c := range []struct{ name, script, want string }{
		{"pictures", `
			const made = await call("txt2img", { prompt: "red heart", negative_prompt: "blue", steps: 2, seed: 7, n_iter: 2, width: 128, height: 128, sampler_name: "Euler", scheduler: "Automatic", override_settings: {}, alwayson_scripts: {} });
			const info = JSON.parse(made.info);
			const bytes = Uint8Array.from(atob(made.images[1]), (c) => c.charCodeAt(0));
			const { readTexts } = await import("/png.js");
			const text = (await readTexts(bytes)).get("parameters");
			return [made.status, made.images.length, info.all_seeds, info.infotexts[1] === text, /Seed: 8,/.test(text), info.sampler_name, info.steps, info.width, made.parameters.n_iter];`,
			"200 2 7,8 true true Euler 2 128 2"},
		{"a picture to begin with", `
			const picture = async (paint) => {
				const canvas = new OffscreenCanvas(128, 128), c = canvas.getContext("2d");
				paint(c);
				const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
				return btoa(String.fromCharCode(...bytes));
			};
			const teal = await picture((c) => { c.fillStyle = "rgb(0 128 128)"; c.fillRect(0, 0, 128, 128); });
			const right = await picture((c) => { c.fillStyle = "#000"; c.fillRect(0, 0, 128, 128); c.fillStyle = "#fff"; c.fillRect(64, 0, 64, 128); });
			const made = await call("img2img", { prompt: "red heart", steps: 4, seed: 7, init_images: [teal], mask: right, mask_blur: 0, inpainting_fill: 1, inpaint_full_res: false, denoising_strength: 0.75 });
			const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(made.images[0]), (c) => c.charCodeAt(0))]));
			const c = new OffscreenCanvas(128, 128).getContext("2d");
			c.drawImage(bitmap, 0, 0);
			const far = (x) => { const { data } = c.getImageData(x, 0, 64, 128); return data.reduce((sum, v, i) => sum + Math.abs(v - [0, 128, 128, 255][i % 4]), 0) / data.length; };
			const info = JSON.parse(made.info);
			return [made.status, bitmap.width, far(0), far(64) > 5, info.denoising_strength, info.notices.length, made.parameters.init_images];`,
			"200 128 0 true 0.75 0 "},
		{"lists", `
			const [samplers, schedulers, models, options, progress] = await Promise.all(["samplers", "schedulers", "sd-models", "options", "progress"].map((c) => call(c)));
			return [samplers.list.some((s) => s.name === "Euler"), schedulers.list.length > 0, models.list[0].title === options.sd_model_checkpoint, progress.progress, progress.state.job_count];`,
			"true true true 0 0"},
		{"the model", `
			const { sd_model_checkpoint } = await call("options");
			return [(await call("options", { sd_model_checkpoint })).status, (await call("options", { sd_model_checkpoint: "other" })).status, (await call("options", { CLIP_stop_at_last_layers: 2 })).detail];`,
			"200 422 wisp does not support the option CLIP_stop_at_last_layers"},
		{"queue, progress and interrupt", `
			const long = call("txt2img", { prompt: "rocket", steps: 400 });
			const next = call("txt2img", { prompt: "rocket", steps: 1, seed: 3 });
			let seen;
			do seen = await call("progress"); while (!seen.current_image);
			const jobs = seen.state.job_count;
			const stopped = await fetch("/sdapi/v1/interrupt", { method: "POST" });
			const ended = await long;
			return [seen.progress > 0 && seen.progress < 1, seen.state.sampling_steps, jobs, stopped.status, ended.status, ended.images[0].slice(0, 5), JSON.parse((await next).info).seed];`,
			"true 400 2 200 200 iVBOR 3"},
		{"the fields of AUTOMATIC1111", `
			const fields = (o) => Object.keys(o).sort().join(",");
			const made = await call("txt2img", { prompt: "red heart", steps: 1, seed: 7, sampler_name: "Euler Karras", send_images: false, scheduler: "Karras" });
			const missing = (o, wanted) => wanted.split(" ").filter((name) => !(name in o));
			const [samplers, schedulers, models, progress] = await Promise.all(["samplers", "schedulers", "sd-models", "progress?skip_current_image=true"].map((c) => call(c)));
			const { status, ...answer } = made;
			return JSON.stringify([
				fields(answer), made.images.length, /Schedule type: Karras,/.test(JSON.parse(made.info).infotexts[0]),
				missing(JSON.parse(made.info), "prompt all_prompts negative_prompt all_negative_prompts seed all_seeds subseed all_subseeds subseed_strength width height sampler_name cfg_scale steps batch_size restore_faces face_restoration_model sd_model_name sd_model_hash sd_vae_name sd_vae_hash seed_resize_from_w seed_resize_from_h denoising_strength extra_generation_params index_of_first_image infotexts styles job_timestamp clip_skip is_using_inpainting_conditioning version"),
				fields(samplers.list[0]), fields(schedulers.list[0]), fields(models.list[0]),
				missing(progress, "progress eta_relative state current_image textinfo"),
				missing(progress.state, "skipped interrupted stopping_generation job job_count job_timestamp job_no sampling_step sampling_steps"),
			]);`,
			`["images,info,parameters",0,true,[],"aliases,name,options","aliases,default_rho,label,name,need_inner_model","config,filename,hash,model_name,sha256,title",[],[]]`},
		{"what clients ask for at their start", `
			const lists = await Promise.all(["upscalers", "sd-vae", "loras", "hypernetworks", "prompt-styles"].map((c) => call(c)));
			const { loaded, skipped } = await call("embeddings");
			const { images } = await call("txt2img", { prompt: "red heart", steps: 1, seed: 7 });
			const read = await call("png-info", { image: "data:image/png;base64," + images[0] });
			return [lists.map((l) => l.list.length > 0), loaded, skipped, read.info.startsWith("red heart\nSteps: 1, "), read.parameters.seed, (await call("png-info", { image: "%" })).status].join(" ");`,
			"true,false,false,false,true [object Object] [object Object] true 7 422"},
		{"refusals", `
			const refused = async (path, body) => { const r = await call(path, body); return r.status + " " + r.detail; };
			return (await Promise.all([
				refused("txt2img", { prompt: "a", enable_hr: true }), refused("txt2img", { prompt: "" }), refused("txt2img", { prompt: 7 }),
				refused("txt2img", { prompt: "a", sampler_name: "<b>" }), refused("txt2img", { prompt: "a", scheduler: {} }), refused("txt2img", { prompt: "a", width: "x" }),
				refused("txt2img", "{"), refused("txt2img", "[]"), refused("img2img", {}), refused("constructor"),
			])).map((s) => s.slice(0, 60)).join("|");`, strings.Join([]string{
			"422 wisp does not support enable_hr", "422 the prompt is empty: say what to draw", "422 prompt is not a text",
			`422 sampler "<b>" is not one of Euler, `, "422 scheduler is not a text", "422 width",
			"422 the request is not JSON", "422 the request is not an object", "422 init_images has no picture", "404 wisp does not answer GET constructor",
		}, "|")},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := eval[string](p, fmt.Sprintf(`(async () => { const answer = await (async () => { %s })(); return Array.isArray(answer) ? answer.join(" ") : answer; })()`, c.script))
			if c.name == "refusals" {
				for i, part := range strings.Split(got, "|") {
					if want := strings.Split(c.want, "|")[i]; !strings.HasPrefix(part, want) {
						t.Errorf("got %q, want %q", part, want)
					}
				}
			} else if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// A client's picture and the visitor's do not end each other, and a client
// learns that the page it waited for was closed.
func TestClientAndVisitor(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.until(`navigator.serviceWorker.controller !== null`)
	q := p.another()
	q.run(chromedp.Navigate(s.URL + "/privacy.html"))
	q.run(chromedp.Evaluate[chromedp.Void](`{
		globalThis.answers = [];
		globalThis.ask = (request) => fetch("sdapi/v1/txt2img", { method: "POST", body: JSON.stringify(request) })
			.then(async (r) => answers.push(r.status + " " + ((await r.json()).detail ?? "")));
		ask({ prompt: "rocket", steps: 60 });
	}`))
	q.until(`fetch("sdapi/v1/progress").then((r) => r.json()).then((p) => p.progress > 0).then((on) => { globalThis.on = on; }) && globalThis.on === true`)
	p.fill("steps", "1")
	p.draw("red heart") // waits for the client's
	q.until(`answers.length === 1`)
	if got := eval[string](q, `answers[0]`); got != "200 " {
		t.Errorf("while the visitor drew, the client was answered %q", got)
	}
	q.run(chromedp.Evaluate[chromedp.Void](`void ask({ prompt: "rocket", steps: 1000 })`))
	q.until(`fetch("sdapi/v1/progress").then((r) => r.json()).then((p) => p.state.sampling_steps === 1000).then((on) => { globalThis.long = on; }) && globalThis.long === true`)
	p.run(chromedp.Navigate("about:blank"))
	q.until(`answers.length === 2`)
	if got := eval[string](q, `answers[1]`); !strings.HasPrefix(got, "503 the page of wisp was closed") {
		t.Errorf("after the page was closed, the client was answered %q", got)
	}
}

// Programs may wait for sixteen pictures and are told to come again; what waits
// is shown; the visitor's pictures go first, and Cancel ends the others.
func TestPrograms(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.until(`navigator.serviceWorker.controller !== null`)
	p.fill("steps", "1")
	p.run(chromedp.Evaluate[chromedp.Void](`{
		globalThis.answers = [];
		const ask = async (steps) => {
			const r = await fetch("sdapi/v1/txt2img", { method: "POST", body: JSON.stringify({ prompt: "rocket", steps, seed: 3 }) });
			const a = await r.json();
			answers.push([r.status, r.headers.get("Retry-After"), a.images?.length, a.info ? JSON.parse(a.info).interrupted === true : a.detail].join(" "));
		};
		for (let i = 0; i < 100; i++) ask(900);
	}`))
	p.until(`answers.length === 84`)
	if got := eval[string](p, `[...new Set(answers)].join("|")`); got != "429 10  16 pictures wait already: ask again later" {
		t.Errorf("the queue is full: %s", got)
	}
	if got := eval[string](p, `document.getElementById("programs-count").textContent`); got != "Pictures that programs in this browser wait for: 16." {
		t.Errorf("the page says %q", got)
	}
	began := time.Now()
	p.draw("red heart")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the visitor's picture took %v behind a program's", took)
	}
	if n := eval[int](p, `answers.length`); n != 84 {
		t.Errorf("the visitor's picture ended %d of the programs'", n-84)
	}
	p.run(chromedp.Click("#programs-stop"))
	p.until(`answers.length === 100 && document.getElementById("programs").hidden`)
	if got := eval[string](p, `[...new Set(answers.slice(84).map((a) => a.replace(/ \d /, " n ")))].join("|")`); got != "200  n true" {
		t.Errorf("after Cancel: %s", got)
	}
	deep := eval[string](p, `fetch("sdapi/v1/txt2img", { method: "POST", body: '{"a":'.repeat(100_000) }).then(async (r) => r.status + " " + (await r.json()).detail)`)
	if deep != "422 the request is nested deeper than 100" {
		t.Errorf("a deep request: %s", deep)
	}
	p.draw("red heart")
}

// strange is a page of another site: it sends a form, at the top and into a
// frame, to the address behind the #.
const strange = `<!doctype html><iframe name="inner"></iframe>
<form id="form" method="post" enctype="text/plain"><input name='{"prompt":"rocket","steps":900,"pad":"' value='"}'></form>
<script>
	const form = document.getElementById("form");
	[form.action, form.target] = decodeURIComponent(location.hash.slice(1)).split(" ");
	form.submit();
</script>`

// Forms of other sites draw nothing, neither at the top nor in a frame, and
// interrupt nothing; scripts of the site itself do.
func TestRequestsFromOtherSites(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, strange)
	}))
	defer other.Close()
	p.open(s.URL)
	p.until(`navigator.serviceWorker.controller !== null`)
	p.run(chromedp.Evaluate[chromedp.Void](`{
		globalThis.most = 0;
		new MutationObserver(() => { if (!document.getElementById("programs").hidden) most++; }).observe(document.getElementById("programs"), { attributes: true });
		globalThis.job = fetch("sdapi/v1/txt2img", { method: "POST", body: JSON.stringify({ prompt: "rocket", steps: 60, seed: 7 }) }).then((r) => r.json());
	}`))
	p.until(`most === 1`)
	q := p.another()
	for _, call := range []string{"txt2img", "interrupt"} {
		q.run(chromedp.Navigate(other.URL + "/#" + url.PathEscape(s.URL+"/sdapi/v1/"+call+" _self")))
		q.eventually(`document.body?.textContent.includes("wisp answers scripts of its own site only")`)
		q.run(chromedp.Navigate(other.URL + "/?" + call + "#" + url.PathEscape(s.URL+"/sdapi/v1/"+call+" inner")))
		q.run(chromedp.Sleep(time.Second))
	}
	if got := eval[string](p, `job.then((a) => a.images.length + " " + (JSON.parse(a.info).interrupted === true) + " " + most)`); got != "1 false 1" {
		t.Errorf("the site's own request: %s", got)
	}
	p.until(`document.getElementById("programs").hidden`)
}

// workflow is a ComfyUI workflow of the core nodes, in API format.
const workflow = `{
	"3": { class_type: "KSampler", inputs: { seed: 9, steps: 3, cfg: 2, sampler_name: "euler", scheduler: "simple", denoise: 1, model: ["4", 0], positive: ["6", 0], negative: ["7", 0], latent_image: ["5", 0] } },
	"4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "<img src=x onerror=globalThis.hacked=1>" } },
	"5": { class_type: "EmptyLatentImage", inputs: { width: 128, height: 128, batch_size: 2 } },
	"6": { class_type: "CLIPTextEncode", inputs: { text: "a tree", clip: ["4", 1] } },
	"7": { class_type: "CLIPTextEncode", inputs: { text: "fog", clip: ["4", 1] } },
	"8": { class_type: "VAEDecode", inputs: { samples: ["3", 0], vae: ["4", 2] } },
	"9": { class_type: "SaveImage", inputs: { filename_prefix: "x", images: ["8", 0] } },
	"10": { class_type: "Note" },
}`

// A ComfyUI workflow that is dropped is drawn, from a file and from a PNG that
// holds it; what wisp does not run is refused by the node's name.
func TestWorkflow(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.run(dropped("flow.json", "application/json", `JSON.stringify(`+workflow+`)`))
	p.until(`document.querySelectorAll("#pictures img").length === 2 && document.querySelector("#pictures img").alt === "a tree, seed 9"`)
	if facts := eval[string](p, `document.getElementById("facts").textContent`); !strings.Contains(facts, "seed 9 · 3 steps") {
		t.Errorf("drawn with %q", facts)
	}
	p.run(dropped("comfy.png", "image/png", fmt.Sprintf(`(async () => {
		const { withText } = await import("/png.js");
		const plain = new Uint8Array(await (await fetch("icon-192.png")).arrayBuffer());
		const flow = %s;
		flow["6"].inputs.text = "a rocket";
		return withText(plain, "prompt", JSON.stringify(flow));
	})()`, workflow)))
	p.until(`document.querySelectorAll("#pictures img").length === 2 && document.querySelector("#pictures img").alt === "a rocket, seed 9"`)

	// One that begins with a picture says which, and takes it from what is dropped with it.
	begins := `JSON.stringify((() => {
		const flow = ` + workflow + `;
		flow["5"] = { class_type: "VAEEncode", inputs: { pixels: ["12", 0], vae: ["4", 2] } };
		flow["12"] = { class_type: "LoadImage", inputs: { image: "drawing.png" } };
		flow["3"].inputs.denoise = 0.5;
		return flow;
	})())`
	p.run(dropped("begins.json", "application/json", begins))
	if code, text := p.failed(); code != "bad-request" || !strings.Contains(text, "drawing.png") {
		t.Errorf("a workflow without its picture: %s: %s", code, text)
	}
	p.run(chromedp.Evaluate[chromedp.Void](`(async () => {
		const transfer = new DataTransfer();
		transfer.items.add(new File([await (await fetch("icon-192.png")).blob()], "drawing.png", { type: "image/png" }));
		transfer.items.add(new File([`+begins+`], "begins.json", { type: "application/json" }));
		dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
	})()`, chromedp.EvalAwaitPromise))
	p.until(`document.querySelectorAll("#pictures img").length === 1 && document.querySelector("#pictures img").alt === "a tree" && document.querySelector(".card.start input").value === "0.5"`)
	if facts := eval[string](p, `document.getElementById("facts").textContent`); !strings.Contains(facts, "seed 9 · 6 steps") {
		t.Errorf("begun with %q", facts)
	}

	for _, c := range []struct{ name, change, want string }{
		{"a node between", `flow["4"].class_type = "LoraLoader"`, "node 4 (LoraLoader) is not supported"},
		{"another sampler node", `flow["3"].class_type = "KSamplerHuge"`, "node 3 (KSamplerHuge) is not supported"},
		{"markup for a name", `flow["6"].class_type = "<img src=x onerror=globalThis.hacked=1>"`, "node 6 (<img src=x onerror=globalThis.hacked=1>)"},
		{"a picture to start from", `flow["5"].class_type = "LatentFromBatch"`, "node 5 (LatentFromBatch) is not supported"},
		{"less than all noise", `flow["3"].inputs.denoise = 0.5`, "node 3 (KSampler): denoise"},
		{"a sampler that is no text", `flow["3"].inputs.sampler_name = 7`, `node 3 (KSampler): its input "sampler_name"`},
		{"a linked text", `flow["6"].inputs.text = ["10", 0]`, `node 6 (CLIPTextEncode): its input "text" is linked to node 10`},
		{"a seed that JSON cannot hold", `flow["3"].inputs.seed = 2 ** 60`, "node 3 (KSampler): its seed"},
		{"two ends", `flow["11"] = { class_type: "SaveImage" }`, "2 SaveImage nodes"},
		{"a loop", `flow["8"].inputs.samples = ["8", 0]`, "node 8 (VAEDecode) is not supported"},
		{"a missing node", `delete flow["8"]`, `node 9 (SaveImage): its input "images" is not linked`},
		{"the editor's format", `flow = { nodes: [], links: [] }`, "API format"},
		{"nothing", `flow = null`, "no nodes"},
		{"numbers for nodes", `flow = [1, { class_type: 2 }]`, "no nodes"},
	} {
		got := eval[string](p, fmt.Sprintf(`(async () => {
			const { parseWorkflow } = await import("/compat.js");
			let flow = %s;
			%s;
			try { return "accepted " + JSON.stringify(parseWorkflow(flow)); } catch (err) { return err.code + " " + err.message; }
		})()`, workflow, c.change))
		if !strings.HasPrefix(got, "bad-request ") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s; want %q", c.name, got, c.want)
		}
	}
	p.run(dropped("flow.json", "application/json", fmt.Sprintf(`(() => { const flow = %s; flow["6"].class_type = "<img src=x onerror=globalThis.hacked=1>"; return JSON.stringify(flow); })()`, workflow)))
	if code, text := p.failed(); code != "bad-request" || !strings.Contains(text, "<img src=x") {
		t.Errorf("%s: %s", code, text)
	}
	if eval[bool](p, `globalThis.hacked === 1 || document.querySelector("#error img") !== null`) {
		t.Error("markup in a workflow became an element")
	}
}
