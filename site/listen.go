package site

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
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
	patienceWrite = 30 * time.Second
	patienceIdle  = 30 * time.Second      // for so long HTTP/2 keeps what a closed connection held, too
	patienceFull  = time.Second           // to take a piece, where others wait for a place
	patienceRest  = 2 * time.Second       // after which a crowd has gone
	maxHead       = 64 << 10              // bytes of a request's headers
	maxStreams    = 32                    // requests at once on a connection of HTTP/2
	maxConns      = 8192                  // connections, of which each takes some 20 KB
	paceEach      = 10 * time.Millisecond // between the requests of a connection, in the long run
	paceBurst     = 400                   // requests that it may make at once
	maxFew        = 8                     // answers at once on a connection, where there are many on all
)

// maxAnswers is how many requests are answered at once: each that waits for a
// slow client takes some 50 KB.
var maxAnswers = 2048

// patienceStop is for answers under way at the end.
var patienceStop = 10 * time.Second

// Serve answers until ctx ends; then it takes no more requests, lets the
// answers under way finish for patienceStop, and returns nil. Of the descriptors
// it leaves a quarter for files.
func Serve(ctx context.Context, l net.Listener, h http.Handler, o ServeOptions) error {
	room := newRoom(min(maxConns, descriptors()/4*3))
	server := &http.Server{
		Handler:           room.watch(h, o.Log),
		ConnContext:       room.welcome,
		ConnState:         room.follow,
		ReadHeaderTimeout: patienceHead,
		ReadTimeout:       patienceHead,
		IdleTimeout:       patienceIdle,
		MaxHeaderBytes:    maxHead,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: patienceWrite},
	}
	go room.tidy(ctx)
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

// room is what the clients of a server hold together.
type room struct {
	conns   crowd
	answers crowd
	mu      sync.Mutex
	guests  map[net.Conn]*guest
	crowded atomic.Bool // and nobody has tidied up since
}

// crowded is how many answers or connections leave memory behind that is worth
// collecting.
const crowded = 64

// guest is a connection.
type guest struct {
	place *member
	under atomic.Int64 // answers under way
	mu    sync.Mutex
	next  time.Time // when its next request is due
}

// pace lets a connection wait that asks faster than any page does: what it may
// ask at once is spent, and then it asks at an even rate.
func (g *guest) pace(ctx context.Context) {
	g.mu.Lock()
	now := time.Now()
	if g.next.Before(now) {
		g.next = now
	}
	g.next = g.next.Add(paceEach)
	wait := g.next.Sub(now) - paceBurst*paceEach
	g.mu.Unlock()
	if wait <= 0 {
		return
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}

func newRoom(conns int) *room {
	return &room{conns: crowd{most: conns}, answers: crowd{most: maxAnswers, patience: patienceFull}, guests: map[net.Conn]*guest{}}
}

// tidy ends answers whose clients do not take them and connections that stand
// still, until ctx ends. A deadline for each piece would do, but over HTTP/2 its
// timer outlives the connection and holds all of it.
func (r *room) tidy(ctx context.Context) {
	for tick := time.NewTicker(time.Second); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
			r.answers.expire(patienceWrite)
			r.conns.expire(patienceIdle + patienceHead)
		}
	}
}

type guestKey struct{}

// welcome lets a connection in, for which the one that was served least lately
// goes where there are too many.
func (r *room) welcome(ctx context.Context, c net.Conn) context.Context {
	g := &guest{}
	r.mu.Lock()
	r.guests[c] = g
	r.mu.Unlock()
	g.place = r.conns.join(func() { hangUp(c) })
	return context.WithValue(ctx, guestKey{}, g)
}

// hangUp closes a connection without a word, for which TLS would wait.
func hangUp(c net.Conn) {
	if secret, ok := c.(*tls.Conn); ok {
		c = secret.NetConn()
	}
	c.Close()
}

// follow notes what a connection is at.
func (r *room) follow(c net.Conn, state http.ConnState) {
	r.mu.Lock()
	g := r.guests[c]
	if state == http.StateClosed || state == http.StateHijacked {
		delete(r.guests, c)
	}
	r.mu.Unlock()
	switch {
	case g == nil: // it is new
	case state == http.StateIdle:
		r.conns.serve(g.place) // an answer was taken
	case state == http.StateClosed, state == http.StateHijacked:
		r.rest()
		r.conns.leave(g.place)
		r.rest()
	}
}

// watch bounds how many answers are under way, on a connection and on all, and
// how long a client may let one wait, and logs it.
func (r *room) watch(h http.Handler, log io.Writer) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		g, _ := q.Context().Value(guestKey{}).(*guest)
		if g == nil {
			g = &guest{} // of a test
		}
		a := &answer{ResponseWriter: w, control: http.NewResponseController(w), room: r, guest: g, status: http.StatusOK}
		began := time.Now()
		defer a.end()
		g.pace(q.Context())
		if q.ProtoMajor == 2 && q.Context().Err() != nil {
			return // the stream was reset; over HTTP/1 who sends no more may still read
		}
		if a.admitted() {
			h.ServeHTTP(a, q)
		} else {
			unavailable(a)
		}
		if log == nil {
			return
		}
		host, _, err := net.SplitHostPort(q.RemoteAddr)
		if err != nil {
			host = "-"
		}
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(log, "%s - - [%s] %q %d %d\n", host, began.Format("02/Jan/2006:15:04:05 -0700"), q.Method+" "+q.RequestURI+" "+q.Proto, a.status, a.bytes)
	})
}

// answer counts what is sent, and knows when its client last took a piece.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	room    *room
	guest   *guest
	place   *member // in the crowd of answers
	status  int
	bytes   int64

	mu    sync.Mutex
	ended bool
}

// admitted takes a place for an answer, if there is one.
func (a *answer) admitted() bool {
	r := a.room
	if a.guest.under.Add(1) > maxFew && r.answers.size() > r.answers.most/2 {
		return false
	}
	a.place = r.answers.join(a.cut)
	return a.place != nil
}

// cut ends an answer whose client lets it wait too long, or while others want its
// place.
func (a *answer) cut() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended {
		a.ended = true
		a.control.SetWriteDeadline(time.Now())
	}
}

// end gives the answer's place back.
func (a *answer) end() {
	a.mu.Lock()
	a.ended = true
	a.mu.Unlock()
	a.guest.under.Add(-1)
	a.room.rest()
	a.room.answers.leave(a.place)
	a.room.rest()
}

// rest gives memory back to the system once a crowd has gone.
func (r *room) rest() {
	if r.answers.size() >= crowded || r.conns.size() >= crowded {
		r.crowded.Store(true)
	} else if r.few() && r.crowded.Swap(false) {
		time.AfterFunc(patienceRest, func() { r.free(6) })
	}
}

func (r *room) few() bool { return r.answers.size() < crowded/4 && r.conns.size() < crowded/4 }

// free gives memory back so many times, for on a busy machine what a crowd began
// takes a while to end, and what its connections held longer than patienceIdle.
func (r *room) free(times int) {
	if !r.few() {
		r.crowded.Store(true)
		return
	}
	runtime.GC() // what pools keep for one round
	debug.FreeOSMemory()
	if times > 1 {
		time.AfterFunc(5*patienceRest, func() { r.free(times - 1) })
	}
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader notes the status.
func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Write sends a piece.
func (a *answer) Write(b []byte) (int, error) {
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	a.room.answers.serve(a.place)
	a.room.conns.serve(a.guest.place)
	return n, err
}
