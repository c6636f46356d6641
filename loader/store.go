package loader

import (
	"context"
	"fmt"
	"io/fs"
	"sync"
)

// Store keeps chunks between visits under the hex SHA-256 of their bytes. It
// is trusted with nothing: what Get returns is verified again.
type Store interface {
	// Get returns the record, which the caller may keep; a missing one is
	// fs.ErrNotExist.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put keeps a copy of b, whole or not at all. No room is ErrQuota.
	Put(ctx context.Context, key string, b []byte) error
}

// Lister is a [Store] that can say what it holds without reading it.
type Lister interface {
	Keys(ctx context.Context) ([]string, error)
}

// Memory is a [Store] that lives as long as the program. Its zero value is
// ready for use.
type Memory struct {
	Limit int64 // bytes; 0 is no limit

	mu   sync.Mutex
	recs map[string][]byte
	size int64
}

// Get returns the record kept under key.
func (s *Memory) Get(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.recs[key]
	if !ok {
		return nil, fmt.Errorf("loader: memory store: %s: %w", key, fs.ErrNotExist)
	}
	return append([]byte(nil), b...), nil
}

// Put keeps a copy of b under key.
func (s *Memory) Put(_ context.Context, key string, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := s.size - int64(len(s.recs[key])) + int64(len(b))
	if s.Limit > 0 && size > s.Limit {
		return fmt.Errorf("loader: memory store: %d bytes do not fit: %w", len(b), ErrQuota)
	}
	if s.recs == nil {
		s.recs = map[string][]byte{}
	}
	s.recs[key], s.size = append([]byte(nil), b...), size
	return nil
}

// Keys lists the records, in no order.
func (s *Memory) Keys(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.recs))
	for k := range s.recs {
		keys = append(keys, k)
	}
	return keys, nil
}

// Delete removes records.
func (s *Memory) Delete(_ context.Context, keys ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		s.size -= int64(len(s.recs[k]))
		delete(s.recs, k)
	}
	return nil
}
