//go:build browser

package browser_test

import (
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// The lab draws a grid on the default model, measures each cell by the picture of
// 200 steps, draws curves, saves what it found, and says what cannot be drawn.
func TestLab(t *testing.T) {
	drive(t, nil, `
		await visit("/lab.html?lang=de");
		await until("a model", () => $("lab-go") && !$("lab-go").disabled);
		check("German", $("lab-state").textContent, "Bereit.");
		await visit("/lab.html?lang=en");
		let broken = "";
		inside().document.addEventListener("securitypolicyviolation", (e) => { broken = e.violatedDirective; });
		await until("a model", () => $("lab-go") && !$("lab-go").disabled);
		const files = [];
		inside().URL.createObjectURL = (blob) => { files.push(blob); return "blob:none"; };
		inside().HTMLAnchorElement.prototype.click = () => {};
		$("lab-go").click();
		await until("a grid", () => !$("lab-save").hidden, 150_000);
		const cells = [...$("lab-sheet").querySelectorAll("td:has(small)")];
		check("cells", cells.length, 16);
		check("pictures", $("lab-sheet").querySelectorAll("canvas").length, 16);
		check("papers", cells.every((c) => /^https:\/\/arxiv\.org\/abs\/\d{4}\.\d+$/.test(c.querySelector("a").href) && c.querySelector("code").textContent.endsWith(".go")), true);
		check("lines", [...$("lab-curves").querySelectorAll("polyline")].map((l) => l.getAttribute("points").split(" ").length).join(), "4,4,4,4");
		$("lab-csv").click();
		const rows = (await files[0].text()).trim().split("\n").map((row) => row.split(","));
		check("rows", rows.length + rows[0].join(), "17sampler,schedule,steps,guidance,seed,prompt,ms,distance");
		const at = (sampler, steps) => Number(rows.find((r) => r[0] === sampler && r[2] === String(steps))[7]);
		for (const sampler of new Set(rows.slice(1).map((r) => r[0]))) check(sampler + " comes nearer", at(sampler, 8) < at(sampler, 1), true);
		$("lab-png").click();
		await until("a picture", () => files.length === 2);
		check("PNG", files[1].type + (files[1].size > 20_000), "image/pngtrue");
		fill("lab-x-values", "euler, magic");
		fill("lab-y-values", "2");
		$("lab-save").hidden = true;
		$("lab-go").click();
		await until("another grid", () => !$("lab-save").hidden);
		check("a cell that cannot be", $("lab-sheet").querySelectorAll("canvas").length + " " + $("lab-sheet").querySelectorAll("td")[2].textContent.includes("magic"), "1 true");
		fill("lab-y-values", "x");
		$("lab-go").click();
		await until("an error", () => !$("lab-error").hidden);
		check("the content security policy", broken, "");
	`)
}

// TestLabShot is the lab's picture for the README; kept only with -update.
func TestLabShot(t *testing.T) {
	dir := t.TempDir()
	if *update {
		dir = "shots"
	}
	s, p := serve(t), newTab(t)
	p.look(1200, 1300, 1, false, "light")
	p.run(chromedp.Navigate(s.URL + "/lab.html?lang=en"))
	p.until(`document.getElementById("lab-go") && !document.getElementById("lab-go").disabled`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("lab-go").click()`))
	p.until(`!document.getElementById("lab-save").hidden`)
	t.Log(eval[string](p, `document.getElementById("lab-state").textContent`))
	p.screenshot(filepath.Join(dir, "lab.webp"))
}
