//go:build browser

package browser_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// What is typed is completed from what the model knows; emoji, and on a German
// page German names, are drawn by the model's own words; a word that it does
// not know is named, with the nearest ones.
func TestWords(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("live").checked = false`))
	const chips = `[...document.querySelectorAll("#suggested button")].map((b) => b.textContent).join()`
	const hint = `document.getElementById("hint").textContent`
	if said := eval[string](p, hint); !strings.Contains(said, "512 things") {
		t.Errorf("the page says of the model: %q", said)
	}
	p.fill("prompt", "a rainbow, sau")
	p.until(chips + `.includes("🦕 sauropod")`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("#suggested button").click()`))
	if words := eval[string](p, `document.getElementById("prompt").value`); words != "a rainbow, sauropod" {
		t.Errorf("the completed prompt is %q", words)
	}
	p.until(chips + ` === "" && ` + hint + ` === ""`)
	const drawn = `document.querySelector("#pictures img").alt`
	p.draw("🍕")
	if prompt := eval[string](p, drawn); prompt != "pizza" {
		t.Errorf("🍕 was drawn as %q", prompt)
	}
	p.fill("prompt", "my grandmother and a rockett")
	p.until(hint + `.startsWith("The model does not know “grandmother”, “rockett”.") && ` + chips + `.includes("🚀 rocket")`)
	p.run(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("#suggested button")].find((b) => b.textContent.includes("rocket")).click()`))
	if words := eval[string](p, `document.getElementById("prompt").value`); words != "my grandmother and a rocket" {
		t.Errorf("with the nearest word the prompt is %q", words)
	}

	p.run(chromedp.Evaluate[chromedp.Void](`{ const l = document.getElementById("language"); l.value = "de"; l.dispatchEvent(new Event("change")); }`))
	p.until(`document.title.includes("auf deinem Gerät") && document.getElementById("facts").textContent.includes("Startzahl")`) // its words are fetched
	if styles := eval[string](p, `[...document.querySelectorAll("#styles label")].map((l) => l.textContent).join()`); !strings.Contains(styles, "Umriss") || strings.Contains(styles, "Outline") {
		t.Errorf("the styles in German: %s", styles)
	}
	p.draw("ein Rotes Herz, Roter Fuchs")
	if prompt := eval[string](p, drawn); prompt != "red heart, red fox" {
		t.Errorf("ein Rotes Herz, Roter Fuchs was drawn as %q", prompt)
	}
	p.fill("prompt", "Zeitmaschine ")
	p.until(hint + `.includes("Das Modell kennt „zeitmaschine“ nicht.")`)
}

// What loading says is in the page's language, though the language comes after
// the first word.
func TestLoadingInItsLanguage(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/manifest.json") {
			return false
		}
		<-r.Context().Done()
		return true
	})
	p.run(chromedp.Navigate(s.URL + "/?lang=zh"))
	p.until(`document.getElementById("doing").textContent === "正在加载模型"`)
}

// Settings say what is best for the model, and what has no effect is told.
func TestBestSettings(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	const beyond = `[...document.querySelectorAll(".beyond")].map((e) => e.id).join()`
	if ids := eval[string](p, beyond); ids != "" {
		t.Errorf("the model's own settings are not the best: %s", ids)
	}
	if eval[bool](p, `document.getElementById("negative-off").hidden`) {
		t.Error("nothing says that words to leave out have no effect")
	}
	p.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("live").checked = false`))
	p.fill("negative", "blue")
	p.fill("steps", "1")
	p.draw("red heart")
	if text := eval[string](p, `document.getElementById("notice").textContent`); !strings.Contains(text, "counts where guidance is over 1") {
		t.Errorf("the notice is %q", text)
	}
	p.fill("guidance", "3")
	p.fill("steps", "9")
	p.fill("width", "256")
	if ids := eval[string](p, beyond); ids != "steps-best,guidance-best,size-best" || !eval[bool](p, `document.getElementById("negative-off").hidden`) {
		t.Errorf("beyond the best: %s", ids)
	}
	p.run(chromedp.Evaluate[chromedp.Void](`{
		globalThis.said = [];
		new MutationObserver(() => said.push(document.getElementById("spoken").textContent)).observe(document.getElementById("spoken"), { childList: true });
	}`))
	p.refused(" ")
	if said := eval[string](p, `said.join()`); said != "" {
		t.Errorf("an empty prompt is announced as %q", said)
	}
}

// A model of another site, or of none, that the address names is not loaded,
// and that is said.
func TestModelElsewhere(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	for _, name := range []string{"https://elsewhere.example/model/", "http://["} {
		p.open(s.URL + "/?model=" + url.QueryEscape(name))
		if text := eval[string](p, `document.getElementById("notice").textContent`); !strings.Contains(text, name+", which is not of this site") {
			t.Errorf("%s: the notice is %q", name, text)
		}
	}
}
