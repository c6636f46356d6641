//go:build browser

package browser_test

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// At no width, in no language, does the page scroll sideways.
func TestNoSidewaysScrolling(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("settings").open = true`))
	for _, language := range []string{"en", "de", "zh"} {
		p.run(chromedp.Evaluate[chromedp.Void](`{ const l = document.getElementById("language"); l.value = "` + language + `"; l.dispatchEvent(new Event("change")); }`))
		for _, width := range []int64{320, 360, 480, 520, 600, 640, 720, 800, 832, 900, 1024, 1440} {
			p.look(width, 800, 1, false, "light")
			if wide := eval[int](p, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
				t.Errorf("%s at %d pixels: %d pixels lie outside, of %s", language, width, wide, eval[string](p, `[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth).map((e) => e.localName + "#" + e.id).join(" ")`))
			}
		}
	}
}

// In forced colours what is on or chosen looks other than what is not.
func TestForcedColours(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	forced := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "forced-colors", Value: "active"}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, forced); err != nil {
		t.Fatal(err)
	}
	got := eval[string](p, `(() => {
		const look = (element, pseudo) => { const { backgroundColor, borderTopColor, borderTopWidth, color } = getComputedStyle(element, pseudo); return [backgroundColor, borderTopColor, borderTopWidth, color].join(); };
		const wrong = [];
		const live = document.getElementById("live");
		const on = look(live), knob = getComputedStyle(live, "::before").backgroundColor;
		if (knob === getComputedStyle(live).backgroundColor) wrong.push("the switch's knob is as its ground");
		live.checked = false;
		if (look(live) === on) wrong.push("the switch looks the same on and off");
		if (getComputedStyle(live, "::before").backgroundColor === getComputedStyle(live).backgroundColor) wrong.push("the switch's knob is as its ground when it is off");
		const [chosen, other] = document.querySelectorAll("#styles label");
		if (look(chosen) === look(other)) wrong.push("the chosen style looks like the others");
		const star = document.getElementById("stars"), off = look(star);
		star.setAttribute("aria-pressed", "true");
		if (look(star) === off) wrong.push("a pressed button looks the same");
		if (getComputedStyle(document.getElementById("go")).borderTopWidth === "0px") wrong.push("the button has no edge");
		return wrong.join("; ");
	})()`)
	if got != "" {
		t.Error(got)
	}
}
