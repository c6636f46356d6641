package loader

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The decoder and its channels must be made outside of any test's bubble.
var _, _ = unzstd(nil, nil)

// files is a [Source] in memory.
type files map[string][]byte

func (f files) Open(_ context.Context, name string) (io.ReadCloser, error) {
	b, ok := f[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// builder writes a model without the help of package pack: what it lays out is
// FORMAT.md read a second time.
type builder struct {
	man   Manifest
	files files
	raw   []byte
	size  int
}

func newBuilder(chunk int) *builder {
	return &builder{files: files{}, size: chunk, man: Manifest{Format: "wisp", Version: 1, Name: "test",
		Licence: "CC0-1.0", Components: map[string]Component{}}}
}

func (b *builder) flush() {
	if len(b.raw) == 0 {
		return
	}
	stored, encoding, err := EncodeChunk(b.raw)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(stored)
	c := Chunk{hex.EncodeToString(sum[:]), int64(len(stored)), int64(len(b.raw)), encoding}
	b.man.Chunks = append(b.man.Chunks, c)
	b.files[c.File()] = bytes.Clone(stored)
	b.raw = nil
}

// place lays data down, each part of it in byte planes.
func (b *builder) place(data []byte, width int) Place {
	room := func() int { return (b.size - len(b.raw)) / width * width }
	if room() == 0 {
		b.flush()
	}
	p := Place{len(b.man.Chunks), int64(len(b.raw)), int64(len(data))}
	for len(data) > 0 {
		n := min(len(data), room())
		if n == 0 {
			b.flush()
			continue
		}
		part := make([]byte, n)
		Split(part, data[:n], width)
		b.raw, data = append(b.raw, part...), data[n:]
	}
	return p
}

func (b *builder) tensor(component, name, dtype string, data []byte, shape ...int) {
	b.man.Components[component] = Component{Library: "diffusers", Class: "Net", Config: json.RawMessage(`{"of":"` + component + `"}`)}
	t := TensorInfo{Component: component, Name: name, DType: dtype, Shape: shape}
	if w := planeWidth(dtype); w > 1 {
		t.Encoding = "planes"
		t.Place = b.place(data, w)
	} else {
		t.Place = b.place(data, 1)
	}
	b.man.Tensors = append(b.man.Tensors, t)
}

func (b *builder) done() files {
	b.flush()
	text, err := b.man.Encode()
	if err != nil {
		panic(err)
	}
	b.files[ManifestName] = text
	return b.files
}

func noise(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// sample is a model of three components in chunks of 1000 raw bytes, with
// tensors shorter than, as long as and longer than a chunk, and its tensors.
func sample() (files, map[string][]byte) {
	rng := rand.New(rand.NewPCG(7, 8))
	b := newBuilder(1000)
	b.man.Files = []FileInfo{{"tokenizer/vocab.json", b.place([]byte(`{"a":0,"b":1}`), 1)}}
	b.flush()
	want := map[string][]byte{}
	add := func(component, name, dtype string, size int, shape ...int) {
		data := noise(rng, size)
		b.tensor(component, name, dtype, data, shape...)
		want[component+"/"+name] = data
	}
	add("text_encoder", "a", "f16", 998, 499)
	add("text_encoder", "b", "f32", 4, []int{}...)
	add("text_encoder", "c", "f32", 1200, 30, 10)
	b.flush()
	for i := range 12 {
		add("unet", fmt.Sprintf("down.%d", i), "f16", 600, 3, 100)
	}
	add("unet", "big", "f32", 9000, 2250)
	add("unet", "q", "q8", 2*(2*2+33), 2, 33)
	b.flush()
	add("vae", "decoder.w", "bf16", 2400, 1200)
	b.flush()
	add("vae", "encoder.w", "bf16", 2400, 1200)
	return b.done(), want
}

// collect loads every component and returns the tensors' bytes.
func collect(ctx context.Context, m *Model) (map[string][]byte, error) {
	got := map[string][]byte{}
	for _, c := range slices.Sorted(maps.Keys(m.Manifest().Components)) {
		err := m.Load(ctx, c, func(t Tensor) error { got[c+"/"+t.Name] = t.Data; return nil })
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

// loadWith loads a model through a cache and tells which files it asked for.
func loadWith(t *testing.T, src Source, c Cache, store Store) (got map[string][]byte, asked []string, warnings int) {
	t.Helper()
	rec := &recorder{Source: src}
	m, err := Open(t.Context(), rec, store, Options{Cache: c, OnWarning: func(error) { warnings++ }})
	if err != nil {
		t.Fatal(err)
	}
	rec.asked = nil // the manifest and the files' chunks
	if got, err = collect(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return got, rec.asked, warnings
}

func sameTensors(got, want map[string][]byte) error {
	for name, w := range want {
		if !bytes.Equal(got[name], w) {
			return fmt.Errorf("%s differs", name)
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d tensors, want %d", len(got), len(want))
	}
	return nil
}

func TestLoad(t *testing.T) {
	src, want := sample()
	m, err := Open(t.Context(), src, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := collect(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if err := sameTensors(got, want); err != nil {
		t.Error(err)
	}
	if f, ok := m.File("tokenizer/vocab.json"); !ok || string(f) != `{"a":0,"b":1}` {
		t.Errorf("file: %q", f)
	}
	if c, ok := m.Config("unet"); !ok || string(c) != `{"of":"unet"}` {
		t.Errorf("config: %s", c)
	}
	for _, none := range []string{"wisp", "model_index", "scheduler"} {
		if c, ok := m.Config(none); ok {
			t.Errorf("config %s: %s", none, c)
		}
	}
	if err := m.Load(t.Context(), "controlnet", nil); !errors.Is(err, ErrBadModel) {
		t.Errorf("unknown component: %v", err)
	}
}

// recorder notes which files are asked for.
type recorder struct {
	Source
	mu    sync.Mutex
	asked []string
}

func (r *recorder) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	r.mu.Lock()
	r.asked = append(r.asked, name)
	r.mu.Unlock()
	return r.Source.Open(ctx, name)
}

func TestLoadPrefixFetchesOnlyWhatItNeeds(t *testing.T) {
	src, want := sample()
	rec := &recorder{Source: src}
	m, err := Open(t.Context(), rec, nil, Options{ManifestOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.asked) != 1 {
		t.Errorf("ManifestOnly fetched %v", rec.asked)
	}
	rec.asked = nil
	var names []string
	err = m.LoadPrefix(t.Context(), "vae", []string{"decoder.", "post_quant_conv."}, func(x Tensor) error {
		names = append(names, x.Name)
		if !bytes.Equal(x.Data, want["vae/"+x.Name]) {
			t.Errorf("%s differs", x.Name)
		}
		return nil
	})
	if err != nil || !slices.Equal(names, []string{"decoder.w"}) || len(rec.asked) != 3 {
		t.Errorf("%v: loaded %v with %d fetches, want 3 for 2400 bytes", err, names, len(rec.asked))
	}
}

// TestSecondVisit: what is in the store is not downloaded again, and progress
// starts where the store is.
func TestSecondVisit(t *testing.T) {
	src, want := sample()
	rec, store := &recorder{Source: src}, &Memory{}
	for visit := range 2 {
		rec.asked = nil
		last := map[string][2]int64{}
		first := map[string]int64{}
		m, err := Open(t.Context(), rec, store, Options{OnProgress: func(stage string, n, all int64) {
			if _, ok := first[stage]; !ok {
				first[stage] = n
			}
			if n > all || n < 0 {
				t.Errorf("%s: %d of %d", stage, n, all)
			}
			last[stage] = [2]int64{n, all}
		}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := collect(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if err := sameTensors(got, want); err != nil {
			t.Error(err)
		}
		cached, total, err := m.Cached(t.Context())
		if err != nil || cached != total || total != stored(m) {
			t.Errorf("visit %d: %d of %d cached, %v", visit, cached, total, err)
		}
		if visit == 1 && !slices.Equal(rec.asked, []string{ManifestName}) {
			t.Errorf("the second visit downloaded %d files", len(rec.asked))
		}
		if last["load"][0] != last["load"][1] || visit == 0 && last["download"] != [2]int64{total, total} {
			t.Errorf("visit %d ends with the progress %v", visit, last)
		}
	}
}

func stored(m *Model) (n int64) {
	for _, c := range m.Manifest().Chunks {
		n += c.Stored
	}
	return n
}

func TestSharedChunksBetweenModels(t *testing.T) {
	src, _ := sample()
	store := &Memory{}
	a, err := Open(t.Context(), src, store, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := collect(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	other := maps.Clone(src)
	other[ManifestName] = sealed(bytes.Replace(old(src[ManifestName]), []byte(`"name":"test"`), []byte(`"name":"next"`), 1))
	b, err := Open(t.Context(), other, store, Options{ManifestOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if cached, total, _ := b.Cached(t.Context()); cached != total {
		t.Errorf("the second version has %d of %d bytes in the store", cached, total)
	}
}

func TestPin(t *testing.T) {
	src, _ := sample()
	sum := sha256.Sum256(src[ManifestName])
	if _, err := Open(t.Context(), src, nil, Options{ManifestSHA256: hex.EncodeToString(sum[:])}); err != nil {
		t.Error(err)
	}
	synctest.Test(t, func(t *testing.T) {
		_, err := Open(t.Context(), src, nil, Options{ManifestSHA256: strings.Repeat("0", 64)})
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "pinned") {
			t.Errorf("%v", err)
		}
	})
}

// TestBoundedMemory: no more than Parallel chunks are asked for and not yet
// used while the consumer is slow.
func TestBoundedMemory(t *testing.T) {
	src, _ := sample()
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{Source: src}
		m, err := Open(t.Context(), rec, nil, Options{ManifestOnly: true, Parallel: 3})
		if err != nil {
			t.Fatal(err)
		}
		rec.asked = nil
		chunks := m.planned()
		f := m.flow(t.Context(), chunks, nil)
		defer f.close()
		for used, i := range chunks {
			r, err := f.take(i)
			if err != nil || r.size() != m.man.Chunks[i].Raw {
				t.Fatalf("chunk %d: %d bytes, %v", i, r.size(), err)
			}
			synctest.Wait()
			if ahead := len(rec.asked) - used; ahead > 3 {
				t.Errorf("%d chunks in memory", ahead)
			}
		}
	})
}

func TestCallbackErrorEndsLoad(t *testing.T) {
	src, _ := sample()
	m, err := Open(t.Context(), src, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	n := 0
	if err := m.Load(t.Context(), "unet", func(Tensor) error { n++; return mine }); err != mine || n != 1 {
		t.Errorf("%v after %d tensors", err, n)
	}
}

func TestCancelledLoad(t *testing.T) {
	src, _ := sample()
	m, err := Open(t.Context(), src, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = m.Load(ctx, "unet", func(Tensor) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) || kinds(err) != 1 {
		t.Errorf("%v", err)
	}
}

// kinds counts the sentinels that an error wraps.
func kinds(err error) (n int) {
	for _, k := range []error{ErrNetwork, ErrCorrupt, ErrQuota, ErrBadModel, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, k) {
			n++
		}
	}
	return n
}

// scripted is a source that answers each file's requests by a script.
type scripted struct {
	files
	script func(name string, attempt int) (io.ReadCloser, error, bool)

	mu  sync.Mutex
	try map[string]int
}

func (s *scripted) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	s.mu.Lock()
	if s.try == nil {
		s.try = map[string]int{}
	}
	s.try[name]++
	n := s.try[name]
	s.mu.Unlock()
	if r, err, ok := s.script(name, n); ok {
		if h, ok := r.(*hanging); ok {
			h.ctx = ctx
		}
		return r, err
	}
	return s.files.Open(ctx, name)
}

// hanging delivers some bytes, then nothing until its context ends.
type hanging struct {
	ctx  context.Context
	head []byte
}

func (h *hanging) Read(p []byte) (int, error) {
	if len(h.head) > 0 {
		n := copy(p, h.head)
		h.head = h.head[n:]
		return n, nil
	}
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}
func (h *hanging) Close() error { return nil }

// breaking fails after its bytes.
type breaking struct{ io.Reader }

func (b breaking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = errors.New("connection reset")
	}
	return n, err
}
func (breaking) Close() error { return nil }

// TestFaultsOfASource: what a source does wrong at first, and for ever.
func TestFaultsOfASource(t *testing.T) {
	src, want := sample()
	m, err := ParseManifest(src[ManifestName])
	if err != nil {
		t.Fatal(err)
	}
	victim := m.Chunks[4].File()
	good := src[victim]
	flipped := bytes.Clone(good)
	flipped[17] ^= 1
	body := func(b []byte) (io.ReadCloser, error, bool) { return io.NopCloser(bytes.NewReader(b)), nil, true }
	status := func(code int, after time.Duration) func() (io.ReadCloser, error, bool) {
		return func() (io.ReadCloser, error, bool) { return nil, &StatusError{code, after}, true }
	}
	for _, c := range []struct {
		name    string
		answer  func() (io.ReadCloser, error, bool)
		is      error         // when it lasts for ever
		most    int           // attempts then
		atLeast time.Duration // until the second attempt
	}{
		{"500", status(500, 0), ErrNetwork, 6, 100 * time.Millisecond},
		{"429 with Retry-After", status(429, 5*time.Second), ErrNetwork, 6, 5 * time.Second},
		{"503 with a long Retry-After", status(503, time.Hour), ErrNetwork, 6, 20 * time.Second},
		{"404", status(404, 0), ErrNetwork, 1, 0},
		{"missing", func() (io.ReadCloser, error, bool) { return nil, fs.ErrNotExist, true }, ErrNetwork, 1, 0},
		{"refused", func() (io.ReadCloser, error, bool) { return nil, errors.New("connection refused"), true }, ErrNetwork, 6, 0},
		{"cut", func() (io.ReadCloser, error, bool) { return breaking{bytes.NewReader(good[:300])}, nil, true }, ErrNetwork, 6, 0},
		{"stalled at once", func() (io.ReadCloser, error, bool) { return &hanging{}, nil, true }, ErrNetwork, 6, 20 * time.Second},
		{"stalled midway", func() (io.ReadCloser, error, bool) { return &hanging{head: good[:300]}, nil, true }, ErrNetwork, 6, 20 * time.Second},
		{"truncated", func() (io.ReadCloser, error, bool) { return body(good[:300]) }, ErrCorrupt, 6, 0},
		{"empty", func() (io.ReadCloser, error, bool) { return body(nil) }, ErrCorrupt, 6, 0},
		{"another and longer", func() (io.ReadCloser, error, bool) { return body(append([]byte{0}, good...)) }, ErrCorrupt, 6, 0},
		{"flipped bit", func() (io.ReadCloser, error, bool) { return body(flipped) }, ErrCorrupt, 6, 0},
		{"another file", func() (io.ReadCloser, error, bool) { return body([]byte("<!doctype html><title>404</title>")) }, ErrCorrupt, 6, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				once := &scripted{files: src, script: func(name string, n int) (io.ReadCloser, error, bool) {
					if name == victim && n == 1 && c.most > 1 {
						return c.answer()
					}
					return nil, nil, false
				}}
				model, err := Open(t.Context(), once, nil, Options{})
				if err != nil {
					t.Fatal(err)
				}
				got, err := collect(t.Context(), model)
				if err != nil {
					t.Fatal(err)
				}
				if err := sameTensors(got, want); err != nil {
					t.Error(err)
				}
				if d := time.Since(start); d < c.atLeast {
					t.Errorf("tried again after %v, want %v", d, c.atLeast)
				}

				ever := &scripted{files: src, script: func(name string, n int) (io.ReadCloser, error, bool) {
					if name == victim {
						return c.answer()
					}
					return nil, nil, false
				}}
				if model, err = Open(t.Context(), ever, nil, Options{}); err != nil {
					t.Fatal(err)
				}
				_, err = collect(t.Context(), model)
				if !errors.Is(err, c.is) || kinds(err) != 1 || !strings.Contains(err.Error(), victim) {
					t.Errorf("for ever: %v", err)
				}
				if n := ever.try[victim]; n != c.most {
					t.Errorf("for ever: %d attempts, want %d", n, c.most)
				}

				// A mirror makes up for all of it.
				model, err = Open(t.Context(), ever, nil, Options{Mirrors: []Source{src}})
				if err != nil {
					t.Fatal(err)
				}
				if got, err = collect(t.Context(), model); err != nil {
					t.Fatal(err)
				}
				if err := sameTensors(got, want); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestFaultsOfAStore: a store may fail in any way; loading goes on.
func TestFaultsOfAStore(t *testing.T) {
	src, want := sample()
	for _, c := range []struct {
		name  string
		store func() Store
		warns string
	}{
		{"no room", func() Store { return &Memory{Limit: 2500} }, "cannot be kept"},
		{"reads fail", func() Store { return brokenStore{get: errors.New("I/O error")} }, "I/O error"},
		{"writes fail", func() Store { return brokenStore{get: fs.ErrNotExist, put: errors.New("read-only")} }, "read-only"},
		{"bit rot", func() Store { return rotten(t, src, func(b []byte) []byte { b[len(b)/2] ^= 16; return b }) }, "damaged"},
		{"cut records", func() Store { return rotten(t, src, func(b []byte) []byte { return b[:len(b)/2] }) }, "damaged"},
		{"empty records", func() Store { return rotten(t, src, func([]byte) []byte { return nil }) }, "damaged"},
	} {
		var warned []string
		store := c.store()
		m, err := Open(t.Context(), src, store, Options{OnWarning: func(err error) { warned = append(warned, err.Error()) }, Parallel: 1})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for range 2 { // the second time over whatever the first left behind
			got, err := collect(t.Context(), m)
			if err == nil {
				err = sameTensors(got, want)
			}
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if !strings.Contains(strings.Join(warned, "\n"), c.warns) {
			t.Errorf("%s: warned of %q", c.name, warned)
		}
		if _, fixed := store.(*Memory); fixed && c.warns == "damaged" {
			if n := len(warned); n != len(m.man.Chunks) {
				t.Errorf("%s: %d warnings for %d damaged records: they were not replaced", c.name, n, len(m.man.Chunks))
			}
		}
	}
}

type brokenStore struct{ get, put error }

func (s brokenStore) Get(context.Context, string) ([]byte, error) { return nil, s.get }
func (s brokenStore) Put(context.Context, string, []byte) error   { return s.put }

// rotten is a store that has every chunk, each damaged.
func rotten(t *testing.T, src files, damage func([]byte) []byte) Store {
	t.Helper()
	s := &Memory{}
	for name, b := range src {
		if key, ok := strings.CutSuffix(name, ".bin"); ok {
			if err := s.Put(t.Context(), key, damage(bytes.Clone(b))); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
