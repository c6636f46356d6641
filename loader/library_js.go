package loader

import "context"

// database is the name of the IndexedDB database that keeps models, and of the
// directory of private files that holds their tensors decoded.
const database = "wisp"

// OpenLibrary opens the models kept in this browser. Where it keeps nothing
// the error is [ErrQuota].
func OpenLibrary(ctx context.Context) (*Library, error) {
	db, err := OpenIndexedDB(ctx, database)
	if err != nil {
		return nil, err
	}
	library := NewLibrary(db)
	if cache, err := OpenOPFS(ctx, database); err == nil { // else there is none
		library.Cache = cache
	}
	return library, nil
}
