package loader

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Draft is a model being written into a [Library], as package pack writes one:
// chunks, then the manifest, which makes it a model. Until then its chunks
// belong to none: what was begun and not finished is removed with the next
// draft, at the next visit, or when room is wanted. Several tabs may write
// drafts at once. One is given up by Discard, or with its program.
type Draft struct {
	l      *Library
	name   string          // of its record and its lock
	keys   map[string]bool // of the chunks written
	noted  time.Time       // when the record was written last
	unlock func()
	id     string // of the model, once it is one
	from   string // where it comes from, for the model's record
	lines  int    // of its journal
}

// Locks tells drafts that are being written from those whose program has
// ended. One that the system has suspended is still being written.
type Locks interface {
	// Lock takes a lock that nobody else wants; it goes with the program.
	Lock(ctx context.Context, name string) (unlock func(), err error)
	// Held reports whether a program has the lock.
	Held(ctx context.Context, name string) (bool, error)
}

// draftKey begins the key of a draft's record, the time of its last write, and
// the name of its lock.
const draftKey = "draft"

// draftPatience is how long a draft lives without a write where there are no
// locks to ask.
const draftPatience = time.Minute

// Draft begins a model, and removes what earlier drafts left.
func (l *Library) Draft(ctx context.Context) (*Draft, error) {
	if err := l.clear(ctx); err != nil {
		return nil, err
	}
	d := &Draft{l: l, name: draftKey + ":" + rand.Text(), keys: map[string]bool{}, unlock: func() {}}
	if l.Locks != nil {
		unlock, err := l.Locks.Lock(ctx, d.name)
		if err != nil {
			return nil, err
		}
		d.unlock = unlock
	}
	if err := d.note(ctx); err != nil {
		d.unlock()
		return nil, err
	}
	return d, nil
}

// note writes the record, unless that was a moment ago.
func (d *Draft) note(ctx context.Context) error {
	now := d.l.now()
	if age := now.Sub(d.noted); age >= 0 && age < draftPatience/6 {
		return nil
	}
	record, err := json.Marshal(now)
	if err == nil {
		err = d.l.Put(ctx, d.name, record)
	}
	if err == nil {
		d.noted = now
	}
	return err
}

// Write keeps a chunk under its hash or, with the manifest, finishes the
// model. A write that has begun is finished whatever ctx does, so that Discard
// comes after it.
func (d *Draft) Write(ctx context.Context, name string, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if name == ManifestName {
		return d.finish(ctx, b)
	}
	ctx = context.WithoutCancel(ctx)
	if err := d.note(ctx); err != nil {
		return err
	}
	key := strings.TrimSuffix(name, ".bin")
	d.keys[key] = true
	return d.l.Put(ctx, key, b)
}

// finish makes the chunks a model, if they are all still there: another tab
// may have removed some with a model that shared them. It is the last moment at
// which ctx may end it.
func (d *Draft) finish(ctx context.Context, manifest []byte) error {
	m, err := ParseManifest(manifest)
	if err != nil {
		return err
	}
	_, here, err := d.l.entries(ctx)
	if err != nil {
		return err
	}
	for _, c := range m.Chunks {
		if !here[c.SHA256] {
			return fmt.Errorf("loader: %w: the chunk %s was removed before the model was whole", ErrQuota, c.SHA256)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if err := d.l.remember(ctx, d.from, manifest, m, false); err != nil {
		return err
	}
	d.id = sumHex(manifest)
	d.unlock()
	if err := d.Forget(); err != nil {
		return err
	}
	return d.l.kv.Delete(ctx, d.name)
}

// ID is the model's, empty before the manifest is written.
func (d *Draft) ID() string { return d.id }

// Discard removes what was written, but for what belongs to a model. While
// another draft is being written, that is left to who sweeps after it.
func (d *Draft) Discard(ctx context.Context) error {
	d.unlock()
	s, err := d.l.survey(ctx)
	if err != nil {
		return err
	}
	if err := d.Forget(); err != nil {
		return err
	}
	if slices.ContainsFunc(s.drafts, func(name string) bool { return name != d.name }) {
		return d.l.kv.Delete(ctx, d.name)
	}
	gone := slices.DeleteFunc(s.loose, func(key string) bool { return !d.keys[key] })
	return d.l.kv.Delete(ctx, append(gone, d.name)...)
}

// sweep removes what drafts left that nobody writes any more. It costs a look
// at the keys where there are none.
func (l *Library) sweep(ctx context.Context) error {
	keys, err := l.kv.Keys(ctx)
	if err != nil || !slices.ContainsFunc(keys, isDraft) {
		return err
	}
	return l.clear(ctx)
}

// clear removes what belongs to no model and to no draft.
func (l *Library) clear(ctx context.Context) error {
	s, err := l.survey(ctx)
	if err != nil {
		return err
	}
	if gone := l.spare(append(s.orphans(), s.dead...)); len(gone) > 0 {
		return l.kv.Delete(ctx, gone...)
	}
	return nil
}

func isDraft(key string) bool { return strings.HasPrefix(key, draftKey) }

// drafting tells the drafts among the keys that are being written, in this tab
// or another, from those that are not.
func (l *Library) drafting(ctx context.Context, keys map[string]bool) (drafts, dead []string, err error) {
	for key := range keys {
		if !isDraft(key) {
			continue
		}
		lives, err := l.draftLives(ctx, key)
		if err != nil {
			return nil, nil, err
		}
		if lives {
			drafts = append(drafts, key)
		} else {
			dead = append(dead, key)
		}
	}
	for key := range keys {
		if of, ok := strings.CutPrefix(key, journalKey); ok {
			if of, _, _ = strings.Cut(of, ":"); !slices.Contains(drafts, resumableKey+of) {
				dead = append(dead, key)
			}
		}
	}
	return drafts, dead, nil
}

// draftLives asks who has the draft's lock. Without locks the time of its last
// write counts, which a clock that was changed since may put into the future.
func (l *Library) draftLives(ctx context.Context, key string) (bool, error) {
	patience := draftPatience
	if strings.HasPrefix(key, resumableKey) {
		patience = resumablePatience
	} else if l.Locks != nil {
		held, err := l.Locks.Held(ctx, key)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err == nil {
			return held, nil
		}
	}
	text, err := l.kv.Get(ctx, key)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	var last time.Time
	return err == nil && json.Unmarshal(text, &last) == nil && l.now().Sub(last).Abs() < patience, nil
}
