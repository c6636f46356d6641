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

// patient counts the deadlines that an answer is given.
type patient struct {
	*httptest.ResponseRecorder
	deadlines int
}

func (p *patient) SetWriteDeadline(time.Time) error {
	p.deadlines++
	return nil
}

// An answer without a body has its own deadline: that of the answer before it
// on the same connection may be over.
func TestDeadlineOfEmptyAnswer(t *testing.T) {
	p := &patient{ResponseRecorder: httptest.NewRecorder()}
	watch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotModified) }), nil).
		ServeHTTP(p, httptest.NewRequest("GET", "/", nil))
	if p.deadlines != 1 {
		t.Errorf("%d deadlines were set, want 1", p.deadlines)
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
