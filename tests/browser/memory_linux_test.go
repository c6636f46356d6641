//go:build browser && linux

package browser_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/memory"
	"github.com/chromedp/cdproto/systeminfo"
	"github.com/chromedp/chromedp"

	"wisp/tests/attack/row"
)

// memory is what the tab's process, the largest of the renderers, holds beside
// the browser's own program files, in bytes: once its garbage is collected and
// it has given back the caches and free pages that a browser keeps until
// memory is short.
func (p *tab) memory() int64 {
	p.t.Helper()
	for range 2 {
		_, err := chromedp.Call(p.ctx, heapprofiler.CollectGarbage, cdp.Empty{})
		if err == nil {
			_, err = chromedp.CallBrowser(p.ctx, memory.SimulatePressureNotification, memory.SimulatePressureNotificationParams{Level: memory.PressureLevelCritical})
		}
		if err != nil {
			p.t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
	info, err := chromedp.CallBrowser(p.ctx, systeminfo.GetProcessInfo, cdp.Empty{})
	if err != nil {
		p.t.Fatal(err)
	}
	var largest int64
	for _, process := range info.ProcessInfo {
		if process.Type != "renderer" {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", process.ID))
		if err != nil {
			p.t.Fatal(err)
		}
		largest = max(largest, pss(p.t, string(text)))
	}
	return largest
}

// pss adds the lines "Pss_Anon: N kB", "Pss_Shmem: N kB" and "SwapPss: N kB":
// the share in the program's files, which is left out, depends on what other
// browsers run.
func pss(t testing.TB, rollup string) int64 {
	t.Helper()
	var sum, found int64
	for line := range strings.Lines(rollup) {
		var kind string
		var kB int64
		if n, _ := fmt.Sscanf(line, "%s %d kB", &kind, &kB); n == 2 && slices.Contains([]string{"Pss_Anon:", "Pss_Shmem:", "SwapPss:"}, kind) {
			sum, found = sum+kB*1024, found+1
		}
	}
	if found != 3 {
		t.Fatalf("no Pss_Anon, Pss_Shmem and SwapPss in %q", rollup)
	}
	return sum
}

// Twenty widgets take the memory of one, and each has drawn.
func TestTwentyWidgets(t *testing.T) {
	s := serve(t)
	measure := func(n int) int64 {
		p := newTab(t)
		p.run(chromedp.Navigate(host(t, "", "<!doctype html>"+strings.Repeat(`<wisp-generator prompt="red heart" steps="2" seed="7"></wisp-generator>`, n)+
			fmt.Sprintf(`<script type="module" src="%s/widget.js"></script>`, s.URL))))
		drawn := eval[int](p, `(async () => {
			await customElements.whenDefined("wisp-generator");
			const seeds = [];
			for (const { seed } of await Promise.all([...document.querySelectorAll("wisp-generator")].map((widget) => widget.generate()))) seeds.push(seed);
			return seeds.filter((seed) => seed === 7).length;
		})()`)
		if drawn != n {
			t.Fatalf("%d of %d widgets drew", drawn, n)
		}
		return p.memory()
	}
	one, twenty := measure(1), measure(20)
	ratio := float64(twenty) / float64(one)
	r := row.Row{Case: "twenty widgets beside one", Tried: 1, MemoryBefore: float64(one) / 1e6, MemoryAfter: float64(twenty) / 1e6, Note: fmt.Sprintf("%.2f times", ratio)}
	if ratio > 1.3 {
		t.Errorf("twenty widgets take %.1f MB, one %.1f", float64(twenty)/1e6, float64(one)/1e6)
	} else {
		r.Held = 1
	}
	r.Print()
}
