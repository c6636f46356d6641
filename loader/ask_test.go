package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answering is a model whose manifest is answered by a function from its
// first request on.
func answering(src files, answer func(n int) (io.ReadCloser, error)) *scripted {
	return &scripted{files: src, script: func(name string, n int) (io.ReadCloser, error, bool) {
		if name != ManifestName {
			return nil, nil, false
		}
		r, err := answer(n)
		return r, err, r != nil || err != nil
	}}
}

func answer(s string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }

const signIn = "\ufeff\n<!doctype html><title>Sign in to the hotel's network</title>"

// answers are what comes in a manifest's place, with the failure of a first
// visit and how often that asks.
func answers(src files) []struct {
	name   string
	answer func(int) (io.ReadCloser, error)
	is     error
	tries  int
} {
	whole := string(src[ManifestName])
	return []struct {
		name   string
		answer func(int) (io.ReadCloser, error)
		is     error
		tries  int
	}{
		{"web page", func(int) (io.ReadCloser, error) { return answer(signIn) }, ErrNetwork, 2},
		{"empty", func(int) (io.ReadCloser, error) { return answer("") }, ErrNetwork, 2},
		{"blank", func(int) (io.ReadCloser, error) { return answer(" \r\n") }, ErrNetwork, 2},
		{"cut short", func(int) (io.ReadCloser, error) { return answer(whole[:len(whole)/2]) }, ErrCorrupt, 6},
		{"broken off", func(int) (io.ReadCloser, error) { return breaking{strings.NewReader(whole[:90])}, nil }, ErrNetwork, 6},
		{"later version", func(int) (io.ReadCloser, error) { return answer(`{"format":"wisp","version":99}`) }, ErrBadModel, 2},
		{"other JSON", func(int) (io.ReadCloser, error) { return answer(`{"name":"an app"}`) }, ErrBadModel, 2},
		{"damaged", func(int) (io.ReadCloser, error) { return answer(strings.Replace(whole, `"offset":0`, `"offset":1`, 1)) }, ErrCorrupt, 6},
		{"404", func(int) (io.ReadCloser, error) { return nil, &StatusError{Status: 404} }, ErrNetwork, 1},
		{"503", func(int) (io.ReadCloser, error) { return nil, &StatusError{Status: 503} }, ErrNetwork, 6},
		{"silent", func(int) (io.ReadCloser, error) { return &hanging{}, nil }, ErrNetwork, mostSilences},
		{"stalled midway", func(int) (io.ReadCloser, error) { return &hanging{head: []byte(whole[:90])}, nil }, ErrNetwork, mostSilences},
	}
}

// TestSecondVisitWithoutManifest: whatever answers in the manifest's place, a
// model that is kept is used, whole or in part, and stays known.
func TestSecondVisitWithoutManifest(t *testing.T) {
	src, want := small("A", 1, 3)
	for _, c := range answers(src) {
		for _, part := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, part), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					kv := &Memory{}
					visit(t, located{src, "https://x/a/"}, kv, day)
					if part {
						man, err := ParseManifest(src[ManifestName])
						if err != nil {
							t.Fatal(err)
						}
						kv.Delete(t.Context(), man.Chunks[1].SHA256)
					}
					for range 2 {
						got, err := load(t, located{answering(src, c.answer), "https://x/a/"}, NewLibrary(kv), Options{})
						if err == nil {
							err = sameTensors(got, want)
						}
						if err != nil {
							t.Error(err)
						}
						time.Sleep(time.Hour) // what was asked beside it has ended
					}
				})
			})
		}
	}
}

// TestFirstVisitWithoutManifest: each is its own failure, told after so many
// tries within half a minute, or five of a broken connection's; what lasted
// once only is got over, and so is what a mirror makes up for.
func TestFirstVisitWithoutManifest(t *testing.T) {
	src, want := small("A", 1, 3)
	for _, c := range answers(src) {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad, start := answering(src, c.answer), time.Now()
				_, err := load(t, located{bad, "https://x/a/"}, NewLibrary(&Memory{}), Options{})
				if !errors.Is(err, c.is) || kinds(err) != 1 || !strings.Contains(err.Error(), "manifest") && !strings.Contains(err.Error(), "version") {
					t.Error(err)
				}
				if n := bad.try[ManifestName]; n != c.tries {
					t.Errorf("%d tries, want %d", n, c.tries)
				}
				if d := time.Since(start); d > 30*time.Second && c.name != "stalled midway" {
					t.Errorf("told after %v", d)
				}
				once := answering(src, func(n int) (io.ReadCloser, error) {
					if n == 1 && c.tries > 1 {
						return c.answer(n)
					}
					return nil, nil
				})
				for _, o := range []Options{{}, {Mirrors: []Source{src}}} {
					var from Source = once
					if len(o.Mirrors) > 0 {
						from = bad
					}
					got, err := load(t, from, nil, o)
					if err == nil {
						err = sameTensors(got, want)
					}
					if err != nil {
						t.Errorf("with %d mirrors: %v", len(o.Mirrors), err)
					}
				}
			})
		})
	}
}

// late is a source whose manifest comes after a while.
type late struct {
	files
	wait time.Duration
}

func (l late) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == ManifestName {
		if err := pause(ctx, l.wait); err != nil {
			return nil, err
		}
	}
	return l.files.Open(ctx, name)
}

// TestKeptStartsAtOnce: a model that is kept whole does not wait for its
// source; a new version that comes later is told, and is what the next visit
// opens, at the price of a short wait.
func TestKeptStartsAtOnce(t *testing.T) {
	old, wantOld := small("old", 1, 3)
	next, wantNext := small("new", 1, 3)
	const at = "https://x/a/"
	synctest.Test(t, func(t *testing.T) {
		kv := &Memory{}
		visit(t, located{old, at}, kv, time.Now())
		for i, c := range []struct {
			src     files
			wait    time.Duration
			want    map[string][]byte
			most    time.Duration
			updates int
		}{
			{next, 50 * time.Millisecond, nil, 0, 0}, // asked only: see below
			{old, time.Hour, wantOld, freshPatience, 0},
			{old, time.Second, wantOld, freshPatience, 0},
			{next, time.Second, wantOld, freshPatience, 1},
			{next, time.Hour, wantOld, stalePatience, 0},
			{next, time.Second, wantNext, time.Second, 0},
			{next, time.Hour, wantNext, freshPatience, 0},
			{old, 50 * time.Millisecond, wantOld, 50 * time.Millisecond, 0},
		} {
			if c.want == nil {
				m, err := Open(t.Context(), located{late{c.src, c.wait}, at}, NewLibrary(kv), Options{ManifestOnly: true})
				if err != nil || m.Manifest().Name != "new" {
					t.Errorf("asked: %v", err)
				}
				continue
			}
			updates, start := 0, time.Now()
			m, err := Open(t.Context(), located{late{c.src, c.wait}, at}, NewLibrary(kv), Options{OnUpdate: func() { updates++ }})
			if err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d > c.most {
				t.Errorf("visit %d: opened after %v, want %v", i, d, c.most)
			}
			got, err := collect(t.Context(), m)
			if err == nil {
				err = sameTensors(got, c.want)
			}
			if err != nil {
				t.Errorf("visit %d: %v", i, err)
			}
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			if updates != c.updates {
				t.Errorf("visit %d: %d updates told, want %d", i, updates, c.updates)
			}
		}
	})
}

// TestKeptInPart: what is chosen of the manifest is what must be kept.
func TestKeptInPart(t *testing.T) {
	src, _ := sample()
	synctest.Test(t, func(t *testing.T) {
		kv := &Memory{}
		o := Options{Choose: func(*Manifest) ([]Part, error) { return []Part{{Component: "text_encoder"}}, nil }}
		for i, wait := range []time.Duration{time.Second, time.Hour} {
			start := time.Now()
			m, err := Open(t.Context(), located{late{src, wait}, "https://x/a/"}, NewLibrary(kv), o)
			if err == nil {
				err = m.Load(t.Context(), "text_encoder", func(Tensor) error { return nil })
			}
			if d := time.Since(start); err != nil || i == 1 && d > freshPatience {
				t.Errorf("visit %d: %v after %v", i, err, d)
			}
			time.Sleep(2 * time.Hour)
		}
	})
}

// TestOpenCancelled: the request ends with the caller that waits for it.
func TestOpenCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := Open(wait, answering(files{}, func(int) (io.ReadCloser, error) { return &hanging{}, nil }), nil, Options{})
		if !errors.Is(err, context.DeadlineExceeded) || kinds(err) != 1 {
			t.Error(err)
		}
	})
}

// TestAnswerNotEnded: a chunk whose bytes are all there is taken, though its
// answer goes on.
func TestAnswerNotEnded(t *testing.T) {
	src, want := small("A", 1, 3)
	synctest.Test(t, func(t *testing.T) {
		open := &scripted{files: src, script: func(name string, _ int) (io.ReadCloser, error, bool) {
			if name == ManifestName {
				return nil, nil, false
			}
			return &hanging{head: bytes.Clone(src[name])}, nil, true
		}}
		start := time.Now()
		got, err := load(t, open, &Memory{}, Options{})
		if err == nil {
			err = sameTensors(got, want)
		}
		if d := time.Since(start); err != nil || d > 4*endPatience {
			t.Errorf("%v after %v", err, d)
		}
	})
}
