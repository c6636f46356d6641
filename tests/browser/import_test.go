//go:build browser

package browser_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"wisp/loader"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
	"wisp/loader/single"
	"wisp/site"
	"wisp/tests/browser"
	checkpoint "wisp/tests/golden/single"
)

const tiny = "../golden/pipeline/tiny_ddim_kl/model"

// visitorsFiles is a JavaScript expression for the files of a directory, which
// is served under base, as pairs of path and Blob.
func visitorsFiles(t *testing.T, base, dir string) string {
	t.Helper()
	var paths []string
	if err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	list, _ := json.Marshal(paths) // of strings
	return fmt.Sprintf(`await Promise.all(%s.map(async (path) => ["tiny/" + path, await (await fetch(%q + path)).blob()]))`, list, base)
}

// packedNatively is the manifest that pack writes of a directory.
func packedNatively(t *testing.T, in, quant string) *loader.Manifest {
	t.Helper()
	out := t.TempDir()
	if err := pack.Run(t.Context(), pack.Options{In: in, Out: out, Name: "tiny", Quant: quant}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(out, loader.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	m, err := loader.ParseManifest(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// keptRecords is a JavaScript expression for the keys of the records in the
// browser's library; keptChunks for those of its chunks.
const (
	keptRecords = `await new Promise((resolve, reject) => {
		const open = indexedDB.open("wisp");
		open.onerror = () => reject(open.error);
		open.onsuccess = () => {
			const all = open.result.transaction("records").objectStore("records").getAllKeys();
			all.onsuccess = () => { open.result.close(); resolve(all.result.sort()); };
		};
	})`
	keptChunks = `(` + keptRecords + `).filter((key) => /^[0-9a-f]{64}$/.test(key))`
)

// removeModels deletes every model that the browser keeps.
func (p *tab) removeModels() {
	p.t.Helper()
	if _, err := p.call(`const { models, removeModel } = await import("/wisp.js"); for (const { id } of await models()) await removeModel(id);`); err != nil {
		p.t.Fatal(err)
	}
}

// keys lists all records of the browser's library.
func (p *tab) keys() []string {
	p.t.Helper()
	return eval[[]string](p, `(async () => `+keptRecords+`)()`)
}

// The page packs what the command packs, to the last bit, and draws with it.
func TestImportIsPack(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	s.extra = http.StripPrefix("/test/", http.FileServer(http.Dir(tiny)))
	p.open(s.URL)
	p.removeModels()
	for _, quant := range []string{"f16", "q8", "q4", "f32"} {
		result, err := p.call(fmt.Sprintf(`
			const { importModel, inspectModel, removeModel } = await import("/wisp.js");
			const files = %s;
			const facts = await inspectModel(files);
			let last;
			const model = await importModel(files, { quantise: %q, onProgress: (p) => { last = p; } });
			const g = await createGenerator({ model, backend: "simd" });
			const { images } = await g.generate({ prompt: "a fox", seed: 1, steps: 2 });
			g.dispose();
			const chunks = %s;
			await removeModel(model.slice("stored:".length));
			return { facts, last, model, chunks, left: %s, width: images[0].width };`, visitorsFiles(t, "/test/", tiny), quant, keptChunks, keptChunks))
		if err != nil {
			t.Fatalf("%s: %v", quant, err)
		}
		var got struct {
			Facts struct {
				Name, Pipeline        string
				InputBytes, PeakBytes int64
				PackedBytes           map[string]int64
				FreeBytes             int64
			}
			Last struct {
				Stage         string
				Loaded, Total int64
			}
			Chunks, Left []string
			Width        int
		}
		if err := json.Unmarshal(result, &got); err != nil {
			t.Fatal(err)
		}
		want := packedNatively(t, tiny, quant)
		var raw int64
		for _, c := range want.Chunks {
			raw += c.Raw
		}
		if !slices.Equal(got.Chunks, hashes(want)) {
			t.Errorf("%s: the page packed %v, the command %v", quant, got.Chunks, hashes(want))
		}
		if len(got.Left) != 0 {
			t.Errorf("%s: deleting left %v", quant, got.Left)
		}
		f := got.Facts
		if f.Name != "tiny" || f.Pipeline != want.Pipeline || f.PackedBytes[quant] != raw || f.PeakBytes != packedNatively(t, tiny, "f16").PeakBytes() || f.FreeBytes < 1<<20 {
			t.Errorf("%s: inspected %+v, want %d bytes", quant, f, raw)
		}
		if got.Last.Stage != "pack" || got.Last.Loaded != f.InputBytes || got.Last.Total != f.InputBytes {
			t.Errorf("%s: progress ended with %+v of %d", quant, got.Last, f.InputBytes)
		}
		if got.Width == 0 {
			t.Errorf("%s: no picture", quant)
		}
	}
	if _, requests := s.count(); slices.ContainsFunc(requests, func(path string) bool { return strings.HasPrefix(path, "/stored:") }) {
		t.Error("a kept model was asked for")
	}
}

// drag drops files and folders of the disk on the page, as a file manager does.
func (p *tab) drag(paths ...string) {
	p.t.Helper()
	for i, path := range paths {
		absolute, err := filepath.Abs(path)
		if err != nil {
			p.t.Fatal(err)
		}
		paths[i] = absolute
	}
	for _, kind := range []input.DispatchDragEventType{input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop} {
		drag := input.DispatchDragEventParams{Type: kind, X: 100, Y: 100, Data: &input.DragData{Items: []*input.DragDataItem{}, Files: paths, DragOperationsMask: 1}}
		if _, err := chromedp.Call(p.ctx, input.DispatchDragEvent, drag); err != nil {
			p.t.Fatal(err)
		}
	}
}

// importAs presses Import with a choice of quantisation, once the files that
// were dropped are inspected, and waits until the page draws with the model.
func (p *tab) importAs(quant string) {
	p.t.Helper()
	p.until(`document.getElementById("import").open && !document.getElementById("import-go").hidden`)
	p.run(chromedp.Click(fmt.Sprintf(`#import-sizes [value=%s]`, quant)), chromedp.Click("#import-go"))
	p.until(`!document.getElementById("import").open && document.documentElement.dataset.state === "ready"`)
}

// A folder that is dropped, whatever lies around it, becomes a model of the
// page; nothing of it leaves the browser. It draws after a reload with the
// network off, and so does another that is imported then.
func TestImportFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "downloads")
	if err := os.CopyFS(filepath.Join(dir, "of mine", "tiny"), os.DirFS(tiny)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("a secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	x := newProxy(t, s.URL)
	p := startTab(t, browser.Options{Proxy: x.Listener.Addr().String()}, 3*time.Minute)
	p.open(s.URL)
	x.take()
	p.drag(dir)
	p.importAs("q8")
	p.draw("a fox")
	var asked []string
	for _, r := range x.take() {
		if !strings.HasPrefix(r, "GET "+s.URL+"/sw.js ") {
			asked = append(asked, strings.Fields(r)[0]+" "+strings.TrimPrefix(strings.Fields(r)[1], s.URL))
		}
	}
	// The manifest is asked for by capabilities, which says what this device can do.
	if want := []string{"GET /worker.js", "GET /pack.wasm", "GET /wasm_exec.js", "GET /models/default/manifest.json"}; !slices.ContainsFunc(asked, func(r string) bool { return r == "GET /pack.wasm" }) || slices.ContainsFunc(asked, func(r string) bool { return !slices.Contains(want, r) }) {
		t.Errorf("the import asked for %v, want the packer and what the device can do only", asked)
	}
	want := packedNatively(t, tiny, "q8")
	if got := eval[[]string](p, `(async () => `+keptChunks+`)()`); !slices.Contains(got, want.Chunks[0].SHA256) || !slices.Contains(got, want.Chunks[len(want.Chunks)-1].SHA256) {
		t.Errorf("kept are %v", got)
	}
	x.Close()
	s.Close() // nothing answers from now on
	if _, err := chromedp.Call(p.ctx, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true}); err != nil {
		t.Fatal(err)
	}
	p.open(s.URL)
	p.until(`document.getElementById("model").textContent.startsWith("Model: tiny")`)
	p.draw("a fox")
	p.drag("../golden/pipeline/tiny_euler_v/model")
	p.importAs("f16")
	p.until(`document.getElementById("model").textContent.startsWith("Model: model")`)
	p.draw("a fox")
}

// Whatever is no model that wisp draws with is refused with the reason and
// what to do, by inspectModel and importModel alike, and leaves nothing.
func TestImportRefusals(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	mux := http.NewServeMux()
	mux.Handle("/test/", http.StripPrefix("/test/", http.FileServer(http.Dir(tiny))))
	mux.Handle("/test/sdxl.safetensors", http.StripPrefix("/test/", http.FileServer(http.Dir("../../loader/single/testdata"))))
	s.extra = mux
	p.open(s.URL)
	before := p.keys()
	const without = `files.filter(([path]) => !/%s/.test(path))`
	const with = `[...files.filter(([path]) => path !== "tiny/%[1]s"), ["tiny/%[1]s", new Blob([%[2]s])]]`
	for _, c := range []struct{ files, code, want string }{
		{`[]`, "bad-request", "no model among the files"},
		{`[["notes.txt", new Blob(["hello"])]]`, "bad-request", "no model among the files"},
		{`[["a", 1]]`, "bad-request", "file 0"},
		{`7`, "not a WispError", "iterable"},
		{`[...files, ...files.map(([path, file]) => ["other/" + path.slice(5), file])]`, "bad-request", "several models"},
		{`files.filter(([path]) => path.includes("/unet/"))`, "bad-request", "only a part of a pipeline"},
		{`[["sd.ckpt", new Blob(["x"])]]`, "bad-model", "(sd.ckpt)"},
		{fmt.Sprintf(without, "unet.*safetensors") + `.concat([["tiny/unet/diffusion_pytorch_model.bin", new Blob(["x"])]])`, "bad-model", "pickled checkpoints"},
		{`[["sd.safetensors", new Blob([new BigUint64Array([2n]), "{}"])]]`, "bad-model", "wisp does not know this kind of file"},
		{`[["vae.safetensors", ((header) => new Blob([new BigUint64Array([BigInt(header.length)]), header, "xx"]))('{"decoder.conv_in.weight":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}')]]`, "bad-model", "a part of the model is missing"},
		{`[["sdxl.safetensors", await (await fetch("/test/sdxl.safetensors")).blob()], ["again.safetensors", await (await fetch("/test/sdxl.safetensors")).blob()]]`, "bad-request", "several models"},
		{`[["sd.safetensors", new Blob(["x"])]]`, "bad-model", "a file of the model is damaged"},
		{`[["sd.safetensors", new Blob(["<!doctype html><title>Sign in</title>"])]]`, "bad-model", "a web page or another text"},
		{`[["style.safetensors", ((header) => new Blob([new BigUint64Array([BigInt(header.length)]), header, "xx"]))('{"lora_unet.lora_up.weight":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}')]]`, "bad-model", "it is a LoRA"},
		{`[["a.safetensors", new Blob(["x"])], ["b.safetensors", new Blob(["x"])], ` + `...` + fmt.Sprintf(without, "safetensors") + `]`, "bad-model", "a.safetensors"},
		{`[["sd.safetensors", new Blob(["x"])], ...` + fmt.Sprintf(without, "safetensors") + `]`, "bad-model", "sd.safetensors"},
		{fmt.Sprintf(without, "unet.config.json"), "bad-model", "unet"},
		{fmt.Sprintf(without, "scheduler_config.json"), "bad-model", "scheduler"},
		{fmt.Sprintf(without, "vae.*safetensors"), "bad-model", "vae"},
		{fmt.Sprintf(without, "tokenizer"), "bad-model", "tokenizer"},
		{fmt.Sprintf(with, "model_index.json", `'{"_class_name":"FluxPipeline","scheduler":["diffusers","S"]}'`), "bad-model", "FluxPipeline"},
		{fmt.Sprintf(with, "model_index.json", `"{"`), "bad-model", "model_index.json"},
		{fmt.Sprintf(with, "unet/config.json", `'{"in_channels":9}'`), "bad-model", "wisp cannot draw with this model"},
		{fmt.Sprintf(with, "unet/diffusion_pytorch_model.safetensors", `files.find(([path]) => /unet.*safetensors/.test(path))[1].slice(0, 70000)`), "bad-model", "a file of the model is damaged"},
		{fmt.Sprintf(with, "unet/diffusion_pytorch_model.safetensors", `"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"`), "bad-model", "git lfs pull"},
	} {
		for _, call := range []string{"inspectModel", "importModel"} {
			_, err := p.call(fmt.Sprintf(`const files = %s; await (await import("/wisp.js")).%s(%s);`, visitorsFiles(t, "/test/", tiny), call, c.files))
			if err == nil || !strings.HasPrefix(err.Error(), c.code+": ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s(%s): %v, want %s about %q", call, c.files, err, c.code, c.want)
			}
		}
	}
	if _, err := p.call(fmt.Sprintf(`await (await import("/wisp.js")).importModel(%s, { quantise: "q5" });`, visitorsFiles(t, "/test/", tiny))); err == nil || !strings.HasPrefix(err.Error(), "bad-request: ") || !strings.Contains(err.Error(), "q5") {
		t.Errorf("a quantisation that there is not: %v", err)
	}
	if after := p.keys(); !slices.Equal(after, before) {
		t.Errorf("after all refusals %d records are kept, before %d", len(after), len(before))
	}
	// The visitor reads it in the page's language, and may add what is missing.
	p.open(s.URL + "/?lang=de")
	pickle := filepath.Join(t.TempDir(), "sd.ckpt")
	if err := os.WriteFile(pickle, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	said := ""
	refused := func(code, prefix string, more bool) {
		t.Helper()
		p.until(fmt.Sprintf(`!document.getElementById("import-error").hidden && document.getElementById("import-error").textContent !== %q`, said))
		said = eval[string](p, `document.getElementById("import-error").textContent`)
		if got := eval[[]string](p, `(({ dataset, textContent }) => [dataset.code, textContent])(document.getElementById("import-error"))`); got[0] != code || !strings.HasPrefix(got[1], prefix) {
			t.Errorf("the dialog says %q, want %s: %s", got, code, prefix)
		}
		if got := eval[bool](p, `!document.getElementById("import-more").hidden`); got != more {
			t.Errorf("after %q the configs may be added: %v", prefix, got)
		}
		if eval[bool](p, `!document.getElementById("import-go").hidden`) {
			t.Errorf("after %q there is something to import", prefix)
		}
	}
	p.drag(pickle)
	refused("bad-model", "Pickles (.ckpt", false)
	p.run(chromedp.KeyEvent("\u001b"))
	p.until(`!document.getElementById("import").open`)
	p.drag("../../loader/single/testdata/sdxl.safetensors")
	refused("bad-model", "Wisp kann mit diesem Modell nicht malen", true)
}

// An import that is cancelled leaves nothing, whenever it is; neither does a
// tab that is closed, once the page is visited again.
func TestImportCancelled(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	s.extra = http.StripPrefix("/test/", http.FileServer(http.Dir(tiny)))
	p.open(s.URL)
	before := p.keys()
	files := visitorsFiles(t, "/test/", tiny)
	for _, share := range []float64{-1, 0, 0.3, 0.6, 0.9, 0.999} {
		_, err := p.call(fmt.Sprintf(`
			const stop = new AbortController();
			if (%[1]v < 0) stop.abort();
			const files = %[2]s;
			const done = (await import("/wisp.js")).importModel(files, { signal: stop.signal, onProgress: ({ loaded, total }) => loaded >= %[1]v * total && stop.abort() });
			if (%[1]v === 0) stop.abort();
			return await done;`, share, files))
		if err == nil && share > 0.99 { // it was done before it heard of that, and says so
			if _, err := p.call(`const { models, removeModel } = await import("/wisp.js"); await removeModel((await models())[0].id);`); err != nil {
				t.Error(err)
			}
		} else if err == nil || !strings.HasPrefix(err.Error(), "aborted: ") {
			t.Errorf("cancelled at %v: %v", share, err)
		}
		if after := p.keys(); !slices.Equal(after, before) {
			t.Errorf("cancelled at %v: kept are %v, before %v", share, after, before)
		}
	}
	p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(async () => {
		const files = %s;
		(await import("/wisp.js")).importModel(files, { quantise: "f32", onProgress: ({ loaded, total }) => loaded > 0.9 * total && location.reload() });
	})()`, files)))
	p.eventually(`performance.getEntriesByType("navigation")[0].type === "reload" && document.documentElement.dataset.state === "ready"`)
	for start := time.Now(); !slices.Equal(p.keys(), before); time.Sleep(100 * time.Millisecond) {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("what the closed tab had imported stays: %v, before %v", p.keys(), before)
		}
	}
	if _, err := p.call(fmt.Sprintf(`await (await import("/wisp.js")).importModel(%s, { quantise: "q8" });`, files)); err != nil {
		t.Fatal(err)
	}
	want := packedNatively(t, tiny, "q8")
	if after := p.keys(); len(after) != len(before)+len(want.Chunks)+2 {
		t.Errorf("kept are %v: before it was %d, the model has %d chunks and 2 records", after, len(before), len(want.Chunks))
	}
}

// A single-file checkpoint without configs is told by its names, and drawn with
// the built-in ones.
func TestImportBareFile(t *testing.T) {
	t.Parallel()
	b, err := checkpoint.Tiny("../golden/single")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bare.safetensors")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.run(chromedp.Click("#open-models"))
	p.upload("file", file)
	p.until(`!document.getElementById("import-go").hidden`)
	if notes := eval[string](p, `document.getElementById("import-notes").textContent`); !strings.HasPrefix(notes, "Stable Diffusion 1") {
		t.Errorf("the dialog notes %q", notes)
	}
	p.importAs("f16")
	p.until(`document.getElementById("model").textContent.startsWith("Model: bare")`)
	from, err := single.Open([]single.File{{Name: "bare.safetensors", Open: func() (safetensors.Blob, error) {
		dir, err := pack.OpenDir(filepath.Dir(file))
		if err != nil {
			return nil, err
		}
		return dir.Open("bare.safetensors")
	}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	out := t.TempDir()
	if err := pack.Run(t.Context(), pack.Options{From: from, Out: out, Name: "bare", Quant: "f16"}); err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(out, loader.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	if id := fmt.Sprintf("%x", sha256.Sum256(manifest)); !slices.Contains(p.keys(), "model:"+id) {
		t.Error("the page's manifest is not the command's")
	}
}

// A single-file checkpoint becomes the model that the folder becomes, once the
// folder with its configs is added; by file inputs, as by keyboard.
func TestImportSingleFile(t *testing.T) {
	t.Parallel()
	file, configs := singleFile(t)
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.run(chromedp.Click("#open-models"))
	p.upload("file", file)
	p.until(`!document.getElementById("import-more").hidden`)
	p.upload("import-folder", configs)
	p.importAs("f16")
	p.until(`document.getElementById("model").textContent.startsWith("Model: tiny")`)
	p.draw("a fox")
	in, err := pack.OpenDir(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	config, err := pack.OpenDir(configs)
	if err != nil {
		t.Fatal(err)
	}
	from, err := single.Open([]single.File{{Name: filepath.Base(file), Open: func() (safetensors.Blob, error) { return in.Open(filepath.Base(file)) }}}, config)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	out := t.TempDir()
	if err := pack.Run(t.Context(), pack.Options{In: "tiny.safetensors", From: from, Out: out, Name: "tiny", Quant: "f16"}); err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(out, loader.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	if id := fmt.Sprintf("%x", sha256.Sum256(manifest)); !slices.Contains(p.keys(), "model:"+id) {
		t.Error("the page's manifest is not the command's")
	}
	// The picture is that of the folder's model.
	s.extra = http.StripPrefix("/test/", http.FileServer(http.Dir(tiny)))
	if _, err := p.call(fmt.Sprintf(`
		const { importModel, models } = await import("/wisp.js");
		const kept = (await models()).find(({ name }) => name === "tiny");
		const draw = async (model) => {
			const g = await createGenerator({ model, backend: "simd" });
			const { images } = await g.generate({ prompt: "a fox", seed: 1, steps: 2 });
			g.dispose();
			return images[0].data.join();
		};
		const same = await draw("stored:" + kept.id) === await draw(await importModel(%s, { quantise: "f16" }));
		if (!same) throw new Error("another picture");`, visitorsFiles(t, "/test/", tiny))); err != nil {
		t.Error(err)
	}
}

// upload chooses files or a folder of the disk in a file input.
func (p *tab) upload(id, path string) {
	p.t.Helper()
	object, err := chromedp.Call(p.ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: fmt.Sprintf(`document.getElementById(%q)`, id)})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := chromedp.Call(p.ctx, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: []string{path}, ObjectID: object.Result.ObjectID}); err != nil {
		p.t.Fatal(err)
	}
}

// full is a script that has a worker's storage claim so much room.
const full = "StorageManager.prototype.estimate = async () => ({ usage: 0, quota: %d });\n"

// What does not fit is not offered, and refused where it is asked for: nothing
// stays, and no other model goes.
func TestImportWithoutRoom(t *testing.T) {
	t.Parallel()
	dir := syntheticModel(t, 24)
	worker, err := fs.ReadFile(site.Files(), "worker.js")
	if err != nil {
		t.Fatal(err)
	}
	s, p := serve(t), newTab(t)
	var room atomic.Int64
	room.Store(1 << 30)
	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/worker.js" {
			return false
		}
		w.Header().Set("Content-Type", "text/javascript")
		w.Header().Set("Cross-Origin-Embedder-Policy", "require-corp")
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprintf(w, full, room.Load())
		w.Write(worker)
		return true
	})
	s.extra = http.StripPrefix("/test/", http.FileServer(http.Dir(dir)))
	p.run(chromedp.Navigate(s.URL)) // without a service worker: it knows another worker.js
	p.until(`document.documentElement.dataset.state === "ready"`)
	for _, c := range []struct {
		free int64
		want string
	}{
		{100 << 20, "f16,q8 yes,q4,ternary go It fits"},
		{16 << 20, "f16 no,q8 yes,q4,ternary go It fits"},
		{8 << 20, "f16 no,q8 no,q4 yes,ternary go It fits"},
		{1 << 20, "f16 no,q8 no,q4 no,ternary no There is no room: 1.0 MB are free."},
	} {
		p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`StorageManager.prototype.estimate = async () => ({ usage: 5, quota: 5 + %d })`, c.free)))
		p.drag(dir)
		p.until(`document.getElementById("import").open && !document.getElementById("import-go").hidden`)
		if text := eval[string](p, `document.getElementById("import-verdict").textContent`); c.free >= 8<<20 && !strings.Contains(text, " A picture takes about ") {
			t.Errorf("the dialog does not say how long a picture takes: %s", text)
		}
		if got := eval[string](p, `[...document.querySelectorAll("#import-sizes input")].map((i) => i.value + (i.disabled ? " no" : "") + (i.checked ? " yes" : "")).join() + (document.getElementById("import-go").disabled ? "" : " go") + " " + document.getElementById("import-verdict").textContent`); !strings.HasPrefix(got, c.want) {
			t.Errorf("with room for %d the dialog says %s, want %s", c.free, got, c.want)
		}
		p.run(chromedp.KeyEvent("\u001b"))
		p.until(`!document.getElementById("import").open`)
	}
	before := p.keys()
	files := visitorsFiles(t, "/test/", dir)
	p.run(chromedp.Navigate(s.URL)) // ends the worker that inspected
	p.until(`document.documentElement.dataset.state === "ready"`)
	room.Store(1 << 20)
	if _, err := p.call(fmt.Sprintf(`await (await import("/wisp.js")).importModel(%s);`, files)); err == nil || !strings.HasPrefix(err.Error(), "quota: ") {
		t.Errorf("without room: %v", err)
	}
	if after := p.keys(); !slices.Equal(after, before) {
		t.Errorf("without room: kept are %v, before %v", after, before)
	}
}

// In Firefox, too, the page packs what the command packs, and draws with it.
func TestFirefoxImport(t *testing.T) {
	t.Parallel()
	s := serve(t)
	results := make(chan []byte, 1)
	mux := http.NewServeMux()
	mux.Handle("GET /test/tiny/", http.StripPrefix("/test/tiny/", isolated(http.FileServer(http.Dir(tiny)))))
	mux.HandleFunc("GET /test/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><script type="module">
			async function visit() {
				const { createGenerator, importModel, models, removeModel } = await import("/wisp.js");
				const files = %s;
				const stop = new AbortController();
				const code = await importModel(files, { signal: stop.signal, onProgress: () => stop.abort() }).catch((err) => err.code);
				const result = { code, left: %s };
				for (const quantise of ["f16", "q8"]) {
					const model = await importModel(files, { quantise });
					const g = await createGenerator({ model, backend: "simd" });
					const { images } = await g.generate({ prompt: "a fox", seed: 1, steps: 1 });
					result[quantise] = %s;
					result.width = images[0].width;
					g.dispose();
					await removeModel(model.slice(7));
				}
				return result;
			}
			visit().catch((err) => ({ code: String(err) })).then((result) => fetch("/test/result", { method: "POST", body: JSON.stringify(result) }));
		</script>`, visitorsFiles(t, "/test/tiny/", tiny), keptChunks, keptChunks)
	})
	mux.HandleFunc("POST /test/result", func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		results <- body
	})
	s.extra = mux
	b, err := browser.Launch(t.Context(), browser.Options{Name: "firefox", URL: s.URL + "/test/"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var got struct {
		Code          string
		Left, F16, Q8 []string
		Width         int
	}
	select {
	case body := <-results:
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
	case <-time.After(3 * time.Minute):
		t.Fatal("no result")
	}
	if got.Code != "aborted" || len(got.Left) > 0 || got.Width == 0 {
		t.Errorf("cancelled: %s, left %v; a picture %d wide", got.Code, got.Left, got.Width)
	}
	for quant, chunks := range map[string][]string{"f16": got.F16, "q8": got.Q8} {
		if want := hashes(packedNatively(t, tiny, quant)); !slices.Equal(chunks, want) {
			t.Errorf("%s: Firefox packed %v, the command %v", quant, chunks, want)
		}
	}
}

// hashes lists a model's chunks, sorted.
func hashes(m *loader.Manifest) (sums []string) {
	for _, c := range m.Chunks {
		sums = append(sums, c.SHA256)
	}
	slices.Sort(sums)
	return slices.Compact(sums)
}
