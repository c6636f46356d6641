package site

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// ServeOptions says how Serve listens. The zero value is plain HTTP without a
// log.
type ServeOptions struct {
	// Cert and Key are files in PEM; with them it is HTTPS and HTTP/2.
	Cert, Key string
	// Log gets a line for each answer, in the Common Log Format.
	Log io.Writer
}

// How long a client may take, in the limits of what a slow line needs: to send
// its request, to take each piece of an answer, and to come again.
const (
	patienceHead  = 10 * time.Second
	patienceWrite = time.Minute
	patienceIdle  = 2 * time.Minute
	maxHead       = 64 << 10 // bytes of a request's headers
	maxStreams    = 100      // requests at once on a connection of HTTP/2
)

// maxAnswers is how many requests are answered at once: each that waits for a
// slow client takes some 50 KB.
var maxAnswers int64 = 1024

// patienceStop is for answers under way at the end.
var patienceStop = 10 * time.Second

// Serve answers until ctx ends; then it takes no more requests, lets the
// answers under way finish for patienceStop, and returns nil.
func Serve(ctx context.Context, l net.Listener, h http.Handler, o ServeOptions) error {
	server := &http.Server{
		Handler:           watch(h, o.Log),
		ReadHeaderTimeout: patienceHead,
		ReadTimeout:       patienceHead,
		IdleTimeout:       patienceIdle,
		MaxHeaderBytes:    maxHead,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
	}
	stopped := make(chan error, 1)
	end := context.AfterFunc(ctx, func() {
		wait, cancel := context.WithTimeout(context.Background(), patienceStop)
		defer cancel()
		err := server.Shutdown(wait)
		if err != nil {
			err = server.Close() // cuts off what is still under way
		}
		stopped <- err
	})
	var err error
	if o.Cert != "" || o.Key != "" {
		err = server.ServeTLS(l, o.Cert, o.Key)
	} else {
		err = server.Serve(l)
	}
	if end() || !errors.Is(err, http.ErrServerClosed) {
		l.Close()
		return err
	}
	return <-stopped
}

// watch bounds how many answers are under way and how long a client may let one
// wait, and logs it.
func watch(h http.Handler, log io.Writer) http.Handler {
	var mu sync.Mutex
	var under atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w, control: http.NewResponseController(w), status: http.StatusOK}
		began := time.Now()
		a.hurry() // the deadline of an answer before this one may be over
		defer under.Add(-1)
		if under.Add(1) > maxAnswers {
			unavailable(a)
		} else {
			h.ServeHTTP(a, r)
		}
		if log == nil {
			return
		}
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = "-"
		}
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(log, "%s - - [%s] %q %d %d\n", host, began.Format("02/Jan/2006:15:04:05 -0700"), r.Method+" "+r.RequestURI+" "+r.Proto, a.status, a.bytes)
	})
}

// answer counts what is sent, and gives each piece its time.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	bytes   int64
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader notes the status.
func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// hurry gives the client patienceWrite for what comes next. A writer that knows
// no deadlines, as tests have them, waits for nobody.
func (a *answer) hurry() { a.control.SetWriteDeadline(time.Now().Add(patienceWrite)) }

// Write sends a piece.
func (a *answer) Write(b []byte) (int, error) {
	a.hurry()
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}
