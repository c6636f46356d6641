package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/hack-pad/safejs"
)

// Fetch is a model directory on a web server, read with the browser's fetch.
type Fetch struct {
	base    string // absolute, ends in a slash
	noStore bool
}

// NewFetch takes the directory's URL, relative to the worker's own where it
// is not absolute. NoStore keeps chunks out of the HTTP cache, for when they
// go into a [Store] and would be on disk twice.
func NewFetch(base string, noStore bool) (*Fetch, error) {
	class, _ := global("URL")
	here, _ := global("location", "href")
	at := any(here)
	if here.Type() != safejs.TypeString {
		at = safejs.Undefined()
	}
	u, err := class.New(base, at)
	if err != nil {
		return nil, badModel("the model's address %q is not a URL", base)
	}
	path, err := text(u, "pathname")
	if err != nil {
		return nil, err
	}
	for _, p := range [][2]string{{"hash", ""}, {"search", ""}, {"pathname", strings.TrimSuffix(path, "/") + "/"}} {
		if err := u.Set(p[0], p[1]); err != nil {
			return nil, err
		}
	}
	href, err := text(u, "href")
	return &Fetch{href, noStore}, err
}

// Location is the directory's absolute URL.
func (f *Fetch) Location() string { return f.base }

// Open requests a file. The manifest is always revalidated; chunks, whose
// names are their hashes, never need to be.
func (f *Fetch) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	cache := "default"
	switch {
	case name == ManifestName:
		cache = "no-cache"
	case f.noStore:
		cache = "no-store"
	}
	return f.open(ctx, name, cache)
}

// OpenFresh is [Fetch.Open] round the HTTP cache.
func (f *Fetch) OpenFresh(ctx context.Context, name string) (io.ReadCloser, error) {
	return f.open(ctx, name, "reload")
}

func (f *Fetch) open(ctx context.Context, name, cache string) (io.ReadCloser, error) {
	class, _ := global("AbortController")
	abort, err := class.New()
	if err != nil {
		return nil, err
	}
	signal, err := abort.Get("signal")
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { abort.Call("abort") })
	r, err := f.request(ctx, name, map[string]any{"signal": signal, "cache": cache})
	if err != nil {
		stop()
		abort.Call("abort")
		return nil, err
	}
	r.ctx = ctx
	r.close = func() { stop(); abort.Call("abort") }
	return r, nil
}

func (f *Fetch) request(ctx context.Context, name string, options map[string]any) (*fetchReader, error) {
	response, err := callAsync(ctx, safejs.Global(), "fetch", f.base+name, options)
	if e := (exception{}); errors.As(err, &e) && e.name == "TypeError" && f.foreign() {
		return nil, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	if err != nil {
		return nil, err
	}
	status, err := number(response, "status")
	if err != nil {
		return nil, err
	}
	if status < 200 || status > 299 {
		return nil, &StatusError{Status: status, RetryAfter: retryAfter(response, time.Now())}
	}
	body, err := response.Get("body")
	if err != nil {
		return nil, err
	}
	if body.IsNull() {
		return nil, errors.New("the answer has no body")
	}
	reader, err := body.Call("getReader")
	return &fetchReader{reader: reader, rest: safejs.Undefined()}, err
}

// foreign tells whether the directory is on another site than the page.
func (f *Fetch) foreign() bool {
	origin, ok := global("origin")
	if !ok || origin.Type() != safejs.TypeString {
		return false
	}
	own, err := origin.String()
	return err == nil && !strings.HasPrefix(f.base, own+"/")
}

func number(v safejs.Value, property string) (int, error) {
	p, err := v.Get(property)
	if err != nil {
		return 0, err
	}
	return p.Int()
}

// retryAfter reads the header, in seconds or as a date. Across origins it is
// only visible where the server exposes it.
func retryAfter(response safejs.Value, now time.Time) time.Duration {
	headers, err := response.Get("headers")
	if err != nil {
		return 0
	}
	v, err := headers.Call("get", "retry-after")
	if err != nil || v.Type() != safejs.TypeString {
		return 0
	}
	s, _ := v.String()
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return time.Duration(min(n, 3600)) * time.Second
	}
	if at, err := time.Parse(time.RFC1123, s); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// fetchReader reads a response's body.
type fetchReader struct {
	ctx    context.Context // of the request: it ends reads, too
	reader safejs.Value    // ReadableStreamDefaultReader
	rest   safejs.Value    // a Uint8Array not wholly read, or undefined
	done   bool
	close  func()
}

func (r *fetchReader) Read(p []byte) (int, error) {
	for {
		if !r.rest.IsUndefined() {
			return r.copy(p)
		}
		if r.done {
			return 0, io.EOF
		}
		if len(p) == 0 {
			return 0, nil
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
}

func (r *fetchReader) next() error {
	result, err := callAsync(r.ctx, r.reader, "read")
	if err != nil {
		return err
	}
	done, err := result.Get("done")
	if err != nil {
		return err
	}
	if r.done, err = done.Bool(); err != nil || r.done {
		return err
	}
	r.rest, err = result.Get("value")
	return err
}

// copy takes what fits of the rest.
func (r *fetchReader) copy(p []byte) (int, error) {
	n, err := safejs.CopyBytesToGo(p, r.rest)
	if err != nil {
		return 0, fmt.Errorf("response body: %w", err)
	}
	left, err := r.rest.Length()
	if err != nil {
		return n, err
	}
	if n == left {
		r.rest = safejs.Undefined()
		return n, nil
	}
	r.rest, err = r.rest.Call("subarray", n)
	return n, err
}

// Close gives up what was not read.
func (r *fetchReader) Close() error {
	r.close()
	return nil
}
