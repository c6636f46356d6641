package loader

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"
)

// KV is a [Store] that a [Library] can be built on.
type KV interface {
	Store
	Lister
	// Delete removes records, all or none; missing ones are no error.
	Delete(ctx context.Context, keys ...string) error
}

// Library is a [Store] that knows which models its chunks belong to. It keeps
// their manifests, so that a model once loaded opens without a network, lists
// and removes models, and makes room by removing the one opened longest ago.
//
// Beside a record per chunk it keeps two a model: "manifest:" and "model:"
// with the manifest's SHA-256. They are written before the chunks, so that an
// interrupted download can be listed and removed, and vouch for nothing: a
// chunk is there when its record is there and has the right hash.
type Library struct {
	// Cache is what [Options.Cache] is, where there is any: what it holds goes
	// first when room is wanted, and with its model.
	Cache Cache
	// KeepModels has Put make room of what is no model only, and fail where
	// that is not enough.
	KeepModels bool
	// Locks are shared with other programs that use the store; nil for none.
	Locks Locks

	kv  KV
	now func() time.Time

	mu    sync.Mutex
	inUse map[string]bool // chunks of the models opened by this program

	evicting chan struct{} // of one
}

// NewLibrary keeps models in kv.
func NewLibrary(kv KV) *Library {
	return &Library{kv: kv, now: time.Now, inUse: map[string]bool{}, evicting: make(chan struct{}, 1)}
}

// Entry describes a model in a [Library].
type Entry struct {
	ID       string    `json:"id"`       // SHA-256 of its manifest
	Name     string    `json:"name"`     // from the manifest
	Licence  string    `json:"licence"`  // from the manifest
	Location string    `json:"location"` // where it was opened last
	Opened   time.Time `json:"opened"`   // when
	Bytes    int64     `json:"bytes"`    // of all its chunks
	Cached   int64     `json:"cached"`   // of those that are here; some may be shared with other models
	Shared   int64     `json:"shared"`   // of those here, what other models need, too

	// Superseded says that its location was seen to have another version.
	Superseded bool `json:"superseded,omitempty"`

	chunks map[string]int64
}

const (
	manifestKey = "manifest:"
	modelKey    = "model:"
)

// Get returns a record.
func (l *Library) Get(ctx context.Context, key string) ([]byte, error) { return l.kv.Get(ctx, key) }

// Keys lists the records.
func (l *Library) Keys(ctx context.Context) ([]string, error) { return l.kv.Keys(ctx) }

// maxEvictions bounds what one record may cost.
const maxEvictions = 64

// Put keeps a record, at the price of models that this program has not opened.
func (l *Library) Put(ctx context.Context, key string, b []byte) error {
	err := l.kv.Put(ctx, key, b)
	if !errors.Is(err, ErrQuota) {
		return err
	}
	select { // one at a time: what one frees may do for all
	case l.evicting <- struct{}{}:
		defer func() { <-l.evicting }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for range maxEvictions {
		if err = l.kv.Put(ctx, key, b); !errors.Is(err, ErrQuota) {
			return err
		}
		if freed, evictErr := l.evict(ctx); evictErr != nil || !freed {
			return err
		}
	}
	return err
}

// protect keeps a model's chunks from being evicted by this program.
func (l *Library) protect(m *Manifest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range m.Chunks {
		l.inUse[c.SHA256] = true
	}
}

// remember notes that a model was opened, and whether it is superseded. Opened
// without a location it keeps the one that it has.
func (l *Library) remember(ctx context.Context, location string, text []byte, m *Manifest, superseded bool) error {
	id := sumHex(text)
	if location == "" {
		var was Entry
		if b, err := l.kv.Get(ctx, modelKey+id); err == nil && json.Unmarshal(b, &was) == nil {
			location = was.Location
		}
	}
	record, err := json.Marshal(Entry{ID: id, Name: m.Name, Licence: m.Licence, Location: location, Opened: l.now(), Superseded: superseded})
	if err != nil {
		return err
	}
	if old, err := l.kv.Get(ctx, manifestKey+id); err != nil || sumHex(old) != id {
		if err := l.Put(ctx, manifestKey+id, text); err != nil {
			return err
		}
	}
	return l.Put(ctx, modelKey+id, record)
}

// supersede notes that a model's location has another version.
func (l *Library) supersede(ctx context.Context, id string) error {
	b, err := l.kv.Get(ctx, modelKey+id)
	if err != nil {
		return err
	}
	var e Entry
	if err := json.Unmarshal(b, &e); err != nil {
		return err
	}
	e.Superseded = true
	if b, err = json.Marshal(e); err != nil {
		return err
	}
	return l.Put(ctx, modelKey+id, b)
}

// recall returns the manifest with that hash or, where hash is empty, the one
// opened last at that location, whether it is superseded, and the keys of all
// records. There may be none: fs.ErrNotExist.
func (l *Library) recall(ctx context.Context, location, hash string) (text []byte, superseded bool, keys map[string]bool, err error) {
	entries, keys, err := l.entries(ctx)
	if err != nil {
		return nil, false, nil, err
	}
	for _, e := range entries { // latest first
		if hash == "" && e.Location == location && location != "" {
			hash, superseded = e.ID, e.Superseded
		}
	}
	text, err = l.manifest(ctx, hash)
	return text, superseded, keys, err
}

// manifest returns the one with that hash, from a store that is not trusted.
func (l *Library) manifest(ctx context.Context, hash string) ([]byte, error) {
	text, err := l.kv.Get(ctx, manifestKey+hash)
	if err == nil && sumHex(text) != hash {
		err = fmt.Errorf("loader: the stored manifest %s is damaged: %w", hash, fs.ErrNotExist)
	}
	return text, err
}

func sumHex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// entries reads the model records, latest first, and the keys of all records.
// One that cannot be read is left out.
func (l *Library) entries(ctx context.Context) (list []Entry, keys map[string]bool, err error) {
	all, err := l.kv.Keys(ctx)
	if err != nil {
		return nil, nil, err
	}
	keys = make(map[string]bool, len(all))
	for _, key := range all {
		keys[key] = true
		id, ok := strings.CutPrefix(key, modelKey)
		if !ok {
			continue
		}
		b, err := l.kv.Get(ctx, key)
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		var e Entry
		if err == nil && json.Unmarshal(b, &e) == nil && e.ID == id {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Or(b.Opened.Compare(a.Opened), cmp.Compare(a.ID, b.ID)) })
	return list, keys, nil
}

// Models lists the models, the one opened last first, after removing what
// imports left that were not finished.
func (l *Library) Models(ctx context.Context) ([]Entry, error) {
	if err := l.sweep(ctx); err != nil {
		return nil, err
	}
	s, err := l.survey(ctx)
	return s.entries, err
}

// survey is what a library holds.
type survey struct {
	entries      []Entry
	loose        []string // chunks that belong to no model
	drafts, dead []string // records of drafts that are being written, and that are not
}

// orphans lists the chunks that belong to no model and to no draft.
func (s survey) orphans() []string {
	if len(s.drafts) > 0 {
		return nil
	}
	return s.loose
}

// survey lists the models with their sizes, and what belongs to none.
func (l *Library) survey(ctx context.Context) (s survey, err error) {
	var here map[string]bool
	if s.entries, here, err = l.entries(ctx); err != nil {
		return s, err
	}
	users := map[string]int{} // of each chunk
	for i := range s.entries {
		text, err := l.manifest(ctx, s.entries[i].ID)
		if err != nil {
			continue
		}
		m, err := ParseManifest(text)
		if err != nil {
			continue
		}
		s.entries[i].chunks = map[string]int64{}
		for _, c := range m.Chunks {
			s.entries[i].chunks[c.SHA256] = c.Stored
		}
		for key, size := range s.entries[i].chunks {
			users[key]++
			s.entries[i].Bytes += size
		}
	}
	for key := range here {
		if len(key) == 64 && users[key] == 0 {
			s.loose = append(s.loose, key)
		}
	}
	for i := range s.entries {
		e := &s.entries[i]
		for key, size := range e.chunks {
			if here[key] {
				e.Cached += size
				if users[key] > 1 {
					e.Shared += size
				}
			}
		}
	}
	s.drafts, s.dead, err = l.drafting(ctx, here)
	return s, err
}

// Remove deletes a model and the chunks that no other model shares.
func (l *Library) Remove(ctx context.Context, id string) error {
	s, err := l.survey(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(s.entries, func(e Entry) bool { return e.ID == id })
	if i < 0 {
		return fmt.Errorf("loader: no stored model has the id %s: %w", id, fs.ErrNotExist)
	}
	removeLaid(ctx, l.Cache, func(of string) bool { return of == id })
	return l.kv.Delete(ctx, slices.Concat(s.orphans(), s.dead, exclusive(s.entries, i))...)
}

// exclusive lists the records that go with entry i.
func exclusive(entries []Entry, i int) []string {
	keys := []string{modelKey + entries[i].ID, manifestKey + entries[i].ID}
	for key := range entries[i].chunks {
		if !slices.ContainsFunc(entries, func(e Entry) bool { _, has := e.chunks[key]; return has && e.ID != entries[i].ID }) {
			keys = append(keys, key)
		}
	}
	return keys
}

// evict frees some room: first what is only a cache or belongs to no model,
// then, unless models are to be kept, the one opened longest ago. It never
// touches a chunk of a model that this program opened.
func (l *Library) evict(ctx context.Context) (freed bool, err error) {
	if removeLaid(ctx, l.Cache, func(string) bool { return true }) {
		return true, nil
	}
	s, err := l.survey(ctx)
	if err != nil {
		return false, err
	}
	if orphans := l.spare(append(s.orphans(), s.dead...)); len(orphans) > 0 {
		return true, l.kv.Delete(ctx, orphans...)
	}
	for _, name := range s.drafts { // what waits to be gone on with waits no longer
		if !strings.HasPrefix(name, resumableKey) || l.Locks == nil {
			continue
		}
		if held, err := l.Locks.Held(ctx, name); err == nil && !held {
			return true, l.kv.Delete(ctx, name)
		}
	}
	for i := len(s.entries) - 1; i >= 0 && !l.KeepModels; i-- {
		if l.uses(s.entries[i]) {
			continue
		}
		return true, l.kv.Delete(ctx, l.spare(exclusive(s.entries, i))...)
	}
	return false, nil
}

// uses reports whether this program has opened the model: all its chunks are
// protected then.
func (l *Library) uses(e Entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range e.chunks {
		if !l.inUse[key] {
			return false
		}
	}
	return len(e.chunks) > 0
}

// spare leaves the protected ones out.
func (l *Library) spare(keys []string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(keys, func(key string) bool { return l.inUse[key] })
}
