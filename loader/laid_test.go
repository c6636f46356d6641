//go:build !js

package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// diskCache is a [Cache] of ordinary files. Room bounds what may be written in
// all; below 0 there is no bound.
type diskCache struct {
	dir  string
	room int
}

type diskFile struct {
	*os.File
	c   *diskCache
	end int64
}

func (c *diskCache) Open(_ context.Context, name string) (CacheFile, error) {
	f, err := os.Open(filepath.Join(c.dir, name))
	return &diskFile{File: f, c: c}, err
}

func (c *diskCache) Create(_ context.Context, name string, _ int64) (CacheFile, error) {
	f, err := os.Create(filepath.Join(c.dir, name))
	return &diskFile{File: f, c: c}, err
}

func (c *diskCache) Files(context.Context) (names []string, err error) {
	entries, err := os.ReadDir(c.dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (c *diskCache) Remove(_ context.Context, name string) error {
	return os.Remove(filepath.Join(c.dir, name))
}

func (f *diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *diskFile) read(_ context.Context, b *block, n int, at int64) error {
	_, err := f.ReadAt(b.buf[:n], at)
	return err
}

func (f *diskFile) write(_ context.Context, b *block, n int) error {
	if f.c.room >= 0 {
		if f.c.room < n {
			return fmt.Errorf("disk full: %w", ErrQuota)
		}
		f.c.room -= n
	}
	_, err := f.WriteAt(b.buf[:n], f.end)
	f.end += int64(n)
	return err
}

func (f *diskFile) Close(context.Context) error { return f.File.Close() }

// TestLaid: the second load reads the laid-out file and no chunk, bit for bit.
func TestLaid(t *testing.T) {
	src, want := sample()
	c := &diskCache{t.TempDir(), -1}
	for visit := range 3 {
		got, asked, warnings := loadWith(t, src, c, nil)
		if err := sameTensors(got, want); err != nil {
			t.Fatal(err)
		}
		if visit > 0 && len(asked) > 0 || warnings > 0 {
			t.Errorf("visit %d downloaded %v with %d warnings", visit, asked, warnings)
		}
	}
}

// TestLaidDamage: a laid-out file with any bit flipped, cut anywhere or with a
// tail never gives a wrong tensor, and is whole again after the next loads.
func TestLaidDamage(t *testing.T) {
	src, want := sample()
	c := &diskCache{t.TempDir(), -1}
	loadWith(t, src, c, nil)
	names, _ := c.Files(t.Context())
	rng := rand.New(rand.NewPCG(3, 3))
	for i := range 60 {
		name := filepath.Join(c.dir, names[i%len(names)])
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(whole)
		switch at := rng.IntN(len(bad)); i / len(names) % 3 {
		case 0:
			bad[at] ^= 1 << rng.IntN(8)
		case 1:
			bad = bad[:at]
		case 2:
			bad = append(bad, bad[at])
		}
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, _, _ := loadWith(t, src, c, nil)
			if err := sameTensors(got, want); err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
		}
		if again, err := os.ReadFile(name); err != nil || !bytes.Equal(again, whole) {
			t.Fatalf("round %d: the file is not whole again: %v", i, err)
		}
	}
}

// TestLaidFull: a cache that is full at any write costs nothing but itself, and
// leaves nothing behind.
func TestLaidFull(t *testing.T) {
	src, want := sample()
	for room := 0; ; room += 777 {
		c := &diskCache{t.TempDir(), room}
		got, _, warnings := loadWith(t, src, c, nil)
		if err := sameTensors(got, want); err != nil {
			t.Fatal(err)
		}
		if warnings == 0 {
			return // all of it fits
		}
		c.room = -1
		got, _, _ = loadWith(t, src, c, nil)
		if err := sameTensors(got, want); err != nil {
			t.Fatal(err)
		}
		if _, asked, _ := loadWith(t, src, c, nil); len(asked) > 0 {
			t.Errorf("room %d: after it, %v", room, asked)
		}
	}
}

// TestLaidHalf: a load that fails or is cut short lays out nothing.
func TestLaidHalf(t *testing.T) {
	src, want := sample()
	c := &diskCache{t.TempDir(), -1}
	m, err := Open(t.Context(), src, nil, Options{Cache: c})
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("enough")
	for component := range m.Manifest().Components {
		n := 0
		err := m.Load(t.Context(), component, func(Tensor) error {
			if n++; n == 2 {
				return stop
			}
			return nil
		})
		if n >= 2 && !errors.Is(err, stop) {
			t.Errorf("%s: %v", component, err)
		}
	}
	got, _, _ := loadWith(t, src, c, nil)
	if err := sameTensors(got, want); err != nil {
		t.Fatal(err)
	}
	// The caller's error in the middle of a warm load is the caller's.
	m, err = Open(t.Context(), src, nil, Options{Cache: c})
	if err != nil {
		t.Fatal(err)
	}
	for component := range m.Manifest().Components {
		if err := m.Load(t.Context(), component, func(Tensor) error { return stop }); err != nil && !errors.Is(err, stop) {
			t.Errorf("warm %s: %v", component, err)
		}
	}
	if _, asked, warnings := loadWith(t, src, c, nil); len(asked) > 0 || warnings > 0 {
		t.Errorf("a caller's error cost the laid-out file: %v", asked)
	}
}

// TestLaidGoesFirst: the cache makes room before any model does, and goes with
// its model.
func TestLaidGoesFirst(t *testing.T) {
	one, _ := small("one", 1, 4)
	two, _ := small("two", 2, 4)
	c := &diskCache{t.TempDir(), -1}
	kv := &Memory{}
	lib := NewLibrary(kv)
	lib.Cache = c
	loadWith(t, located{one, "one"}, c, lib)
	kv.Limit = kv.size + 1000 // no room for two
	fresh := NewLibrary(kv)   // a later visit, with nothing in use
	fresh.Cache = c
	before, _ := c.Files(t.Context())
	m, err := Open(t.Context(), located{two, "two"}, fresh, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := collect(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if after, _ := c.Files(t.Context()); len(before) == 0 || len(after) > 0 {
		t.Errorf("laid out before %v, after %v", before, after)
	}
	kv.Limit = 0
	loadWith(t, located{one, "one"}, c, fresh)
	entries, err := fresh.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := fresh.Remove(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
	}
	if after, _ := c.Files(t.Context()); len(after) > 0 {
		t.Errorf("removed models leave %v", after)
	}
}
