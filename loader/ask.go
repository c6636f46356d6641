package loader

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// How long a visit whose model is kept whole waits for the source's answer: so
// long that a source nearby may bring a new version at once, and longer where
// the last visit heard of one after it had begun.
const (
	freshPatience = 100 * time.Millisecond
	stalePatience = 2 * time.Second
)

// found is a manifest, from the source or from the library.
type found struct {
	text []byte
	man  *Manifest
	err  error

	whole bool // every chunk that is wanted of it is kept
	stale bool // the source was seen to have another
}

// openManifest takes the manifest that is pinned and kept without asking
// anybody. Else it asks the source, and the library meanwhile. What is kept
// whole does not wait for the source, and stands in where that brings nothing
// that can be opened.
func (m *Model) openManifest(ctx context.Context) error {
	lib, _ := m.store.(*Library)
	kept := make(chan found, 1)
	go func() { kept <- m.recall(ctx, lib) }()
	if m.opts.ManifestSHA256 != "" {
		if k := <-kept; k.err == nil {
			return m.use(ctx, lib, k)
		}
		kept <- found{err: fs.ErrNotExist}
	}
	asking, giveUp := context.WithCancel(context.WithoutCancel(ctx)) // it may go on after Open
	ended := context.AfterFunc(ctx, giveUp)
	asked := make(chan found, 1)
	known := make(chan struct{})
	sources := m.sources // those that the manifest lists come later
	go func() { defer giveUp(); asked <- m.fetchManifest(asking, sources, known) }()

	var k, a found
	select {
	case k = <-kept:
		if k.err == nil {
			close(known)
		}
		if a = waitAsked(ctx, asked, k.patience()); a.man == nil && a.err == nil && ctx.Err() == nil {
			ended()
			if err := m.use(ctx, lib, k); err != nil {
				return err
			}
			go m.compare(context.WithoutCancel(ctx), lib, asked)
			return nil
		}
	case a = <-asked:
		if a.err != nil && ctx.Err() == nil {
			k = <-kept
		}
	}
	switch {
	case ctx.Err() != nil:
		return failed(ctx, ErrNetwork, ManifestName, ctx.Err())
	case a.err == nil:
		return m.use(ctx, lib, a)
	case errors.Is(k.err, ErrSilent): // it may answer by now, and there is no other way
		if k = m.recall(ctx, lib); k.man == nil {
			return a.err
		}
	case k.man == nil:
		return a.err
	}
	m.warn(fmt.Errorf("%w; going on with the manifest of the last visit", a.err))
	return m.use(ctx, lib, k)
}

// patience is how long the source may take to answer where this is kept; 0 is
// as long as it takes.
func (k found) patience() time.Duration {
	switch {
	case !k.whole:
		return 0
	case k.stale:
		return stalePatience
	}
	return freshPatience
}

// waitAsked waits for the source's answer, for a while where that is given:
// then there may be none.
func waitAsked(ctx context.Context, asked <-chan found, patience time.Duration) found {
	var enough <-chan time.Time
	if patience > 0 {
		t := time.NewTimer(patience)
		defer t.Stop()
		enough = t.C
	}
	select {
	case a := <-asked:
		return a
	case <-enough:
	case <-ctx.Done():
	}
	return found{}
}

// recall finds the manifest in the library. None is the common case, and a
// store that fails is one without.
func (m *Model) recall(ctx context.Context, lib *Library) found {
	if lib == nil {
		return found{err: fs.ErrNotExist}
	}
	text, stale, keys, err := lib.recall(ctx, m.location, m.opts.ManifestSHA256)
	if err != nil {
		return found{err: err}
	}
	man, err := ParseManifest(text)
	if err != nil {
		return found{err: err}
	}
	k := found{text: text, man: man, stale: stale}
	parts, err := m.parts(man)
	if err != nil {
		return k // the source may have one that is better
	}
	k.whole = true
	for _, i := range man.chunksOf(parts) {
		k.whole = k.whole && keys[man.Chunks[i].SHA256]
	}
	return k
}

// parts is what will be loaded of the model that a manifest describes.
func (m *Model) parts(man *Manifest) ([]Part, error) {
	if m.opts.Choose == nil {
		return m.opts.Parts, nil
	}
	return m.opts.Choose(man)
}

// use makes the manifest the model's, and notes that it was opened.
func (m *Model) use(ctx context.Context, lib *Library, f found) error {
	m.man, m.id = f.man, sumHex(f.text)
	if lib != nil && !m.opts.ManifestOnly {
		lib.protect(m.man)
		ctx := context.WithoutCancel(ctx) // it may go on after Open
		m.noted = later(func() (any, error) { return nil, lib.remember(ctx, m.location, f.text, m.man, f.stale) })
		go func() {
			m.noted()
			if err := lib.sweep(ctx); err != nil {
				m.warnStore(fmt.Errorf("loader: what an import left cannot be removed from the store: %w", err))
			}
		}()
	}
	return m.addMirrors()
}

// compare hears the source's answer after the model was opened without it. A
// new version is noted, so that the next visit waits for it, and told.
func (m *Model) compare(ctx context.Context, lib *Library, asked <-chan found) {
	a := <-asked
	switch {
	case a.err != nil:
		m.warn(fmt.Errorf("%w; the model of the last visit is in use", a.err))
		return
	case sumHex(a.text) == m.id:
		return
	}
	if m.noted != nil {
		m.noted() // it writes the same record
	}
	if err := lib.supersede(ctx, m.id); err != nil {
		m.warn(fmt.Errorf("loader: that there is a new version of the model cannot be noted in the store: %w", err))
	}
	if m.opts.OnUpdate != nil {
		m.opts.OnUpdate()
	}
}

// silence is how long a source may take to begin with the manifest, a file of
// some kilobytes, and mostSilences how often it is asked when it never does.
const (
	silence      = 6 * time.Second
	mostSilences = 4
	mostForeign  = 3 // where asking again will hardly help
)

// fetchManifest downloads the manifest, which must be the pinned one where
// there is a pin. It gives up sooner once one from an earlier visit is known.
func (m *Model) fetchManifest(ctx context.Context, sources []Source, known <-chan struct{}) (f found) {
	attempts := func(err error) int {
		n := m.opts.Retry.Attempts
		if errors.Is(err, errStalled) {
			n = min(n, mostSilences)
		}
		if errors.Is(err, ErrForeign) {
			n = min(n, mostForeign)
		}
		select {
		case <-known:
			n = min(n, 2)
		default:
		}
		return n
	}
	f.text, f.err = m.retry(ctx, sources, ManifestName, attempts, func(ctx context.Context, src Source, fresh bool) ([]byte, error) {
		b, err := m.receiveManifest(ctx, src, fresh)
		if err == nil {
			f.man, err = checkedManifest(b, m.opts.ManifestSHA256)
		}
		return b, err
	})
	return f
}

// receiveManifest downloads it once.
func (m *Model) receiveManifest(ctx context.Context, src Source, fresh bool) ([]byte, error) {
	ctx, watch, stop := m.watch(ctx, silence)
	defer stop()
	r, err := openFile(ctx, src, ManifestName, fresh)
	if err != nil {
		return nil, stalled(ctx, err)
	}
	defer r.Close()
	b, err := readAtMost(reportingReader{r, watch}, maxManifest)
	return b, stalled(ctx, err)
}

// strayAnswer is what answers in a manifest's place without an error: the page
// in which a hotel's network asks for a name, a site's page for what it has
// not. Nothing follows from it about the model.
type strayAnswer string

func (s strayAnswer) Error() string {
	return string(s) + " came in its place: check the model's address, and that this network is not waiting for a sign-in"
}

// checkedManifest parses what a source gave.
func checkedManifest(b []byte, pin string) (*Manifest, error) {
	switch text := bytes.TrimLeft(b, "\ufeff \t\r\n"); {
	case len(text) == 0:
		return nil, strayAnswer("an empty answer")
	case text[0] == '<':
		return nil, strayAnswer("a web page")
	}
	if sum := sha256.Sum256(b); pin != "" && hex.EncodeToString(sum[:]) != pin {
		return nil, wrongBytes{fmt.Errorf("its SHA-256 is %x, pinned is %s", sum, pin)}
	}
	man, err := ParseManifest(b)
	for _, damage := range []error{errCutShort, errDamaged} {
		if errors.Is(err, damage) {
			err = wrongBytes{damage}
		}
	}
	return man, err
}
