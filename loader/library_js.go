package loader

import (
	"context"
	"time"
)

// database is the name of the IndexedDB database that keeps models, and of the
// directory of private files that holds their tensors decoded.
const database = "wisp"

// OpenLibrary opens the models kept in this browser. Their tensors are in
// private files where it has them, else in the database, too. Where it keeps
// nothing the error is [ErrQuota]. Patience, [Brief] or [Long], is for each
// request.
func OpenLibrary(ctx context.Context, patience time.Duration) (*Library, error) {
	files := later(func() (*OPFS, error) { return OpenOPFS(ctx, database) })
	db, err := OpenIndexedDB(ctx, database, patience)
	if err != nil {
		return nil, err
	}
	l := NewLibrary(db)
	if _, ok := global("navigator", "locks"); ok {
		l.Locks = webLocks{}
	}
	if l.Cache, err = files(); err != nil {
		l.Cache = NewBlobs(db)
	}
	return l, nil
}
