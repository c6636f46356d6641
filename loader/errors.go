package loader

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Every failure of this package wraps exactly one of these, or the context's
// error, or what the caller's own callback returned.
var (
	// ErrNetwork: the source could not be reached or broke off; trying again
	// later may help.
	ErrNetwork = errors.New("network")
	// ErrCorrupt: a chunk's bytes are not the ones its manifest names, and
	// fetching them again did not help.
	ErrCorrupt = errors.New("corrupt")
	// ErrQuota: the store has no room or refuses to keep anything. Loading
	// goes on without a store, so only a Store's own methods return it.
	ErrQuota = errors.New("quota")
	// ErrSilent: the store, or who holds a lock, does not answer; another tab
	// that the system has stopped may have it. Loading goes on another way.
	ErrSilent = errors.New("no answer")
	// ErrMemory: the model's weights take more memory than there is.
	ErrMemory = errors.New("the model is too large")
	// ErrBadModel: the manifest or what it describes is not a model that this
	// build can read.
	ErrBadModel = errors.New("bad model")
)

// What is known more of an ErrNetwork, which is wrapped beside it.
var (
	// ErrAbsent: the source answers, and has no such file.
	ErrAbsent = errors.New("not there")
	// ErrAnswer: the source answers with another error.
	ErrAnswer = errors.New("refused")
	// ErrForeign: nothing came from another site, be it that it cannot be
	// reached or that it does not let this one read: browsers do not tell which.
	ErrForeign = errors.New("another site")
)

// StatusError is what a [Source] over HTTP returns for an answer that is not
// the file.
type StatusError struct {
	Status     int           // HTTP status code
	RetryAfter time.Duration // from the Retry-After header; 0 when absent
}

// Error names the status.
func (e *StatusError) Error() string { return fmt.Sprintf("HTTP status %d", e.Status) }

// permanent reports whether asking the same source again is pointless.
func permanent(err error) bool {
	if s := (*StatusError)(nil); errors.As(err, &s) {
		switch s.Status {
		case 408, 425, 429:
			return false
		}
		return s.Status < 500
	}
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrInvalid)
}

// badModel makes an ErrBadModel with a message that says what is wrong.
func badModel(format string, args ...any) error {
	return fmt.Errorf("loader: %w: "+format, append([]any{ErrBadModel}, args...)...)
}

// failed wraps cause in kind, unless the context ended: then that is the
// failure, whatever else broke because of it. The cause's text is kept, its
// chain is not, so that one failure has one kind.
func failed(ctx context.Context, kind error, what string, cause error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("loader: %s: %w", what, err)
	}
	err := fmt.Errorf("loader: %s: %w: %v", what, kind, cause)
	if detail := detailOf(cause); kind == ErrNetwork && detail != nil {
		return detailed{err, detail}
	}
	return err
}

// detailed is an error that is of another kind, too, without saying so.
type detailed struct {
	error
	detail error
}

func (d detailed) Unwrap() []error { return []error{d.error, d.detail} }

func detailOf(cause error) error {
	s := (*StatusError)(nil)
	switch {
	case errors.As(cause, &s) && (s.Status == 404 || s.Status == 410), errors.Is(cause, fs.ErrNotExist):
		return ErrAbsent
	case s != nil:
		return ErrAnswer
	case errors.Is(cause, ErrForeign):
		return ErrForeign
	}
	return nil
}

// fieldError is the end of a message whose start names the field's owner.
func fieldError(format string, args ...any) error { return fmt.Errorf(format, args...) }
