package diffusion

import (
	"context"
	"fmt"

	"wisp/engine"
)

// Tile says how diffusers' enable_vae_tiling cuts what is too large for the
// memory: squares of In on a side, each a quarter over the one before, whose
// results, Out on a side, are blended there.
type Tile struct{ In, Out int }

// overlap is diffusers' tile_overlap_factor.
const overlap = 0.25

// defaultWorkspace holds a decoder of Stable Diffusion at 512 × 512, whose
// values take 800 MiB before they are fused.
const defaultWorkspace = 896 << 20

// Workspace bounds the bytes of what an autoencoder computes in f32: pictures
// for which it takes more are encoded and decoded in tiles. The same pictures
// are on every backend.
func Workspace(bytes int64) Option { return func(p *Pipeline) { p.residency.workspace = bytes } }

// tile is how a network is cut at a size: not at all where In is 0.
func (r *residency) tile(n *resident, s Size) (Tile, error) {
	key := programKey{net: n.name(), size: s}
	if t, ok := r.tiles[key]; ok || n.Tile.In == 0 {
		return t, nil
	}
	t := n.Tile
	need, err := r.workspaceOf(n, s)
	if need <= r.workspace {
		t = Tile{}
	}
	for need > r.workspace && err == nil {
		s.Height, s.Width = t.In, t.In
		if need, err = r.workspaceOf(n, s); need > r.workspace {
			if t.In%8 != 0 || t.Out%8 != 0 { // a quarter of its half is no whole number
				break
			}
			t = Tile{t.In / 2, t.Out / 2}
		}
	}
	if t.In >= key.size.Height && t.In >= key.size.Width {
		t = Tile{}
	}
	r.tiles[key] = t
	return t, err
}

// workspaceOf is what the values of a network take in f32.
func (r *residency) workspaceOf(n *resident, s Size) (int64, error) {
	g, err := n.Graph(s)
	if err != nil {
		return 0, err
	}
	plan := engine.MakePlan(g, func(n *engine.Node, input int) bool { return n.Op.IsActivation() })
	return int64(plan.Size), nil
}

// first is the size at which a network is compiled for one of size s.
func (r *residency) first(n *resident, s Size) (Size, error) {
	t, err := r.tile(n, s)
	if t.In != 0 {
		s.Height, s.Width = min(t.In, s.Height), min(t.In, s.Width)
	}
	return s, err
}

// tiled tells which pictures of a request are done in tiles.
func (p *Pipeline) tiled(r Request) (list []string) {
	for _, net := range p.kind.Nets() {
		if n := p.residency.nets[net.name()]; !n.Late || r.Image != nil {
			if t, err := p.residency.tile(n, n.Size(r)); err == nil && t.In != 0 {
				list = append(list, fmt.Sprintf("size: %s works in tiles of %d pixels with blended seams, which takes less memory", n.name(), max(t.In, t.Out)))
			}
		}
	}
	return list
}

// runTiles is Run, a tile at a time, as diffusers' tiled_decode and
// tiled_encode have it: seams are blended with the tile above, then with the
// one to the left.
func (r *residency) runTiles(ctx context.Context, n *resident, s Size, t Tile, in Inputs) (Inputs, error) {
	out, step := map[string]*canvas{}, int(float64(t.In)*(1-overlap))
	for y := 0; y < s.Height; y += step {
		for x := 0; x < s.Width; x += step {
			piece := s
			piece.Height, piece.Width = min(t.In, s.Height-y), min(t.In, s.Width-x)
			part := Inputs{}
			for name, v := range in {
				if part[name] = v; len(v.Shape) == 4 && v.Shape[1] == s.Height && v.Shape[2] == s.Width {
					part[name] = crop(v, y, x, piece.Height, piece.Width)
				}
			}
			got, err := r.runWhole(ctx, n, piece, part)
			if err != nil {
				return nil, err
			}
			for name, v := range got {
				if out[name] == nil {
					out[name] = newCanvas(t, s, v)
				}
				out[name].put(y/step, x/step, v)
			}
		}
	}
	all := Inputs{}
	for name, c := range out {
		all[name] = c.whole
	}
	return all, nil
}

// crop cuts a piece out of an image (1, h, w, c).
func crop(v engine.Tensor, y, x, h, w int) engine.Tensor {
	channels := v.Shape[3]
	out := engine.NewTensor(engine.F32, 1, h, w, channels)
	for i := range h {
		copy(out.Data[4*i*w*channels:][:4*w*channels], v.Data[4*((y+i)*v.Shape[2]+x)*channels:])
	}
	return out
}

// canvas is an image (1, h, w, c) put together of tiles, row by row.
type canvas struct {
	whole       engine.Tensor
	blend, keep int             // pixels of a tile that are blended, that are kept
	above, row  []engine.Tensor // the tiles of the row before and of this one, blended
	at          int             // of this row
}

// newCanvas makes one for tiles of which v is the first.
func newCanvas(t Tile, s Size, v engine.Tensor) *canvas {
	blend := int(float64(t.Out) * overlap)
	scaled := func(size int) int { return size * t.Out / t.In }
	return &canvas{whole: engine.NewTensor(engine.F32, 1, scaled(s.Height), scaled(s.Width), v.Shape[3]), blend: blend, keep: t.Out - blend}
}

// put takes the tile of row i and column j.
func (c *canvas) put(i, j int, tile engine.Tensor) {
	if i != c.at {
		c.at, c.above, c.row = i, c.row, nil
	}
	if c.above != nil {
		blend(c.above[j], tile, 1, c.blend)
	}
	if j > 0 {
		blend(c.row[j-1], tile, 2, c.blend)
	}
	c.row = append(c.row, tile)
	channels, width := tile.Shape[3], c.whole.Shape[2]
	h, w := min(tile.Shape[1], c.keep), min(tile.Shape[2], c.keep)
	for y := range min(h, c.whole.Shape[1]-i*c.keep) {
		to := ((i*c.keep+y)*width + j*c.keep) * channels
		n := min(w, width-j*c.keep) * channels
		copy(c.whole.Data[4*to:][:4*n], tile.Data[4*y*tile.Shape[2]*channels:])
	}
}

// blend goes over from the end of tile a to the beginning of tile b along a
// dimension, 1 or 2, in so many pixels.
func blend(a, b engine.Tensor, dim, extent int) {
	extent = min(a.Shape[dim], b.Shape[dim], extent)
	rows, columns, down, right := extent, min(a.Shape[2], b.Shape[2]), a.Shape[1]-extent, 0
	if dim == 2 {
		rows, columns, down, right = min(a.Shape[1], b.Shape[1]), extent, 0, a.Shape[2]-extent
	}
	from, to, channels := a.Float32s(), b.Float32s(), b.Shape[3]
	for y := range rows {
		for x := range columns {
			share := float32([]int{1: y, 2: x}[dim]) / float32(extent)
			p, q := ((y+down)*a.Shape[2]+x+right)*channels, (y*b.Shape[2]+x)*channels
			for c := range channels {
				to[q+c] = from[p+c]*(1-share) + to[q+c]*share
			}
		}
	}
	b.PutFloat32s(to)
}
