package tests

import (
	"path/filepath"
	"strings"
	"testing"

	"wisp/engine/diffusion"
	"wisp/tests/golden/pipeline"
)

// TestTiles draws a picture from words and one from a picture in tiles, as
// diffusers does after enable_vae_tiling, and tells so; with room enough it
// draws others, and tells nothing.
func TestTiles(t *testing.T) {
	dir := filepath.Join("golden", "tiles")
	cases, err := pipeline.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	photo := readImage(t, filepath.Join(dir, "image.png"))
	for _, b := range backends(t) {
		for _, room := range []int64{100_000, 1 << 30} {
			p, err := diffusion.New(t.Context(), b.Backend, directory{t, filepath.Join(dir, "model")}, nil, diffusion.Workspace(room))
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range cases {
				r := c.Request()
				if i == 1 {
					r.Image, r.Strength = photo, 0.7
				}
				result, err := p.Generate(t.Context(), r, nil)
				if err != nil {
					t.Fatal(err)
				}
				db, err := pipeline.PSNR(result.Images[0], filepath.Join(dir, c.Files[0]))
				if err != nil {
					t.Fatal(err)
				}
				said := strings.Join(result.Notices, "\n")
				tiled := room < 1<<30
				if tiled {
					parity{Case: "tiles " + c.Files[0], DB: db}.log(t, b)
				}
				if tiled != (db >= minPSNR) || tiled != strings.Contains(said, "tiles of 16 pixels") || i == 1 && tiled != strings.Contains(said, "encoder works in tiles") {
					t.Errorf("%s, %s, room for %d bytes: %.1f dB, notices %q", b.label, c.Files[0], room, db, said)
				}
			}
			p.Close()
		}
	}
}
