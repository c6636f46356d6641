package simd

import (
	"bytes"
	"io"
	"testing"

	"github.com/hack-pad/safejs"

	"wisp/engine"
)

// TestView: JavaScript writes to a weight's memory, also after it has grown.
func TestView(t *testing.T) {
	flavours(t, func(t *testing.T, b *backend) {
		want := []byte("from JavaScript.")
		w, err := b.Stream(engine.F32, engine.Shape{2, 4}, func(w io.WriterAt) error {
			if _, err := b.Upload(engine.NewTensor(engine.F32, 1<<20)); err != nil { // grows the memory
				return err
			}
			array, err := jsBytes(want)
			if err != nil {
				return err
			}
			v := w.(interface {
				View(at, n int) (safejs.Value, error)
			})
			view, err := v.View(8, len(want))
			if err != nil {
				return err
			}
			if _, err := v.View(17, 16); err == nil {
				t.Error("a view beyond the end")
			}
			_, err = view.Call("set", array)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if b.host.read(w.(*buffer).stored.addr+8, got); !bytes.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

// killThread ends a thread of the pool at once, as a browser short of memory
// may, the next one at each call.
func killThread(b *backend) {
	h := b.host.(*jsHost)
	h.workers[0].Call("terminate")
	h.workers = append(h.workers[1:], h.workers[0])
}
