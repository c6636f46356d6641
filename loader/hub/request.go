//go:build !js

package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// answer is what a request ended in, after redirects.
type answer struct {
	body []byte
	head http.Header
	url  string // where it came from in the end
	// linkedHash and linkedSize are what the hub says of a large file before it
	// sends to where that lies: the SHA-256 in hexadecimal and the bytes; "" and
	// -1 where it does not.
	linkedHash string
	linkedSize int64
}

// get requests a URL, again where that may help, and reads at most limit bytes.
func (r *Repo) get(ctx context.Context, address, bytes string, limit int64) (a answer, err error) {
	pause := r.o.Pause
	for attempt := range r.o.Attempts {
		if a, err = r.follow(ctx, address, bytes, limit); err == nil || ctx.Err() != nil {
			return a, err
		}
		var status statusError
		if errors.As(err, &status) && (status.status < 500 && status.status != 408 && status.status != 429 || status.after > maxAfter) ||
			errors.Is(err, errNoRanges) || attempt+1 == r.o.Attempts {
			break
		}
		wait := max(pause, status.after)
		if wait >= 10*time.Second {
			fmt.Fprintf(r.o.Log, "hub: %v: asking again in %d s\n", err, wait/time.Second)
		}
		select {
		case <-ctx.Done():
			return answer{}, ctx.Err()
		case <-time.After(wait):
		}
		pause = min(2*pause, maxPause*r.o.Pause)
	}
	return answer{}, err
}

// maxRedirects bounds a chain of them.
const maxRedirects = 8

// follow makes one request and goes where it is sent.
func (r *Repo) follow(ctx context.Context, address, bytes string, limit int64) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	a := answer{url: address, linkedSize: -1}
	for range maxRedirects {
		next, err := r.once(ctx, &a, bytes, limit)
		if err != nil || next == "" {
			return a, err
		}
		a.url = next
	}
	return a, fmt.Errorf("more than %d redirects", maxRedirects)
}

// client follows no redirects: each is looked at.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// once makes one request. Next is where it is sent to, "" for an answer. The
// token goes to the hub's own host and port alone, over nothing less safe.
func (r *Repo) once(ctx context.Context, a *answer, bytes string, limit int64) (next string, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, nil)
	if err != nil {
		return "", err
	}
	if bytes != "" {
		q.Header.Set("Range", bytes)
		q.Header.Set("Accept-Encoding", "identity")
	}
	own := q.URL.Scheme == r.origin.Scheme && q.URL.Host == r.origin.Host
	if r.o.Token != "" && own {
		q.Header.Set("Authorization", "Bearer "+r.o.Token)
	}
	got, err := client.Do(q)
	if err != nil {
		return "", err
	}
	defer got.Body.Close()
	if own {
		a.link(got.Header)
	}
	switch got.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return redirect(q.URL, got.Header.Get("Location"))
	}
	if got.StatusCode != http.StatusOK && got.StatusCode != http.StatusPartialContent {
		if got.StatusCode == http.StatusRequestedRangeNotSatisfiable && strings.HasPrefix(bytes, "bytes=0-") {
			a.head = got.Header // an empty file
			return "", nil
		}
		return "", r.refusal(got, own)
	}
	a.head = got.Header
	a.body, err = readBody(got, bytes != "", limit)
	return "", err
}

// redirect is the address that a redirect leads to.
func redirect(from *url.URL, location string) (string, error) {
	to, err := from.Parse(location)
	if err != nil || location == "" {
		return "", fmt.Errorf("it is redirected to %q", location)
	}
	if to.Scheme != "https" && to.Scheme != from.Scheme {
		return "", fmt.Errorf("it is redirected to %s, which is not safe", to.Scheme)
	}
	return to.String(), nil
}

// link notes what the hub says of a file that lies elsewhere.
func (a *answer) link(h http.Header) {
	if hash := strings.ToLower(strings.Trim(h.Get("X-Linked-Etag"), `"`)); sha256Hex.MatchString(hash) {
		a.linkedHash = hash
	}
	if size, err := strconv.ParseInt(h.Get("X-Linked-Size"), 10, 64); err == nil && size >= 0 {
		a.linkedSize = size
	}
}

// refusal is what an answer says that is not the file.
func (r *Repo) refusal(got *http.Response, own bool) error {
	e := statusError{status: got.StatusCode, after: retryAfter(got.Header.Get, time.Now()), home: r.o.Endpoint}
	if r.o.Token != "" && own {
		e.tokenFrom = r.o.tokenFrom
		if e.tokenFrom == "" {
			e.tokenFrom = "the options"
		}
	}
	if own {
		e.message = got.Header.Get("X-Error-Message")
		e.message = e.message[:min(len(e.message), 300)]
	}
	return e
}

// readBody reads at most limit bytes, all that were announced.
func readBody(got *http.Response, ranged bool, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(got.Body, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(body)) > limit && ranged && got.StatusCode == http.StatusOK:
		return nil, errNoRanges
	case int64(len(body)) > limit:
		return nil, fmt.Errorf("more than the %d bytes asked for", limit)
	case got.ContentLength >= 0 && int64(len(body)) != got.ContentLength:
		return nil, io.ErrUnexpectedEOF
	}
	return body, nil
}
