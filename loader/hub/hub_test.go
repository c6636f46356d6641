package hub

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wisp/loader/pack"
)

// server speaks the hub's API: a repository at one commit, files on another
// host behind redirects, a token, and faults for so many of the first requests
// of each piece.
type server struct {
	*httptest.Server
	files  map[string][]byte
	faults int

	mu    sync.Mutex
	asked map[string]int // URL and range
	sent  int64
	etag  string
}

const commit = "0123456789abcdef0123456789abcdef01234567"

func serve(t *testing.T, files map[string][]byte) *server {
	t.Helper()
	s := &server{files: files, asked: map[string]int{}, etag: `"one"`}
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token went to another host")
		}
		s.answer(w, r, s.files[strings.TrimPrefix(r.URL.Path, "/blobs/")])
	}))
	// Another name of the machine is another host.
	other := strings.Replace(store.URL, "127.0.0.1", "localhost", 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/api/models/owner/name/revision/{revision}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "gated", http.StatusUnauthorized)
			return
		}
		if rev := r.PathValue("revision"); rev != "main" && rev != "v2/beta" && rev != commit {
			http.NotFound(w, r)
			return
		}
		var siblings []string
		for name := range s.files {
			siblings = append(siblings, fmt.Sprintf(`{"rfilename":%q}`, name))
		}
		fmt.Fprintf(w, `{"id":"owner/name","sha":%q,"siblings":[%s]}`, commit, strings.Join(siblings, ","))
	})
	mux.HandleFunc("/owner/name/resolve/"+commit+"/{file...}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "gated", http.StatusForbidden)
			return
		}
		http.Redirect(w, r, other+"/blobs/"+r.PathValue("file"), http.StatusFound)
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "//") {
			http.NotFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.Close(); store.Close() })
	return s
}

func (s *server) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	key := r.URL.Path + r.Header.Get("Range")
	s.mu.Lock()
	s.asked[key]++
	n, etag := s.asked[key], s.etag
	s.mu.Unlock()
	w.Header().Set("ETag", etag)
	if n <= s.faults {
		switch (n + len(key)) % 3 {
		case 0:
			http.Error(w, "no", http.StatusBadGateway)
		case 1:
			w.Header().Set("Retry-After", "0")
			http.Error(w, "slow down", http.StatusTooManyRequests)
		case 2:
			w.Header().Set("Content-Length", "5000000")
			w.Write(body[:len(body)/2])
			panic(http.ErrAbortHandler)
		}
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

func (s *server) open(t *testing.T, address string, o Options) (*Repo, error) {
	t.Helper()
	o.Endpoint, o.Piece, o.Pause = s.URL+"/", 1000, time.Millisecond
	return Open(t.Context(), address, o)
}

// TestNoRanges: of a server that answers with the whole file each time, the
// error says so.
func TestNoRanges(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			fmt.Fprintf(w, `{"sha":%q,"siblings":[{"rfilename":"a"}]}`, commit)
			return
		}
		w.Write(make([]byte, 5000))
	}))
	defer s.Close()
	r, err := Open(t.Context(), "hf:owner/name", Options{Endpoint: s.URL, Piece: 1000, Pause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open("a"); !errors.Is(err, errNoRanges) {
		t.Error(err)
	}
}

// TestRepo: files come through redirects, piece by piece, over failures that
// cost one piece each.
func TestRepo(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	big := make([]byte, 12_345)
	for i := range big {
		big[i] = byte(rng.Uint32())
	}
	files := map[string][]byte{"model_index.json": []byte("{}"), "unet/a b.safetensors": big, "unet/config.json": []byte("[]"), "empty": {}}
	for _, faults := range []int{0, 4} {
		s := serve(t, files)
		s.faults = faults
		for _, address := range []string{"hf:owner/name", "hf:owner/name@v2/beta"} {
			r, err := s.open(t, address, Options{Token: "secret"})
			if err != nil || r.Commit() != commit {
				t.Fatal(err)
			}
			for name, want := range files {
				b, err := r.Open(name)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(want), err)
				}
				b.Close()
			}
			part := make([]byte, 3000)
			b, err := r.Open("unet/a b.safetensors")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.ReadAt(part, 7777); err != nil || !bytes.Equal(part, big[7777:10_777]) {
				t.Errorf("a part: %v", err)
			}
			if names, _ := r.List("unet"); len(names) != 2 {
				t.Errorf("unet holds %v", names)
			}
			if names, _ := r.List(""); len(names) != 2 {
				t.Errorf("the top holds %v", names)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	s := serve(t, map[string][]byte{"a": make([]byte, 5000)})
	for _, address := range []string{"hf:", "hf:name", "hf:a/b/c", "hf:../x", "hf:/x"} {
		if _, err := s.open(t, address, Options{}); err == nil {
			t.Errorf("%s was taken", address)
		}
	}
	t.Setenv("HF_TOKEN", "")
	if _, err := s.open(t, "hf:owner/name", Options{}); err == nil || !strings.Contains(err.Error(), "HF_TOKEN") {
		t.Errorf("without a token: %v", err)
	}
	t.Setenv("HF_TOKEN", "secret")
	if _, err := s.open(t, "hf:owner/name@gone", Options{}); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("no such revision: %v", err)
	}
	r, err := s.open(t, "hf:owner/name", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open("b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
	// The file is replaced in the middle.
	b, err := r.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.etag = `"two"`
	s.mu.Unlock()
	if _, err := b.ReadAt(make([]byte, 10), 3000); !errors.Is(err, errChanged) {
		t.Errorf("a file that changed: %v", err)
	}
	// It never comes.
	s.faults = 100
	if _, err := r.Open("a"); err == nil {
		t.Error("a file that never comes was opened")
	}
}

// TestPackFromHub: a pipeline packs to the same bytes from the hub, on a bad
// day, as from a directory.
func TestPackFromHub(t *testing.T) {
	head := `{"a.weight":{"dtype":"F16","shape":[64,100],"data_offsets":[0,12800]}}`
	weights := append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head...), bytes.Repeat([]byte{1, 0x30, 7, 0xb1}, 3200)...)
	files := map[string][]byte{
		"model_index.json":                         []byte(`{"_class_name":"P","unet":["diffusers","UNet2DModel"]}`),
		"unet/config.json":                         []byte(`{}`),
		"unet/diffusion_pytorch_model.safetensors": weights,
		"README.md":                                []byte("---\nlicense: mit\n---\n"),
	}
	dir, outs := t.TempDir(), []string{t.TempDir(), t.TempDir()}
	for name, b := range files {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o777), os.WriteFile(name, b, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, files)
	s.faults = 3
	repo, err := s.open(t, "hf:owner/name", Options{Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range []pack.Options{{In: dir}, {From: repo}} {
		o.Out, o.Name = outs[i], "same"
		if err := pack.Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	a, err := os.ReadFile(filepath.Join(outs[0], "manifest.json"))
	b, err2 := os.ReadFile(filepath.Join(outs[1], "manifest.json"))
	if err != nil || err2 != nil || !bytes.Equal(a, b) || !bytes.Contains(a, []byte(`"mit"`)) {
		t.Errorf("%s\nfrom the hub:\n%s", a, b)
	}
	if err := pack.Verify(t.Context(), outs[1], io.Discard); err != nil {
		t.Error(err)
	}
}
