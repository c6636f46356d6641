package loader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Draft is a model being written into a [Library], as package pack writes one:
// chunks, then the manifest, which makes it a model. Until then its chunks
// belong to none: what was begun and not finished is removed with the next
// draft, or when room is wanted. One draft at a time, of all tabs: hold a lock
// for its life.
type Draft struct {
	l    *Library
	keys []string // of the chunks written
	id   string   // of the model, once it is one
}

// draftKey is the record that keeps the chunks of a draft from being taken for
// leftovers: the time of its last write.
const draftKey = "draft"

// draftPatience is how long a draft lives without a write.
const draftPatience = time.Minute

// Draft begins a model, and removes what an earlier draft left.
func (l *Library) Draft(ctx context.Context) (*Draft, error) {
	if err := l.kv.Delete(ctx, draftKey); err != nil {
		return nil, err
	}
	_, orphans, err := l.survey(ctx)
	if err == nil && len(orphans) > 0 {
		err = l.kv.Delete(ctx, orphans...)
	}
	if err != nil {
		return nil, err
	}
	return &Draft{l: l}, nil
}

// Write keeps a chunk under its hash or, with the manifest, finishes the
// model. A write that has begun is finished whatever ctx does, so that Discard
// comes after it.
func (d *Draft) Write(ctx context.Context, name string, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if name == ManifestName {
		return d.finish(ctx, b)
	}
	now, err := json.Marshal(d.l.now())
	if err != nil {
		return err
	}
	if err := d.l.Put(ctx, draftKey, now); err != nil {
		return err
	}
	key := strings.TrimSuffix(name, ".bin")
	d.keys = append(d.keys, key)
	return d.l.Put(ctx, key, b)
}

// finish makes the chunks a model, if they are all still there: another tab
// may have removed some after a long pause, or with a model that shared them.
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
	if err := d.l.remember(ctx, "", manifest, m, false); err != nil {
		return err
	}
	d.id = sumHex(manifest)
	return d.l.kv.Delete(ctx, draftKey)
}

// ID is the model's, empty before the manifest is written.
func (d *Draft) ID() string { return d.id }

// Discard removes what was written, but for what belongs to a model.
func (d *Draft) Discard(ctx context.Context) error {
	if err := d.l.kv.Delete(ctx, draftKey); err != nil {
		return err
	}
	_, orphans, err := d.l.survey(ctx)
	if err != nil {
		return err
	}
	return d.l.kv.Delete(ctx, slices.DeleteFunc(orphans, func(key string) bool { return !slices.Contains(d.keys, key) })...)
}

// drafting reports whether a draft lives, in this tab or another.
func (l *Library) drafting(ctx context.Context) (bool, error) {
	text, err := l.kv.Get(ctx, draftKey)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var last time.Time
	return json.Unmarshal(text, &last) == nil && l.now().Sub(last) < draftPatience, nil
}
