//go:build browser && clients

package browser_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"sync"
	"testing"
)

// Clients of AUTOMATIC1111's API that others wrote, as npm has them, draw with a
// page of wisp, from words and from a picture: what they send to an address, a
// script of the page's own site passes on.
func TestClients(t *testing.T) {
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.until(`navigator.serviceWorker.controller !== null`)
	var turn sync.Mutex
	bridge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		turn.Lock()
		defer turn.Unlock()
		body, _ := io.ReadAll(r.Body)
		options := "{}"
		if r.Method == http.MethodPost {
			options = fmt.Sprintf(`{ method: "POST", body: %q }`, body)
		}
		answer := eval[struct {
			Status int
			Text   string
		}](p, fmt.Sprintf(`fetch(%q, %s).then(async (r) => ({ Status: r.status, Text: await r.text() }))`, r.URL.RequestURI(), options))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer.Status)
		io.WriteString(w, answer.Text)
	}))
	defer bridge.Close()
	for _, client := range []string{"a1111-webui-api", "stable-diffusion-api"} {
		run := exec.CommandContext(p.ctx, "node", "run.cjs", client, bridge.URL)
		run.Dir = "../../build/clients"
		out, err := run.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", client, err, out)
			continue
		}
		var got struct {
			Width, Seed int
			Red, Blue   []int
			Strength    float64
			Samplers    bool
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%s: %v: %s", client, err, out)
		}
		if got.Width != 128 || got.Seed != 7 || got.Strength != 0.5 || !got.Samplers || got.Red[0] < got.Red[2]+20 || got.Blue[0]-got.Blue[2] >= got.Red[0]-got.Red[2] {
			t.Errorf("%s: %s", client, out)
		}
		t.Logf("%s: %s", client, out)
	}
}
