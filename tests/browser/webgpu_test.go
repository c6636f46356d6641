//go:build browser

package browser_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"wisp/site"
)

// fallible serves replay.js so that the page can, by messages, destroy the
// device in the worker and make those that follow smaller: one whose buffers
// hold more bytes than the page said is out of memory.
func fallible(t *testing.T, s *server) {
	root, err := site.Root()
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(root, "webgpu", "replay.js"))
	if err != nil {
		t.Fatal(err)
	}
	const hook = `{
		const open = wispReplay.open;
		const channel = new BroadcastChannel("device");
		let room = Infinity;
		wispReplay.open = async (...options) => {
			const replay = await open(...options);
			const held = () => replay.buffers.reduce((sum, b) => sum + (b?.size ?? 0), 0);
			channel.onmessage = ({ data }) => {
				if (data === "held?") return channel.postMessage(held());
				room = data;
				replay.device.destroy();
			};
			const { alloc } = replay;
			replay.alloc = (size) => {
				const id = alloc.call(replay, size);
				if (held() > room) replay.fault ??= Object.assign(new Error("the card is full"), { kind: "out-of-memory" });
				return id;
			};
			return replay;
		};
	}`
	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/replay.js" {
			return false
		}
		w.Header().Set("Content-Type", "text/javascript")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		w.Header().Set("Cross-Origin-Embedder-Policy", "require-corp")
		w.Write(append(script, hook...))
		return true
	})
}

// The default model's picture on the graphics path is that of WebAssembly; the
// page's thread stays free meanwhile; cancelling is prompt; and a device that
// is lost in mid-picture is opened again without a reload. That one is too
// small for the whole model and takes its parts in turns.
func TestWebGPUPage(t *testing.T) {
	s, p := serve(t), newTab(t)
	fallible(t, s)
	p.run(chromedp.Navigate(s.URL + "/wisp.d.ts")) // a page of the origin that loads nothing
	result, err := p.call(`
		const request = { prompt: "red heart", seed: 5, steps: 1, guidance: 1 }; // the device is a slow one
		const simd = await createGenerator({ backend: "simd" });
		const want = (await simd.generate(request)).images[0].data;
		simd.dispose();
		const g = await createGenerator({ backend: "webgpu" });
		const decibels = (r) => {
			const got = r.images[0].data;
			let sum = 0;
			for (let i = 0; i < want.length; i++) sum += (got[i] - want[i]) ** 2;
			return sum === 0 ? 99 : 10 * Math.log10(255 ** 2 * want.length / sum);
		};
		const long = [];
		const observer = new PerformanceObserver((list) => long.push(...list.getEntries().map((e) => e.duration)));
		observer.observe({ type: "longtask" });
		let late = 0, last = performance.now();
		const probe = setInterval(() => { late = Math.max(late, performance.now() - last - 10); last = performance.now(); }, 10);
		const first = await g.generate(request);
		clearInterval(probe);
		observer.disconnect();

		const waits = [];
		for (let i = 0; i < 10; i++) {
			const stop = new AbortController();
			let from = 0;
			setTimeout(() => { from = performance.now(); stop.abort(); }, 50 + 13 * i);
			const code = await g.generate({ ...request, steps: 200, signal: stop.signal }).then(() => "finished", (err) => err.code);
			if (code !== "aborted") throw new Error(code);
			waits.push(performance.now() - from);
		}

		const channel = new BroadcastChannel("device");
		const held = new Promise((resolve) => channel.onmessage = ({ data }) => resolve(data));
		channel.postMessage("held?");
		const whole = await held;
		setTimeout(() => channel.postMessage(whole - 1), 100);
		const lost = await g.generate(request);
		g.dispose();
		return { backends: [first.backend, lost.backend], decibels: [first, lost].map(decibels), late, long, waits, warnings: lost.warnings };
	`)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", result)
	var got struct {
		Backends []string
		Decibels []float64
		Late     float64
		Long     []float64
		Waits    []float64
		Warnings []string
	}
	if err := json.Unmarshal(result, &got); err != nil {
		t.Fatal(err)
	}
	if strings.Join(got.Backends, " ") != "webgpu webgpu" {
		t.Errorf("drawn by %v", got.Backends)
	}
	for _, db := range got.Decibels {
		if db < 50 {
			t.Errorf("PSNR %.1f dB against WebAssembly, want 50", db)
		}
	}
	if got.Late > 50 || len(got.Long) > 0 {
		t.Errorf("the page's thread stood still for %.0f ms; long tasks of %v ms", got.Late, got.Long)
	}
	for _, ms := range got.Waits {
		if ms > 100 {
			t.Errorf("cancelling took %.0f ms", ms)
		}
	}
	if len(got.Warnings) != 2 || !strings.Contains(got.Warnings[0], "lost") || !strings.Contains(got.Warnings[1], "memory") {
		t.Errorf("the page was told %q", got.Warnings)
	}
}

// ?profile shows what drew the picture and, on a graphics card, its kernels.
func TestProfileView(t *testing.T) {
	s, p := serve(t), newTab(t)
	p.open(s.URL + "/?profile")
	p.draw("red heart")
	p.until(`document.getElementById("profile")?.textContent.startsWith("simd\n")`)
	p.run(chromedp.Evaluate[chromedp.Void](`import("/studio.js").then(({ profile }) => profile({ device: "a card", profile: [
		{ kernel: "conv2d", dispatches: 3, ms: 30, flops: 6e9, bytes: 9e8 }, { kernel: "linear", dispatches: 1, ms: 10, flops: 1e9, bytes: 1e8 }] }))`))
	p.until(`/^a card\n.*\nconv2d +3 +30.0 +75 +200.0 +30.0\nlinear +1 +10.0 +25 +100.0 +10.0$/.test(document.getElementById("profile").textContent)`)
}
