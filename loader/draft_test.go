package loader

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"
)

// nowhere is the source of a model that the library must have.
type nowhere struct{}

func (nowhere) Open(context.Context, string) (io.ReadCloser, error) { return nil, fs.ErrNotExist }

// library is kv at an hour of the day.
func library(kv KV, at time.Time) *Library {
	lib := NewLibrary(kv)
	lib.now = func() time.Time { return at }
	return lib
}

// write writes the chunks of a model, and its manifest where it is to be whole.
func write(t *testing.T, d *Draft, model files, whole bool) error {
	t.Helper()
	for name, b := range model {
		if name == ManifestName {
			continue
		}
		if err := d.Write(t.Context(), name, b); err != nil {
			return err
		}
	}
	if !whole {
		return nil
	}
	return d.Write(t.Context(), ManifestName, model[ManifestName])
}

func begun(t *testing.T, lib *Library) *Draft {
	t.Helper()
	d, err := lib.Draft(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func keysOf(t *testing.T, kv KV) []string {
	t.Helper()
	keys, err := kv.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}

// A draft with its manifest is a model like any other.
func TestDraft(t *testing.T) {
	kv := &Memory{}
	lib := library(kv, day)
	model, want := small("A", 1, 3)
	d := begun(t, lib)
	if err := write(t, d, model, true); err != nil {
		t.Fatal(err)
	}
	entries, err := lib.Models(t.Context())
	if got := names(entries); err != nil || got != "A 2968/2968 shared 0" || entries[0].ID != d.ID() {
		t.Fatalf("%s, %v", got, err)
	}
	got, err := load(t, nowhere{}, NewLibrary(kv), Options{ManifestSHA256: d.ID()})
	if err == nil {
		err = sameTensors(got, want)
	}
	if err != nil {
		t.Error(err)
	}
	if err := lib.Remove(t.Context(), d.ID()); err != nil {
		t.Error(err)
	}
	if keys := keysOf(t, kv); len(keys) != 0 {
		t.Errorf("left behind: %v", keys)
	}
}

// What a draft wrote goes when it is discarded, but not what models share.
func TestDraftDiscarded(t *testing.T) {
	kv := &Memory{}
	a, _ := small("A", 1, 3)
	b, _ := small("B", 1, 3)
	visit(t, located{a, "https://x/a/"}, kv, day)
	before := keysOf(t, kv)
	d := begun(t, library(kv, day))
	if err := write(t, d, b, false); err != nil {
		t.Fatal(err)
	}
	if keys := keysOf(t, kv); len(keys) != len(before)+2 {
		t.Errorf("%d records and then %d: want a chunk and the draft's own more", len(before), len(keys))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Write(ctx, ManifestName, b[ManifestName]); !errors.Is(err, context.Canceled) {
		t.Errorf("written after its end: %v", err)
	}
	if err := d.Discard(t.Context()); err != nil {
		t.Fatal(err)
	}
	if keys := keysOf(t, kv); !slices.Equal(keys, before) {
		t.Errorf("after it: %v, want %v", keys, before)
	}
}

// Another tab leaves a draft alone while it is being written; once it is not,
// its chunks go with the next draft.
func TestDraftInAnotherTab(t *testing.T) {
	kv := &Memory{}
	a, _ := small("A", 1, 3)
	b, _ := small("B", 2, 3)
	visit(t, located{a, "https://x/a/"}, kv, day)
	d := begun(t, library(kv, day))
	if err := write(t, d, b, false); err != nil {
		t.Fatal(err)
	}
	other := library(kv, day.Add(draftPatience-1))
	entries, err := other.Models(t.Context())
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	if err := other.Remove(t.Context(), entries[0].ID); err != nil {
		t.Fatal(err)
	}
	if keys := keysOf(t, kv); len(keys) != 5 {
		t.Errorf("%d records are left, want the draft's 4 chunks and its own", len(keys))
	}
	late := library(kv, day.Add(draftPatience))
	if err := write(t, begun(t, late), a, true); err != nil {
		t.Fatal(err)
	}
	if keys := keysOf(t, kv); len(keys) != 6 {
		t.Errorf("%d records are left, want A's 4 chunks and 2", len(keys))
	}
	if err := d.Write(t.Context(), ManifestName, b[ManifestName]); !errors.Is(err, ErrQuota) {
		t.Errorf("a model whose chunks are gone: %v", err)
	}
}

// Where there is no room, caches and leftovers go, and no model.
func TestDraftWithoutRoom(t *testing.T) {
	a, _ := small("A", 1, 3)
	b, _ := small("B", 2, 3)
	for _, room := range []int64{100, 1100, 2100, 3000, 3100} { // none for chunk 1, 2, 3, the last or the manifest
		kv := &Memory{}
		visit(t, located{a, "https://x/a/"}, kv, day)
		leftover := strings.Repeat("0", 64)
		if err := kv.Put(t.Context(), leftover, make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
		kv.Limit = kv.size - 500 + room
		lib := library(kv, day.Add(time.Hour))
		lib.KeepModels = true
		d := begun(t, lib)
		if err := write(t, d, b, true); !errors.Is(err, ErrQuota) {
			t.Errorf("room for %d: %v", room, err)
		}
		if err := d.Discard(t.Context()); err != nil {
			t.Error(err)
		}
		if keys := keysOf(t, kv); len(keys) != 6 || slices.Contains(keys, leftover) {
			t.Errorf("room for %d: %v, want A's 4 chunks and 2", room, keys)
		}
	}
}
