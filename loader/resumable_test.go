package loader

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// A model from a location is gone on with after its program ended, by one
// program at a time; what is not goes after a week, or when room is wanted.
func TestResumable(t *testing.T) {
	model, _ := small("A", 1, 3)
	man, err := ParseManifest(model[ManifestName])
	if err != nil {
		t.Fatal(err)
	}
	kv, locks := &Memory{}, &heldLocks{}
	at := func(after time.Duration) *Library {
		l := library(kv, day.Add(after))
		l.Locks = locks
		return l
	}
	begin := func(l *Library) *Draft {
		t.Helper()
		d, err := l.Resumable(t.Context(), "hf:a/b")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	half := func(d *Draft) {
		t.Helper()
		for _, c := range man.Chunks[:2] {
			if err := errors.Join(d.Write(t.Context(), c.File(), model[c.File()]), d.Note(t.Context(), []byte(c.SHA256+"\n"))); err != nil {
				t.Fatal(err)
			}
		}
	}
	d := begin(at(0))
	half(d)
	if _, err := at(0).Resumable(t.Context(), "hf:a/b"); !errors.Is(err, ErrBusy) {
		t.Errorf("a second at once: %v", err)
	}
	locks.held = nil // the program is killed
	if _, err := at(time.Hour).Models(t.Context()); err != nil {
		t.Fatal(err)
	}
	d = begin(at(time.Hour))
	lines, err := d.Lines(t.Context())
	if want := man.Chunks[0].SHA256 + "\n" + man.Chunks[1].SHA256 + "\n"; err != nil || string(lines) != want {
		t.Errorf("noted: %q %v", lines, err)
	}
	if d.Whole(t.Context(), man.Chunks[1]) != nil || d.Whole(t.Context(), Chunk{SHA256: strings.Repeat("0", 64)}) == nil {
		t.Error("which chunks are there is told wrongly")
	}
	for name, b := range model {
		if name != ManifestName {
			if err := d.Write(t.Context(), name, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.Write(t.Context(), ManifestName, model[ManifestName]); err != nil {
		t.Fatal(err)
	}
	if id, err := at(time.Hour).At(t.Context(), "hf:a/b"); err != nil || id != d.ID() || id == "" {
		t.Errorf("the model from there is %q %v", id, err)
	}
	if err := at(time.Hour).remember(t.Context(), "", model[ManifestName], man, false); err != nil {
		t.Fatal(err)
	}
	if id, err := at(time.Hour).At(t.Context(), "hf:a/b"); err != nil || id != d.ID() {
		t.Errorf("opened by its id, the model from there is %q %v", id, err)
	}
	if keys := keysOf(t, kv); slices.ContainsFunc(keys, func(k string) bool { return isDraft(k) || strings.HasPrefix(k, journalKey) }) {
		t.Errorf("left of the draft: %v", keys)
	}
	if err := at(time.Hour).Remove(t.Context(), d.ID()); err != nil {
		t.Fatal(err)
	}
	half(begin(at(time.Hour)))
	locks.held = nil
	if _, err := at(8 * 24 * time.Hour).Models(t.Context()); err != nil {
		t.Fatal(err)
	}
	if keys := keysOf(t, kv); len(keys) != 0 {
		t.Errorf("after a week there is %v", keys)
	}
	half(begin(at(0)))
	locks.held = nil
	kv.Limit = kv.size + 10
	if err := at(0).Put(t.Context(), "other", make([]byte, 500)); err != nil {
		t.Errorf("room is not made of it: %v", err)
	}
}
