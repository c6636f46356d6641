//go:build attack

package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wisp/tests/attack/row"
)

// victim is the server as the command runs it, with so many descriptors.
type victim struct {
	addr   string
	scheme string
	pid    int
	chunk  string // the path of a file of 16 MiB

	memory      float64 // after the first crowd, in MB
	descriptors int
}

const descriptors = 1024

// command builds the command once.
var command = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "wisp-attack-")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "wisp")
	text, err := exec.Command("go", "build", "-o", out, "wisp").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, text)
	}
	return out, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if out, err := command(); err == nil {
		os.RemoveAll(filepath.Dir(out))
	}
	os.Exit(code)
}

// start serves a small site, over TLS and HTTP/2 where secret.
func start(t *testing.T, secret bool) *victim {
	t.Helper()
	wisp, err := command()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	v := &victim{scheme: "http", chunk: "/" + strings.Repeat("0", 64) + ".bin"}
	files := map[string][]byte{
		"index.html": bytes.Repeat([]byte("<p>page"), 2000), "app.js": bytes.Repeat([]byte("let a;\n"), 2000),
		v.chunk[1:]: make([]byte, 16<<20), ".secret": []byte("secret"), "../secret": []byte("secret"),
	}
	site := filepath.Join(dir, "site")
	if err := os.Mkdir(site, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(site, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	line := fmt.Sprintf("ulimit -n %d; exec %s serve -dir %s -addr 127.0.0.1:0", descriptors, wisp, site)
	if secret {
		v.scheme = "https"
		cert, key := certificate(t, dir)
		line += " -cert " + cert + " -key " + key
	}
	cmd := exec.Command("sh", "-c", line)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	v.pid = cmd.Process.Pid
	said, err := bufio.NewReader(out).ReadString('\n')
	_, port, found := strings.Cut(said, "localhost:")
	port, _, _ = strings.Cut(port, "/")
	if err != nil || !found {
		t.Fatalf("the server says %q: %v", said, err)
	}
	v.addr = "127.0.0.1:" + port
	return v
}

// certificate writes one for this machine.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret)
}

// client is a normal one, on a connection of its own.
func (v *victim) client() *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

// visit is what a normal client does: a page, a script, a piece of a chunk.
func (v *victim) visit(c *http.Client) error {
	for _, want := range []struct {
		path, span string
		status     int
	}{{"/", "", 200}, {"/app.js", "", 200}, {v.chunk, "bytes=100-65635", 206}} {
		r, err := http.NewRequest("GET", v.scheme+"://"+v.addr+want.path, nil)
		if err != nil {
			return err
		}
		if want.span != "" {
			r.Header.Set("Range", want.span)
		}
		answer, err := c.Do(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != want.status {
			return fmt.Errorf("%s: status %d, %v", want.path, answer.StatusCode, err)
		}
	}
	return nil
}

// span is how long an attack goes on.
func span() time.Duration {
	if row.Whole() {
		return 8 * time.Second
	}
	return time.Second
}

// under runs an attack by so many hostile clients, which end when the channel
// is closed, beside a normal client, and prints the row: each request of the
// normal one within a second, memory and descriptors back as before.
func under(t *testing.T, name string, v *victim, hostile int, attack func(end <-chan struct{}, i int) (tried int)) {
	t.Helper()
	before, broken := t.Failed(), false
	c := v.client()
	var control []time.Duration
	for range 20 {
		from := time.Now()
		if err := v.visit(c); err != nil {
			t.Fatal(err)
		}
		control = append(control, time.Since(from))
		c.CloseIdleConnections()
	}
	slices.Sort(control)
	limit := 1000 * max(1, float64(control[10])/float64(v.idle()))
	run := func(during func()) (tried int) {
		end := make(chan struct{})
		var sum atomic.Int64
		var attackers sync.WaitGroup
		for i := range hostile {
			attackers.Go(func() { sum.Add(int64(attack(end, i))) })
		}
		time.Sleep(span() / 4)
		during()
		close(end)
		attackers.Wait()
		return int(sum.Load())
	}
	if v.memory == 0 {
		run(func() {}) // what the first crowd leaves, any does
		time.Sleep(3 * time.Second)
		v.memory, v.descriptors = row.Memory(v.pid), row.Descriptors(v.pid)
		t.Cleanup(func() { v.rests(t) })
	}
	r := row.Row{Case: name, MemoryBefore: row.Memory(v.pid), DescriptorsBefore: row.Descriptors(v.pid)}
	for try := 0; try == 0 || r.P99 > limit && try < 3; try++ { // another program may have had the processor
		var waits []time.Duration
		r.Tried = run(func() {
			for began := time.Now(); time.Since(began) < span() || len(waits) < 20; {
				c := v.client() // a new connection each: there must be room for it
				from := time.Now()
				if err := v.visit(c); err != nil {
					t.Errorf("%s: a normal client: %v", name, err)
					broken = true
					break
				}
				waits = append(waits, time.Since(from))
				c.CloseIdleConnections()
			}
		})
		r.Wait(waits)
	}
	if r.P99 > limit {
		t.Errorf("%s: a normal client waited %.0f ms at p99", name, r.P99)
	} else if !broken && (before || !t.Failed()) {
		r.Held = r.Tried
	}
	time.Sleep(time.Second) // the server notices that they are gone
	r.MemoryAfter, r.DescriptorsAfter = row.Memory(v.pid), row.Descriptors(v.pid)
	r.Print()
	if r.Tried == 0 {
		t.Errorf("%s: nothing was tried", name)
	}
}

// idle is what a normal visit takes on a machine of two cores that does nothing
// else: by how much longer it takes, this machine is busy.
func (v *victim) idle() time.Duration {
	if v.scheme == "https" {
		return 4 * time.Millisecond
	}
	return 1500 * time.Microsecond
}

// rests waits until the server is as it was before the first attack, and prints
// the row: within 10 %.
func (v *victim) rests(t *testing.T) {
	r := row.Row{Case: "the server afterwards, " + t.Name(), Tried: 1, MemoryBefore: v.memory, DescriptorsBefore: v.descriptors}
	for range 120 { // what timers hold is given back when they are over
		r.MemoryAfter, r.DescriptorsAfter = row.Memory(v.pid), row.Descriptors(v.pid)
		if r.DescriptorsAfter <= v.descriptors && r.MemoryAfter <= 1.1*v.memory+slack {
			r.Held = 1
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	r.Print()
	if r.Held == 0 {
		t.Errorf("memory %.0f, then %.0f MB; descriptors %d, then %d", v.memory, r.MemoryAfter, v.descriptors, r.DescriptorsAfter)
	}
}

// slack is what a Go program's memory varies by, in megabytes.
const slack = 2

// ended tells whether an attack is over.
func ended(end <-chan struct{}) bool {
	select {
	case <-end:
		return true
	default:
		return false
	}
}

// closing closes a connection once an attack is over, or once it is called.
func closing(end <-chan struct{}, c net.Conn) (now func()) {
	done := make(chan struct{})
	go func() {
		select {
		case <-end:
		case <-done:
		}
		c.Close()
	}()
	return sync.OnceFunc(func() { close(done) })
}

// raw opens a connection without the rules of a client, secret or not.
func (v *victim) raw() (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	c, err := d.Dial("tcp", v.addr)
	if err != nil || v.scheme == "http" {
		return c, err
	}
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	return s, s.Handshake()
}

// hold opens connections that do what first and then says, and holds them,
// opening another where one was ended.
func (v *victim) hold(end <-chan struct{}, first func(net.Conn) error, again func(net.Conn) error) (tried int) {
	for !ended(end) {
		c, err := v.raw()
		if err != nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		tried++
		for err = first(c); err == nil && !ended(end); err = again(c) {
			select {
			case <-end:
			case <-time.After(200 * time.Millisecond):
			}
		}
		c.Close()
	}
	return tried
}

// Clients that hold connections: their requests never end, their answers are
// hardly read, they say nothing. More of them than the server has descriptors.
func TestHeldConnections(t *testing.T) {
	for _, secret := range []bool{false, true} {
		if secret && !row.Whole() {
			break
		}
		v := start(t, secret)
		const many = 1200
		under(t, "slow requests, "+v.scheme, v, many, func(end <-chan struct{}, i int) int {
			return v.hold(end, func(c net.Conn) error {
				_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n")
				return err
			}, func(c net.Conn) error {
				_, err := io.WriteString(c, "X: y\r\n")
				return err
			})
		})
		under(t, "slow readers of 16 MiB, "+v.scheme, v, many/4, func(end <-chan struct{}, i int) int {
			return v.hold(end, func(c net.Conn) error {
				if tcp, ok := c.(*net.TCPConn); ok {
					tcp.SetReadBuffer(4096)
				}
				_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", v.chunk)
				return err
			}, func(c net.Conn) error {
				_, err := c.Read(make([]byte, 1))
				return err
			})
		})
		under(t, "silent connections, "+v.scheme, v, many, func(end <-chan struct{}, i int) int {
			silent := *v
			silent.scheme = "http" // not even a handshake
			return silent.hold(end, func(net.Conn) error { return nil }, func(net.Conn) error { return nil })
		})
	}
}

// Floods on plain connections: requests back to back, and connections that are
// opened and closed.
func TestFloods(t *testing.T) {
	v := start(t, false)
	under(t, "requests back to back, http", v, 100, func(end <-chan struct{}, i int) (tried int) {
		for !ended(end) {
			c, err := v.raw()
			if err != nil {
				continue
			}
			go io.Copy(io.Discard, c)
			stop := closing(end, c)
			for err == nil && !ended(end) {
				_, err = io.WriteString(c, strings.Repeat("GET /app.js HTTP/1.1\r\nHost: x\r\n\r\n", 20))
				tried += 20
				time.Sleep(5 * time.Millisecond) // the normal client is of this process, too
			}
			stop()
		}
		return tried
	})
	if !row.Whole() {
		return
	}
	under(t, "connections opened and closed, http", v, 20, func(end <-chan struct{}, i int) (tried int) {
		for !ended(end) {
			if c, err := v.raw(); err == nil {
				tried++
				c.Close()
			}
		}
		return tried
	})
}

// A hundred hostile connections of HTTP/2 against a server of 1,024
// descriptors: streams whose answers nobody takes, streams that are begun and
// reset, streams without an end, frames that want an answer, floods.
func TestHTTP2(t *testing.T) {
	v := start(t, true)
	session := func(window uint32, act func(h *h2, end <-chan struct{}) int) func(end <-chan struct{}, i int) int {
		return func(end <-chan struct{}, i int) (tried int) {
			for !ended(end) {
				h, err := dialH2(v.addr, window)
				if err != nil {
					time.Sleep(100 * time.Millisecond)
					continue
				}
				go h.drain()
				stop := closing(end, h)
				tried += act(h, end)
				stop()
				time.Sleep(100 * time.Millisecond) // handshakes take the time of this machine, which is the server's, too
			}
			return tried
		}
	}
	// each repeats a step, a pause apart, until it fails or the attack is over.
	each := func(pause time.Duration, step func(h *h2) error) func(h *h2, end <-chan struct{}) int {
		return func(h *h2, end <-chan struct{}) (tried int) {
			for !ended(end) && step(h) == nil {
				tried++
				time.Sleep(pause)
			}
			return tried
		}
	}
	for _, path := range []string{"/index.html", v.chunk} {
		under(t, "streams that nobody takes of "+path[:min(11, len(path))]+", h2", v, 100, session(0, func(h *h2, end <-chan struct{}) (tried int) {
			for ; tried < 240; tried++ {
				if _, err := h.get(path, endStream|endHeaders); err != nil {
					return tried
				}
			}
			<-end
			return tried
		}))
	}
	if !row.Whole() {
		return
	}
	under(t, "rapid resets, h2", v, 100, session(1<<20, each(10*time.Millisecond, func(h *h2) error {
		stream, err := h.get("/app.js", endStream|endHeaders)
		if err == nil {
			err = h.frame(frameReset, 0, stream, []byte{0, 0, 0, 8})
		}
		return err
	})))
	under(t, "streams without an end, h2", v, 100, session(1<<20, each(10*time.Millisecond, func(h *h2) error {
		_, err := h.get("/app.js", endHeaders)
		return err
	})))
	under(t, "headers without an end, h2", v, 100, session(1<<20, func(h *h2, end <-chan struct{}) (tried int) {
		stream, err := h.get("/app.js", 0)
		for err == nil && !ended(end) {
			tried++
			err = h.frame(frameContinue, 0, stream, bytes.Repeat([]byte{0x00, 1, 'a', 1, 'b'}, 100))
			time.Sleep(time.Millisecond)
		}
		return max(tried, 1)
	}))
	under(t, "pings and settings, h2", v, 100, session(1<<20, each(2*time.Millisecond, func(h *h2) error {
		if err := h.frame(framePing, 0, 0, make([]byte, 8)); err != nil {
			return err
		}
		return h.frame(frameSettings, 0, 0, nil)
	})))
	under(t, "requests back to back, h2", v, 100, session(1<<30, each(time.Millisecond, func(h *h2) error {
		_, err := h.get("/app.js", endStream|endHeaders)
		return err
	})))
}

// Odd requests: what is not there is not there, what is refused is refused, and
// nothing outside of the site is ever sent.
func TestOddRequests(t *testing.T) {
	seed := row.Seed()
	rng := mathrand.New(mathrand.NewPCG(seed, 1))
	cases := 2000
	if row.Whole() {
		cases = 20_000
	}
	for _, secret := range []bool{false, true} {
		v := start(t, secret)
		name := fmt.Sprintf("odd requests and paths, seed %d, %s", seed, v.scheme)
		var mu sync.Mutex
		next := func() string {
			mu.Lock()
			defer mu.Unlock()
			return oddRequest(rng)
		}
		const clients = 8
		under(t, name, v, clients, func(end <-chan struct{}, i int) (tried int) {
			o := odd{t: t, v: v}
			defer o.close()
			for ; tried < cases/clients; tried++ {
				o.try(next())
			}
			return tried
		})
	}
}

// odd is a client that sends what it likes.
type odd struct {
	t       *testing.T
	v       *victim
	c       net.Conn
	answers *bufio.Reader
}

func (o *odd) close() {
	if o.c != nil {
		o.c.Close()
		o.c = nil
	}
}

// try sends a request and looks at the answer; after one that ends the
// connection the next has another.
func (o *odd) try(request string) {
	if o.c == nil {
		c, err := o.v.raw()
		if err != nil {
			o.t.Error(err)
			return
		}
		o.c, o.answers = c, bufio.NewReader(c)
	}
	o.c.SetDeadline(time.Now().Add(3 * time.Second))
	io.WriteString(o.c, request)
	method, _, _ := strings.Cut(request, " ")
	answer, err := http.ReadResponse(o.answers, &http.Request{Method: method})
	if err != nil {
		o.close()
		return
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if bytes.Contains(body, []byte("secret")) || answer.StatusCode == 500 {
		o.t.Errorf("%q is answered %d, %.40q", request, answer.StatusCode, body)
	}
	if err != nil || answer.Close || answer.StatusCode >= 400 && answer.StatusCode != 404 && answer.StatusCode != 405 {
		o.close()
	}
}

// oddRequest is a request such as no browser sends.
func oddRequest(rng *mathrand.Rand) string {
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	var path strings.Builder
	for range 1 + rng.IntN(6) {
		path.WriteString(pick("/", "//", "/.", "/..", "/%2e%2e", "/%2E.", "/..%2f", "/..%5c", "/\\..", "/%252e%252e", "/%c0%ae%c0%ae", "/.secret", "/secret", "/site", "/index.html", "/app.js", "/%00", "/\u202e", "/con", "/a:b", "/..;", "/~", "/*", "?x", "#y"))
	}
	if rng.IntN(2) == 0 {
		path.WriteString(pick("/secret", "/.secret", "secret", "/%2e%2e/secret", "/..%2fsecret"))
	}
	version := pick("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTP/1.1", "")
	method := pick("GET", "GET", "GET", "HEAD", "POST", "PUT", "TRACE", "CONNECT", "OPTIONS", "get", "G\x00T", strings.Repeat("A", 5000))
	headers := ""
	for range rng.IntN(4) {
		headers += pick("Range: bytes=0-0,1-1,2-2,3-3\r\n", "Range: bytes=-99999999999999999999\r\n", "Range: bytes=5-1\r\n", "Accept-Encoding: br;q=x, *;q=9\r\n",
			"Accept-Encoding: "+strings.Repeat("a,", 3000)+"\r\n", "If-None-Match: *\r\n", "If-Range: \"\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "Content-Length: -1\r\n",
			"Content-Length: 99999999999\r\n", "Host: y\r\n", "Host: "+strings.Repeat("h", 5000)+"\r\n", "X-Forwarded-For: \r\n", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n",
			": \r\n", "a b: c\r\n", " folded\r\n", "X: \x00\r\n", "Expect: 100-continue\r\n", "Connection: close\r\n", "X: "+strings.Repeat("x", 70_000)+"\r\n")
	}
	return method + " " + path.String() + " " + version + "\r\nHost: x\r\n" + headers + "\r\n"
}
