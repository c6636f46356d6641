// Package publish looks at a built page or a packed model where it is hosted,
// as a browser of another site would ask for it, and says what the host should
// change. It knows what [wisp/site] builds and what a manifest says, and nothing
// of the engine. Start at [Check].
package publish

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"wisp/loader"
)

// Bounds of what is read of a host that is not trusted.
const (
	maxWorker = 4 << 20  // of sw.js
	maxText   = 32 << 20 // of a manifest and of a file of the page
	atOnce    = 4        // requests
)

// Report is what was found. Must keeps visitors from drawing, Better costs them
// time; each line names the files that it is about and what to change.
type Report struct {
	Files, Chunks int   // that are those that were built or packed
	Bytes         int64 // of both
	Must, Better  []string
}

// Check asks for all files of the page or the model at an address, the directory
// that holds sw.js or manifest.json. It fails where neither is there; what it
// finds wrong is in the report.
func Check(ctx context.Context, client *http.Client, address string) (*Report, error) {
	base, err := url.Parse(address)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("%q is no address: give one that begins with https://", address)
	}
	base.RawQuery, base.Fragment = "", ""
	if base.Path = base.Path[:strings.LastIndex(base.Path, "/")+1]; base.Path == "" {
		base.Path = "/"
	}
	c := &checker{ctx: ctx, client: client, base: base, found: map[finding][]string{}}
	worker := c.get("sw.js", maxWorker, nil)
	manifest := c.get(loader.ManifestName, maxText, nil)
	build, page := strings.CutPrefix(string(worker.body), "const build = ")
	page = page && worker.status == http.StatusOK
	switch {
	case page:
		err = c.page(build)
	case manifest.status == http.StatusOK:
		err = c.model("", manifest.body)
	default:
		return nil, errors.Join(fmt.Errorf("there is neither sw.js of a page (%s) nor %s of a model (%s) at %s", worker.says(), loader.ManifestName, manifest.says(), base), ctx.Err())
	}
	if err != nil {
		return nil, err
	}
	c.absent()
	c.secure(page)
	return c.report(), ctx.Err()
}

type finding struct {
	must bool
	text string
}

type checker struct {
	ctx    context.Context
	client *http.Client
	base   *url.URL

	mu            sync.Mutex
	found         map[finding][]string // files it is about
	files, chunks int
	bytes         int64
}

func (c *checker) must(file, text string)   { c.add(finding{true, text}, file) }
func (c *checker) better(file, text string) { c.add(finding{false, text}, file) }

func (c *checker) add(f finding, file string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found[f] = append(c.found[f], file)
}

// count notes a file that is right.
func (c *checker) count(n *int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
	c.bytes += bytes
}

// report puts one line for all files of which the same is to be said.
func (c *checker) report() *Report {
	r := &Report{Files: c.files, Chunks: c.chunks, Bytes: c.bytes}
	for f, files := range c.found {
		slices.Sort(files)
		if len(files) > 3 {
			files = append(files[:2:2], fmt.Sprintf("%d more", len(files)-2))
		}
		line := strings.Join(files, ", ") + ": " + f.text
		if f.must {
			r.Must = append(r.Must, line)
		} else {
			r.Better = append(r.Better, line)
		}
	}
	slices.Sort(r.Must)
	slices.Sort(r.Better)
	return r
}

// each calls f for all names, several at once.
func (c *checker) each(names []string, f func(name string)) {
	next := make(chan string)
	var wait sync.WaitGroup
	for range atOnce {
		wait.Go(func() {
			for name := range next {
				f(name)
			}
		})
	}
	for _, name := range names {
		if c.ctx.Err() != nil {
			break
		}
		next <- name
	}
	close(next)
	wait.Wait()
}

// model checks every chunk of a model in a folder below the address.
func (c *checker) model(folder string, text []byte) error {
	man, err := loader.ParseManifest(text)
	if err != nil {
		return fmt.Errorf("%s%s: %w", folder, loader.ManifestName, err)
	}
	c.shared(folder+loader.ManifestName, c.get(folder+loader.ManifestName, maxText, nil))
	sizes := map[string]int64{}
	for _, chunk := range man.Chunks {
		sizes[chunk.File()] = chunk.Stored
	}
	var names []string
	for name := range sizes {
		names = append(names, folder+name)
	}
	c.each(names, func(name string) {
		file := strings.TrimPrefix(name, folder)
		a := c.get(name, sizes[file]+1, nil)
		if !c.same(name, a, strings.TrimSuffix(file, ".bin")) {
			return
		}
		c.count(&c.chunks, int64(len(a.body)))
		c.shared(name, a)
		c.kept(name, a)
		if coded := a.header.Get("Content-Encoding"); coded != "" {
			c.better(name, "is sent compressed ("+coded+") although it already is: leave .bin files out")
		}
	})
	return nil
}

// page checks all that the service worker of a page lists, and the default model.
func (c *checker) page(build string) error {
	var list struct {
		Files map[string]string
		Later map[string]string
	}
	if err := json.NewDecoder(strings.NewReader(build)).Decode(&list); err != nil || len(list.Files) == 0 {
		return fmt.Errorf("sw.js is not as build writes it: %v", err)
	}
	hashes := map[string]string{}
	for _, some := range []map[string]string{list.Files, list.Later} {
		for name, hash := range some {
			if len(hash) == sha256.Size*2 {
				hashes[strings.TrimPrefix(name, "./")] = hash
			}
		}
	}
	var names []string
	for name := range hashes {
		names = append(names, name)
	}
	c.each(names, func(name string) {
		a := c.get(name, maxText, nil)
		if !c.same(name, a, hashes[name]) {
			return
		}
		c.count(&c.files, int64(len(a.body)))
		c.shared(name, a)
		c.typed(name, a)
		c.kept(name, a)
		c.compressed(name, hashes[name], len(a.body))
	})
	c.isolated()
	const folder = "models/default/"
	a := c.get(folder+loader.ManifestName, maxText, nil)
	if a.status != http.StatusOK {
		c.must(folder+loader.ManifestName, a.says()+": the page has no model to begin with: copy one there")
		return nil
	}
	return c.model(folder, a.body)
}

// absent asks for a file that no host has: what answers with a page of its own
// in its place hides what is missing.
func (c *checker) absent() {
	name := strings.ToLower(rand.Text()) + ".bin"
	if a := c.get(name, maxText, nil); a.status == http.StatusOK {
		c.must("a file that is not there", "is answered with status 200: turn off what sends another page in place of what is missing, and send 404")
	}
}

// secure says what a page loses without TLS.
func (c *checker) secure(page bool) {
	host := c.base.Hostname()
	if ip := net.ParseIP(host); c.base.Scheme == "https" || host == "localhost" || ip != nil && ip.IsLoopback() {
		return
	}
	if page {
		c.must(c.base.String(), "is http: browsers give it no graphics card, no service worker and no shared memory: serve it by https")
	} else {
		c.must(c.base.String(), "is http: pages of https may not fetch it: serve it by https")
	}
}

// answer is what a host sent.
type answer struct {
	err    error
	status int
	header http.Header
	body   []byte
}

// says is the answer in a word.
func (a answer) says() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("status %d", a.status)
}

// get asks for a file as a browser on another site does, for at most so many
// bytes, uncompressed where the header does not ask for more.
func (c *checker) get(name string, most int64, header map[string]string) answer {
	r, err := http.NewRequestWithContext(c.ctx, http.MethodGet, c.base.JoinPath(name).String(), nil)
	if err != nil {
		return answer{err: err}
	}
	r.Header.Set("Origin", "https://example.org")
	r.Header.Set("Accept-Encoding", "identity")
	for key, value := range header {
		r.Header.Set(key, value)
	}
	got, err := c.client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer got.Body.Close()
	body, err := io.ReadAll(io.LimitReader(got.Body, most))
	return answer{err, got.StatusCode, got.Header, body}
}
