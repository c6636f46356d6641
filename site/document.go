package site

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

const (
	maxCached = 64 << 20  // bytes of the largest file that is compressed and kept in memory
	maxKept   = 256 << 20 // bytes of all files in memory, after which they are read anew
)

// trust is how long a file is taken for what it was: a file may get another
// content and keep its size and its date.
var trust = 2 * time.Second

// documents are files in memory.
type documents struct {
	files fs.FS
	mu    sync.Mutex
	slots map[string]*slot
	bytes int // of all of them, about
}

// slot is a file's place: whoever reads the file holds it. What was read is there
// without: a thousand requests for one file must not wait in line.
type slot struct {
	mu  sync.Mutex
	doc atomic.Pointer[document]
}

// known is the document, if it is one of a version that was read a moment ago.
func (s *slot) known(stamps [4]stamp) *document {
	if doc := s.doc.Load(); doc != nil && doc.stamps == stamps && time.Since(doc.read) < trust {
		return doc
	}
	return nil
}

// document is one version of a file, with its compressed forms by encoding.
type document struct {
	read   time.Time
	stamps [4]stamp // of the file and its twins
	data   []byte
	etag   string
	forms  map[string]func() []byte
}

// stamp is what a file system tells of a file's version; none for no file.
type stamp struct {
	modified time.Time
	size     int64
}

func (d *documents) slot(name string) *slot {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.slots[name]
	if s == nil {
		s = &slot{}
		d.slots[name] = s
	}
	return s
}

// get returns the file's content, read again when it may have changed. No
// descriptor stays open.
func (d *documents) get(name string, info fs.FileInfo) (*document, error) {
	s := d.slot(name)
	stamps := [4]stamp{{info.ModTime(), info.Size()}}
	for i, e := range encodings {
		if info, err := regular(d.files, name+e.ext); err == nil {
			stamps[i+1] = stamp{info.ModTime(), info.Size()}
		} else if busy(err) {
			return nil, err
		}
	}
	if doc := s.known(stamps); doc != nil {
		return doc, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if doc := s.known(stamps); doc != nil { // another read it meanwhile
		return doc, nil
	}
	data, err := readAll(d.files, name, maxCached)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	etag := hex.EncodeToString(sum[:8])
	if before := s.doc.Load(); before != nil && before.stamps == stamps && before.etag == etag {
		again := *before // others are reading it
		again.read = time.Now()
		s.doc.Store(&again)
		return &again, nil
	}
	doc := &document{read: time.Now(), stamps: stamps, data: data, etag: etag}
	if !packed[path.Ext(name)] {
		if doc.forms, err = d.forms(name, doc); err != nil {
			return nil, err
		}
	}
	s.doc.Store(doc)
	d.keep(len(data))
	return doc, nil
}

// keep counts what is in memory, with the forms about twice its size, and
// begins anew when that is too much.
func (d *documents) keep(size int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bytes += 2 * size; d.bytes > maxKept {
		d.bytes = 0
		clear(d.slots)
	}
}

// forms returns how to get the compressed forms of a document: from the twins
// that build wrote beside the file, else zstd and gzip by compressing it once.
func (d *documents) forms(name string, doc *document) (map[string]func() []byte, error) {
	forms := map[string]func() []byte{
		"zstd": sync.OnceValue(func() []byte { return zstandard(doc.data) }),
		"gzip": sync.OnceValue(func() []byte { return gzipped(doc.data) }),
	}
	for i, e := range encodings {
		if doc.stamps[i+1] == (stamp{}) {
			continue
		}
		twin, err := readAll(d.files, name+e.ext, maxCached)
		if err != nil && busy(err) {
			return nil, err
		}
		if err == nil && unpacksTo(e.name, twin, doc.data) {
			forms[e.name] = func() []byte { return twin }
		}
	}
	return forms, nil
}

// unpacksTo tells whether a twin is of this content: dates do not.
func unpacksTo(encoding string, twin, data []byte) bool {
	var from io.Reader
	switch encoding {
	case "br":
		from = brotli.NewReader(bytes.NewReader(twin))
	case "zstd":
		z, err := zstd.NewReader(bytes.NewReader(twin), zstd.WithDecoderMaxMemory(2*maxCached), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return false
		}
		defer z.Close()
		from = z
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(twin))
		if err != nil {
			return false
		}
		from = z
	}
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if n > len(data) || !bytes.Equal(piece[:n], data[:n]) {
			return false
		}
		data = data[n:]
		if err != nil {
			return err == io.EOF && len(data) == 0
		}
	}
}

var errTooLarge = errors.New("site: the file is larger than what is kept in memory")

// readAll reads a file of at most most bytes.
func readAll(files fs.FS, name string, most int64) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = errTooLarge
	}
	return data, err
}

// pieces reads a file a piece at a time and keeps it open for no longer: a
// client that is slow to take it costs no descriptor.
type pieces struct {
	files fs.FS
	name  string
	info  fs.FileInfo
	at    int64
}

// Read reads from where the last Read or Seek left off; it fails when the file
// has become another.
func (p *pieces) Read(b []byte) (int, error) {
	if p.at >= p.info.Size() {
		return 0, io.EOF
	}
	f, err := p.files.Open(p.name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	from, ok := f.(io.ReaderAt)
	if !ok || info.Size() != p.info.Size() || !info.ModTime().Equal(p.info.ModTime()) {
		return 0, errors.New("site: " + p.name + " changed while it was read")
	}
	n, err := from.ReadAt(b, p.at)
	p.at += int64(n)
	if n > 0 {
		return n, nil
	}
	return n, err
}

// Seek sets where the next Read begins.
func (p *pieces) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += p.at
	case io.SeekEnd:
		offset += p.info.Size()
	}
	if offset < 0 {
		return 0, errors.New("site: a place before the beginning")
	}
	p.at = offset
	return offset, nil
}
