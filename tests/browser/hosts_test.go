//go:build browser

package browser_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"wisp/site"
)

// A host is a web server as Debian has it, that serves a directory under
// /wisp/ by the file that build writes for it.
type hostKind struct {
	name, program, pkg string
	twins              map[string]string // by what a client accepts, the encoding that comes
	config             string            // %[1]s is its own directory, %[2]d the port, %[3]s dist
	start              func(dir string) []string
}

var hostKinds = []hostKind{
	{
		name: "nginx", program: "nginx", pkg: "nginx-light",
		twins: map[string]string{"gzip, deflate, br, zstd": "gzip", "br": ""},
		config: `daemon off; worker_processes 1; pid %[1]s/pid; error_log stderr; %[4]s
			events {}
			http {
				access_log off;
				client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
				server { listen 127.0.0.1:%[2]d; location /wisp/ { alias %[3]s/; include %[3]s/nginx.conf; } }
			}`,
		start: func(dir string) []string { return []string{"-p", dir, "-c", filepath.Join(dir, "config")} },
	},
	{
		name: "Apache", program: "apache2", pkg: "apache2-bin",
		twins: map[string]string{"gzip, deflate, br, zstd": "br", "gzip;q=1.0, br;q=0": "gzip", "zstd": "zstd"},
		// With what Debian's own configuration says of compression and languages.
		config: `ServerName localhost
			ServerRoot %[1]s
			PidFile %[1]s/pid
			ErrorLog /dev/stderr
			Listen 127.0.0.1:%[2]d
			User www-data
			Group www-data
			LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
			LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
			LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
			LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
			LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
			LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
			LoadModule rewrite_module /usr/lib/apache2/modules/mod_rewrite.so
			LoadModule filter_module /usr/lib/apache2/modules/mod_filter.so
			LoadModule deflate_module /usr/lib/apache2/modules/mod_deflate.so
			TypesConfig /etc/mime.types
			AddType application/x-gzip .gz .tgz
			AddLanguage br .br
			AddOutputFilterByType DEFLATE text/html text/javascript text/css application/wasm application/json
			Alias /wisp %[3]s
			<Directory %[3]s>
				AllowOverride FileInfo
				Require all granted
			</Directory>`,
		start: func(dir string) []string { return []string{"-f", filepath.Join(dir, "config"), "-DFOREGROUND"} },
	},
	{
		name: "Caddy", program: "caddy", pkg: "caddy",
		twins: map[string]string{"gzip, deflate, br, zstd": "br", "gzip": "gzip", "zstd": "zstd"},
		config: `{
	admin off
	storage file_system %[1]s
}
http://127.0.0.1:%[2]d {
	handle_path /wisp/* {
		root * %[3]s
		import %[3]s/Caddyfile
	}
}
`,
		start: func(dir string) []string {
			return []string{"run", "--adapter", "caddyfile", "--config", filepath.Join(dir, "config")}
		},
	},
}

// open starts the server and returns the address of dist on it.
func (h hostKind) open(t *testing.T, dist string) string {
	t.Helper()
	path, err := exec.LookPath(h.program)
	if err != nil {
		path = "/usr/sbin/" + h.program // which is not in everybody's PATH
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing: install it (Debian: apt-get install %s)", h.program, h.pkg)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	dir := openDir(t)
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	config := fmt.Sprintf(strings.ReplaceAll(h.config, "%[4]s", user), dir, port, dist)
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, h.start(dir)...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &log, &log, append(os.Environ(), "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		}
		if t.Failed() {
			t.Logf("%s:\n%s", h.name, log.String())
		}
	})
	url := fmt.Sprintf("http://127.0.0.1:%d/wisp/", port)
	for range 400 {
		if r, err := http.Get(url); err == nil {
			r.Body.Close()
			return url
		}
		select {
		case <-ended:
			t.Fatalf("%s ended", h.name)
		case <-time.After(25 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not answer", h.name)
	return ""
}

// openDir is an empty directory that any user may read.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wisp-host-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// fetched is an answer without what a client does by itself.
func fetched(t *testing.T, url string, header map[string]string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "identity")
	for k, v := range header {
		r.Header.Set(k, v)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, body
}

var hashName = regexp.MustCompile(`(^|/)([0-9a-f]{64}\.bin|[^/]+-[0-9a-f]{16}\.(wasm|js|css))$`)

// What build writes, served by nginx, Apache and Caddy by the files that build
// writes for them, under a path: types, caching, twins, ranges, headers as our
// own server has them; then a visit.
func TestHosts(t *testing.T) {
	dist := openDir(t)
	models := filepath.Join(openDir(t), "models")
	if err := os.CopyFS(filepath.Join(models, "default"), os.DirFS(*modelDir)); err != nil {
		t.Fatal(err)
	}
	if err := site.Build(built, os.DirFS(models), site.BuildOptions{Out: dist, Brotli: 3, Log: io.Discard}); err != nil {
		t.Fatal(err)
	}
	ours := serveDist(t, dist)
	for _, h := range hostKinds {
		t.Run(h.name, func(t *testing.T) {
			url := h.open(t, dist)
			checkHost(t, h, url, ours, dist)
			p := newTab(t)
			p.open(url)
			if !eval[bool](p, `crossOriginIsolated`) {
				t.Error("the first visit is not isolated")
			}
			p.draw("red heart")
		})
	}
}

// checkHost holds a host to what our own server answers.
func checkHost(t *testing.T, h hostKind, url, ours, dist string) {
	err := fs.WalkDir(os.DirFS(dist), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".br") || strings.HasSuffix(name, ".zst") || strings.HasSuffix(name, ".gz") {
			return err
		}
		if base := filepath.Base(name); strings.HasPrefix(base, ".") || base == "_headers" || base == "vercel.json" || base == "nginx.conf" || base == "Caddyfile" {
			return nil // for hosts, not visitors
		}
		got, body := fetched(t, url+name, nil)
		want, data := fetched(t, ours+name, nil)
		if got.StatusCode != 200 || !bytes.Equal(body, data) {
			t.Errorf("%s: status %d, %d bytes of %d", name, got.StatusCode, len(body), len(data))
			return nil
		}
		for _, key := range []string{"Content-Type", "Cache-Control", "Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy", "Cross-Origin-Resource-Policy", "Access-Control-Allow-Origin", "Content-Security-Policy", "Permissions-Policy", "Referrer-Policy", "X-Content-Type-Options", "X-Frame-Options"} {
			if values := got.Header.Values(key); len(values) > 1 || got.Header.Get(key) != want.Header.Get(key) {
				t.Errorf("%s: %s is %q, want %q", name, key, values, want.Header.Get(key))
			}
		}
		if got.Header.Get("ETag") == "" {
			t.Errorf("%s has no ETag", name)
		}
		for accept, encoding := range h.twins {
			checkTwin(t, url+name, filepath.Join(dist, name), accept, encoding)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	chunks, _ := filepath.Glob(filepath.Join(dist, "models", "default", "*.bin"))
	part, body := fetched(t, url+"models/default/"+filepath.Base(chunks[0]), map[string]string{"Range": "bytes=5-9", "Origin": "https://elsewhere.example"})
	if data, _ := os.ReadFile(chunks[0]); part.StatusCode != 206 || !bytes.Equal(body, data[5:10]) {
		t.Errorf("a range: status %d, %q", part.StatusCode, body)
	}
	if gone, _ := fetched(t, url+"gone-0123456789abcdef.js", nil); gone.StatusCode != 404 || strings.Contains(gone.Header.Get("Cache-Control"), "max-age") {
		t.Errorf("a file that is gone: status %d, Cache-Control %q", gone.StatusCode, gone.Header.Get("Cache-Control"))
	}
	if front, _ := fetched(t, url, map[string]string{"Accept-Encoding": "gzip"}); front.Header.Get("Cache-Control") != "no-cache" || front.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("the front page: Cache-Control %q, Content-Encoding %q", front.Header.Get("Cache-Control"), front.Header.Get("Content-Encoding"))
	}
}

// checkTwin: a file that has twins comes as one of them, to who accepts it.
func checkTwin(t *testing.T, url, file, accept, encoding string) {
	t.Helper()
	ext := map[string]string{"br": ".br", "zstd": ".zst", "gzip": ".gz"}[encoding]
	data, err := os.ReadFile(file + ext)
	if os.IsNotExist(err) {
		encoding = ""
		data, err = os.ReadFile(file)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, body := fetched(t, url, map[string]string{"Accept-Encoding": accept})
	if got := r.Header.Get("Content-Encoding"); got != encoding || !bytes.Equal(body, data) {
		t.Errorf("%s for %q: encoding %q, want %q; %d bytes of %d", url, accept, got, encoding, len(body), len(data))
	}
	if r.StatusCode != 200 || encoding != "" && !strings.Contains(r.Header.Get("Vary"), "Accept-Encoding") {
		t.Errorf("%s for %q: status %d, Vary %q", url, accept, r.StatusCode, r.Header.Get("Vary"))
	}
	_, base, _ := strings.Cut(url, "/wisp/")
	if hashName.MatchString(base) != strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("%s for %q: Cache-Control %q", url, accept, r.Header.Get("Cache-Control"))
	}
	if again, _ := fetched(t, url, map[string]string{"Accept-Encoding": accept, "If-None-Match": r.Header.Get("ETag")}); again.StatusCode != 304 {
		t.Errorf("%s for %q: asked again, status %d", url, accept, again.StatusCode)
	}
}
