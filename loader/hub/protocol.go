// Package hub reads a model repository over the Hugging Face HTTP API, as an
// input of package loader/pack: files are listed once at a fixed commit, small
// ones and the heads of large ones are read by Range requests, and a large one
// whose body is wanted is downloaded to disk, in several pieces at once, and
// held to the SHA-256 that the hub has of it. It knows nothing of what the
// files mean. Start at [Open]; blob.go is a file, request.go a request. Where
// there is no disk, in a browser, [OpenStream] reads every file once from its
// beginning to its end instead.
package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Scheme begins the address of a repository: "hf:owner/name", with
// "@revision" after it for another than the main one.
const Scheme = "hf:"

// repoName is what the hub allows.
var repoName = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*$`)

// File splits the address of one file, "hf:owner/name/path@revision", into its
// repository's and its path there; ok is false for a repository's own.
func File(address string) (repository, file string, ok bool) {
	rest, inHub := strings.CutPrefix(address, Scheme)
	where, revision, _ := strings.Cut(rest, "@")
	parts := strings.SplitN(where, "/", 3)
	if !inHub || len(parts) < 3 {
		return "", "", false
	}
	if repository = Scheme + parts[0] + "/" + parts[1]; revision != "" {
		repository += "@" + revision
	}
	return repository, parts[2], true
}

// maxInfo bounds the list of a repository's files.
const maxInfo = 32 << 20

// split is the repository and the revision of an address.
func split(address string) (name, revision string, err error) {
	name, revision, _ = strings.Cut(strings.TrimPrefix(address, Scheme), "@")
	if !repoName.MatchString(name) || !fs.ValidPath(name) {
		return "", "", fmt.Errorf("hub: %q is not hf:owner/name or hf:owner/name@revision", address)
	}
	if revision == "" {
		revision = "main"
	}
	return name, revision, nil
}

// ErrCorrupt: a file is not what the hub says that it is.
var ErrCorrupt = errors.New("its SHA-256 is not the one that the hub has")

// errNoRanges: the server sends whole files only.
var errNoRanges = errors.New("the server does not answer Range requests")

// statusError is an answer that is not the file.
type statusError struct {
	status    int
	after     time.Duration // to wait before asking again
	message   string        // the server's own
	tokenFrom string        // where the token that was sent is from; "" for none
	home      string        // of the hub
}

func (e statusError) Error() string {
	text := fmt.Sprintf("HTTP status %d", e.status)
	switch {
	case e.status == 401 && e.tokenFrom != "":
		text += fmt.Sprintf(": the token from %s is not accepted; it may have expired: make another at %s/settings/tokens, or take it away, since a public repository needs none", e.tokenFrom, e.home)
	case e.status == 403 && e.tokenFrom != "":
		text += fmt.Sprintf(": the token from %s may not read this: accept the repository's terms on its page, or give the token the right to", e.tokenFrom)
	case e.status == 401 || e.status == 403:
		text += ": the repository is gated, private or not there; accept its terms on its page, and log in by `hf auth login` or set HF_TOKEN"
	}
	if e.message != "" {
		text += fmt.Sprintf(" (the hub says %q)", e.message)
	}
	return text
}

// The longest wait that a server may ask for, and the longest that comes of
// doubling.
const (
	maxAfter = 5 * time.Minute
	maxPause = 60
)

// rateReset is where the hub says in how many seconds a limit of rate ends.
var rateReset = regexp.MustCompile(`;\s*t=(\d{1,9})`)

// retryAfter is how long a server asks to wait: seconds, or a date.
func retryAfter(header func(name string) string, now time.Time) time.Duration {
	text := header("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", text); err == nil {
		return max(0, date.Sub(now))
	}
	if m := rateReset.FindStringSubmatch(header("RateLimit")); m != nil {
		seconds, _ := strconv.Atoi(m[1])
		return time.Duration(seconds) * time.Second
	}
	return 0
}

// contentRange reads the header of that name.
var contentRangeForm = regexp.MustCompile(`^bytes (\d{1,18})-(\d{1,18})/(\d{1,18})$`)

// contentRange checks the range of an answer of n bytes from at on, and returns
// the size of the file.
func contentRange(text string, at, n int64) (size int64, err error) {
	m := contentRangeForm.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("it answers the range %q", text)
	}
	from, _ := strconv.ParseInt(m[1], 10, 64)
	to, _ := strconv.ParseInt(m[2], 10, 64)
	size, _ = strconv.ParseInt(m[3], 10, 64)
	if from != at || to-from+1 != n || to >= size {
		return 0, fmt.Errorf("it answers the range %q with %d bytes for byte %d on", text, n, at)
	}
	return size, nil
}
