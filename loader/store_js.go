package loader

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"syscall/js"
	"time"

	"github.com/hack-pad/go-indexeddb/idb"
	"github.com/hack-pad/safejs"
)

// IndexedDB is a [Store] in the browser's database: a record a chunk, each
// written in a transaction of its own in which nothing is awaited but its end.
//
// Two things in go-indexeddb need care. Its Await, once its context has ended,
// reports success (a request) or may wait for ever (a transaction), so it gets
// contexts that never end, see detached. An Await that begins after the event
// has fired waits for ever, so each comes right after its request.
type IndexedDB struct {
	name     string
	patience time.Duration // with a request
	silent   atomic.Int32  // requests that were given up, and are not answered yet

	mu sync.Mutex
	db *idb.Database // nil before the first use and after the browser closed it
}

const (
	recordStore  = "records"
	storeVersion = 1
)

// OpenIndexedDB opens or makes the database. Where storage is refused (a
// private window, a third-party frame, a browser without it) the error is
// [ErrQuota]. Another tab can hold a request up for ever, by a transaction in
// which the system stopped it: one that takes longer than patience is
// [ErrSilent], as is then every request at once until the database answers. No
// transaction holds an opening up, which may be slow on a slow disk: it has
// Long.
func OpenIndexedDB(ctx context.Context, name string, patience time.Duration) (*IndexedDB, error) {
	s := &IndexedDB{name: name, patience: Long}
	if _, err := detached(ctx, s, s.open); err != nil {
		return nil, explain("open", err)
	}
	s.patience = patience
	return s, nil
}

// open returns the connection, a new one where the old one was closed.
func (s *IndexedDB) open(ctx context.Context) (db *idb.Database, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil {
		return s.db, nil
	}
	// idb.Global panics where there is no IndexedDB or it is forbidden.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrQuota, r)
		}
	}()
	factory := idb.Global()
	req, err := factory.Open(ctx, s.name, storeVersion, func(db *idb.Database, _, _ uint) error {
		_, err := db.CreateObjectStore(recordStore, idb.ObjectStoreOptions{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrQuota, err)
	}
	if db, err = req.Await(ctx); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrQuota, err)
	}
	s.db = db
	return db, nil
}

// closed forgets a connection that the browser has closed: another tab deleted
// or upgraded the database, or the user cleared the site's data.
func (s *IndexedDB) closed(db *idb.Database) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == db {
		s.db = nil
	}
}

// transact runs one transaction: issue makes the requests and waits for what
// it needs, with nothing else awaited in between. Where the connection turns
// out to be closed it tries once more on a new one.
func transact[T any](ctx context.Context, s *IndexedDB, mode idb.TransactionMode,
	issue func(context.Context, *idb.Transaction, *idb.ObjectStore) (T, error)) (T, error) {
	return detached(ctx, s, func(ctx context.Context) (out T, err error) {
		db, err := s.open(ctx)
		if err != nil {
			return out, err
		}
		txn, store, err := begin(db, mode)
		if err != nil { // nearly always InvalidStateError: the browser closed it
			s.closed(db)
			if db, err = s.open(ctx); err != nil {
				return out, err
			}
			if txn, store, err = begin(db, mode); err != nil {
				return out, err
			}
		}
		return issue(ctx, txn, store)
	})
}

func begin(db *idb.Database, mode idb.TransactionMode) (*idb.Transaction, *idb.ObjectStore, error) {
	txn, err := db.TransactionWithOptions(idb.TransactionOptions{Mode: mode, Durability: idb.DurabilityRelaxed}, recordStore)
	if err != nil {
		return nil, nil, err
	}
	store, err := txn.ObjectStore(recordStore)
	return txn, store, err
}

// detached runs f until it ends, ctx does, or the browser's patience is out.
// f goes on behind a caller that left: the library's Await must not see a
// context end.
func detached[T any](ctx context.Context, s *IndexedDB, f func(context.Context) (T, error)) (out T, err error) {
	if err := ctx.Err(); err != nil {
		return out, err
	}
	if s.silent.Load() > 0 {
		return out, fmt.Errorf("%w from the browser's database", ErrSilent)
	}
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		v, err := f(context.WithoutCancel(ctx))
		done <- outcome{v, err}
	}()
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	select {
	case o := <-done:
		return o.value, o.err
	case <-awake(waiting, s.patience):
		s.silent.Add(1)
		go func() { <-done; s.silent.Add(-1) }()
		return out, fmt.Errorf("%w from the browser's database for %v", ErrSilent, s.patience)
	case <-ctx.Done():
		return out, ctx.Err()
	}
}

// Get returns the record kept under key; a missing one is fs.ErrNotExist.
func (s *IndexedDB) Get(ctx context.Context, key string) ([]byte, error) {
	v, err := s.value(ctx, key)
	if err != nil {
		return nil, explain(key, err)
	}
	b, err := toGo(v)
	return b, explain(key, err)
}

// value returns the record kept under key as it is.
func (s *IndexedDB) value(ctx context.Context, key string) (safejs.Value, error) {
	return transact(ctx, s, idb.TransactionReadOnly, func(ctx context.Context, _ *idb.Transaction, store *idb.ObjectStore) (v safejs.Value, err error) {
		req, err := store.Get(js.ValueOf(key))
		if err != nil {
			return v, err
		}
		value, err := req.Await(ctx)
		if err == nil && value.IsUndefined() {
			err = fs.ErrNotExist
		}
		return safejs.Safe(value), err
	})
}

// Put keeps a copy of b under key.
func (s *IndexedDB) Put(ctx context.Context, key string, b []byte) error {
	a, err := toJS(b)
	if err != nil {
		return explain(key, err)
	}
	return explain(key, s.write(ctx, func(store *idb.ObjectStore) error {
		_, err := store.PutKey(js.ValueOf(key), safejs.Unsafe(a))
		return err
	}))
}

// Delete removes records, all or none; missing ones are no error.
func (s *IndexedDB) Delete(ctx context.Context, keys ...string) error {
	return explain("delete", s.write(ctx, func(store *idb.ObjectStore) error {
		for _, key := range keys {
			if _, err := store.Delete(js.ValueOf(key)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// write waits for the transaction's end: a request that succeeded may still be
// rolled back for want of room.
func (s *IndexedDB) write(ctx context.Context, issue func(*idb.ObjectStore) error) error {
	_, err := transact(ctx, s, idb.TransactionReadWrite, func(ctx context.Context, txn *idb.Transaction, store *idb.ObjectStore) (struct{}, error) {
		if err := issue(store); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, txn.Await(ctx)
	})
	return err
}

// Keys lists the records.
func (s *IndexedDB) Keys(ctx context.Context) ([]string, error) {
	keys, err := transact(ctx, s, idb.TransactionReadOnly, func(ctx context.Context, _ *idb.Transaction, store *idb.ObjectStore) ([]string, error) {
		req, err := store.GetAllKeys()
		if err != nil {
			return nil, err
		}
		values, err := req.Await(ctx)
		keys := make([]string, len(values))
		for i, v := range values {
			keys[i] = v.String()
		}
		return keys, err
	})
	return keys, explain("keys", err)
}

// explain names the store and the record, and turns the browser's word for a
// full disk into ours.
func explain(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, idb.NewDOMException("QuotaExceededError")) {
		return fmt.Errorf("loader: IndexedDB: %s: %w: no room left", what, ErrQuota)
	}
	return fmt.Errorf("loader: IndexedDB: %s: %w", what, err)
}

// Close ends the connection.
func (s *IndexedDB) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	return db.Close()
}
