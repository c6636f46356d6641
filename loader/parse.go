package loader

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"wisp/loader/budget"
)

// limits are the budgets of a manifest. The tables have their own, see
// maxTable: each row is some ten entries and two levels.
var limits = budget.Limits{Bytes: maxManifest, Entries: 4 << 20, Depth: 64}

// Why a manifest's text is not what was written.
var (
	errCutShort = errors.New("it is cut short")
	errDamaged  = errors.New("its digest does not fit: it was damaged, or changed by hand after it was packed")
)

// ParseManifest decodes and checks a manifest. Whatever it accepts can be
// loaded without an index out of range or an allocation that the tables do
// not justify. It takes time and memory in proportion to b, and no more than
// the format's limits allow. Errors wrap [ErrBadModel].
func ParseManifest(b []byte) (*Manifest, error) {
	if len(b) > maxManifest {
		return nil, badModel("%s is %d bytes long, more than %d", ManifestName, len(b), maxManifest)
	}
	rest, digest := cutDigest(b)
	if sum := sha256.Sum256(rest); digest != "" && hex.EncodeToString(sum[:]) != digest {
		return nil, badModel("%s: %w", ManifestName, errDamaged)
	}
	r := &manifestReader{JSON: budget.NewJSON(ManifestName, b, limits), man: &Manifest{}, digest: digest}
	err := r.read()
	if err == nil && r.man.Format == "wisp" && known(int64(r.man.Version)) {
		return r.man, r.man.check()
	}
	return nil, refusal(b, err)
}

// known reports whether a version of the format is read.
func known(version int64) bool { return version >= 1 && version <= Version }

// refusal says why a manifest that is not one of this version's is none: a
// later version may mean something else by all keys but two.
func refusal(b []byte, why error) error {
	var format string
	version := int64(-1)
	j := budget.NewJSON(ManifestName, b, limits)
	err := j.Members(func(key string) (err error) {
		switch {
		case key == "format" && format == "":
			format, err = j.String()
		case key == "version" && version < 0:
			version, err = j.Int()
		default:
			_, err = j.Raw()
		}
		return err
	})
	if err == nil {
		err = j.End()
	}
	switch {
	case errors.Is(err, budget.ErrCutShort):
		return badModel("%s: %w", ManifestName, errCutShort)
	case err != nil && why != nil && format == "wisp" && known(version):
		return badModel("%s: %v", ManifestName, why)
	case err != nil:
		return badModel("%s is not a manifest: %v; check the model's address", ManifestName, err)
	case format != "wisp" || version < 0:
		return badModel("%s is not a wisp manifest; make one with `go run . pack`", ManifestName)
	case version > Version:
		return badModel("the model has format version %d, this build reads %d: update wisp", version, Version)
	case version < 1:
		return badModel("the model has format version %d, this build reads %d: pack it again", version, Version)
	}
	return badModel("%s: %v", ManifestName, why)
}

// A manifest may end in a line of its own with the SHA-256 of all bytes before
// that line.
const (
	digestHead = `"digest":"`
	digestTail = "\"}\n"
	digestLine = len(digestHead) + 2*sha256.Size + len(digestTail)
)

// cutDigest returns what comes before that line and the hash in it; "" where
// there is none.
func cutDigest(b []byte) (rest []byte, digest string) {
	at := len(b) - digestLine
	if at < 1 || b[at-1] != '\n' || !bytes.HasPrefix(b[at:], []byte(digestHead)) || !bytes.HasSuffix(b, []byte(digestTail)) {
		return b, ""
	}
	return b[:at], string(b[at+len(digestHead) : len(b)-len(digestTail)])
}

// appendDigest ends a manifest whose other keys b has, down to a comma and a
// new line.
func appendDigest(b []byte) []byte {
	return fmt.Appendf(b, "%s%x%s", digestHead, sha256.Sum256(b), digestTail)
}

// manifestReader reads a manifest's text into its tables.
type manifestReader struct {
	*budget.JSON
	man    *Manifest
	digest string // of the last line
}

func (r *manifestReader) read() error {
	m := r.man
	_, err := r.Object([]budget.Field{
		{Key: "format", Read: r.text(&m.Format)},
		{Key: "version", Read: r.small(&m.Version)},
		{Key: "name", Read: r.text(&m.Name)},
		{Key: "licence", Read: r.text(&m.Licence)},
		{Key: "card", Read: r.text(&m.Card)},
		{Key: "pipeline", Read: r.text(&m.Pipeline)},
		{Key: "mirrors", Read: r.mirrors},
		{Key: "index", Read: r.raw(&m.Index)},
		{Key: "defaults", Read: r.raw(&m.Defaults)},
		{Key: "components", Read: r.components},
		{Key: "files", Read: r.files},
		{Key: "chunks", Read: r.chunks},
		{Key: "tensors", Read: r.tensors},
		{Key: "digest", Read: r.lastLine},
	})
	if err != nil {
		return err
	}
	return r.End()
}

func (r *manifestReader) text(to *string) func() error {
	return func() (err error) { *to, err = r.Again(*to); return err }
}

func (r *manifestReader) whole(to *int64) func() error {
	return func() (err error) { *to, err = r.Int(); return err }
}

func (r *manifestReader) small(to *int) func() error {
	return func() error {
		n, err := r.Int()
		if err == nil && int64(int32(n)) != n {
			err = fmt.Errorf("%d is out of range", n)
		}
		*to = int(n)
		return err
	}
}

func (r *manifestReader) raw(to *json.RawMessage) func() error {
	return func() error {
		b, err := r.Raw()
		*to = bytes.Clone(b)
		return err
	}
}

// lastLine reads the digest, which covers nothing unless it is the last line.
func (r *manifestReader) lastLine() error {
	s, err := r.String()
	if err == nil && (s == "" || s != r.digest) {
		return errors.New("it is not the manifest's last line")
	}
	return err
}

func (r *manifestReader) mirrors() error {
	return r.Array(func(i int) error {
		if i == maxMirrors {
			return fmt.Errorf("more than %d", maxMirrors)
		}
		s, err := r.String()
		r.man.Mirrors = append(r.man.Mirrors, s)
		return err
	})
}

func (r *manifestReader) components() error {
	r.man.Components = map[string]Component{}
	return r.Members(func(name string) error {
		if _, twice := r.man.Components[name]; twice || len(r.man.Components) == maxComponents {
			return fmt.Errorf("%q is there twice, or the %dth", name, maxComponents+1)
		}
		var c Component
		_, err := r.Object([]budget.Field{
			{Key: "library", Read: r.text(&c.Library)}, {Key: "class", Read: r.text(&c.Class)}, {Key: "config", Read: r.raw(&c.Config)},
		})
		r.man.Components[name] = c
		return err
	})
}

// row reads an object with all fields, of which the last so many may be missing.
func (r *manifestReader) row(i int, fields []budget.Field, optional int) error {
	if i == maxTable {
		return fmt.Errorf("more than %d entries", maxTable)
	}
	seen, err := r.Object(fields)
	for k, f := range fields[:len(fields)-optional] {
		if err == nil && seen&(1<<k) == 0 {
			err = fmt.Errorf("it has no %s", f.Key)
		}
	}
	if err != nil {
		return fmt.Errorf("entry %d: %w", i, err)
	}
	return nil
}

// place lists the fields of a place.
func (r *manifestReader) place(p *Place) []budget.Field {
	return []budget.Field{{Key: "chunk", Read: r.small(&p.Chunk)}, {Key: "offset", Read: r.whole(&p.Offset)}, {Key: "length", Read: r.whole(&p.Length)}}
}

func (r *manifestReader) files() error {
	var f FileInfo
	fields := append([]budget.Field{{Key: "name", Read: r.text(&f.Name)}}, r.place(&f.Place)...)
	return r.Array(func(i int) error {
		err := r.row(i, fields, 0)
		r.man.Files = append(r.man.Files, f)
		return err
	})
}

func (r *manifestReader) chunks() error {
	var c Chunk
	fields := []budget.Field{
		{Key: "sha256", Read: r.text(&c.SHA256)}, {Key: "stored", Read: r.whole(&c.Stored)},
		{Key: "raw", Read: r.whole(&c.Raw)}, {Key: "encoding", Read: r.text(&c.Encoding)},
	}
	return r.Array(func(i int) error {
		err := r.row(i, fields, 0)
		r.man.Chunks = append(r.man.Chunks, c)
		return err
	})
}

func (r *manifestReader) tensors() error {
	var t TensorInfo
	var encoding string
	fields := append([]budget.Field{
		{Key: "component", Read: r.text(&t.Component)}, {Key: "name", Read: r.text(&t.Name)}, {Key: "dtype", Read: r.text(&t.DType)},
		{Key: "shape", Read: func() error { return r.shape(&t) }},
	}, append(r.place(&t.Place), budget.Field{Key: "encoding", Read: func() (err error) { t.Encoding, err = r.Again(encoding); return err }})...)
	return r.Array(func(i int) error {
		if t.Encoding != "" {
			encoding, t.Encoding = t.Encoding, ""
		}
		err := r.row(i, fields, 1)
		r.man.Tensors = append(r.man.Tensors, t)
		return err
	})
}

func (r *manifestReader) shape(t *TensorInfo) error {
	var shape [maxRank]int
	n := 0
	err := r.Array(func(i int) error {
		if i == maxRank {
			return fmt.Errorf("more than %d dimensions", maxRank)
		}
		d, err := r.Int()
		if shape[i] = int(d); err == nil && int64(shape[i]) != d {
			return fmt.Errorf("%d is out of range", d)
		}
		n = i + 1
		return err
	})
	t.Shape = append([]int{}, shape[:n]...)
	return err
}
