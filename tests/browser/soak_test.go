//go:build browser && soak && linux

package browser_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/network"
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
