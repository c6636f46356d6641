package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"wisp/loader/safetensors"
)

// Why a repository cannot be read.
var (
	// ErrGated: its terms must be accepted first, or it is private or not there.
	ErrGated = errors.New("the repository is gated, private or not there: accept its terms on its page and give a token, or choose another model")
	// ErrNetwork: requests failed for longer than was waited.
	ErrNetwork = errors.New("the hub cannot be reached")
)

// Transport makes one GET request and follows redirects. A body of more than
// limit bytes is an error, without being read to its end.
type Transport interface {
	Get(ctx context.Context, url string, header map[string]string, limit int64) (Reply, error)
}

// Reply is an answer, of whatever status.
type Reply struct {
	Status int
	Header func(name string) string // "" for one that is not there, or not shown
	Body   []byte
}

// StreamOptions says how a repository is streamed. Zero values are defaults.
type StreamOptions struct {
	Endpoint string        // https://huggingface.co
	Token    string        // sent to the endpoint; none
	Piece    int           // bytes of a request; 4 MiB
	Head     int           // bytes of a file's beginning that are kept, for its header; 1 MiB
	Parallel int           // requests at once; 3
	Attempts int           // for each request; 8
	Pause    time.Duration // before the second attempt, doubled for each further one; a second
}

// Stream is a repository at one commit of which every file is read from its
// beginning to its end, in pieces that are dropped behind, and hashed on the
// way. It is an input of package loader/pack, which reads tensors in the order
// of their files then.
type Stream struct {
	o       StreamOptions
	t       Transport
	ctx     context.Context
	name    string
	Commit  string // that is read, whatever happens to the revision
	Licence string // as the card has it; ""
	files   map[string]info

	mu    sync.Mutex
	heads map[string][]byte // first bytes of files that were opened
}

// info is what the hub says of a file.
type info struct {
	size int64
	lfs  string // SHA-256 in hexadecimal; "" where the file lies in git
	git  string // its git blob's SHA-1, where that is so
}

// OpenStream looks a repository up by an address that begins with [Scheme] and
// fixes its commit. A gated one fails before anything large is fetched.
func OpenStream(ctx context.Context, address string, t Transport, o StreamOptions) (*Stream, error) {
	name, revision, err := split(address)
	if err != nil {
		return nil, err
	}
	s := &Stream{o: o.filled(), t: t, ctx: ctx, name: name, files: map[string]info{}, heads: map[string][]byte{}}
	body, err := s.get(ctx, s.o.Endpoint+"/api/models/"+name+"/revision/"+url.PathEscape(revision)+"?blobs=true", 0, -1)
	if err == nil {
		err = s.list(body)
	}
	if err != nil {
		return nil, fmt.Errorf("hub: %s: %w", address, err)
	}
	return s, nil
}

func (o StreamOptions) filled() StreamOptions {
	if o.Endpoint == "" {
		o.Endpoint = "https://huggingface.co"
	}
	o.Endpoint = strings.TrimRight(o.Endpoint, "/")
	if o.Piece < 1 {
		o.Piece = 4 << 20
	}
	if o.Head < 1 {
		o.Head = 1 << 20
	}
	if o.Parallel < 1 {
		o.Parallel = 3
	}
	if o.Attempts < 1 {
		o.Attempts = 8
	}
	if o.Pause <= 0 {
		o.Pause = time.Second
	}
	return o
}

// list reads what the hub says of the repository.
func (s *Stream) list(body []byte) error {
	var repo struct {
		SHA      string
		Gated    any // false, "auto" or "manual"
		CardData struct{ License any }
		Siblings []struct {
			RFilename string
			Size      int64
			BlobID    string
			LFS       *struct {
				SHA256 string
				Size   int64
			}
		}
	}
	if err := json.Unmarshal(body, &repo); err != nil {
		return fmt.Errorf("%w: what answers in its place is perhaps a page to sign in to this network: %w", ErrNetwork, err)
	}
	if !gitSHA.MatchString(repo.SHA) {
		return fmt.Errorf("%w: what answers in its place names no commit", ErrNetwork)
	}
	if gated, no := repo.Gated.(bool); s.o.Token == "" && repo.Gated != nil && !(no && !gated) {
		return ErrGated
	}
	s.Commit = repo.SHA
	s.Licence, _ = repo.CardData.License.(string)
	for _, f := range repo.Siblings {
		i := info{size: f.Size, git: f.BlobID}
		if f.LFS != nil {
			i = info{size: f.LFS.Size, lfs: f.LFS.SHA256}
		}
		if i.size < 0 || i.lfs != "" && !sha256Hex.MatchString(i.lfs) || i.lfs == "" && i.git != "" && !gitSHA.MatchString(i.git) {
			return fmt.Errorf("the answer describes %s as %d bytes with the hash %q", f.RFilename, i.size, i.lfs+i.git)
		}
		s.files[f.RFilename] = i
	}
	return nil
}

// Sequential marks an input whose files are read once, in their own order.
func (s *Stream) Sequential() {}

// List names the files in a folder, "" for the top.
func (s *Stream) List(folder string) (names []string, err error) {
	for f := range s.files {
		if dir, name := path.Split(f); strings.TrimSuffix(dir, "/") == folder {
			names = append(names, name)
		}
	}
	return names, nil
}

// Open opens a file. Nothing is fetched before it is read.
func (s *Stream) Open(name string) (safetensors.Blob, error) {
	i, ok := s.files[name]
	if !ok {
		return nil, fmt.Errorf("hub: %s has no %s: %w", s.name, name, fs.ErrNotExist)
	}
	escaped := (&url.URL{Path: name}).EscapedPath()
	return &streamed{s: s, name: name, info: i, url: s.o.Endpoint + "/" + s.name + "/resolve/" + s.Commit + "/" + escaped}, nil
}

// head is the first bytes of a file, fetched once.
func (s *Stream) head(b *streamed) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if head, ok := s.heads[b.name]; ok || b.info.size == 0 {
		return head, nil
	}
	head, err := s.get(s.ctx, b.url, 0, min(int64(s.o.Head), b.info.size))
	if err == nil {
		s.heads[b.name] = head
	}
	return head, err
}

// get requests n bytes from one on, all for −1, again where that may help.
func (s *Stream) get(ctx context.Context, address string, from, n int64) ([]byte, error) {
	pause := s.o.Pause
	var err error
	for attempt := range s.o.Attempts {
		var body []byte
		if body, err = s.once(ctx, address, from, n); err == nil || ctx.Err() != nil {
			return body, errors.Join(err, ctx.Err())
		}
		var status statusError
		if told := errors.As(err, &status); told && (status.status == 401 || status.status == 403) {
			return nil, fmt.Errorf("%w (HTTP status %d%s)", ErrGated, status.status, said(status.message))
		} else if told && (status.status < 500 && status.status != 408 && status.status != 429 || status.after > maxAfter) || errors.Is(err, errNoRanges) {
			return nil, err
		}
		if attempt+1 == s.o.Attempts {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(max(pause, status.after)):
		}
		pause = min(2*pause, maxPause*s.o.Pause)
	}
	return nil, fmt.Errorf("%w: %w", ErrNetwork, err)
}

func said(message string) string {
	if message == "" {
		return ""
	}
	return fmt.Sprintf(": %.200q", message)
}

func (s *Stream) once(ctx context.Context, address string, from, n int64) ([]byte, error) {
	header, limit := map[string]string{}, int64(maxInfo)
	if n >= 0 {
		header["Range"], limit = fmt.Sprintf("bytes=%d-%d", from, from+n-1), n
	}
	if s.o.Token != "" {
		header["Authorization"] = "Bearer " + s.o.Token
	}
	r, err := s.t.Get(ctx, address, header, limit)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Status != 200 && r.Status != 206:
		return nil, statusError{status: r.Status, after: retryAfter(r.Header, time.Now()), message: r.Header("X-Error-Message"), home: s.o.Endpoint}
	case n >= 0 && r.Status == 200 && from > 0:
		return nil, errNoRanges
	case n >= 0 && int64(len(r.Body)) != n:
		return nil, fmt.Errorf("%d bytes came of the %d asked for", len(r.Body), n)
	}
	if text := r.Header("Content-Range"); n >= 0 && text != "" {
		if _, err := contentRange(text, from, n); err != nil {
			return nil, err
		}
	}
	return bytes.Clone(r.Body), nil
}
