package loader

import (
	"context"
	"errors"
	"fmt"
)

// Storage is what the browser says of this origin's room.
type Storage struct {
	Usage, Quota int64 // bytes; estimates
	Persisted    bool  // it will not be cleared under pressure
}

// BrowserStorage asks for the room there is, and first for it to be
// persistent where this context may ask that: browsers only let a page do so,
// not a worker.
func BrowserStorage(ctx context.Context) (s Storage, err error) {
	manager, ok := global("navigator", "storage")
	if !ok {
		return s, errNoStorage
	}
	persisted := false
	for _, method := range []string{"persist", "persisted"} {
		if _, can := global("navigator", "storage", method); !can {
			continue
		}
		v, err := callAsync(ctx, manager, method)
		if err != nil {
			return s, err
		}
		if persisted, err = v.Bool(); err != nil || persisted {
			break
		}
	}
	s, err = estimate(ctx)
	s.Persisted = persisted
	return s, err
}

var errNoStorage = errors.New("loader: this browser does not tell about storage")

// estimate asks for usage and quota.
func estimate(ctx context.Context) (s Storage, err error) {
	manager, ok := global("navigator", "storage")
	if !ok {
		return s, errNoStorage
	}
	estimate, err := callAsync(ctx, manager, "estimate")
	if err != nil {
		return s, err
	}
	for _, f := range []struct {
		name string
		to   *int64
	}{{"usage", &s.Usage}, {"quota", &s.Quota}} {
		v, err := estimate.Get(f.name)
		if err != nil {
			return s, err
		}
		n, err := v.Float()
		if err != nil {
			return s, err
		}
		*f.to = int64(n)
	}
	return s, nil
}

// roomFor fails with ErrQuota where there is less than twice the room for a
// cache of size bytes.
func roomFor(ctx context.Context, size int64) error {
	if s, err := estimate(ctx); err == nil && s.Quota-s.Usage < 2*size {
		return fmt.Errorf("loader: %d bytes of %d are in use, %d more are wanted: %w", s.Usage, s.Quota, 2*size, ErrQuota)
	}
	return nil
}
