package tests

import (
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"wisp/engine"
	"wisp/engine/diffusion"
	"wisp/tests/golden/pipeline"
)

// spacious is a Stable Diffusion 3 whose table of places is larger than any
// picture needs: 300 × 300 around the golden's, and not numbers outside of it.
type spacious struct{ diffusion.Model }

const small3, large3 = 12, 300

func (s spacious) Config(component string) (json.RawMessage, bool) {
	b, ok := s.Model.Config(component)
	if component == "transformer" {
		b = json.RawMessage(strings.Replace(string(b), `"pos_embed_max_size": 12`, `"pos_embed_max_size": 300`, 1))
	}
	return b, ok
}

func (s spacious) Stream(ctx context.Context, component string, prefixes []string, each func(name, dtype string, shape []int, fill func(io.WriterAt) error) error) error {
	return s.Model.Stream(ctx, component, prefixes, func(name, dtype string, shape []int, fill func(io.WriterAt) error) error {
		if name != "pos_embed.pos_embed" {
			return each(name, dtype, shape, fill)
		}
		d, err := engine.ParseDType(dtype)
		if err != nil {
			return err
		}
		t := engine.NewTensor(d, shape...)
		if err := fill(t); err != nil {
			return err
		}
		row, edge := engine.ByteSize(d, engine.Shape{shape[2]}), (large3-small3)/2
		table := make([]byte, large3*large3*row)
		for i := range table {
			table[i] = 0xff
		}
		for y := range small3 {
			copy(table[((edge+y)*large3+edge)*row:], t.Data[y*small3*row:][:small3*row])
		}
		return each(name, dtype, []int{1, large3 * large3, shape[2]}, func(w io.WriterAt) error {
			for at := 0; at < len(table); at += 1001 { // as a download comes: cut anywhere
				if _, err := w.WriteAt(table[at:min(at+1001, len(table))], int64(at)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// largest is a backend that knows the largest weight it was given.
type largest struct {
	engine.Backend
	bytes int
}

func (l *largest) Upload(t engine.Tensor) (engine.Buffer, error) {
	l.bytes = max(l.bytes, len(t.Data))
	return l.Backend.Upload(t)
}

// TestLargePlaces: of a table of places only what the largest picture needs
// comes to the backend, and the picture is the same.
func TestLargePlaces(t *testing.T) {
	dir := filepath.Join("golden", "pipeline", "sd3")
	m := spacious{directory{t, filepath.Join(dir, "model")}}
	cases, err := pipeline.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range backends(t) {
		l := &largest{Backend: b.Backend}
		checkCases(t, labelled{Backend: l, label: b.label}, m, dir, cases[:1], minPSNR)
		if want := 2 * 24 * 256 * 256; l.bytes != want { // pictures of up to 2048 pixels, of 8 a place
			t.Errorf("%s: the largest weight has %d bytes, want %d", b.label, l.bytes, want)
		}
	}
}
