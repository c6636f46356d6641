//go:build !js

package hub

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
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
	signed int // how many answers an address of the store is good for; 0 for any

	mu       sync.Mutex
	asked    map[string]int // URL and range
	resolved int            // addresses given out
	left     map[string]int // answers of an address
	busy     int            // answers under way, and the most at once
	most     int
	etag     string
	gated    string // as the API has it
	sent     int    // bytes of the store
	piece    int    // bytes of a request of a stream
	hashes   map[*byte]string
	linked   string // X-Linked-Etag of every file, instead of its own hash
}

const commit = "0123456789abcdef0123456789abcdef01234567"

// hash is a file's SHA-256, computed once.
func (s *server) hash(b []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(b) == 0 {
		return fmt.Sprintf("%x", sha256.Sum256(nil))
	}
	if s.hashes[&b[0]] == "" {
		s.hashes[&b[0]] = fmt.Sprintf("%x", sha256.Sum256(b))
	}
	return s.hashes[&b[0]]
}

func serve(t *testing.T, files map[string][]byte) *server {
	t.Helper()
	s := &server{files: files, asked: map[string]int{}, left: map[string]int{}, etag: `"one"`, piece: 50_000, hashes: map[*byte]string{}}
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token went to another server")
		}
		s.mu.Lock()
		key := r.URL.Query().Get("signature")
		s.left[key]--
		gone := s.signed > 0 && s.left[key] < 0
		s.busy++
		s.most = max(s.most, s.busy)
		s.mu.Unlock()
		defer func() { s.mu.Lock(); s.busy--; s.mu.Unlock() }()
		time.Sleep(time.Millisecond)
		if gone {
			http.Error(w, "expired", http.StatusForbidden)
			return
		}
		s.answer(w, r, s.files[strings.TrimPrefix(r.URL.Path, "/blobs/")])
	}))
	mux := http.NewServeMux()
	mux.HandleFunc("/api/models/owner/name/revision/{revision}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.Header().Set("X-Error-Message", "Access to model owner/name is restricted")
			http.Error(w, "gated", http.StatusUnauthorized)
			return
		}
		if rev := r.PathValue("revision"); rev != "main" && rev != "v2/beta" && rev != commit {
			http.NotFound(w, r)
			return
		}
		var siblings []string
		for name, b := range s.files {
			git := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(b), b))
			lfs := ""
			if strings.HasSuffix(name, ".safetensors") {
				hash := s.hash(b)
				if s.linked != "" {
					hash = s.linked
				}
				lfs = fmt.Sprintf(`,"lfs":{"sha256":%q,"size":%d,"pointerSize":134}`, hash, len(b))
			}
			siblings = append(siblings, fmt.Sprintf(`{"rfilename":%q,"size":%d,"blobId":"%x"%s}`, name, len(b), git, lfs))
		}
		fmt.Fprintf(w, `{"id":"owner/name","sha":%q,"gated":%s,"cardData":{"license":"mit"},"siblings":[%s]}`, commit, cmp.Or(s.gated, "false"), strings.Join(siblings, ","))
	})
	mux.HandleFunc("/owner/name/resolve/"+commit+"/{file...}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "gated", http.StatusForbidden)
			return
		}
		body := s.files[r.PathValue("file")]
		s.mu.Lock()
		s.resolved++
		key := fmt.Sprint(s.resolved)
		s.left[key] = s.signed
		etag := s.linked
		s.mu.Unlock()
		if etag == "" {
			etag = s.hash(body)
		}
		w.Header().Set("X-Linked-Etag", `"`+etag+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(body)))
		http.Redirect(w, r, store.URL+"/blobs/"+(&url.URL{Path: r.PathValue("file")}).EscapedPath()+"?signature="+key, http.StatusFound)
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
	n, etag, faults := s.asked[key], s.etag, s.faults
	s.mu.Unlock()
	w.Header().Set("ETag", etag)
	if n <= faults {
		switch (n + len(key)) % 3 {
		case 0:
			http.Error(w, "no", http.StatusBadGateway)
		case 1:
			w.Header().Set("Retry-After", "0")
			http.Error(w, "slow down", http.StatusTooManyRequests)
		case 2:
			w.Header().Set("Content-Length", "900")
			w.Write(body[:min(100, len(body)/2)])
			panic(http.ErrAbortHandler)
		}
		return
	}
	http.ServeContent(counted{w, s}, r, "", time.Time{}, bytes.NewReader(body))
}

// counted counts the bytes of an answer.
type counted struct {
	http.ResponseWriter
	s *server
}

func (c counted) Write(p []byte) (int, error) {
	c.s.mu.Lock()
	c.s.sent += len(p)
	c.s.mu.Unlock()
	return c.ResponseWriter.Write(p)
}

func (s *server) open(t *testing.T, address string, o Options) (*Repo, error) {
	t.Helper()
	o.Endpoint, o.Piece, o.Pause = s.URL+"/", 1000, time.Millisecond
	t.Setenv("HF_HOME", t.TempDir())
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
	for _, address := range []string{"hf:", "hf:name", "hf:a/b/c", "hf:../x", "hf:/x", "hf:a/b?x=1", "hf:a/b#c", "hf:a/..", "hf:a/b c", "hf:a/b%2f"} {
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
	b.Close()
	// It never comes.
	s.mu.Lock()
	s.faults = 100
	s.mu.Unlock()
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

// TestDownload: the pieces of a file come several at once, by an address that
// is asked for again only where it has ended, and are held to the hash.
func TestDownload(t *testing.T) {
	big := make([]byte, 50_000)
	for i := range big {
		big[i] = byte(i * i >> 7)
	}
	s := serve(t, map[string][]byte{"a": big})
	for _, signed := range []int{0, 9} {
		s.signed, s.resolved, s.most = signed, 0, 0
		spool := t.TempDir()
		r, err := s.open(t, "hf:owner/name", Options{Token: "secret", Spool: spool, Parallel: 3})
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.Open("a")
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(big))
		if _, err := b.ReadAt(got, 0); err != nil || !bytes.Equal(got, big) {
			t.Errorf("signed for %d: %v", signed, err)
		}
		if s.resolved != 1 && signed == 0 || signed > 0 && (s.resolved < 5 || s.resolved > 15) {
			t.Errorf("signed for %d: asked the hub %d times", signed, s.resolved)
		}
		if s.most < 2 || s.most > 5 {
			t.Errorf("%d pieces at once", s.most)
		}
		b.Close()
		if left, _ := os.ReadDir(spool); len(left) > 0 {
			t.Errorf("%v is left", left)
		}
	}
	s.signed = 0
	for _, name := range []string{"a", "small"} {
		s.files["small"] = big[:100]
		s.linked = strings.Repeat("0123", 16)
		r, err := s.open(t, "hf:owner/name", Options{Token: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.Open(name)
		if err == nil {
			_, err = b.ReadAt(make([]byte, 10), 40_000)
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s with another hash: %v", name, err)
		}
	}
}

// TestDownloadResumes: what an interrupted download left is gone on with, and
// begun again where it is not a beginning of the file.
func TestDownloadResumes(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 3000)
	s := serve(t, map[string][]byte{"a": big})
	for _, damage := range []bool{false, true} {
		spool := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		s.mu.Lock()
		s.asked = map[string]int{}
		s.mu.Unlock()
		o := Options{Token: "secret", Spool: spool, Endpoint: s.URL, Piece: 1000, Pause: time.Millisecond, Parallel: 1}
		r, err := Open(ctx, "hf:owner/name", o)
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.Open("a")
		if err != nil {
			t.Fatal(err)
		}
		go func() { // once a third is there
			for {
				s.mu.Lock()
				n := len(s.asked)
				s.mu.Unlock()
				if n > 16 {
					cancel()
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
		if _, err := b.ReadAt(make([]byte, 10), 40_000); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		b.Close()
		left, _ := filepath.Glob(filepath.Join(spool, "*.part"))
		if len(left) != 1 {
			t.Fatalf("left is %v", left)
		}
		part, _ := os.ReadFile(left[0])
		if len(part) < 8000 {
			t.Fatalf("%d bytes are left", len(part))
		}
		if damage {
			part[77] ^= 1
			os.WriteFile(left[0], part, 0o666)
		}
		s.mu.Lock()
		s.asked = map[string]int{}
		s.mu.Unlock()
		if r, err = Open(t.Context(), "hf:owner/name", o); err != nil {
			t.Fatal(err)
		}
		if b, err = r.Open("a"); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(big))
		if _, err := b.ReadAt(got, 0); err != nil || !bytes.Equal(got, big) {
			t.Errorf("damaged %v: %v", damage, err)
		}
		b.Close()
		if n := len(s.asked); !damage && n > 45 {
			t.Errorf("%d pieces were asked for again", n)
		}
	}
}

// TestHostileAnswers: headers that lie are errors, whatever they say.
func TestHostileAnswers(t *testing.T) {
	for _, text := range []string{
		"bytes 0-9/-5", "bytes 0-9/5", "bytes 9-0/100", "bytes 0-9/*", "bytes -1-8/100", "bytes 0-9/99999999999999999999", "items 0-9/100",
		"bytes 0-9/100 ", "bytes 1-10/100", "bytes 0-8/100",
	} {
		if size, err := contentRange(text, 0, 10); err == nil {
			t.Errorf("%q: %d", text, size)
		}
	}
	if size, err := contentRange("bytes 5-14/15", 5, 10); err != nil || size != 15 {
		t.Errorf("a good one: %d, %v", size, err)
	}
	for _, sent := range []string{"bytes 0-9/-5", "bytes 0-9/9223372036854775807"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/api/") {
				fmt.Fprintf(w, `{"sha":%q,"siblings":[{"rfilename":"a"}]}`, commit)
				return
			}
			w.Header().Set("Content-Range", sent)
			w.WriteHeader(http.StatusPartialContent)
			w.Write(make([]byte, 10))
		}))
		defer s.Close()
		r, err := Open(t.Context(), "hf:owner/name", Options{Endpoint: s.URL, Piece: 10, Pause: time.Millisecond, Attempts: 2})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := r.Open("a"); err == nil {
			if _, err = b.ReadAt(make([]byte, 10), 5); err == nil {
				t.Errorf("%s passes", sent)
			}
			b.Close()
		}
	}
}

// TestTokens: where a token is found, in which order, and what is said of one
// that the hub does not take.
func TestTokens(t *testing.T) {
	for _, name := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME", "HF_HUB_DISABLE_IMPLICIT_TOKEN"} {
		t.Setenv(name, "")
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	write := func(name, text string) string {
		name = filepath.Join(home, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o777), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return name
	}
	expect := func(want string) {
		t.Helper()
		if got, from, err := findToken(); err != nil || got != want || (from == "") != (want == "") {
			t.Errorf("the token is %q from %s, want %q: %v", got, from, want, err)
		}
	}
	expect("")
	write(".cache/huggingface/token", " one\n")
	expect("one")
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	expect("")
	write("cache/huggingface/token", "two")
	expect("two")
	t.Setenv("HF_HOME", filepath.Dir(write("hf/token", "three")))
	expect("three")
	t.Setenv("HF_TOKEN_PATH", write("four", "four\r\n"))
	expect("four")
	t.Setenv("HUGGING_FACE_HUB_TOKEN", "five")
	expect("five")
	t.Setenv("HF_TOKEN", "six")
	expect("six")

	s := serve(t, map[string][]byte{"a": nil})
	_, err := Open(t.Context(), "hf:owner/name", Options{Endpoint: s.URL})
	for _, want := range []string{"401", "HF_TOKEN", "expired", "/settings/tokens", "Access to model owner/name is restricted"} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "set HF_TOKEN") {
			t.Errorf("a token that is not taken: %v", err)
		}
	}
	t.Setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
	if _, err := Open(t.Context(), "hf:owner/name", Options{Endpoint: s.URL}); err == nil || !strings.Contains(err.Error(), "set HF_TOKEN") {
		t.Errorf("no token: %v", err)
	}
}

// TestRetryAfter: seconds, a date, or the hub's own header; what is too long is
// not waited for.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name, value string
		want        time.Duration
	}{
		{"Retry-After", "240", 4 * time.Minute}, {"Retry-After", "Fri, 02 Jan 2026 03:05:05 GMT", time.Minute}, {"Retry-After", "Fri, 02 Jan 2026 03:00:05 GMT", 0},
		{"Retry-After", "soon", 0}, {"Retry-After", "-5", 0}, {"RateLimit", `"resolvers";r=0;t=123`, 123 * time.Second}, {"Retry-After", "99999999999999999999", 0},
	} {
		if got := retryAfter(http.Header{http.CanonicalHeaderKey(c.name): {c.value}}.Get, now); got != c.want {
			t.Errorf("%s: %s: %v, want %v", c.name, c.value, got, c.want)
		}
	}
	var waited time.Duration
	for pause, i := time.Second, 1; i < 11; i++ {
		waited += pause
		pause = min(2*pause, maxPause*time.Second)
	}
	if waited < 5*time.Minute {
		t.Errorf("it gives up after %v", waited)
	}
	for after, want := range map[string]int{"1": 2, "301": 1} {
		n := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n++; n == 1 {
				w.Header().Set("Retry-After", after)
				http.Error(w, "slow down", http.StatusTooManyRequests)
				return
			}
			fmt.Fprintf(w, `{"sha":%q}`, commit)
		}))
		defer s.Close()
		start := time.Now()
		if _, err := Open(t.Context(), "hf:owner/name", Options{Endpoint: s.URL, Pause: time.Millisecond}); n != want || (err == nil) != (want > 1) {
			t.Errorf("Retry-After %s: %d requests, %v", after, n, err)
		}
		if want > 1 && time.Since(start) < time.Second {
			t.Error("it did not wait")
		}
	}
}

// TestFile: an address with a path is one file's.
func TestFile(t *testing.T) {
	for address, want := range map[string][2]string{
		"hf:city96/FLUX.1-schnell-gguf/flux1-schnell-Q4_0.gguf": {"hf:city96/FLUX.1-schnell-gguf", "flux1-schnell-Q4_0.gguf"},
		"hf:a/b/c/d.safetensors@v2/beta":                        {"hf:a/b@v2/beta", "c/d.safetensors"},
		"hf:a/b@refs/pr/1":                                      {},
		"hf:a/b":                                                {},
		"a/b/c":                                                 {},
	} {
		repository, file, ok := File(address)
		if got := [2]string{repository, file}; got != want || ok != (want[1] != "") {
			t.Errorf("%s: %q %v", address, got, ok)
		}
	}
}
