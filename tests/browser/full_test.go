//go:build browser && full && linux

package browser_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"wisp/loader"
	"wisp/tests/browser"
	fullsize "wisp/tests/golden/full"
	"wisp/tests/golden/pipeline"
)

// fullBounds are what a model may take: seconds from the page's call to the
// picture, of the wall and of the tab's threads together, and the tab's memory
// at its peak.
var fullBounds = map[string]struct {
	seconds float64
	memory  int64
	least   float64 // dB against torch
}{
	"lcm":        {40, 1_600 << 20, 35},
	"sdxl_turbo": {90, 4 << 30, 35},
	"klein":      {600, 3 << 30, 35}, // with its way into the browser's store; package full times its steps
}

// TestFullSize draws with models of published sizes on two threads. Their
// pictures are torch's, from the same quantised weights.
func TestFullSize(t *testing.T) {
	for _, m := range fullsize.Models {
		t.Run(m.Name, func(t *testing.T) {
			packed := packFull(t, m)
			s, p := serve(t), startTab(t, browser.Options{}, 20*time.Minute)
			mux := http.NewServeMux()
			mux.Handle("/test/model/", http.StripPrefix("/test/model/", isolated(http.FileServer(http.Dir(packed)))))
			mux.Handle("/test/", isolated(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				fmt.Fprint(w, "<!doctype html><title>full size</title>")
			})))
			s.extra = mux
			drawFull(t, p, s.URL+"/test/", m)
		})
	}
}

// packFull packs a model under build/full, once.
func packFull(t *testing.T, m fullsize.Model) string {
	t.Helper()
	out := filepath.Join("..", "..", "build", "full", m.Name)
	if _, err := os.Stat(filepath.Join(out, loader.ManifestName)); err == nil {
		return out
	}
	if err := fullsize.Pack(t.Context(), m, filepath.Join("..", "golden"), out); err != nil {
		t.Fatal(err)
	}
	return out
}

// visitOf is what the page tells of a visit.
type visitOf struct {
	Ready, Total float64 // seconds
	Timings      map[string]float64
	Pixels       string // every few, RGB
	Threads      int
	Progress     []string
	Larger       map[string]float64 // timings of a second picture
}

func drawFull(t *testing.T, p *tab, address string, m fullsize.Model) {
	golden := filepath.Join("..", "golden", "full", m.Name)
	cases, err := pipeline.Read(golden)
	if err != nil {
		t.Fatal(err)
	}
	c := cases[0]
	p.run(chromedp.Navigate(address))
	p.call(`self.ballast = new Uint8Array(256 << 20).fill(1)`) // beside which a spare process is small
	pid := p.renderer()
	p.call(`delete self.ballast`)
	stop, peak := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)); err == nil {
				most = max(most, pss(t, string(text)))
			}
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(250 * time.Millisecond):
			}
		}
	}()
	before := cpuTime(t, pid)
	answer, err := p.call(fmt.Sprintf(`
		const begun = performance.now(), progress = [];
		const generator = await createGenerator({ model: "/test/model/", backend: "simd", threads: 2, memory: %[8]d || undefined,
			onProgress: ({ stage, loaded, total }) => { if (loaded === total) progress.push(stage + " " + Math.round(performance.now() - begun)); } });
		const ready = performance.now();
		const { images, timings } = await generator.generate({ prompt: %[1]q, seed: %[2]d, steps: %[3]d, guidance: %[4]v, width: %[5]d, height: %[6]d });
		const total = performance.now();
		const larger = %[9]d && (await generator.generate({ prompt: "more", seed: 1, steps: 1, guidance: %[4]v, width: %[9]d, height: %[9]d })).timings;
		const { data, width, height } = images[0];
		let pixels = "";
		for (let y = 0; y < height; y += %[7]d) for (let x = 0; x < width; x += %[7]d) pixels += String.fromCharCode(...data.subarray(4 * (y * width + x), 4 * (y * width + x) + 3));
		return { ready: (ready - begun) / 1e3, total: (total - begun) / 1e3, timings, pixels: btoa(pixels), threads: crossOriginIsolated ? 2 : 1, progress, larger: larger || null };`,
		c.Prompt, c.Seed, c.Steps, c.Guidance, c.Width, c.Height, fullsize.Every, m.Memory, m.Larger))
	close(stop)
	memory := <-peak
	if err != nil {
		t.Fatalf("%v, after %d MiB", err, memory>>20)
	}
	var v visitOf
	if err := json.Unmarshal(answer, &v); err != nil {
		t.Fatal(err)
	}
	db, err := pipeline.PSNR(v.picture(t, c.Width/fullsize.Every, c.Height/fullsize.Every), filepath.Join(golden, c.Files[0]))
	if err != nil {
		t.Fatal(err)
	}
	cores := (cpuTime(t, pid) - before).Seconds()
	if m.Larger > 0 {
		t.Logf("%s at %d²: %v", m.Name, m.Larger, v.Larger)
	}
	t.Logf("%s: ready after %.1f s, picture after %.1f s (%v; %v), %.1f s of cores, %d MiB, PSNR %.1f dB", m.Name, v.Ready, v.Total, v.Progress, v.Timings, cores, memory>>20, db)
	bound := fullBounds[m.Name]
	if v.Threads != 2 {
		t.Error("the page is not isolated: one thread drew")
	}
	if v.Total > bound.seconds || memory > bound.memory || db < bound.least {
		t.Errorf("%.1f s, %d MiB, %.1f dB; want %v", v.Total, memory>>20, db, bound)
	}
}

// picture is what was drawn, as the golden keeps it.
func (v visitOf) picture(t *testing.T, w, h int) *image.NRGBA {
	t.Helper()
	rgb, err := base64.StdEncoding.DecodeString(v.Pixels)
	if err != nil || len(rgb) != 3*w*h {
		t.Fatal(len(rgb), err)
	}
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		copy(img.Pix[4*i:], rgb[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	return img
}

// cpuTime is what a process has computed, all its threads together.
func cpuTime(t testing.TB, pid int64) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	var user, system int64
	fmt.Sscan(string(fields[11]), &user)
	fmt.Sscan(string(fields[12]), &system)
	return time.Duration(user+system) * 10 * time.Millisecond // of a hundredth each, on Linux
}
