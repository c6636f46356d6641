//go:build browser && soak && linux

package browser_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/memory"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/systeminfo"
	"github.com/chromedp/chromedp"

	"wisp/tests/browser"
)

// A thousand pictures in a row in one tab: its memory after the last is within
// 5 % of that after the fiftieth.
func TestThousandPictures(t *testing.T) {
	s := serve(t)
	p := startTab(t, browser.Options{}, 25*time.Minute)
	p.unwatched()
	p.open(s.URL)
	p.fill("steps", "1")
	p.fill("width", "128")
	p.fill("height", "128")
	var early, late int64
	for n := 50; n <= 1000; n += 50 {
		eval[bool](p, fmt.Sprintf(`(async () => {
			const drawn = () => Number(document.documentElement.dataset.pictures ?? 0);
			while (drawn() < %d) {
				const before = drawn();
				document.getElementById("prompt").value = ["red heart", "rocket", "rainbow"][before %% 3];
				document.getElementById("go").click();
				while (drawn() === before || document.getElementById("go").textContent !== "Generate") await new Promise((r) => setTimeout(r, 5));
			}
			return true;
		})()`, n))
		late = p.memory()
		if n == 50 {
			early = late
		}
		t.Logf("after %4d pictures: %.1f MB", n, float64(late)/1e6)
	}
	if ratio := float64(late) / float64(early); ratio > 1.05 {
		t.Errorf("the memory grew to %.3f of what it was after the fiftieth picture", ratio)
	}
}

// unwatched switches off the developer tools that keep what they have seen in
// the tab's own memory: of every file that an <img> loads they hold a copy, 70
// kB and more for each picture of this test.
func (p *tab) unwatched() {
	p.t.Helper()
	for _, disable := range []cdp.Command[cdp.Empty, cdp.Empty]{network.Disable, css.Disable, dom.Disable} {
		if _, err := chromedp.Call(p.ctx, disable, cdp.Empty{}); err != nil {
			p.t.Fatal(err)
		}
	}
}

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
