//go:build browser

package browser_test

import (
	"encoding/json"
	"io"
	"net/http"
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
	Picture     string
}

// The essential path in Firefox: two visits, a refusal, a picture each.
func TestFirefoxVisits(t *testing.T) {
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
	b, err := browser.Launch(t.Context(), browser.Options{Name: "firefox", URL: s.URL + "/test/visit.html"})
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
	checkPNG(t, first.Picture)
	t.Log(second.Facts)
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
		t.Fatal("firefox ended:", b.Err())
	case <-time.After(3 * time.Minute):
		t.Fatal("no result")
	}
	return visit{}
}
