//go:build !js

package hub

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"wisp/loader/pack"
)

// liar answers as the hub does, but for what its script changes: two bytes an
// answer, how and where. After its end all is true.
type liar struct {
	files  map[string][]byte
	mu     sync.Mutex
	script []byte
}

func (l *liar) Get(_ context.Context, url string, header map[string]string, limit int64) (Reply, error) {
	w, q := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, url, nil)
	for k, v := range header {
		q.Header.Set(k, v)
	}
	l.honest(w, q)
	r := Reply{w.Code, w.Header().Get, w.Body.Bytes()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.script) > 1 {
		how, where := l.script[0], int(l.script[1])
		l.script = l.script[2:]
		if how%9 == 3 && strings.HasPrefix(q.URL.Path, "/api/") {
			return r, nil // which files there are is the hub's word
		}
		if err := lie(&r, w.Header(), how, where); err != nil {
			return Reply{}, err
		}
	}
	if int64(len(r.Body)) > limit {
		return Reply{}, fmt.Errorf("more than %d bytes", limit)
	}
	return r, nil
}

func (l *liar) honest(w http.ResponseWriter, q *http.Request) {
	if !strings.HasPrefix(q.URL.Path, "/api/") {
		_, name, _ := strings.Cut(q.URL.Path, commit+"/")
		http.ServeContent(w, q, "", time.Time{}, bytes.NewReader(l.files[name]))
		return
	}
	var siblings []string
	for name, b := range l.files {
		lfs := ""
		if strings.HasSuffix(name, ".safetensors") {
			lfs = fmt.Sprintf(`,"lfs":{"sha256":"%x","size":%d}`, sha256.Sum256(b), len(b))
		}
		siblings = append(siblings, fmt.Sprintf(`{"rfilename":%q,"size":%d,"blobId":"%x"%s}`, name, len(b), sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(b), b)), lfs))
	}
	fmt.Fprintf(w, `{"sha":%q,"gated":false,"cardData":{"license":"mit"},"siblings":[%s]}`, commit, strings.Join(siblings, ","))
}

// lie changes an answer: how and where are any numbers.
func lie(r *Reply, h http.Header, how byte, where int) error {
	at := 0
	if len(r.Body) > 0 {
		at = where * len(r.Body) / 256
	}
	switch how % 9 {
	case 1:
		r.Body = r.Body[:at]
	case 2:
		r.Body = append(r.Body, make([]byte, where+1)...)
	case 3:
		if len(r.Body) > 0 {
			r.Body[at] ^= 1 << (how / 9 % 8)
		}
	case 4:
		r.Status = []int{200, 204, 302, 401, 403, 404, 416, 429, 500, 503}[where%10]
	case 5:
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", where, where+len(r.Body)-1, where*len(r.Body)))
	case 6:
		h.Set("Content-Range", []string{"", "bytes */*", "bytes 0-9/-5", "bytes 0-0/9223372036854775807", "items 0-1/2"}[where%5])
	case 7:
		h.Set("Retry-After", []string{"0", "-1", "x", "Thu, 01 Jan 1970 00:00:00 GMT"}[where%4])
		r.Status = http.StatusTooManyRequests
	case 8:
		return errors.New("the connection was cut")
	}
	return nil
}

// FuzzStream: whatever a server says of lengths, ranges and contents, a
// repository packs to what it is, or to an error and no manifest.
func FuzzStream(f *testing.F) {
	files := layers(3)
	packed := func(script []byte) (*kept, error) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		out := &kept{chunks: map[string][]byte{}, left: -1, kill: cancel}
		in, err := OpenStream(ctx, "hf:owner/name", &liar{files: files, script: script}, StreamOptions{Endpoint: "http://hub", Piece: 50_000, Head: 1000, Parallel: 1, Attempts: 3, Pause: 1})
		if err != nil {
			return out, err
		}
		o := pack.Options{Name: "same", Quant: "q8", ChunkSize: 20_000}
		plan, err := pack.NewPlan(in, o)
		if err != nil {
			return out, err
		}
		_, err = plan.Resume(ctx, out, out, o)
		return out, err
	}
	want, err := packed(nil)
	if err != nil {
		f.Fatal(err)
	}
	for how := range byte(9) {
		f.Add([]byte{0, 0, how, 100, 0, 0, how, 7})
		f.Add([]byte{how, 200})
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		got, err := packed(script)
		if manifest := got.chunks["manifest.json"]; err == nil && !bytes.Equal(manifest, want.chunks["manifest.json"]) || err != nil && manifest != nil {
			t.Fatalf("%v, and a manifest of %d bytes, want %d", err, len(manifest), len(want.chunks["manifest.json"]))
		}
	})
}
