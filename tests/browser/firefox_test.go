//go:build browser

package browser_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"wisp/tests/browser"
)

// visit is what testdata/visit.html reports.
type visit struct {
	Second      bool
	Failure     string
	Refusal     string
	ErrorHidden bool
	Isolated    bool
	Facts       string
	API         string
	Reading     string
	Form        int
	Tools       string
	Picture     string
}

// The essential path in Firefox and WebKit: two visits, a refusal, a picture
// each, one by the local interface, and one that begins with a picture.
func TestVisits(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"firefox", "webkit"} {
		t.Run(name, func(t *testing.T) { testVisits(t, name) })
	}
}

func testVisits(t *testing.T, name string) {
	s := serve(t)
	results := make(chan visit, 2)
	mux := http.NewServeMux()
	mux.Handle("GET /test/", http.StripPrefix("/test/", isolated(http.FileServer(http.Dir("testdata")))))
	mux.HandleFunc("POST /test/result", func(w http.ResponseWriter, r *http.Request) {
		var v visit
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &v)
		}
		if err != nil {
			v.Failure = err.Error()
		}
		results <- v
	})
	s.extra = mux
	b, err := browser.Launch(t.Context(), browser.Options{Name: name, URL: s.URL + "/test/visit.html"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	first := nextVisit(t, b, results)
	if size, _ := s.count(); size < 1<<20 {
		t.Errorf("the first visit fetched %d bytes of the model", size)
	}
	second := nextVisit(t, b, results)
	if size, _ := s.count(); size != 0 {
		t.Errorf("the second visit fetched %d bytes of the model", size)
	}
	if first.Picture != second.Picture {
		t.Error("the same words and seed gave another picture")
	}
	if want := "a cat 5 null"; second.Reading != want {
		t.Errorf("another tool's picture reads %q, want %q", second.Reading, want)
	}
	if want := "dropped pasted painted undone drawn"; first.Tools != want {
		t.Errorf("the tools: %q, want %q", first.Tools, want)
	}
	if second.Form != 0 {
		t.Error("a form drew a picture")
	}
	checkPNG(t, first.Picture)
	checkPNG(t, second.API)
	t.Log(second.Facts)
}

// embedding is what an embedder does: the frame draws and answers, one that
// obeys somebody else is deaf; the element is a value of its form; the module
// draws what the frame drew.
const embedding = `<form id="form"></form><script type="module">
	const site = %q;
	const text = async (blob) => new Uint8Array(await blob.arrayBuffer()).join();
	const same = async (a, b) => await text(a) === await text(b);
	async function embed() {
		const request = { prompt: "red heart", seed: 7, steps: 2 };
		const deaf = await frame(site + "/embed.html?origin=https://elsewhere.example");
		ask(deaf, 1, request);
		if (await until(() => true, 1500)) return "the frame answers a stranger";
		deaf.remove();
		const f = await frame(site + "/embed.html?origin=" + encodeURIComponent(location.origin));
		ask(f, 2, request);
		const image = await until((m) => m.wisp === "image" || m.wisp === "error");
		if (image?.wisp !== "image" || image.id !== 2 || image.seed !== 7) return "the frame: " + JSON.stringify(image);
		f.remove();

		await import(site + "/widget.js");
		const form = document.getElementById("form");
		form.innerHTML = '<wisp-generator name="art" required prompt="red heart" seed="7" steps="2"></wisp-generator>';
		if (form.checkValidity()) return "the form does without its picture";
		await form.firstChild.generate();
		const file = new FormData(form).get("art");
		if (!await same(file, image.blob)) return "the element: another picture in " + file;

		const { createGenerator, toPNG } = await import(site + "/wisp.js");
		const g = await createGenerator();
		const blob = await toPNG(await g.generate(request));
		g.dispose();
		return await same(blob, image.blob) ? "" : "the module drew another picture";
	}
	embed().catch(String).then((failure) => fetch("result", { method: "POST", body: failure }));
</script>`

// On a page of another origin without any headers, in Firefox.
func TestFirefoxEmbedding(t *testing.T) {
	t.Parallel()
	s := serve(t)
	failures := make(chan string, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, embedder+fmt.Sprintf(embedding, s.URL))
	})
	mux.HandleFunc("POST /result", func(w http.ResponseWriter, r *http.Request) {
		failure, err := io.ReadAll(r.Body)
		if err != nil {
			failure = []byte(err.Error())
		}
		failures <- string(failure)
	})
	other := httptest.NewServer(mux)
	defer other.Close()
	b, err := browser.Launch(t.Context(), browser.Options{Name: "firefox", URL: other.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	select {
	case failure := <-failures:
		if failure != "" {
			t.Error(failure)
		}
	case <-b.Exited():
		t.Fatal("firefox ended:", b.Err())
	case <-time.After(3 * time.Minute):
		t.Fatal("no result")
	}
}

func isolated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		w.Header().Set("Cross-Origin-Embedder-Policy", "require-corp")
		next.ServeHTTP(w, r)
	})
}

func nextVisit(t *testing.T, b *browser.Browser, results chan visit) visit {
	t.Helper()
	select {
	case v := <-results:
		if v.Failure != "" {
			t.Fatal(v.Failure)
		}
		if v.Refusal != "bad-request" || !v.ErrorHidden {
			t.Errorf("an empty prompt gave %q; after the next picture the error is gone: %v", v.Refusal, v.ErrorHidden)
		}
		if !v.Isolated {
			t.Error("the page is not isolated, so it can have no threads")
		}
		return v
	case <-b.Exited():
		t.Fatal("the browser ended:", b.Err())
	case <-time.After(3 * time.Minute):
		t.Fatal("no result")
	}
	return visit{}
}
