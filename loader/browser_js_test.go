package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hack-pad/safejs"

	"wisp/loader/decode"
)

// These tests run in a browser's worker: make test-browser PKG=./loader.

// needBrowser fails a test where there is no browser around it, as in node.
func needBrowser(t *testing.T) {
	t.Helper()
	if _, ok := global("indexedDB"); !ok {
		t.Fatal("no IndexedDB here: make test-browser PKG=./loader runs it in browsers")
	}
}

func openDB(t *testing.T, name string) *IndexedDB {
	t.Helper()
	needBrowser(t)
	deleteDB(t, name)
	s, err := OpenIndexedDB(t.Context(), name, Long)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// deleteDB deletes a database as another tab would.
func deleteDB(t *testing.T, name string) {
	t.Helper()
	db, _ := global("indexedDB")
	req, err := db.Call("deleteDatabase", name)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string, 3)
	for _, event := range []string{"success", "error", "blocked"} {
		f, err := safejs.FuncOf(func(safejs.Value, []safejs.Value) any { done <- event; return nil })
		if err != nil {
			t.Fatal(err)
		}
		defer f.Release()
		if err := req.Set("on"+event, f); err != nil {
			t.Fatal(err)
		}
	}
	if event := <-done; event != "success" {
		t.Fatalf("deleting %s: %s", name, event)
	}
}

func TestIndexedDB(t *testing.T) {
	s := openDB(t, "wisp-test")
	ctx := t.Context()
	if _, err := s.Get(ctx, "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing record: %v", err)
	}
	big := noise(rand.New(rand.NewPCG(1, 1)), 4<<20)
	for key, b := range map[string][]byte{"a": []byte("one"), "b": {}, "c": big} {
		if err := s.Put(ctx, key, b); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(ctx, key); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s: %d bytes, %v", key, len(got), err)
		}
	}
	if err := s.Put(ctx, "a", []byte("two")); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(ctx, "a"); err != nil || string(got) != "two" {
		t.Errorf("replaced: %q, %v", got, err)
	}
	keys, err := s.Keys(ctx)
	if slices.Sort(keys); err != nil || !slices.Equal(keys, []string{"a", "b", "c"}) {
		t.Errorf("keys %v, %v", keys, err)
	}
	if err := s.Delete(ctx, "a", "c", "none"); err != nil {
		t.Fatal(err)
	}
	if keys, err = s.Keys(ctx); err != nil || !slices.Equal(keys, []string{"b"}) {
		t.Errorf("keys after delete %v, %v", keys, err)
	}
	// A new connection sees what the old one wrote.
	s.Close()
	if got, err := s.Get(ctx, "b"); err != nil || got == nil || len(got) != 0 {
		t.Errorf("reopened: %v, %v", got, err)
	}
}

// TestIndexedDBAtOnce: many goroutines share a connection, each in transactions
// of its own.
func TestIndexedDBAtOnce(t *testing.T) {
	s := openDB(t, "wisp-test-once")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			key, b := string(rune('a'+i)), bytes.Repeat([]byte{byte(i)}, 100_000+i)
			for range 5 {
				if err := s.Put(t.Context(), key, b); err != nil {
					t.Error(err)
				}
				if got, err := s.Get(t.Context(), key); err != nil || !bytes.Equal(got, b) {
					t.Errorf("%s: %d bytes, %v", key, len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

// TestIndexedDBDeletedUnderneath: another tab deletes the database; the store
// lets it, and goes on with a new one.
func TestIndexedDBDeletedUnderneath(t *testing.T) {
	s := openDB(t, "wisp-test-deleted")
	if err := s.Put(t.Context(), "a", []byte("one")); err != nil {
		t.Fatal(err)
	}
	deleteDB(t, "wisp-test-deleted") // fails where our connection blocks it
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the deletion: %v", err)
	}
	if err := s.Put(t.Context(), "a", []byte("two")); err != nil {
		t.Error(err)
	}
	if got, err := s.Get(t.Context(), "a"); err != nil || string(got) != "two" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestIndexedDBCancelled: an ended context is the error, and the store still
// works after it.
func TestIndexedDBCancelled(t *testing.T) {
	s := openDB(t, "wisp-test-cancel")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
	if err := s.Put(ctx, "a", []byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if err := s.Put(t.Context(), "b", []byte("y")); err != nil {
		t.Error(err)
	}
}

// TestIndexedDBBlocked: a database that cannot be opened is a store that
// refuses, so that loading goes on without one.
func TestIndexedDBBlocked(t *testing.T) {
	needBrowser(t)
	const name = "wisp-test-blocked"
	deleteDB(t, name)
	// A page of a later version holds the database open and does not let go.
	db, _ := global("indexedDB")
	req, err := db.Call("open", name, 7)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	f, err := safejs.FuncOf(func(safejs.Value, []safejs.Value) any { close(done); return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release()
	if err := req.Set("onsuccess", f); err != nil {
		t.Fatal(err)
	}
	<-done
	if _, err := OpenIndexedDB(t.Context(), name, Long); !errors.Is(err, ErrQuota) {
		t.Errorf("a later version: %v", err)
	}
	conn, err := req.Get("result")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Call("close"); err != nil {
		t.Fatal(err)
	}
	deleteDB(t, name)
}

// TestSecondVisitInBrowser: a model once loaded comes out of the database.
func TestSecondVisitInBrowser(t *testing.T) {
	store := openDB(t, "wisp-test-visit")
	src, want := sample()
	rec := &recorder{Source: src}
	for visit := range 2 {
		rec.asked = nil
		m, err := Open(t.Context(), rec, store, Options{OnWarning: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		got, err := collect(t.Context(), m)
		if err == nil {
			err = sameTensors(got, want)
		}
		if err != nil {
			t.Fatal(err)
		}
		if visit == 1 && !slices.Equal(rec.asked, []string{ManifestName}) {
			t.Errorf("the second visit downloaded %v", rec.asked)
		}
	}
}

// TestFetch reads this test's own binary from the server that started it.
func TestFetch(t *testing.T) {
	needBrowser(t)
	src, err := NewFetch("./", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, open := range []func(context.Context, string) (io.ReadCloser, error){src.Open, src.OpenFresh} {
		r, err := open(t.Context(), "test.wasm")
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 4)
		if _, err := io.ReadFull(r, head); err != nil || string(head) != "\x00asm" {
			t.Errorf("%q, %v", head, err)
		}
		rest, err := io.ReadAll(r)
		if err != nil || len(rest) < 1<<20 {
			t.Errorf("%d bytes, %v", len(rest), err)
		}
		r.Close()
	}
	var status *StatusError
	if _, err := src.Open(t.Context(), "nothing.bin"); !errors.As(err, &status) || status.Status != 404 || !permanent(err) {
		t.Errorf("missing file: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := src.Open(ctx, "test.wasm")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	r.Close()
	if _, err := src.Open(ctx, "test.wasm"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	// Nobody listens on port 9: browsers refuse it, as they report any
	// connection that fails.
	dead, err := NewFetch("http://127.0.0.1:9/model", false)
	if err != nil || dead.Location() != "http://127.0.0.1:9/model/" {
		t.Fatalf("%v, %v", dead, err)
	}
	_, err = Open(t.Context(), dead, nil, Options{Retry: Retry{Attempts: 2, Base: time.Millisecond}})
	if !errors.Is(err, ErrNetwork) || kinds(err) != 1 {
		t.Errorf("dead server: %v", err)
	}
	if _, err := NewFetch("http://[", false); !errors.Is(err, ErrBadModel) {
		t.Errorf("bad URL: %v", err)
	}
}

func TestDigestAgrees(t *testing.T) {
	for _, n := range []int{0, 1, 64<<10 - 1, 64 << 10, 1 << 20} {
		b := noise(rand.New(rand.NewPCG(2, uint64(n))), n)
		c := Chunk{Stored: int64(n), SHA256: hexSum(b)}
		if err := verify(t.Context(), c, b); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestWebLock(t *testing.T) {
	needBrowser(t)
	one, err := WebLock(t.Context(), "wisp-test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := WebLock(ctx, "wisp-test"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a held lock was granted: %v", err)
	}
	other, err := WebLock(t.Context(), "wisp-test-2")
	if err != nil {
		t.Fatal(err)
	}
	other()
	two := make(chan func())
	go func() {
		unlock, err := WebLock(t.Context(), "wisp-test")
		if err != nil {
			t.Error(err)
		}
		two <- unlock
	}()
	select {
	case <-two:
		t.Error("granted while held")
	case <-time.After(30 * time.Millisecond):
	}
	one()
	one() // once is enough, twice is harmless
	(<-two)()
	again, err := WebLock(t.Context(), "wisp-test")
	if err != nil {
		t.Fatal(err)
	}
	again()
}

// stoppedTab is a tab that the system stops in the middle of a script, as far as
// others can tell: a worker that runs it and then, where the script calls
// stop(), does nothing else for so long.
func stoppedTab(t *testing.T, script string, stopped time.Duration) {
	t.Helper()
	needBrowser(t)
	classBlob, _ := global("Blob")
	classWorker, _ := global("Worker")
	url, _ := global("URL")
	text := fmt.Sprintf("function stop() { postMessage(0); const until = performance.now() + %d; while (performance.now() < until); }\n%s", stopped.Milliseconds(), script)
	blob, err := classBlob.New([]any{text})
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Call("createObjectURL", blob)
	if err != nil {
		t.Fatal(err)
	}
	worker, err := classWorker.New(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { worker.Call("terminate") })
	done := make(chan struct{}, 1)
	f, err := safejs.FuncOf(func(safejs.Value, []safejs.Value) any { done <- struct{}{}; return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Release)
	if err := worker.Set("onmessage", f); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the worker does not come so far")
	}
}

// TestIndexedDBSilent: where another tab is stopped in the middle of a
// transaction, one request waits, others fail at once, and when it goes on the
// store does, too.
func TestIndexedDBSilent(t *testing.T) {
	s := openDB(t, "wisp-test-silent")
	s.patience = 500 * time.Millisecond
	if err := s.Put(t.Context(), "a", []byte("one")); err != nil {
		t.Fatal(err)
	}
	stoppedTab(t, `const open = indexedDB.open("wisp-test-silent", 1);
		open.onsuccess = () => { open.result.transaction("records", "readwrite").objectStore("records").put(new Uint8Array(1), "b").onsuccess = stop; };`, 4*time.Second)
	for i, most := range []time.Duration{3 * time.Second, 200 * time.Millisecond} {
		start := time.Now()
		if _, err := s.Get(t.Context(), "a"); !errors.Is(err, ErrSilent) || time.Since(start) > most {
			t.Errorf("request %d: %v after %v", i, err, time.Since(start))
		}
	}
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		got, err := s.Get(t.Context(), "a")
		if err == nil && string(got) == "one" {
			break
		}
		if time.Since(start) > 20*time.Second {
			t.Fatalf("it does not answer again: %q, %v", got, err)
		}
	}
}

// TestDraftInBrowser: an import in the browser's own database and locks ends
// in a model; one whose program has ended leaves nothing to the next visit.
func TestDraftInBrowser(t *testing.T) {
	db := openDB(t, "wisp-test-draft")
	a, want := small("A", 1, 3)
	b, _ := small("B", 2, 3)
	tab := func() *Library {
		l := NewLibrary(db)
		l.Locks = webLocks{}
		return l
	}
	d := begun(t, tab())
	if err := write(t, d, a, true); err != nil {
		t.Fatal(err)
	}
	killed := begun(t, tab())
	if err := write(t, killed, b, false); err != nil {
		t.Fatal(err)
	}
	for _, ended := range []bool{false, true} {
		if ended {
			killed.unlock()
			time.Sleep(100 * time.Millisecond) // the browser lets it go
		}
		got, err := load(t, nowhere{}, tab(), Options{ManifestSHA256: d.ID()})
		if err == nil {
			err = sameTensors(got, want)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tab().Models(t.Context()); err != nil {
			t.Fatal(err)
		}
		if keys := keysOf(t, db); len(keys) != map[bool]int{false: 6 + 5, true: 6}[ended] {
			t.Errorf("ended %v: %d records: %v", ended, len(keys), keys)
		}
	}
}

// TestSuspended: a program that was suspended for longer than its patience
// finds the answers that came meanwhile.
func TestSuspended(t *testing.T) {
	s := openDB(t, "wisp-test-suspended")
	s.patience = 400 * time.Millisecond
	for i := range 5 {
		done := make(chan error, 1)
		go func() { done <- s.Put(t.Context(), fmt.Sprint(i), make([]byte, 1<<20)) }()
		time.Sleep(time.Millisecond) // it has begun
		for start := time.Now(); time.Since(start) < time.Second; {
		} // nothing of this program runs
		if err := <-done; err != nil {
			t.Errorf("after a pause: %v", err)
		}
	}
}

// TestWebLockOfStoppedTab: a lock is not waited for whose holder is stopped,
// and is whose holder answers.
func TestWebLockOfStoppedTab(t *testing.T) {
	stoppedTab(t, `navigator.locks.request("wisp-test-stopped", stop);`, 4*time.Second)
	start := time.Now()
	if _, err := WebLock(t.Context(), "wisp-test-stopped"); !errors.Is(err, ErrSilent) || time.Since(start) > 3*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	if held, err := (webLocks{}).Held(t.Context(), "wisp-test-stopped"); err != nil || !held {
		t.Errorf("it is held: %v, %v", held, err)
	}
	if held, err := (webLocks{}).Held(t.Context(), "wisp-test-nobody's"); err != nil || held {
		t.Errorf("it is not held: %v, %v", held, err)
	}
	stoppedTab(t, `const channel = new BroadcastChannel("wisp-locks");
		channel.onmessage = ({ data }) => { if (data === "ask wisp-test-busy") channel.postMessage("alive wisp-test-busy"); };
		navigator.locks.request("wisp-test-busy", () => { postMessage(0); return new Promise((done) => setTimeout(done, 4000)); });`, 0)
	unlock, err := WebLock(t.Context(), "wisp-test-busy")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// TestTabsInBrowser: programs that share the browser's database and locks
// download each chunk once between them.
func TestTabsInBrowser(t *testing.T) {
	db := openDB(t, "wisp-test-tabs")
	src, want := sample()
	rec := &recorder{Source: src}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			m, err := Open(t.Context(), rec, NewLibrary(db), Options{Lock: WebLock, OnWarning: func(err error) { t.Error(err) }})
			if err != nil {
				t.Error(err)
				return
			}
			got, err := collect(t.Context(), m)
			if err == nil {
				err = sameTensors(got, want)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(rec.asked); n != 5+len(src)-1 {
		t.Errorf("%d requests, want 5 for the manifest and one for each of %d chunks", n, len(src)-1)
	}
	entries, err := NewLibrary(db).Models(t.Context())
	if err != nil || len(entries) != 1 || entries[0].Cached != entries[0].Bytes {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestBrowserStorage: a browser that tells of storage tells of some; of one that
// does not, as WebKitGTK, nothing is made up.
func TestBrowserStorage(t *testing.T) {
	needBrowser(t)
	s, err := BrowserStorage(t.Context())
	if _, tells := global("navigator", "storage"); !tells {
		if !errors.Is(err, errNoStorage) {
			t.Errorf("%+v, %v", s, err)
		}
		return
	}
	if err != nil || s.Quota < 1<<20 || s.Usage < 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// openOPFS opens an empty directory.
func openOPFS(t *testing.T, name string) *OPFS {
	t.Helper()
	needBrowser(t)
	o, err := OpenOPFS(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	names, err := o.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := o.Remove(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// caches are the two kinds, empty; in a browser without private files the one
// that the library then takes.
func caches(t *testing.T, name string) map[string]Cache {
	if hasFiles() {
		return map[string]Cache{"private files": openOPFS(t, name), "blobs": NewBlobs(openDB(t, name))}
	}
	l, err := OpenLibrary(t.Context(), Long)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := l.Cache.(*Blobs); !ok {
		t.Errorf("without private files the library takes %T", l.Cache)
	}
	return map[string]Cache{"blobs": NewBlobs(openDB(t, name))}
}

// hasFiles tells whether the browser has private files, without OpenOPFS.
func hasFiles() bool {
	_, storage := global("navigator", "storage", "getDirectory")
	return storage
}

// TestCaches: a file comes back as it was written, over more than one block
// and more than one Blob, from any offset.
func TestCaches(t *testing.T) {
	for kind, c := range caches(t, "wisp-test") {
		t.Run(kind, func(t *testing.T) { testCache(t, c) })
	}
}

func testCache(t *testing.T, c Cache) {
	ctx := t.Context()
	if _, err := c.Open(ctx, "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := c.Remove(ctx, "none"); err != nil {
		t.Error(err)
	}
	if _, err := estimate(ctx); err == nil {
		if _, err := c.Create(ctx, "vast", 1<<60); !errors.Is(err, ErrQuota) {
			t.Errorf("a file beyond the quota: %v", err)
		}
	}
	b, err := newBlock()
	if err != nil {
		t.Fatal(err)
	}
	want := noise(rand.New(rand.NewPCG(8, 8)), blobSize+3*blockSize+77)
	f, err := c.Create(ctx, "a", int64(len(want)))
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(want); at += blockSize {
		n := min(blockSize, len(want)-at)
		if err := errors.Join(b.put(want[at:at+n]), f.write(ctx, b, n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(ctx); err != nil {
		t.Error(err)
	}
	g, err := c.Open(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, blockSize)
	for _, at := range []int{len(want) - 9, 0, 5, blockSize + 5, blobSize - 100, len(want) - blockSize} {
		part := got[:min(blockSize, len(want)-at)]
		if err := errors.Join(g.read(ctx, b, len(part), int64(at)), b.get(part)); err != nil || !bytes.Equal(part, want[at:at+len(part)]) {
			t.Errorf("read back at %d: %v", at, err)
		}
		if sum := b.sum(len(part)); sum != decode.Sum(part) {
			t.Errorf("sum %x, want %x", sum, decode.Sum(part))
		}
	}
	if err := g.read(ctx, b, 2, int64(len(want))-1); err == nil {
		t.Error("read beyond the end")
	}
	if n, err := g.Size(); err != nil || n != int64(len(want)) {
		t.Errorf("%d bytes, %v", n, err)
	}
	g.Close(ctx)
	if names, err := c.Files(ctx); err != nil || !slices.Equal(names, []string{"a"}) {
		t.Errorf("%v, %v", names, err)
	}
	if err := c.Remove(ctx, "a"); err != nil {
		t.Error(err)
	}
	if names, err := c.Files(ctx); err != nil || len(names) > 0 {
		t.Errorf("%v, %v", names, err)
	}
}

// inWasm is a tensor's place in a WebAssembly memory.
type inWasm struct {
	memory   safejs.Value
	at, size int
}

func (w inWasm) View(at, n int) (safejs.Value, error) {
	if at+n > w.size {
		return safejs.Value{}, io.ErrShortWrite
	}
	buffer, err := w.memory.Get("buffer")
	if err != nil {
		return buffer, err
	}
	class, _ := global("Uint8Array")
	return class.New(buffer, w.at+at, n)
}

func (w inWasm) Memory() safejs.Value { return w.memory }

// WriteAt is for those who cannot reach the memory: the loader can.
func (w inWasm) WriteAt([]byte, int64) (int, error) { return 0, errors.New("written through Go") }

// streamAll streams every tensor into a WebAssembly memory and reads it there.
func streamAll(t *testing.T, src Source, c Cache) (got map[string][]byte, warnings int) {
	t.Helper()
	m, err := Open(t.Context(), src, nil, Options{Cache: c, OnWarning: func(error) { warnings++ }})
	if err != nil {
		t.Fatal(err)
	}
	memory, err := assembly("Memory", map[string]any{"initial": 400})
	if err != nil {
		t.Fatal(err)
	}
	got, at := map[string][]byte{}, 13
	for component := range m.Manifest().Components {
		err := m.Stream(t.Context(), component, nil, func(name, dtype string, shape []int, fill func(io.WriterAt) error) error {
			size, err := tensorSize(dtype, shape)
			if err != nil {
				return err
			}
			w := inWasm{memory, at, int(size)}
			at += w.size
			if err := fill(w); err != nil {
				return err
			}
			view, err := w.View(0, w.size)
			if err != nil {
				return err
			}
			b := make([]byte, w.size)
			_, err = safejs.CopyBytesToGo(b, view)
			got[component+"/"+name] = b
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return got, warnings
}

// TestStreamInBrowser: tensors reach a WebAssembly memory whole, from chunks,
// from either cache, and from one with a damaged byte anywhere.
func TestStreamInBrowser(t *testing.T) {
	src, want := sample()
	check := func(kind string, c Cache, warn int) {
		t.Helper()
		got, warnings := streamAll(t, src, c)
		if err := sameTensors(got, want); err != nil || warnings != warn {
			t.Errorf("%s: %v, %d warnings, want %d", kind, err, warnings, warn)
		}
	}
	check("chunks", nil, 0)
	rng := rand.New(rand.NewPCG(9, 9))
	for kind, c := range caches(t, "wisp-test-stream") {
		check(kind+", first visit", c, 0)
		check(kind+", second visit", c, 0)
		for range 5 {
			damage(t, c, rng)
			check(kind+", damaged", c, 1)
			check(kind+", made anew", c, 0)
		}
	}
}

// TestAheadInBrowser: what workers decode and join is what this thread does, of
// tensors that begin and end anywhere in chunks, wanted or not.
func TestAheadInBrowser(t *testing.T) {
	needBrowser(t)
	b := newBuilder(100_003)
	rng := rand.New(rand.NewPCG(4, 4))
	want := map[string][]byte{}
	for i := range 40 {
		dtype, width := []string{"f32", "f16", "bf16", "i32"}[i%4], []int{4, 2, 2, 4}[i%4]
		data := make([]byte, width*(1000+rng.IntN(40_000)))
		for j := range data { // half of the bytes are zero, which zstd sees
			if j%2 == 1 {
				data[j] = byte(rng.Uint32())
			}
		}
		name := string(rune('A' + i))
		b.tensor("unet", name, dtype, data, len(data)/width)
		want["unet/"+name] = data
	}
	src := b.done()
	packed := 0
	for _, c := range b.man.Chunks {
		if c.Encoding == "zstd" {
			packed++
		}
	}
	if packed < aheadLeast {
		t.Fatalf("%d compressed chunks", packed)
	}
	m, err := Open(t.Context(), src, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := m.flow(t.Context(), m.planned(), nil)
	if r, err := f.take(1); err != nil || r.inGo() {
		t.Errorf("no worker decoded chunk 1: %v", err)
	}
	f.close()
	for _, stream := range []bool{true, false} {
		var got map[string][]byte
		if stream {
			got, _ = streamAll(t, src, nil)
		} else if got, err = collect(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if err := sameTensors(got, want); err != nil {
			t.Errorf("streamed %v: %v", stream, err)
		}
	}
	for i, prefixes := range [][]string{{"C"}, {"D", "H", "Z"}, {"A", "B", "a"}} {
		err := m.LoadPrefix(t.Context(), "unet", prefixes, func(x Tensor) error {
			if !bytes.Equal(x.Data, want["unet/"+x.Name]) {
				t.Errorf("%d: %s differs", i, x.Name)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// damage changes a byte of one of a cache's files.
func damage(t *testing.T, c Cache, rng *rand.Rand) {
	t.Helper()
	ctx := t.Context()
	names, err := c.Files(ctx)
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	name := names[rng.IntN(len(names))]
	f, err := c.Open(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	size, _ := f.Size()
	all := make([]byte, size)
	b, err := newBlock()
	if err == nil && size > blockSize {
		t.Fatalf("%s has %d bytes: more than this test copies", name, size)
	}
	if err := errors.Join(err, f.read(ctx, b, len(all), 0), b.get(all), f.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	all[rng.IntN(len(all))] ^= 1
	g, err := c.Create(ctx, name, size)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.put(all), g.write(ctx, b, len(all)), g.Close(ctx)); err != nil {
		t.Fatal(err)
	}
}

// TestBlobsRemovedUnderneath: what is removed while it is being written, to
// make room, stays away.
func TestBlobsRemovedUnderneath(t *testing.T) {
	c := NewBlobs(openDB(t, "wisp-test-underneath"))
	b, err := newBlock()
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Create(t.Context(), "a", 3*blobSize)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < 3*blobSize && err == nil; at += blockSize {
		if at == blobSize {
			c.Remove(t.Context(), "a")
		}
		err = f.write(t.Context(), b, blockSize)
	}
	if !errors.Is(err, ErrQuota) {
		t.Errorf("writing a removed file: %v", err)
	}
}

// TestLaidInBrowser: the second visit reads the cache alone; a private file
// that another tab holds is as none.
func TestLaidInBrowser(t *testing.T) {
	both := caches(t, "wisp-test-laid")
	src, want := sample()
	for kind, c := range both {
		for visit := range 2 {
			got, asked, warnings := loadWith(t, src, c, nil)
			if err := sameTensors(got, want); err != nil {
				t.Fatal(kind, err)
			}
			if visit > 0 && len(asked) > 0 || warnings > 0 {
				t.Errorf("%s: visit %d downloaded %v with %d warnings", kind, visit, asked, warnings)
			}
		}
	}
	o, ok := both["private files"].(*OPFS)
	if !ok {
		return // blobs are never held
	}
	names, err := o.Files(t.Context())
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	held, err := o.handle(t.Context(), names[0], false, "readwrite")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close(t.Context())
	got, asked, _ := loadWith(t, src, o, nil)
	if err := sameTensors(got, want); err != nil || len(asked) == 0 {
		t.Errorf("beside another tab: %v, downloaded %v", err, asked)
	}
}
