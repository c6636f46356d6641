//go:build !js

package hub

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"wisp/loader"
	"wisp/loader/pack"
)

// fetch is a [Transport] as a browser's fetch is one.
type fetch struct{}

func (fetch) Get(ctx context.Context, url string, header map[string]string, limit int64) (Reply, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Reply{}, err
	}
	for k, v := range header {
		q.Header.Set(k, v)
	}
	// A browser, too, sends a header on to another origin only without this one.
	c := http.Client{CheckRedirect: func(q *http.Request, _ []*http.Request) error { q.Header.Del("Authorization"); return nil }}
	r, err := c.Do(q)
	if err != nil {
		return Reply{}, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if int64(len(body)) > limit && err == nil {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return Reply{r.StatusCode, r.Header.Get, body}, err
}

func (s *server) stream(ctx context.Context, address string) (*Stream, error) {
	return OpenStream(ctx, address, fetch{}, StreamOptions{Endpoint: s.URL + "/", Token: "secret", Piece: s.piece, Head: 10_000, Pause: time.Millisecond})
}

// layers is a pipeline of so many layers of 25,600 bytes, in two shards.
func layers(n int) map[string][]byte { return layersOf(n, 64) }

// layersOf is a pipeline of layers of so many rows of 400 bytes.
func layersOf(n, rows int) map[string][]byte {
	size := 400 * rows
	shard := func(from int) []byte {
		var head strings.Builder
		var data []byte
		for i := range n {
			fmt.Fprintf(&head, `,"layer.%03d.weight":{"dtype":"F16","shape":[%d,200],"data_offsets":[%d,%d]}`, from+i, rows, len(data), len(data)+size)
			for j := range size / 2 {
				data = binary.LittleEndian.AppendUint16(data, uint16(0x2800+(i*7919+j*j)%1024))
			}
		}
		text := "{" + head.String()[1:] + "}"
		return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), data...)
	}
	weights := map[string]string{}
	for i := range 2 * n {
		weights[fmt.Sprintf("layer.%03d.weight", i)] = fmt.Sprintf("diffusion_pytorch_model-0000%d-of-00002.safetensors", 1+i/n)
	}
	index, _ := json.Marshal(map[string]any{"weight_map": weights})
	return map[string][]byte{
		"model_index.json": []byte(`{"_class_name":"P","unet":["diffusers","UNet2DModel"]}`),
		"unet/config.json": []byte(`{}`),
		"unet/diffusion_pytorch_model.safetensors.index.json":     index,
		"unet/diffusion_pytorch_model-00001-of-00002.safetensors": shard(0),
		"unet/diffusion_pytorch_model-00002-of-00002.safetensors": shard(n),
		"README.md": []byte("---\nlicense: mit\n---\n"),
	}
}

// kept is chunks and a journal in memory; it fails after so many writes.
type kept struct {
	chunks map[string][]byte
	lines  []byte
	left   int // writes before the end; negative for none
	kill   context.CancelFunc
}

func (k *kept) Write(_ context.Context, name string, b []byte) error {
	if k.left == 0 {
		k.kill()
		return context.Canceled
	}
	k.left--
	k.chunks[strings.TrimSuffix(name, ".bin")] = bytes.Clone(b)
	return nil
}
func (k *kept) Lines(context.Context) ([]byte, error) { return k.lines, nil }
func (k *kept) Begin(context.Context) error           { k.lines = nil; return nil }
func (k *kept) Note(_ context.Context, b []byte) error {
	k.lines = append(k.lines, b...)
	return nil
}
func (k *kept) Whole(_ context.Context, c loader.Chunk) error {
	if k.chunks[c.SHA256] == nil {
		return errors.New("gone")
	}
	return nil
}
func (k *kept) End() error    { return nil }
func (k *kept) Forget() error { k.lines = nil; return nil }

// streamed packs a repository as a stream.
func (s *server) packStream(ctx context.Context, out *kept) (*loader.Manifest, error) {
	ctx, out.kill = context.WithCancel(ctx)
	defer out.kill()
	in, err := s.stream(ctx, "hf:owner/name")
	if err != nil {
		return nil, err
	}
	o := pack.Options{Name: "same", Quant: "q8", ChunkSize: 20_000}
	plan, err := pack.NewPlan(in, o)
	if err != nil {
		return nil, err
	}
	return plan.Resume(ctx, out, out, o)
}

// TestStream: a repository streams to the same model as from a directory, on a
// bad day; every byte comes once.
func TestStream(t *testing.T) {
	files := layers(40)
	dir := t.TempDir()
	total := 0
	for name, b := range files {
		total += len(b)
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o777), os.WriteFile(name, b, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "model")
	if err := pack.Run(t.Context(), pack.Options{In: dir, Out: out, Name: "same", Quant: "q8", ChunkSize: 20_000}); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(out, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, files)
	s.faults = 2
	whole := &kept{chunks: map[string][]byte{}, left: -1}
	if _, err := s.packStream(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(whole.chunks["manifest.json"], want) {
		t.Error("the model is another than from a directory")
	}
	if s.sent > total+10_000 { // small files are read for the plan, too
		t.Errorf("%d bytes came of %d", s.sent, total)
	}
}

// TestStreamResumes: killed twenty times, always while it writes a layer, it
// fetches that layer twice, what was on its way and the heads of files, no more,
// and ends in the same model. Layers, pieces and chunks are in the proportions of a
// transformer of billions of parameters.
func TestStreamResumes(t *testing.T) {
	files := layersOf(40, 375)
	total := 0
	for _, b := range files {
		total += len(b)
	}
	s := serve(t, files)
	s.piece = 6_500
	out := &kept{chunks: map[string][]byte{}}
	for kill := range 21 {
		out.left = 13 // chunks of some 300
		if kill == 20 {
			out.left = -1
		}
		_, err := s.packStream(t.Context(), out)
		if kill < 20 != (err != nil) {
			t.Fatalf("try %d: %v", kill, err)
		}
	}
	again := &kept{chunks: map[string][]byte{}, left: -1}
	sent := s.sent
	if _, err := s.packStream(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.chunks["manifest.json"], again.chunks["manifest.json"]) {
		t.Error("the model is another than without kills")
	}
	if most := total + 20*(150_000+4*s.piece+3*10_000); sent > most {
		t.Errorf("%d bytes came of %d, at most %d would be in order", sent, total, most)
	}
	t.Logf("%d bytes came of %d in 21 tries, %.3f times", sent, total, float64(sent)/float64(total))
}

// watchedOutput drops what is written and measures what is held meanwhile.
type watchedOutput struct {
	kept
	most uint64
}

func (o *watchedOutput) Write(_ context.Context, _ string, b []byte) error {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	o.most = max(o.most, m.HeapAlloc)
	return nil
}

// TestStreamMemory: while a repository streams in, no more than four of its
// tensors are in memory.
func TestStreamMemory(t *testing.T) {
	const rows = 20_000 // of 400 bytes
	s := serve(t, layersOf(3, rows))
	s.piece = 500_000
	in, err := s.stream(t.Context(), "hf:owner/name")
	if err != nil {
		t.Fatal(err)
	}
	o := pack.Options{Name: "same", Quant: "q8", ChunkSize: 1 << 20}
	plan, err := pack.NewPlan(in, o)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	out := &watchedOutput{}
	if _, err := plan.Resume(t.Context(), out, out, o); err != nil {
		t.Fatal(err)
	}
	held := int64(out.most) - int64(before.HeapAlloc)
	t.Logf("at most %.1f MB, tensors of %.1f MB", float64(held)/1e6, 400*rows/1e6)
	if held > 4*400*rows || held < 400*rows {
		t.Errorf("%d bytes were held, a tensor has %d", held, 400*rows)
	}
}

// TestStreamFails: what is not the hub's is found out, and what may not be read
// is said before anything large is fetched.
func TestStreamFails(t *testing.T) {
	files := layers(3)
	s := serve(t, files)
	s.linked = strings.Repeat("0123", 16)
	if _, err := s.packStream(t.Context(), &kept{chunks: map[string][]byte{}, left: -1}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "00001-of-00002") {
		t.Errorf("another hash: %v", err)
	}
	s = serve(t, files)
	s.files["unet/config.json"] = []byte(`{"a":1}`)
	in, err := s.stream(t.Context(), "hf:owner/name")
	if err != nil {
		t.Fatal(err)
	}
	if in.Commit != commit || in.Licence != "mit" {
		t.Errorf("commit %s, licence %s", in.Commit, in.Licence)
	}
	s.files["unet/config.json"] = []byte(`{"a":2}`) // after it was listed
	if b, err := in.Open("unet/config.json"); err != nil {
		t.Error(err)
	} else if _, err := b.ReadAt(make([]byte, 7), 0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a small file with another content: %v", err)
	}
	s.gated, s.sent = `"auto"`, 0
	for _, token := range []string{"", "wrong"} {
		_, err := OpenStream(t.Context(), "hf:owner/name", fetch{}, StreamOptions{Endpoint: s.URL, Token: token, Pause: time.Millisecond})
		if !errors.Is(err, ErrGated) || s.sent > 0 {
			t.Errorf("gated, token %q: %v, %d bytes", token, err, s.sent)
		}
	}
	for _, answer := range []string{``, `<!doctype html><title>Sign in</title>`, `[]`, `{}`, `{"sha":"../../etc"}`} {
		portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) }))
		if _, err := OpenStream(t.Context(), "hf:a/b", fetch{}, StreamOptions{Endpoint: portal.URL, Attempts: 1}); !errors.Is(err, ErrNetwork) {
			t.Errorf("%s in the hub's place: %v", answer, err)
		}
		portal.Close()
	}
	for _, answer := range []string{`{"sha":"` + commit + `","siblings":[{"rfilename":"a","size":-1}]}`, `{"sha":"` + commit + `","siblings":[{"rfilename":"a","lfs":{"sha256":"x"}}]}`} {
		lies := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) }))
		if _, err := OpenStream(t.Context(), "hf:a/b", fetch{}, StreamOptions{Endpoint: lies.URL, Attempts: 1}); err == nil {
			t.Errorf("%s was taken", answer)
		}
		lies.Close()
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	if _, err := OpenStream(t.Context(), "hf:a/b", fetch{}, StreamOptions{Endpoint: gone.URL, Attempts: 2, Pause: time.Millisecond}); !errors.Is(err, ErrNetwork) {
		t.Errorf("no server: %v", err)
	}
}

// TestStreamOfLies: a server that sends other lengths than it was asked for.
func TestStreamOfLies(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 3<<20)
	for name, lie := range map[string]func(w http.ResponseWriter, r *http.Request){
		"short": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(206); w.Write(body[:100]) },
		"whole": func(w http.ResponseWriter, r *http.Request) { w.Write(body) },
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 5-1048580/3145728")
			w.WriteHeader(206)
			w.Write(body[:1<<20])
		},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/api/") {
				fmt.Fprintf(w, `{"sha":%q,"gated":false,"siblings":[{"rfilename":"a","size":%d}]}`, commit, len(body))
				return
			}
			lie(w, r)
		}))
		in, err := OpenStream(t.Context(), "hf:a/b", fetch{}, StreamOptions{Endpoint: s.URL, Attempts: 2, Pause: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		b, _ := in.Open("a")
		if _, err := b.ReadAt(make([]byte, 2<<20), 0); err == nil {
			t.Errorf("%s: it was taken", name)
		}
		b.Close()
		s.Close()
	}
}
