//go:build unix

package site

import (
	"bytes"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// counted is a file system that counts what is open, and fails for want of
// descriptors when there are none.
type counted struct {
	memory
	open, most *atomic.Int64
}

func (c counted) Open(name string) (fs.File, error) {
	if c.open.Load() >= c.most.Load() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EMFILE}
	}
	f, err := c.memory.Open(name)
	if err != nil {
		return nil, err
	}
	c.open.Add(1)
	return &countedFile{f.(memoryFile), c.open}, nil
}

type countedFile struct {
	memoryFile
	open *atomic.Int64
}

func (f *countedFile) Close() error {
	f.open.Add(-1)
	return nil
}

// stuck is a client that takes nothing.
type stuck struct {
	*httptest.ResponseRecorder
	waiting *sync.WaitGroup
	end     chan struct{}
	once    sync.Once
}

func (s *stuck) Write(b []byte) (int, error) {
	s.once.Do(s.waiting.Done)
	<-s.end
	return len(b), nil
}

// Clients that take nothing hold no file open, of those in memory nor of
// chunks. Out of descriptors, what is there is not said to be gone.
func TestDescriptors(t *testing.T) {
	var open, most atomic.Int64
	most.Store(4)
	chunk := strings.Repeat("0", 64) + ".bin"
	h := Handler(counted{memory{"index.html": []byte("page"), chunk: bytes.Repeat([]byte("c"), 1<<20)}, &open, &most})
	end := make(chan struct{})
	var waiting, ended sync.WaitGroup
	for i := range 40 {
		waiting.Add(1)
		ended.Go(func() {
			path := []string{"/index.html", "/" + chunk}[i%2]
			h.ServeHTTP(&stuck{ResponseRecorder: httptest.NewRecorder(), waiting: &waiting, end: end}, httptest.NewRequest("GET", path, nil))
		})
		waiting.Wait()
	}
	if n := open.Load(); n != 0 {
		t.Errorf("%d files are open for 40 answers that nobody takes", n)
	}
	most.Store(0)
	for _, path := range []string{"/index.html", "/" + chunk} {
		r := get(t, h, "GET", path, map[string]string{"Accept-Encoding": "br"})
		if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s without descriptors: status %d, %v", path, r.StatusCode, r.Header)
		}
	}
	most.Store(4)
	if r := get(t, h, "GET", "/index.html", nil); r.StatusCode != 200 {
		t.Errorf("with descriptors again: status %d", r.StatusCode)
	}
	close(end)
	ended.Wait()
}

// A pipe in the directory is no file: nobody waits for its other end.
func TestPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "a.js"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b.js"), bytes.Repeat([]byte("b"), 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "b.js.gz"), 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	h := Handler(Layers{Under("x", root.FS()), root.FS()})
	done := make(chan [2]int)
	go func() {
		done <- [2]int{get(t, h, "GET", "/a.js", nil).StatusCode, get(t, h, "GET", "/b.js", map[string]string{"Accept-Encoding": "gzip"}).StatusCode}
	}()
	select {
	case got := <-done:
		if got != [2]int{404, 200} {
			t.Errorf("a pipe and a file beside one: status %v", got)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the answer waits for the pipe's other end")
	}
}

// Beyond so many answers under way the next are told to come again.
func TestManyAnswers(t *testing.T) {
	defer func(before int) { maxAnswers = before }(maxAnswers)
	maxAnswers = 3
	began, end := make(chan struct{}), make(chan struct{})
	h := newRoom(1).watch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-end
	}), nil)
	var ended sync.WaitGroup
	for range maxAnswers {
		ended.Go(func() { get(t, h, "GET", "/", nil) })
		<-began
	}
	if r := get(t, h, "GET", "/", nil); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("one more: status %d, %v", r.StatusCode, r.Header)
	}
	close(end)
	ended.Wait()
	go func() { <-began }()
	if r := get(t, h, "GET", "/", nil); r.StatusCode != 200 {
		t.Errorf("afterwards: status %d", r.StatusCode)
	}
}

// Memory is begun anew when what it holds is too much.
func TestDocumentsForget(t *testing.T) {
	d := documents{slots: map[string]*slot{}}
	d.slot("a")
	d.keep(maxKept / 4)
	if len(d.slots) != 1 {
		t.Error("forgotten too early")
	}
	d.keep(maxKept)
	if len(d.slots) != 0 || d.bytes != 0 {
		t.Errorf("%d files and %d bytes are kept", len(d.slots), d.bytes)
	}
}
