package loader

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrBusy: another program is doing the same.
var ErrBusy = errors.New("another tab is doing that: wait for it")

// resumableKey begins the key of a draft that outlives its program, and
// journalKey those of what it noted, line by line.
const (
	resumableKey = draftKey + ":of:"
	journalKey   = "journal:"
)

// resumablePatience is how long such a draft waits to be gone on with.
const resumablePatience = 7 * 24 * time.Hour

// Resumable begins a model that comes from a location, or goes on with one
// from there that was not finished: its chunks stay when the program ends. It
// is a journal for package pack as well. [Draft.Leave] leaves it for later.
// Where another program is at it, that is [ErrBusy].
func (l *Library) Resumable(ctx context.Context, location string) (*Draft, error) {
	sum := sha256.Sum256([]byte(location))
	d := &Draft{l: l, name: resumableKey + hex.EncodeToString(sum[:8]), keys: map[string]bool{}, unlock: func() {}, from: location}
	if l.Locks != nil {
		held, err := l.Locks.Held(ctx, d.name)
		if err == nil && held {
			return nil, fmt.Errorf("loader: %s: %w", location, ErrBusy)
		}
		if d.unlock, err = l.Locks.Lock(ctx, d.name); err != nil {
			return nil, err
		}
	}
	err := d.note(ctx) // first, so that clear leaves its chunks
	if err == nil {
		err = l.clear(ctx)
	}
	if err != nil {
		d.unlock()
		return nil, err
	}
	return d, nil
}

// Leave ends the writing; what is there waits to be gone on with.
func (d *Draft) Leave() { d.unlock() }

func (d *Draft) journal() string { return journalKey + strings.TrimPrefix(d.name, resumableKey) + ":" }

// Lines is what was noted.
func (d *Draft) Lines(ctx context.Context) (all []byte, err error) {
	keys, err := d.l.kv.Keys(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(keys)
	for _, key := range keys {
		if len(key) == 64 {
			d.keys[key] = true
		}
		if !strings.HasPrefix(key, d.journal()) {
			continue
		}
		line, err := d.l.kv.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		all = append(all, line...)
	}
	return all, nil
}

// Begin empties the journal.
func (d *Draft) Begin(context.Context) error { return d.Forget() }

// Note appends a line to it.
func (d *Draft) Note(ctx context.Context, line []byte) error {
	d.lines++
	return d.l.Put(context.WithoutCancel(ctx), fmt.Sprintf("%s%08d", d.journal(), d.lines), line)
}

// Whole reports whether a chunk is there; whether it is right, whoever reads it
// finds out.
func (d *Draft) Whole(_ context.Context, c Chunk) error {
	if !d.keys[c.SHA256] {
		return fmt.Errorf("loader: the chunk %s is gone", c.SHA256)
	}
	return nil
}

// End has nothing to do: every line is kept as it is noted.
func (d *Draft) End() error { return nil }

// Forget removes the journal.
func (d *Draft) Forget() error {
	if !strings.HasPrefix(d.name, resumableKey) {
		return nil
	}
	ctx := context.Background()
	keys, err := d.l.kv.Keys(ctx)
	if err != nil {
		return err
	}
	d.lines = 0
	gone := slices.DeleteFunc(keys, func(key string) bool { return !strings.HasPrefix(key, d.journal()) })
	if len(gone) == 0 {
		return nil
	}
	return d.l.kv.Delete(ctx, gone...)
}

// At is the id of the model that was opened last from a location, "" for none.
func (l *Library) At(ctx context.Context, location string) (string, error) {
	entries, _, err := l.entries(ctx)
	for _, e := range entries { // latest first
		if e.Location == location {
			return e.ID, nil
		}
	}
	return "", err
}
