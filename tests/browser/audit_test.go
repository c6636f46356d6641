//go:build browser && audit

package browser_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"wisp/tests/browser"
)

// tools is where `make audit` puts axe-core and Lighthouse.
const tools = "../../build/npm/node_modules"

// Every view, light and dark, on a phone and a wide screen, in both languages,
// has no violation of any of axe-core's rules.
func TestAxe(t *testing.T) {
	axe, err := os.ReadFile(filepath.Join(tools, "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	s.extra = steerable(t)
	p := startTab(t, browser.Options{}, 9*time.Minute)
	check := func(view string) {
		t.Helper()
		p.run(chromedp.Evaluate[chromedp.Void](string(axe)))
		for _, violation := range eval[[]string](p, `new Promise((r) => setTimeout(r, 300)).then(() => axe.run()).then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.id + " (" + v.help + "): " + n.html.slice(0, 160) + " " + n.failureSummary)))`) {
			t.Errorf("%s: %s", view, violation)
		}
	}
	for _, look := range []struct {
		name, language, scheme string
		width                  int64
	}{{"wide", "en", "light", 1200}, {"wide dark", "de", "dark", 1200}, {"phone", "de", "light", 390}, {"phone dark", "en", "dark", 390}} {
		p.look(look.width, 844, 1, look.width < 500, look.scheme)
		p.open(s.URL + "/?lang=" + look.language)
		check(look.name + ", empty")
		p.fill("steps", "1")
		p.draw("red heart")
		p.run(chromedp.Click("#star"))
		p.until(`document.querySelectorAll('#past .star[aria-pressed="true"]').length > 0`)
		check(look.name + ", picture and history")
		p.run(chromedp.Click("#vary"))
		p.until(`document.querySelectorAll("#pictures img").length === 4`)
		p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("settings").open = true; document.getElementById("update").hidden = false`))
		check(look.name + ", settings and variations")
		p.refused("")
		p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("#past .bin").click()`))
		p.eventually(`!document.getElementById("undo").hidden`)
		check(look.name + ", error and notice")
		p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("open-models").click()`))
		p.eventually(`document.querySelectorAll("#kept li").length > 0`)
		p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("card").open = true`))
		check(look.name + ", models")
		p.drag(tiny)
		p.eventually(`!document.getElementById("import-go").hidden`)
		check(look.name + ", import")
		p.run(chromedp.KeyEvent("\u001b"))
		p.drag("../../loader/single/testdata/sdxl.safetensors")
		p.eventually(`!document.getElementById("import-error").hidden`)
		check(look.name + ", import refused")
		p.run(chromedp.KeyEvent("\u001b"))
		p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("prompt").value = "tree"; document.getElementById("open-grid").click()`))
		p.run(submit("axes"))
		p.eventually(`!document.getElementById("grid-save").hidden`)
		check(look.name + ", comparison")
		p.run(chromedp.Navigate(s.URL + "/privacy.html?lang=" + look.language))
		p.until(`!document.getElementById("counter").hidden`)
		check(look.name + ", what leaves this device")
		p.run(chromedp.Navigate(s.URL + "/lab.html?lang=" + look.language))
		p.until(`document.getElementById("lab-go") && !document.getElementById("lab-go").disabled`)
		p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("lab-go").click()`))
		p.until(`!document.getElementById("lab-save").hidden`)
		check(look.name + ", the lab")
	}
}

// The tools beside the prompt have none either.
func TestAxeTools(t *testing.T) {
	axe, err := os.ReadFile(filepath.Join(tools, "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	p := startTab(t, browser.Options{}, 9*time.Minute)
	check := func(view string) {
		t.Helper()
		p.run(chromedp.Evaluate[chromedp.Void](string(axe)))
		for _, violation := range eval[[]string](p, `new Promise((r) => setTimeout(r, 300)).then(() => axe.run()).then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.id + " (" + v.help + "): " + n.html.slice(0, 160) + " " + n.failureSummary)))`) {
			t.Errorf("%s: %s", view, violation)
		}
	}
	for _, look := range []struct {
		name, language, scheme string
		width                  int64
	}{{"wide", "zh", "dark", 1200}, {"phone", "en", "light", 390}} {
		p.look(look.width, 844, 1, look.width < 500, look.scheme)
		p.open(s.URL + "/?lang=" + look.language)
		p.fill("steps", "1")
		p.draw("red heart")
		p.run(chromedp.Click("#more-ways"))
		p.until(`document.getElementById("ways") !== null`)
		check(look.name + ", ways to draw")
		p.run(chromedp.Click("#more-ways"))
		p.run(chromedp.Click("#edit"))
		p.until(`document.querySelector(".card.start") !== null`)
		p.run(dropped("ink.safetensors", "", loraOf("unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_q", 192)))
		p.until(`document.querySelector(".card.loras") !== null`)
		p.draw("blue heart")
		p.run(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll(".card.start .tools button")[1].click()`))
		p.until(`document.querySelector(".before") !== null`)
		check(look.name + ", a start, a LoRA, before and after")
		p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".card.start .tools button").click()`))
		p.until(`document.querySelector("dialog.editor canvas:focus") !== null`)
		check(look.name + ", the brush")
		p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("dialog.editor .bar button").click()`))
		p.run(chromedp.Click("#more-ways"))
		p.run(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("#ways button")].at(-1).click()`))
		p.until(`document.querySelector("dialog.batch textarea") !== null`)
		check(look.name + ", many prompts")
		p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("dialog.batch .bar button").click()`))
		p.run(chromedp.Click("#enlarge"))
		p.until(`document.querySelector("dialog.batch .net select")?.value === ""`)
		check(look.name + ", larger")
		p.open(s.URL + "/?model=/test/tiny/&lang=" + look.language)
		p.draw("cat")
		p.run(chromedp.Evaluate[chromedp.Void](dropControl, chromedp.EvalAwaitPromise))
		p.until(`document.querySelector(".control canvas")?.width > 0 && document.querySelector(".control select[data-do=maker]").value === "canny"`)
		check(look.name + ", a ControlNet")
	}
}

// Lighthouse's categories, on its slow phone and on a desktop, at 95 or more.
func TestLighthouse(t *testing.T) {
	s := serve(t)
	for _, form := range []string{"mobile", "desktop"} {
		for _, path := range []string{"/", "/privacy.html"} {
			t.Run(form+path, func(t *testing.T) {
				out := filepath.Join(t.TempDir(), "report.json")
				args := []string{filepath.Join(tools, "lighthouse", "cli", "index.js"), s.URL + path, "--quiet", "--output=json", "--output-path=" + out,
					"--only-categories=performance,accessibility,best-practices", "--chrome-flags=--headless=new --no-sandbox"}
				if form == "desktop" {
					args = append(args, "--preset=desktop")
				}
				if text, err := exec.CommandContext(t.Context(), "node", args...).CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
				var report struct {
					Categories map[string]struct {
						Score     float64
						AuditRefs []struct {
							ID     string
							Weight float64
						}
					}
					Audits map[string]struct {
						Score        *float64
						DisplayValue string
					}
				}
				text, err := os.ReadFile(out)
				if err == nil {
					err = json.Unmarshal(text, &report)
				}
				if err != nil || len(report.Categories) != 3 {
					t.Fatalf("%d categories: %v", len(report.Categories), err)
				}
				for name, c := range report.Categories {
					t.Logf("%s: %.0f", name, c.Score*100)
					if c.Score >= 0.95 {
						continue
					}
					t.Errorf("%s is at %.0f of 100", name, c.Score*100)
					for _, ref := range c.AuditRefs {
						if a := report.Audits[ref.ID]; ref.Weight > 0 && a.Score != nil && *a.Score < 0.95 {
							t.Logf("%s: %.2f %s", ref.ID, *a.Score, a.DisplayValue)
						}
					}
				}
			})
		}
	}
}
