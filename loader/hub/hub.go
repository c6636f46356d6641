//go:build !js

package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"wisp/loader/safetensors"
)

// Options says where the hub is. The zero value takes the environment's word.
type Options struct {
	Endpoint string        // by default $HF_ENDPOINT or https://huggingface.co
	Token    string        // by default where Hugging Face's own programs find it; for gated and private repositories
	Piece    int           // bytes of a request; 0 is 8 MiB
	Parallel int           // requests at once for one file; 0 is 4
	Attempts int           // for each piece; 0 is 11
	Pause    time.Duration // before the second attempt, doubled up to 60 times for each further one; 0 is a second
	// Spool is the directory for files while they are used; "" is the system's
	// for temporary files. There an interrupted download is gone on with.
	Spool string
	Log   io.Writer // is told of downloads and waits; nil for nobody

	tokenFrom string // says where Token comes from
}

// Repo is a repository at one commit. It is an input of package loader/pack.
type Repo struct {
	o      Options
	ctx    context.Context // ends every request
	origin *url.URL        // of the endpoint, which alone gets the token
	name   string
	commit string
	files  []string
}

// Open looks a repository up, by an address that begins with [Scheme], and
// fixes the commit that its revision is at. Requests end with ctx.
func Open(ctx context.Context, address string, o Options) (*Repo, error) {
	name, revision, err := split(address)
	if err != nil {
		return nil, err
	}
	if err := o.fill(); err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	r := &Repo{o: o, ctx: ctx, name: name}
	if r.origin, err = url.Parse(o.Endpoint); err != nil || r.origin.Host == "" {
		return nil, fmt.Errorf("hub: HF_ENDPOINT %q is not an address: %w", o.Endpoint, err)
	}
	var info struct {
		SHA      string
		Siblings []struct{ RFilename string }
	}
	a, err := r.get(ctx, r.o.Endpoint+"/api/models/"+name+"/revision/"+url.PathEscape(revision), "", maxInfo)
	if err == nil {
		err = json.Unmarshal(a.body, &info)
	}
	if err != nil {
		return nil, fmt.Errorf("hub: %s: %w", address, err)
	}
	if info.SHA == "" {
		return nil, fmt.Errorf("hub: %s: the answer names no commit", address)
	}
	r.commit = info.SHA
	for _, s := range info.Siblings {
		r.files = append(r.files, s.RFilename)
	}
	return r, nil
}

// fill sets what is not set.
func (o *Options) fill() (err error) {
	if o.Endpoint == "" {
		o.Endpoint = os.Getenv("HF_ENDPOINT")
	}
	if o.Endpoint == "" {
		o.Endpoint = "https://huggingface.co"
	}
	o.Endpoint = strings.TrimRight(o.Endpoint, "/")
	if o.Token == "" {
		o.Token, o.tokenFrom, err = findToken()
	}
	if o.Piece < 1 {
		o.Piece = 8 << 20 // enough that requests do not cost, little enough to ask for again
	}
	if o.Parallel < 1 {
		o.Parallel = 4
	}
	if o.Attempts < 1 {
		o.Attempts = 11 // over five minutes: the hub's limits of rate last so long
	}
	if o.Pause <= 0 {
		o.Pause = time.Second
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	return err
}

// Commit is the commit that is read, whatever happens to the revision.
func (r *Repo) Commit() string { return r.commit }

// List names the files in a folder, "" for the top.
func (r *Repo) List(folder string) (names []string, err error) {
	for _, f := range r.files {
		if dir, name := path.Split(f); strings.TrimSuffix(dir, "/") == folder {
			names = append(names, name)
		}
	}
	return names, nil
}

// Open opens a file: its first piece is read, and tells how long it is.
func (r *Repo) Open(name string) (safetensors.Blob, error) {
	if !slices.Contains(r.files, name) {
		return nil, fmt.Errorf("hub: %s has no %s: %w", r.name, name, fs.ErrNotExist)
	}
	escaped := (&url.URL{Path: name}).EscapedPath()
	b := &blob{r: r, name: name, url: r.o.Endpoint + "/" + r.name + "/resolve/" + url.PathEscape(r.commit) + "/" + escaped}
	if err := b.open(); err != nil {
		return nil, fmt.Errorf("hub: %s: %w", name, err)
	}
	return b, nil
}
