// Command visitor is one visit of the fault suite: it loads a model in a
// browser's worker exactly as the engine does, through fetch, IndexedDB and
// Web Locks, and reports what it got. It takes its job from self.job and
// calls self.report.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hack-pad/safejs"

	"wisp/loader"
)

// job is what to do; the field names are those of faults_test.go.
type job struct {
	Model    string   // URL of the model directory
	Mirrors  []string // URLs
	Database string
	Memory   bool   // no database
	QuotaAt  int    // the store is full from this chunk on; 0 for never
	DropAt   int    // another tab deletes the database after this chunk; 0 for never
	RaiseAt  int    // another tab raises the database's version after this chunk; 0 for never
	Laid     string // lay the tensors out in private "files", in "blobs", or not
	Prefetch bool
	Stopped  string // another tab is stopped in a "transaction", or holding the "locks" of all chunks
	Attempts int
	Stall    int // ms
}

// result is what the visit found.
type result struct {
	Error    string
	Kind     string // network, corrupt, quota, bad-model, other
	Hash     string // of all tensors
	Held     []string
	Took     int // ms, from the opening on
	Warnings []string
}

func main() {
	var j job
	text, err := safejs.Global().Get("job")
	if err == nil {
		s, _ := text.String()
		err = json.Unmarshal([]byte(s), &j)
	}
	var r result
	if err == nil {
		err = visit(context.Background(), j, &r)
	}
	if err != nil {
		r.Error, r.Kind = err.Error(), kind(err)
	}
	out, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	if _, err := safejs.Global().Call("report", string(out)); err != nil {
		panic(err)
	}
}

func kind(err error) string {
	for _, k := range []struct {
		err  error
		name string
	}{{loader.ErrNetwork, "network"}, {loader.ErrCorrupt, "corrupt"}, {loader.ErrQuota, "quota"}, {loader.ErrBadModel, "bad-model"}} {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return "other"
}

func visit(ctx context.Context, j job, r *result) error {
	var mu sync.Mutex
	o := loader.Options{
		Lock:  loader.WebLock,
		Retry: loader.Retry{Attempts: j.Attempts, Base: 5 * time.Millisecond, Max: 50 * time.Millisecond, Stall: time.Duration(j.Stall) * time.Millisecond, MinBytes: 100},
		OnWarning: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if len(r.Warnings) < 50 {
				r.Warnings = append(r.Warnings, err.Error())
			}
		},
	}
	for _, u := range j.Mirrors {
		src, err := loader.NewFetch(u, true)
		if err != nil {
			return err
		}
		o.Mirrors = append(o.Mirrors, src)
	}
	store, err := openStore(ctx, j, r)
	if err != nil {
		return err
	}
	if library, ok := store.(*loader.Library); ok {
		o.Cache = library.Cache
	}
	src, err := loader.NewFetch(j.Model, true)
	if err != nil {
		return err
	}
	if err := stopTab(ctx, j, src); err != nil {
		return err
	}
	start := time.Now()
	defer func() { r.Took = int(time.Since(start).Milliseconds()) }()
	m, err := loader.Open(ctx, src, store, o)
	if err != nil {
		return err
	}
	if j.Prefetch {
		go m.Prefetch(ctx)
	}
	return errors.Join(hash(ctx, m, r), settle())
}

// stopTab starts another tab, a worker, and waits until it is stopped.
func stopTab(ctx context.Context, j job, src loader.Source) error {
	if j.Stopped == "" {
		return nil
	}
	m, err := loader.Open(ctx, src, nil, loader.Options{ManifestOnly: true})
	if err != nil {
		return err
	}
	var names []any
	for _, c := range m.Manifest().Chunks {
		names = append(names, "wisp:"+c.SHA256)
	}
	stopped := make(chan struct{}, 1)
	told, err := safejs.FuncOf(func(safejs.Value, []safejs.Value) any { stopped <- struct{}{}; return nil })
	if err != nil {
		return err
	}
	if _, err := safejs.Global().Call("stopTab", j.Stopped, j.Database, names, told); err != nil {
		return err
	}
	<-stopped
	return nil
}

// tampering is what was asked of the database behind the library's back.
var tampering safejs.Value // IDBOpenDBRequest

// settle waits until that has happened: it would not, were the worker ended
// first.
func settle() error {
	for range 1000 {
		if tampering.IsUndefined() {
			return nil
		}
		state, err := tampering.Get("readyState")
		if err != nil {
			return err
		}
		if s, err := state.String(); err != nil || s == "done" {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("the database is still held open")
}

// openStore opens the database as a library with the job's faults in between,
// and notes which chunks it holds.
func openStore(ctx context.Context, j job, r *result) (loader.Store, error) {
	if j.Memory {
		return nil, nil
	}
	db, err := loader.OpenIndexedDB(ctx, j.Database, loader.Long)
	if err != nil { // the page goes on without, too
		r.Warnings = append(r.Warnings, err.Error())
		return nil, nil
	}
	keys, err := db.Keys(ctx)
	if err == nil {
		err = db.Close()
	}
	if err == nil {
		db, err = loader.OpenIndexedDB(ctx, j.Database, loader.Brief)
	}
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if !strings.Contains(k, ":") {
			r.Held = append(r.Held, k)
		}
	}
	library := loader.NewLibrary(&faultyKV{IndexedDB: db, job: j})
	switch j.Laid {
	case "files":
		library.Cache, err = loader.OpenOPFS(ctx, j.Database)
	case "blobs":
		library.Cache = loader.NewBlobs(db)
	}
	return library, err
}

// faultyKV is the database with faults at the boundary.
type faultyKV struct {
	*loader.IndexedDB
	job  job
	mu   sync.Mutex
	puts int
}

func (s *faultyKV) Put(ctx context.Context, key string, b []byte) error {
	if strings.Contains(key, ":") {
		return s.IndexedDB.Put(ctx, key, b)
	}
	s.mu.Lock()
	s.puts++
	n := s.puts
	s.mu.Unlock()
	if s.job.QuotaAt > 0 && n >= s.job.QuotaAt {
		return fmt.Errorf("the disk is full: %w", loader.ErrQuota)
	}
	if err := s.IndexedDB.Put(ctx, key, b); err != nil {
		return err
	}
	idb, err := safejs.Global().Get("indexedDB")
	if err != nil {
		return err
	}
	switch n {
	case s.job.DropAt:
		tampering, err = idb.Call("deleteDatabase", s.job.Database)
	case s.job.RaiseAt:
		tampering, err = idb.Call("open", s.job.Database, 7)
	}
	return err
}

// hash loads every component and hashes what it gets.
func hash(ctx context.Context, m *loader.Model, r *result) error {
	h := sha256.New()
	for _, c := range slices.Sorted(maps.Keys(m.Manifest().Components)) {
		err := m.Load(ctx, c, func(t loader.Tensor) error {
			fmt.Fprintln(h, c, t.Name, t.DType, t.Shape)
			h.Write(t.Data)
			return nil
		})
		if err != nil {
			return err
		}
	}
	r.Hash = hex.EncodeToString(h.Sum(nil))
	return nil
}
