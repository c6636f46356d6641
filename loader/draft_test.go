package loader

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
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

// Another tab leaves a draft alone while it is being written, and may write
// one of its own; once its program has ended, its chunks go. Where there are
// locks they tell that, whatever the clock says; else the time of its last
// write does, unless that is in the future.
func TestDraftInAnotherTab(t *testing.T) {
	a, _ := small("A", 1, 3)
	b, _ := small("B", 2, 3)
	c, wantC := small("C", 3, 3)
	for _, locked := range []bool{false, true} {
		kv, locks := &Memory{}, &heldLocks{}
		tab := func(at time.Time) *Library {
			l := library(kv, at)
			if locked {
				l.Locks = locks
			}
			return l
		}
		visit(t, located{a, "https://x/a/"}, kv, day)
		d := begun(t, tab(day))
		if err := write(t, d, b, false); err != nil {
			t.Fatal(err)
		}
		soon := day.Add(draftPatience - 1)
		if locked { // it was suspended, or another clock is wrong
			soon = day.AddDate(-3, 0, 0)
		}
		other := tab(soon)
		entries, err := other.Models(t.Context())
		if err != nil || len(entries) != 1 {
			t.Fatalf("%v, %v", entries, err)
		}
		if err := other.Remove(t.Context(), entries[0].ID); err != nil {
			t.Fatal(err)
		}
		if keys := keysOf(t, kv); len(keys) != 5 {
			t.Errorf("locks %v: %d records are left, want the draft's 4 chunks and its own", locked, len(keys))
		}
		beside := begun(t, other) // at the same time
		if err := write(t, beside, c, true); err != nil {
			t.Fatal(err)
		}
		if err := begun(t, other).Discard(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name := range b {
			if _, err := kv.Get(t.Context(), strings.TrimSuffix(name, ".bin")); err != nil && name != ManifestName {
				t.Errorf("locks %v: the first draft lost %s", locked, name)
			}
		}
		got, err := load(t, nowhere{}, NewLibrary(kv), Options{ManifestSHA256: beside.ID()})
		if err == nil {
			err = sameTensors(got, wantC)
		}
		if err != nil {
			t.Errorf("locks %v: the draft beside it: %v", locked, err)
		}
		locks.held = nil // the first one's program ends
		late := tab(soon.Add(draftPatience))
		if !locked {
			late = tab(day.AddDate(-3, 0, 0)) // its record is from the future
		}
		if _, err := late.Models(t.Context()); err != nil {
			t.Fatal(err)
		}
		if keys := keysOf(t, kv); len(keys) != 6 || slices.ContainsFunc(keys, isDraft) {
			t.Errorf("locks %v: %v are left, want C's 4 chunks and 2", locked, keys)
		}
		if err := d.Write(t.Context(), ManifestName, b[ManifestName]); !errors.Is(err, ErrQuota) {
			t.Errorf("a model whose chunks are gone: %v", err)
		}
	}
}

// heldLocks is [Locks] of programs in one process.
type heldLocks struct{ held map[string]bool }

func (l *heldLocks) Lock(_ context.Context, name string) (func(), error) {
	if l.held == nil {
		l.held = map[string]bool{}
	}
	l.held[name] = true
	return func() { delete(l.held, name) }, nil
}

func (l *heldLocks) Held(_ context.Context, name string) (bool, error) { return l.held[name], nil }

// What an import left whose program was killed goes at the next visit of a
// model, with nobody asking for it.
func TestKilledImport(t *testing.T) {
	a, _ := small("A", 1, 3)
	b, _ := small("B", 2, 3)
	synctest.Test(t, func(t *testing.T) {
		kv, locks := &Memory{}, &heldLocks{}
		lib := library(kv, day)
		lib.Locks = locks
		if err := write(t, begun(t, lib), b, false); err != nil {
			t.Fatal(err)
		}
		for _, killed := range []bool{false, true} {
			if killed {
				locks.held = nil
			}
			other := library(kv, day)
			other.Locks = locks
			if _, err := load(t, located{a, "https://x/a/"}, other, Options{OnWarning: func(err error) { t.Error(err) }}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if keys := keysOf(t, kv); len(keys) != map[bool]int{false: 11, true: 6}[killed] {
				t.Errorf("killed %v: %d records: %v", killed, len(keys), keys)
			}
		}
	})
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
