//go:build browser

package browser_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wisp/loader"
	"wisp/loader/pack"
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

// keptChunks is a JavaScript expression for the keys of the chunks in the
// browser's library.
const keptChunks = `await new Promise((resolve, reject) => {
	const open = indexedDB.open("wisp");
	open.onerror = () => reject(open.error);
	open.onsuccess = () => {
		const all = open.result.transaction("records").objectStore("records").getAllKeys();
		all.onsuccess = () => { open.result.close(); resolve(all.result.filter((key) => /^[0-9a-f]{64}$/.test(key)).sort()); };
	};
})`

// The page packs what the command packs, to the last bit, and draws with it.
func TestImportIsPack(t *testing.T) {
	s, p := serve(t), newTab(t)
	s.extra = http.StripPrefix("/test/", http.FileServer(http.Dir(tiny)))
	p.open(s.URL)
	if _, err := p.call(`for (const { id } of await (await import("/wisp.js")).models()) await (await import("/wisp.js")).removeModel(id);`); err != nil {
		t.Fatal(err)
	}
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
		var chunks []string
		var raw int64
		for _, c := range want.Chunks {
			chunks = append(chunks, c.SHA256)
			raw += c.Raw
		}
		slices.Sort(chunks)
		if !slices.Equal(got.Chunks, slices.Compact(chunks)) {
			t.Errorf("%s: the page packed %v, the command %v", quant, got.Chunks, chunks)
		}
		if len(got.Left) != 0 {
			t.Errorf("%s: deleting left %v", quant, got.Left)
		}
		f := got.Facts
		if f.Name != "tiny" || f.Pipeline != want.Pipeline || f.PackedBytes[quant] != raw || f.PeakBytes != want.PeakBytes() || f.FreeBytes < 1<<20 {
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
