//go:build browser

package browser_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/systeminfo"
	"github.com/chromedp/chromedp"

	"wisp/tests/browser"
)

// importMemory bounds what an import adds to the tab's memory at its peak, in
// bytes, whatever the model's size: the packer, its chunks of 4 MiB, and the
// copies of them that the browser has not yet collected.
const importMemory = 192 << 20

// A model of 256 MiB is imported without being in memory; cancelled on the way
// by the keyboard it leaves nothing.
func TestImportLarge(t *testing.T) {
	dir := syntheticModel(t, 256)
	s, p := serve(t), startTab(t, browser.Options{}, 8*time.Minute)
	p.open(s.URL)
	before := p.keys()
	renderer := p.renderer()
	open := func() {
		t.Helper()
		p.drag(dir)
		p.until(`document.getElementById("import").open && !document.getElementById("import-go").hidden`)
		p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("#import-sizes [value=f16]").click()`))
	}
	open()
	p.run(chromedp.Click("#import-go"))
	p.until(`document.getElementById("import-bar").value > 0.2`)
	if id := eval[string](p, `document.activeElement.id`); id != "import-stop" {
		t.Errorf("while it is imported the focus is on %q", id)
	}
	p.run(chromedp.KeyEvent("\u001b"))
	p.until(`document.getElementById("import-verdict").textContent.startsWith("Cancelled")`)
	if id := eval[string](p, `document.activeElement.id`); id != "import-go" || !eval[bool](p, `document.getElementById("import").open`) {
		t.Errorf("after it is cancelled the focus is on %q", id)
	}
	if after := p.keys(); !slices.Equal(after, before) {
		t.Errorf("cancelled, it left %d records beside %d", len(after), len(before))
	}
	p.run(chromedp.KeyEvent("\u001b"))
	p.until(`!document.getElementById("import").open`)

	// Chromium gives memory back late: what it has at rest is its least.
	least := residentSet(t, renderer, "VmRSS:")
	for range 20 {
		time.Sleep(100 * time.Millisecond)
		least = min(least, residentSet(t, renderer, "VmRSS:"))
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", renderer), []byte("5"), 0); err != nil { // the peak begins anew
		t.Fatal(err)
	}
	open()
	p.run(chromedp.Click("#import-go"))
	for eval[bool](p, `document.getElementById("import").open && document.getElementById("import-error").hidden`) {
		time.Sleep(100 * time.Millisecond)
	}
	peak := residentSet(t, renderer, "VmHWM:")
	t.Logf("at rest %.0f MB, at the peak %.0f MB", float64(least)/1e6, float64(peak)/1e6)
	if peak-least > importMemory {
		t.Errorf("importing 256 MiB took %d bytes, more than %d", peak-least, importMemory)
	}
	if after := p.keys(); len(after) < len(before)+64 {
		t.Errorf("%d records are kept beside %d", len(after), len(before))
	}
}

// renderer is the tab's process, the largest.
func (p *tab) renderer() (pid int64) {
	p.t.Helper()
	info, err := chromedp.CallBrowser(p.ctx, systeminfo.GetProcessInfo, cdp.Empty{})
	if err != nil {
		p.t.Fatal(err)
	}
	var largest int64
	for _, process := range info.ProcessInfo {
		if process.Type != "renderer" {
			continue
		}
		if size := residentSet(p.t, process.ID, "VmRSS:"); size > largest {
			largest, pid = size, process.ID
		}
	}
	return pid
}

// residentSet reads a line "VmRSS: N kB" of a process's status, in bytes.
func residentSet(t testing.TB, pid int64, kind string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var name string
		var kB int64
		if n, _ := fmt.Sscanf(line, "%s %d kB", &name, &kB); n == 2 && name == kind {
			return kB * 1024
		}
	}
	t.Fatalf("no %s in %q", kind, text)
	return 0
}
