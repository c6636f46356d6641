package loader

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// located is a source with an address.
type located struct {
	Source
	at string
}

func (l located) Location() string { return l.at }

// small is a model of one component of some chunks; models with the same seed
// share all of them but the last, which holds the name.
func small(name string, seed uint64, chunks int) (files, map[string][]byte) {
	b := newBuilder(1000)
	b.man.Name = name
	rng := rand.New(rand.NewPCG(seed, seed))
	want := map[string][]byte{}
	for i := range chunks {
		data := noise(rng, 1000)
		b.tensor("unet", fmt.Sprint("w", i), "q8", append(make([]byte, 0, 1000), data[:1000]...)[:34*29], 29, 32)
		want[fmt.Sprint("unet/w", i)] = data[:34*29]
		b.flush()
	}
	last := bytes.Repeat([]byte(name), 10)[:10]
	b.tensor("unet", "last", "f16", last, 5)
	want["unet/last"] = last
	return b.done(), want
}

func load(t *testing.T, src Source, store Store, o Options) (map[string][]byte, error) {
	t.Helper()
	m, err := Open(t.Context(), src, store, o)
	if err != nil {
		return nil, err
	}
	return collect(t.Context(), m)
}

// visit loads a model in a program of its own, that is, a new Library.
func visit(t *testing.T, src Source, kv KV, at time.Time) {
	t.Helper()
	lib := NewLibrary(kv)
	lib.now = func() time.Time { return at }
	if _, err := load(t, src, lib, Options{OnWarning: func(err error) { t.Error(err) }}); err != nil {
		t.Fatal(err)
	}
}

func names(entries []Entry) string {
	var s []string
	for _, e := range entries {
		s = append(s, fmt.Sprintf("%s %d/%d shared %d", e.Name, e.Cached, e.Bytes, e.Shared))
	}
	return strings.Join(s, ", ")
}

var day = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestLibraryListsAndRemoves(t *testing.T) {
	kv := &Memory{}
	a, _ := small("A", 1, 3)
	b, want := small("B", 1, 3) // a version of A: the weights are the same
	c, _ := small("C", 2, 2)
	visit(t, located{a, "https://x/a/"}, kv, day)
	visit(t, located{b, "https://x/b/"}, kv, day.Add(time.Hour))
	visit(t, located{c, "https://x/c/"}, kv, day.Add(2*time.Hour))
	lib := NewLibrary(kv)
	entries, err := lib.Models(t.Context())
	if got := names(entries); err != nil || got != "C 1982/1982 shared 0, B 2968/2968 shared 2958, A 2968/2968 shared 2958" {
		t.Errorf("%s, %v", got, err)
	}
	if e := entries[2]; e.Location != "https://x/a/" || e.Licence != "CC0-1.0" || !e.Opened.Equal(day) {
		t.Errorf("%+v", e)
	}
	if err := lib.Remove(t.Context(), entries[2].ID); err != nil {
		t.Fatal(err)
	}
	if err := lib.Remove(t.Context(), entries[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := lib.Remove(t.Context(), entries[0].ID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed twice: %v", err)
	}
	keys, _ := kv.Keys(t.Context())
	if len(keys) != 4+2 {
		t.Errorf("%d records are left, want B's 4 chunks and 2", len(keys))
	}
	// B lost nothing.
	rec := &recorder{Source: b}
	got, err := load(t, rec, lib, Options{})
	if err == nil {
		err = sameTensors(got, want)
	}
	if err != nil || len(rec.asked) != 1 {
		t.Errorf("B after the removals: %v, asked for %v", err, rec.asked)
	}
}

// TestLibraryEvicts: what was opened longest ago makes room, never what is
// open, and chunks that belong to nothing go first.
func TestLibraryEvicts(t *testing.T) {
	a, _ := small("A", 1, 3)
	b, _ := small("B", 2, 3)
	c, want := small("C", 3, 3)
	// Sizes of the records are those of the manifests, too; find the limit.
	full := &Memory{}
	visit(t, located{a, "a"}, full, day.Add(time.Hour))
	visit(t, located{b, "b"}, full, day)
	kv := &Memory{Limit: full.size + 1200}
	visit(t, located{a, "a"}, kv, day.Add(time.Hour))
	visit(t, located{b, "b"}, kv, day)
	orphan := hexSum([]byte("orphan"))
	if err := kv.Put(t.Context(), orphan, make([]byte, 900)); err != nil {
		t.Fatal(err)
	}
	visit(t, located{c, "c"}, kv, day.Add(2*time.Hour))
	entries, err := NewLibrary(kv).Models(t.Context())
	if got := names(entries); err != nil || got != "C 2968/2968 shared 0, A 2968/2968 shared 0" {
		t.Errorf("%s, %v: B was opened before A and had to go", got, err)
	}
	if _, err := kv.Get(t.Context(), orphan); err == nil {
		t.Error("the orphan is still there")
	}

	// A model that alone is too large loads all the same.
	var warned []string
	tight := &Memory{Limit: 3000}
	got, err := load(t, located{c, "c"}, NewLibrary(tight), Options{OnWarning: func(err error) { warned = append(warned, err.Error()) }})
	if err == nil {
		err = sameTensors(got, want)
	}
	if err != nil || !strings.Contains(strings.Join(warned, "\n"), "cannot be kept") {
		t.Errorf("%v, warned of %q", err, warned)
	}
}

// TestOffline: a model loaded once opens and loads without a network; a pinned
// one does not even ask.
func TestOffline(t *testing.T) {
	src, want := small("A", 1, 3)
	synctest.Test(t, func(t *testing.T) {
		kv := &Memory{}
		visit(t, located{src, "https://x/a/"}, kv, day)
		gone := &scripted{script: func(string, int) (io.ReadCloser, error, bool) { return nil, errors.New("offline"), true }}
		var warned []string
		o := Options{OnWarning: func(err error) { warned = append(warned, err.Error()) }}
		got, err := load(t, located{gone, "https://x/a/"}, NewLibrary(kv), o)
		if err == nil {
			err = sameTensors(got, want)
		}
		time.Sleep(time.Minute) // the source is asked beside the load
		synctest.Wait()
		if err != nil || !strings.Contains(strings.Join(warned, "\n"), "last visit") {
			t.Errorf("%v, warned of %q", err, warned)
		}
		if _, err := load(t, located{gone, "https://x/other/"}, NewLibrary(kv), Options{}); !errors.Is(err, ErrNetwork) {
			t.Errorf("another address: %v", err)
		}
		gone.try = nil
		sum := sha256.Sum256(src[ManifestName])
		if got, err = load(t, located{gone, "https://x/moved/"}, NewLibrary(kv), Options{ManifestSHA256: fmt.Sprintf("%x", sum)}); err == nil {
			err = sameTensors(got, want)
		}
		if err != nil || len(gone.try) > 0 {
			t.Errorf("pinned: %v after asking for %v", err, gone.try)
		}
	})
}

// TestDamagedManifestRecord: the store's manifest is not trusted either.
func TestDamagedManifestRecord(t *testing.T) {
	src, want := small("A", 1, 2)
	kv := &Memory{}
	visit(t, located{src, "a"}, kv, day)
	keys, _ := kv.Keys(t.Context())
	for _, key := range keys {
		if strings.HasPrefix(key, manifestKey) || strings.HasPrefix(key, modelKey) {
			kv.Put(t.Context(), key, []byte(`{"format":"wisp","version":1}`))
		}
	}
	got, err := load(t, located{src, "a"}, NewLibrary(kv), Options{})
	if err == nil {
		err = sameTensors(got, want)
	}
	if err != nil {
		t.Error(err)
	}
	if entries, err := NewLibrary(kv).Models(t.Context()); err != nil || names(entries) != "A 1982/1982 shared 0" {
		t.Errorf("%s, %v", names(entries), err)
	}
}

// locks is a lock manager shared by programs in one process.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

func (l *locks) Lock(ctx context.Context, name string) (func(), error) {
	for {
		l.mu.Lock()
		wait, busy := l.held[name]
		if !busy {
			if l.held == nil {
				l.held = map[string]chan struct{}{}
			}
			mine := make(chan struct{})
			l.held[name] = mine
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.held, name)
				l.mu.Unlock()
				close(mine)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// slow takes a second for every file.
type slow struct{ Source }

func (s slow) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := pause(ctx, time.Second); err != nil {
		return nil, err
	}
	return s.Source.Open(ctx, name)
}

// TestFiveTabs: programs that share a store and its locks download each chunk
// once between them.
func TestFiveTabs(t *testing.T) {
	src, want := sample()
	synctest.Test(t, func(t *testing.T) {
		rec, kv, l := &recorder{Source: slow{src}}, &Memory{}, &locks{}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				m, err := Open(t.Context(), rec, NewLibrary(kv), Options{Lock: l.Lock})
				if err != nil {
					t.Error(err)
					return
				}
				got, err := collect(t.Context(), m)
				if err == nil {
					err = sameTensors(got, want)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		slices.Sort(rec.asked)
		for i, name := range rec.asked {
			if i > 0 && name == rec.asked[i-1] && name != ManifestName {
				t.Fatalf("%s was downloaded twice", name)
			}
		}
	})
}

// TestSilentLocks: a tab that holds locks and shows no signs of life is waited
// for once, and that is said.
func TestSilentLocks(t *testing.T) {
	src, want := sample()
	synctest.Test(t, func(t *testing.T) {
		var warned []string
		lock := func(ctx context.Context, _ string) (func(), error) {
			if err := pause(ctx, Brief); err != nil {
				return nil, err
			}
			return nil, ErrSilent
		}
		start := time.Now()
		got, err := load(t, src, &Memory{}, Options{Lock: lock, OnWarning: func(err error) { warned = append(warned, err.Error()) }})
		if err == nil {
			err = sameTensors(got, want)
		}
		if d := time.Since(start); err != nil || d > Brief+time.Second {
			t.Errorf("%v after %v", err, d)
		}
		if len(warned) != 1 || !strings.Contains(warned[0], "no answer from another tab") {
			t.Errorf("warned of %q", warned)
		}
	})
}

// silentKV is a store that answers nothing for a while, as one does that
// another tab holds.
type silentKV struct {
	Memory
	until time.Time
}

func (s *silentKV) wait(ctx context.Context) error {
	if time.Now().After(s.until) {
		return nil
	}
	if err := pause(ctx, Brief); err != nil {
		return err
	}
	return ErrSilent
}

func (s *silentKV) Get(ctx context.Context, key string) ([]byte, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.Memory.Get(ctx, key)
}

func (s *silentKV) Put(ctx context.Context, key string, b []byte) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	return s.Memory.Put(ctx, key, b)
}

func (s *silentKV) Keys(ctx context.Context) ([]string, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.Memory.Keys(ctx)
}

// TestSilentStore: a store that answers nothing does not end a visit, and is
// used again as soon as it answers.
func TestSilentStore(t *testing.T) {
	src, want := small("A", 1, 6)
	synctest.Test(t, func(t *testing.T) {
		kv := &silentKV{}
		visit(t, located{src, "https://x/a/"}, &kv.Memory, time.Now())
		kv.until = time.Now().Add(Brief + time.Second/2)
		var warned []string
		o := Options{Parallel: 2, OnWarning: func(err error) { warned = append(warned, err.Error()) }}
		rec := &recorder{Source: src}
		got, err := load(t, located{rec, "https://x/a/"}, NewLibrary(kv), o)
		if err == nil {
			err = sameTensors(got, want)
		}
		if err != nil || !strings.Contains(strings.Join(warned, "\n"), "no answer") {
			t.Errorf("%v, warned of %q", err, warned)
		}
		// Without a network there is no other way: it is asked again.
		kv.until = time.Now().Add(Brief + time.Second/2)
		gone := &scripted{script: func(string, int) (io.ReadCloser, error, bool) { return nil, errors.New("offline"), true }}
		if got, err = load(t, located{gone, "https://x/a/"}, NewLibrary(kv), Options{}); err == nil {
			err = sameTensors(got, want)
		}
		if err != nil {
			t.Errorf("offline: %v", err)
		}
		if n := len(rec.asked); n < 2 || n > 5 {
			t.Errorf("%d files were asked for: some while it was silent, the rest of 7 and the manifest not", n)
		}
	})
}

// TestFrozenTab: a tab that holds a lock for ever holds the others up for a
// while only.
func TestFrozenTab(t *testing.T) {
	src, want := sample()
	synctest.Test(t, func(t *testing.T) {
		l := &locks{}
		for name := range src {
			l.Lock(t.Context(), "wisp:"+strings.TrimSuffix(name, ".bin"))
		}
		start := time.Now()
		got, err := load(t, src, &Memory{}, Options{Lock: l.Lock, Parallel: 100})
		if err == nil {
			err = sameTensors(got, want)
		}
		if d := time.Since(start); err != nil || d < lockPatience || d > lockPatience+time.Second {
			t.Errorf("%v after %v", err, d)
		}
	})
}

// TestPrefetch: it stores ahead, shares downloads with a Load, and stops where
// nothing can be kept.
func TestPrefetch(t *testing.T) {
	src, want := sample()
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{Source: slow{src}}
		m, err := Open(t.Context(), rec, &Memory{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := m.Prefetch(t.Context()); err != nil {
				t.Error(err)
			}
		})
		got, err := collect(t.Context(), m)
		wg.Wait()
		if err == nil {
			err = sameTensors(got, want)
		}
		if err != nil || len(rec.asked) != len(src) {
			t.Errorf("%v with %d requests for %d files", err, len(rec.asked), len(src))
		}

		// Only the wanted parts.
		rec.asked = nil
		if m, err = Open(t.Context(), rec, &Memory{}, Options{Parts: []Part{{"text_encoder", nil}}}); err != nil {
			t.Fatal(err)
		}
		if err := m.Prefetch(t.Context()); err != nil || len(rec.asked) != 1+1+3 {
			t.Errorf("%v, asked for %d files", err, len(rec.asked))
		}
		if cached, total, err := m.Cached(t.Context()); err != nil || cached != total || total == stored(m) {
			t.Errorf("%d of %d, %v", cached, total, err)
		}

		// Without a store there is nothing to do.
		rec.asked = nil
		if m, err = Open(t.Context(), rec, nil, Options{ManifestOnly: true}); err != nil {
			t.Fatal(err)
		}
		if err := m.Prefetch(t.Context()); err != nil || len(rec.asked) != 1 {
			t.Errorf("without a store: %v, asked for %v", err, rec.asked)
		}

		// A Load whose download was a cancelled Prefetch's takes it over.
		if m, err = Open(t.Context(), slow{src}, &Memory{}, Options{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			if err := m.Prefetch(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v", err)
			}
		})
		wg.Go(func() { time.Sleep(1500 * time.Millisecond); cancel() })
		got, err = collect(t.Context(), m)
		wg.Wait()
		if err == nil {
			err = sameTensors(got, want)
		}
		if err != nil {
			t.Errorf("after a cancelled Prefetch: %v", err)
		}
	})
}

// crowd counts the files of a source that are open at a time.
type crowd struct {
	Source
	mu        sync.Mutex
	open, max int
}

type crowdFile struct {
	io.ReadCloser
	c *crowd
}

func (c *crowd) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open += n
	c.max = max(c.max, c.open)
}

func (c *crowd) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	c.count(1)
	r, err := c.Source.Open(ctx, name)
	if err != nil {
		c.count(-1)
	}
	return crowdFile{r, c}, err
}

func (f crowdFile) Close() error {
	f.c.count(-1)
	return f.ReadCloser.Close()
}

// TestRoomIsShared: loads and prefetches at once have as many chunks under way
// as one load alone, and the room is whole again after failures.
func TestRoomIsShared(t *testing.T) {
	src, want := sample()
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{Source: slow{src}}
		m, err := Open(t.Context(), c, &Memory{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			wg.Go(func() { m.Prefetch(ctx) })
			wg.Go(func() { collect(ctx, m) })
			wg.Go(func() { m.Prefetch(t.Context()) })
			wg.Go(func() {
				if got, err := collect(t.Context(), m); err != nil || sameTensors(got, want) != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if c.max < 2 || c.max > 3 { // callers of one chunk wait for it together
			t.Errorf("%d chunks were on their way at once, want at most 3, and more than one", c.max)
		}
		if len(m.room) != 0 {
			t.Errorf("%d places are taken for ever", len(m.room))
		}
	})
}

func TestMirrorsOfTheManifest(t *testing.T) {
	b := newBuilder(1000)
	b.man.Mirrors = []string{"https://mirror.example/m/"}
	b.tensor("unet", "w", "f16", []byte{1, 2}, 1)
	src := b.done()
	only := files{ManifestName: src[ManifestName]}
	var opened []string
	_, err := load(t, only, nil, Options{OpenMirror: func(u string) (Source, error) { opened = append(opened, u); return src, nil }})
	if err != nil || !slices.Equal(opened, b.man.Mirrors) {
		t.Errorf("%v, opened %v", err, opened)
	}
	if _, err := load(t, only, nil, Options{}); !errors.Is(err, ErrNetwork) {
		t.Errorf("mirrors left alone: %v", err)
	}
	for _, bad := range []string{"javascript:alert(1)", "../other", "file:///etc"} {
		b.man.Mirrors = []string{bad}
		text, _ := b.man.Encode()
		if _, err := ParseManifest(text); !errors.Is(err, ErrBadModel) {
			t.Errorf("mirror %q: %v", bad, err)
		}
	}
}

func TestSplitAddress(t *testing.T) {
	pin := strings.Repeat("0a", 32)
	for _, c := range []struct{ in, base, pin string }{
		{"models/x/", "models/x/", ""}, {"https://h/m#", "https://h/m", ""}, {"https://h/m#sha256=" + pin, "https://h/m", pin},
	} {
		if base, got, err := SplitAddress(c.in); err != nil || base != c.base || got != c.pin {
			t.Errorf("%s: %q %q %v", c.in, base, got, err)
		}
	}
	for _, bad := range []string{"m#main", "m#sha256=12", "m#sha256=" + strings.ToUpper(pin)} {
		if _, _, err := SplitAddress(bad); !errors.Is(err, ErrBadModel) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
