//go:build browser

package browser_test

import (
	"bytes"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"wisp/site"
)

// Each example of site/examples, on a site of another origin that sends no
// headers of its own.
func TestExamples(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	root, err := site.Root()
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan []byte, 1)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if r.URL.Path == "/profile" {
			file, header, err := r.FormFile("picture")
			if err != nil || header.Header.Get("Content-Type") != "image/png" {
				t.Errorf("the form sent no picture: %v", err)
				return
			}
			data, err := io.ReadAll(file)
			if err != nil {
				t.Error(err)
			}
			sent <- data
			io.WriteString(w, "<p id=thanks>Thanks</p>")
			return
		}
		text, err := os.ReadFile(filepath.Join(root, "site", "examples", filepath.Base(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, strings.ReplaceAll(string(text), `"../`, `"`+s.URL+`/`))
	}))
	defer other.Close()

	p.run(chromedp.Navigate(other.URL + "/plain.html"))
	p.run(chromedp.Click("#form button"))
	p.until(`document.getElementById("status").textContent.startsWith("seed 1, ")`)
	if n := eval[int](p, `document.getElementById("canvas").getContext("2d").getImageData(0, 0, 128, 128).data.filter((v, i) => i % 4 === 3 && v === 255).length`); n != 128*128 {
		t.Errorf("plain.html: %d pixels are drawn", n)
	}

	p.run(chromedp.Navigate(other.URL + "/blog.html"))
	p.until(`customElements.get("wisp-generator") !== undefined`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("wisp-generator").shadowRoot.querySelector("button").click()`))
	p.until(`document.querySelector("wisp-generator").shadowRoot.querySelector("img").naturalWidth === 128`)
	style := eval[string](p, `(() => {
		const look = (part) => getComputedStyle(document.querySelector("wisp-generator").shadowRoot.querySelector("[part=" + part + "]"));
		return [look("button").backgroundColor, look("picture").maxInlineSize, look("status").fontStyle].join(" ");
	})()`)
	if want := "rgb(179, 38, 30) 256px italic"; style != want {
		t.Errorf("blog.html: the parts look like %s, want %s", style, want)
	}

	p.run(chromedp.Navigate(other.URL + "/form.html"))
	p.until(`customElements.get("wisp-generator") !== undefined`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("[name=name]").value = "Ada"; document.querySelector("form button").click()`))
	if !eval[bool](p, `document.querySelector("wisp-generator").matches(":invalid") && document.getElementById("thanks") === null`) {
		t.Error("form.html: a form without a picture was sent")
	}
	eval[int](p, `document.querySelector("wisp-generator").generate({ seed: 9 }).then((r) => r.seed)`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("form button").click()`))
	select {
	case picture := <-sent:
		if img, err := png.Decode(bytes.NewReader(picture)); err != nil || img.Bounds().Dx() != 128 {
			t.Errorf("form.html: the picture that was sent: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("form.html: nothing was sent")
	}
	p.run(chromedp.WaitReady("#thanks")) // else the next page would cut its arrival short

	p.run(chromedp.Navigate(other.URL + "/frame.html"))
	p.until(`!document.getElementById("draw").disabled`)
	p.run(chromedp.Click("#draw"))
	p.until(`document.getElementById("picture").naturalWidth === 128 && document.getElementById("status").textContent === "seed 1"`)
	for _, url := range p.requests() {
		if !strings.HasPrefix(url, s.URL) && !strings.HasPrefix(url, other.URL) && !strings.HasPrefix(url, "blob:") {
			t.Errorf("a request to %s", url)
		}
	}
}
