package site

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// listen serves h and returns its address, and a function that ends it as a
// signal does and returns what Serve returned.
func listen(t *testing.T, h http.Handler, o ServeOptions) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, h, o) }()
	t.Cleanup(cancel)
	return l.Addr().String(), func() error {
		cancel()
		return <-ended
	}
}

// A client that takes nothing of an answer loses it after a while; one that takes
// a little of it now and then does not.
func TestAnswerThatNobodyTakes(t *testing.T) {
	r := newRoom(4)
	failed := make(chan error, 1)
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	server := &http.Server{ConnContext: r.welcome, ConnState: r.follow, Handler: r.watch(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				failed <- err
				return
			}
		}
	}), nil)}
	go server.Serve(l)
	defer server.Close()
	c := must(net.Dial("tcp", l.Addr().String()))
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	piece := make([]byte, 1<<20)
	for range 20 { // it is served
		if _, err := io.ReadFull(c, piece); err != nil {
			t.Fatal(err)
		}
	}
	r.answers.expire(time.Minute)
	select {
	case err := <-failed:
		t.Fatalf("one that is taken was ended: %v", err)
	default:
	}
	for len(failed) == 0 {
		time.Sleep(50 * time.Millisecond)
		r.answers.expire(30 * time.Millisecond)
	}
	if n := r.answers.size(); n != 0 {
		t.Errorf("%d answers are left", n)
	}
}

// A crowd that is full lets newcomers in for those that were served least lately,
// but where all were just served.
func TestCrowd(t *testing.T) {
	var out []string
	c := crowd{most: 2}
	in := func(name string) *member { return c.join(func() { out = append(out, name) }) }
	a, b := in("a"), in("b")
	c.serve(a)
	d := in("d")
	c.leave(b) // which is out already
	c.leave(d)
	if in("e") == nil || strings.Join(out, "") != "b" || c.size() != 2 {
		t.Errorf("out are %q of %d", out, c.size())
	}
	c.patience = time.Hour
	if in("f") != nil || c.size() != 2 {
		t.Error("one came in for another that was just served")
	}
	c.expire(0)
	if c.size() != 0 || strings.Join(out, "") != "bae" {
		t.Errorf("expired are %q", out)
	}
}

// An answer that outlasts the patience is cut off, which is no failure.
func TestServeStops(t *testing.T) {
	defer func(before time.Duration) { patienceStop = before }(patienceStop)
	patienceStop = time.Millisecond
	began := make(chan struct{})
	addr, stop := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	}), ServeOptions{})
	go http.Get("http://" + addr)
	<-began
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// An answer under way when the server is told to stop still arrives whole; and
// each answer is logged.
func TestServeStopsGracefully(t *testing.T) {
	var log bytes.Buffer
	began := make(chan struct{})
	finish := make(chan struct{})
	addr, stop := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		io.WriteString(w, "half ")
		<-finish
		io.WriteString(w, "and half")
	}), ServeOptions{Log: &log})
	body := make(chan string)
	go func() {
		r, err := http.Get("http://" + addr + "/a?b")
		if err != nil {
			body <- err.Error()
			return
		}
		text, err := io.ReadAll(r.Body)
		body <- fmt.Sprint(string(text), err)
	}()
	<-began
	time.AfterFunc(50*time.Millisecond, func() { close(finish) })
	if err := stop(); err != nil {
		t.Error(err)
	}
	if got := <-body; got != "half and half<nil>" {
		t.Errorf("the answer was %q", got)
	}
	if _, err := http.Get("http://" + addr); err == nil {
		t.Error("it still answers")
	}
	if line := regexp.MustCompile(`^127\.0\.0\.1 - - \[[^]]+\] "GET /a\?b HTTP/1\.1" 200 13\n$`); !line.Match(log.Bytes()) {
		t.Errorf("the log is %q", log.String())
	}
}

// Headers beyond the limit are refused.
func TestServeLimits(t *testing.T) {
	files, _ := testFiles(t)
	addr, stop := listen(t, Handler(files), ServeOptions{})
	r, err := http.NewRequest("GET", "http://"+addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Long", strings.Repeat("x", 2*maxHead))
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("long headers: %v, %v", answer, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// With a certificate it speaks HTTP/2, and ranges and negotiation hold there.
func TestServeHTTP2(t *testing.T) {
	files, chunk := testFiles(t)
	cert, key, pool := certificate(t)
	addr, stop := listen(t, Handler(files), ServeOptions{Cert: cert, Key: key})
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	r, err := http.NewRequest("GET", "https://"+addr+"/"+chunk, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Range", "bytes=1-2")
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if answer.ProtoMajor != 2 || answer.StatusCode != 206 || string(body) != "hu" || err != nil {
		t.Errorf("%s, status %d, %q, %v", answer.Proto, answer.StatusCode, body, err)
	}
	client.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Error(err)
	}
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	if err := Serve(t.Context(), l, Handler(files), ServeOptions{Cert: key, Key: cert}); err == nil {
		t.Error("a key as a certificate was accepted")
	}
}

// certificate writes one for 127.0.0.1 that pool trusts.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private))
	pool = x509.NewCertPool()
	pool.AddCert(must(x509.ParseCertificate(der)))
	write := func(name, kind string, bytes []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(private))), pool
}

// Behind a proxy, without TLS: ranges, compressed forms and refusals pass
// through it, and the proxy's connections are used again.
func TestServeBehindProxy(t *testing.T) {
	files, chunk := testFiles(t)
	addr, stop := listen(t, Handler(files), ServeOptions{})
	proxy := httptest.NewServer(httputil.NewSingleHostReverseProxy(must(url.Parse("http://" + addr))))
	defer proxy.Close()
	ask := func(path string, header ...string) *http.Response {
		t.Helper()
		r := must(http.NewRequest("GET", proxy.URL+path, nil))
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	r := ask("/"+chunk, "Range", "bytes=1-2")
	if body := string(must(io.ReadAll(r.Body))); r.StatusCode != http.StatusPartialContent || body != "hu" {
		t.Errorf("a range: status %d, %q", r.StatusCode, body)
	}
	r.Body.Close()
	for range 450 { // more than it may at once
		r := ask("/app.js", "Accept-Encoding", "gzip")
		if io.Copy(io.Discard, r.Body); r.StatusCode != 200 || r.Header.Get("Content-Encoding") != "gzip" || !strings.Contains(r.Header.Get("Vary"), "Accept-Encoding") {
			t.Fatalf("status %d, %v", r.StatusCode, r.Header)
		}
		r.Body.Close()
	}
	if r := ask("/gone.js"); r.StatusCode != 404 {
		t.Errorf("what is not there: status %d", r.StatusCode)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if err := stop(); err != nil {
		t.Error(err)
	}
}
