// Package hub reads a model repository over the Hugging Face HTTP API, as an
// input of package loader/pack: files are listed once at a fixed commit and
// read in pieces by Range requests, so a broken connection costs one piece and
// nothing is kept on disk. It knows nothing of what the files mean. Start at
// [Open].
package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"wisp/loader/safetensors"
)

// Scheme begins the address of a repository: "hf:owner/name", with
// "@revision" after it for another than the main one.
const Scheme = "hf:"

// Options says where the hub is. The zero value takes the environment's word.
type Options struct {
	Endpoint string        // by default $HF_ENDPOINT or https://huggingface.co
	Token    string        // by default $HF_TOKEN; for gated and private repositories
	Piece    int           // bytes of a request; 0 is 8 MiB
	Attempts int           // for each piece; 0 is 6
	Pause    time.Duration // before the second attempt, doubled for each further one; 0 is a second
}

// Repo is a repository at one commit. It is an input of package loader/pack.
type Repo struct {
	o      Options
	ctx    context.Context // ends every request
	name   string
	commit string
	files  []string
}

// piece is read at a time: enough that requests do not cost, little enough to
// ask for again.
const piece = 8 << 20

// Open looks a repository up, by an address that begins with [Scheme], and
// fixes the commit that its revision is at. Requests end with ctx.
func Open(ctx context.Context, address string, o Options) (*Repo, error) {
	name, revision, _ := strings.Cut(strings.TrimPrefix(address, Scheme), "@")
	if owner, repo, ok := strings.Cut(name, "/"); !ok || owner == "" || repo == "" || !fs.ValidPath(name) || strings.Count(name, "/") != 1 {
		return nil, fmt.Errorf("hub: %q is not hf:owner/name", address)
	}
	if revision == "" {
		revision = "main"
	}
	for _, d := range []struct {
		to         *string
		env, value string
	}{{&o.Endpoint, "HF_ENDPOINT", "https://huggingface.co"}, {&o.Token, "HF_TOKEN", ""}} {
		if *d.to == "" {
			*d.to = os.Getenv(d.env)
		}
		if *d.to == "" {
			*d.to = d.value
		}
	}
	o.Endpoint = strings.TrimRight(o.Endpoint, "/")
	if o.Piece < 1 {
		o.Piece = piece
	}
	if o.Attempts < 1 {
		o.Attempts = 6
	}
	if o.Pause <= 0 {
		o.Pause = time.Second
	}
	r := &Repo{o: o, ctx: ctx, name: name}
	var info struct {
		SHA      string
		Siblings []struct{ RFilename string }
	}
	body, _, err := r.get(r.o.Endpoint+"/api/models/"+name+"/revision/"+url.PathEscape(revision), "", maxInfo)
	if err == nil {
		err = json.Unmarshal(body, &info)
	}
	if err != nil {
		return nil, fmt.Errorf("hub: %s: %w", address, err)
	}
	if info.SHA == "" {
		return nil, fmt.Errorf("hub: %s: the answer names no commit", address)
	}
	r.commit = info.SHA
	for _, s := range info.Siblings {
		r.files = append(r.files, s.RFilename)
	}
	return r, nil
}

// maxInfo bounds the list of a repository's files.
const maxInfo = 32 << 20

// Commit is the commit that is read, whatever happens to the revision.
func (r *Repo) Commit() string { return r.commit }

// List names the files in a folder, "" for the top.
func (r *Repo) List(folder string) (names []string, err error) {
	for _, f := range r.files {
		if dir, name := path.Split(f); strings.TrimSuffix(dir, "/") == folder {
			names = append(names, name)
		}
	}
	return names, nil
}

// Open opens a file: its first piece is read, and tells how long it is.
func (r *Repo) Open(name string) (safetensors.Blob, error) {
	if !slices.Contains(r.files, name) {
		return nil, fmt.Errorf("hub: %s has no %s: %w", r.name, name, fs.ErrNotExist)
	}
	escaped := (&url.URL{Path: name}).EscapedPath()
	b := &blob{r: r, url: r.o.Endpoint + "/" + r.name + "/resolve/" + url.PathEscape(r.commit) + "/" + escaped}
	if err := b.fetch(0); err != nil {
		return nil, fmt.Errorf("hub: %s: %w", name, err)
	}
	return b, nil
}

// blob is a file of the repository, of which the piece last asked for is kept.
type blob struct {
	r   *Repo
	url string

	mu   sync.Mutex
	size int64 // 0 before the first piece
	etag string
	at   int64
	data []byte
}

// Size is the length of the file.
func (b *blob) Size() int64 { return b.size }

// Stamp is the commit, at which a file never changes.
func (b *blob) Stamp() (stamp string, fixed bool, err error) {
	return b.r.name + "@" + b.r.commit, true, nil
}

// Close forgets the piece.
func (b *blob) Close() error {
	b.data = nil
	return nil
}

// ReadAt reads from the piece at hand or asks for the next.
func (b *blob) ReadAt(p []byte, at int64) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n < len(p) {
		if at+int64(n) >= b.size {
			return n, io.EOF
		}
		if off := at + int64(n) - b.at; off < 0 || off >= int64(len(b.data)) {
			if err := b.fetch(at + int64(n)); err != nil {
				return n, fmt.Errorf("hub: %s: %w", b.url, err)
			}
		}
		n += copy(p[n:], b.data[at+int64(n)-b.at:])
	}
	return n, nil
}

// errNoRanges: the server sends whole files only.
var errNoRanges = errors.New("the server does not answer Range requests")

// errChanged: the file is not the one that was opened.
var errChanged = errors.New("the file changed while it was read")

// fetch asks for the piece that begins at a byte.
func (b *blob) fetch(at int64) error {
	want := int64(b.r.o.Piece)
	if b.size > 0 {
		want = min(want, b.size-at)
	}
	data, head, err := b.r.get(b.url, fmt.Sprintf("bytes=%d-%d", at, at+want-1), want)
	if err != nil {
		return err
	}
	size := int64(len(data))
	if r := head.Get("Content-Range"); r != "" {
		var from, to int64
		if _, err := fmt.Sscanf(r, "bytes %d-%d/%d", &from, &to, &size); err != nil || from != at || to-from+1 != int64(len(data)) {
			return fmt.Errorf("it answers the range %q for byte %d on", r, at)
		}
	} else if at > 0 {
		return errNoRanges
	}
	etag := head.Get("ETag")
	if b.size > 0 && (size != b.size || etag != b.etag || int64(len(data)) != want) {
		return errChanged
	}
	b.size, b.etag, b.at, b.data = size, etag, at, data
	return nil
}

// statusError is an answer that is not the file.
type statusError struct {
	status int
	after  time.Duration
}

func (e statusError) Error() string {
	switch e.status {
	case 401, 403:
		return fmt.Sprintf("HTTP status %d: the repository is gated, private or not there; accept its terms on its page and set HF_TOKEN", e.status)
	}
	return fmt.Sprintf("HTTP status %d", e.status)
}

// get requests a URL, again where that may help, and reads at most limit bytes.
func (r *Repo) get(address, bytes string, limit int64) (body []byte, head http.Header, err error) {
	pause := r.o.Pause
	for attempt := range r.o.Attempts {
		if body, head, err = r.once(address, bytes, limit); err == nil {
			return body, head, nil
		}
		var status statusError
		if errors.As(err, &status) && status.status < 500 && status.status != 408 && status.status != 429 || attempt+1 == r.o.Attempts {
			break
		}
		select {
		case <-r.ctx.Done():
			return nil, nil, r.ctx.Err()
		case <-time.After(max(pause, status.after)):
		}
		pause *= 2
	}
	return nil, nil, err
}

// once makes one request. Redirects are followed; the token stays with the
// first host, as Go's client has it.
func (r *Repo) once(address, bytes string, limit int64) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(r.ctx, 5*time.Minute)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	if bytes != "" {
		q.Header.Set("Range", bytes)
		q.Header.Set("Accept-Encoding", "identity")
	}
	if r.o.Token != "" {
		q.Header.Set("Authorization", "Bearer "+r.o.Token)
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusRequestedRangeNotSatisfiable && strings.HasPrefix(bytes, "bytes=0-"):
		return nil, answer.Header, nil // an empty file
	case answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusPartialContent:
		after, _ := time.ParseDuration(answer.Header.Get("Retry-After") + "s")
		return nil, nil, statusError{answer.StatusCode, min(after, time.Minute)}
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	switch {
	case err != nil:
		return nil, nil, err
	case int64(len(body)) > limit && bytes != "" && answer.StatusCode == http.StatusOK:
		return nil, nil, errNoRanges
	case int64(len(body)) > limit:
		return nil, nil, fmt.Errorf("more than the %d bytes asked for", limit)
	case answer.ContentLength >= 0 && int64(len(body)) != answer.ContentLength:
		return nil, nil, io.ErrUnexpectedEOF
	}
	return body, answer.Header, nil
}
